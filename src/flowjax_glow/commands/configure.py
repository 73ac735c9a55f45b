"""Options that choose an experiment: a preset or a configuration, and what is changed in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import UseAppendAction

from flowjax_glow.commands.command import Command
from flowjax_glow.errors import check_choice
from flowjax_glow.runs.experiment import Experiment
from flowjax_glow.runs.presets import PRESETS
from flowjax_glow.runs.settings import with_settings


@dataclass(frozen=True, kw_only=True)
class OnExperiment(Command):
    """A command about an experiment, before anything is trained."""

    preset: str = "laptop"
    """Sizes and recipe."""

    data: Annotated[str | None, tyro.conf.arg(aliases=("--dataset",))] = None
    """The images: photos, digits, KIND:PATH, tfds:NAME."""

    size: int | None = None
    """Side of the images in pixels."""

    steps: int | None = None
    """Training steps; more than before train on."""

    batch: int | None = None
    """Images per step, over all devices."""

    set: UseAppendAction[tuple[str, ...]] = ()
    """FIELD=VALUE, any field of the experiment, as model.depth=16; may be repeated."""

    def experiment(self) -> Experiment:
        """What the options choose.

        Raises:
            ValueError: if there is no such preset, field or value.
        """
        check_choice("--preset", self.preset, tuple(PRESETS))
        changes = {
            "dataset": self.data,
            "image_size": self.size,
            "steps": self.steps,
            "batch": self.batch,
        }
        short = [f"{name}={value}" for name, value in changes.items() if value is not None]
        return with_settings(PRESETS[self.preset].control, [*short, *self.set])

    def folder(self, experiment: Experiment) -> Path:
        """Where its results lie by default: ``runs/PRESET-DATA``."""
        place = "".join(c if c.isalnum() or c in "-_." else "-" for c in experiment.dataset)
        return Path("runs") / f"{self.preset}-{place}"
