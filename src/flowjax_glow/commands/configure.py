"""Options that choose an experiment: a preset or a configuration, and what is changed in it."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import UseAppendAction

from flowjax_glow.commands.command import Command
from flowjax_glow.errors import check_choice
from flowjax_glow.runs.experiment import Experiment, read_config
from flowjax_glow.runs.images import image_shape
from flowjax_glow.runs.presets import PRESETS, recommended
from flowjax_glow.runs.settings import with_settings


@dataclass(frozen=True, kw_only=True)
class OnExperiment(Command):
    """A command about an experiment, before anything is trained."""

    preset: str = "laptop"
    """Sizes and recipe; experiments.sweep --list describes them."""

    config: Path | None = None
    """A run folder, or its config.json, whose experiment is taken in place of a preset."""

    data: Annotated[str | None, tyro.conf.arg(aliases=("--dataset",))] = None
    """The images: photos, digits, folder:PATH, npz:PATH, mnist:PATH, cifar10:PATH, tfds:NAME."""

    size: int | None = None
    """Side of the images in pixels."""

    steps: int | None = None
    """Training steps; more than before train on."""

    batch: int | None = None
    """Images per step, over all devices."""

    set: UseAppendAction[tuple[str, ...]] = ()
    """FIELD=VALUE: any field of the experiment, as model.depth=16; may be repeated."""

    def experiment(self) -> Experiment:
        """What the options choose.

        Raises:
            ValueError: if there is no such preset, field or value.
        """
        changes = {
            "dataset": self.data,
            "image_size": self.size,
            "steps": self.steps,
            "batch": self.batch,
        }
        short = [f"{name}={value}" for name, value in changes.items() if value is not None]
        return with_settings(self.base(), [*short, *self.set])

    def base(self) -> Experiment:
        """What is changed."""
        if self.config is not None:
            folder = self.config.parent if self.config.name == "config.json" else self.config
            return read_config(folder)
        check_choice("--preset", self.preset, tuple(PRESETS))
        return PRESETS[self.preset].control

    def folder(self, experiment: Experiment) -> Path:
        """Where its results lie by default: ``runs/PRESET-DATA``."""
        place = "".join(c if c.isalnum() or c in "-_." else "-" for c in experiment.dataset)
        return Path("runs") / f"{self.preset}-{place}"


@dataclass(frozen=True, kw_only=True)
class OnOneModel(OnExperiment):
    """A command about one model, which fits its images if no preset says otherwise."""

    preset: str = "recommended"
    """Sizes and recipe; `recommended` fits the images."""

    def base(self) -> Experiment:
        if self.config is not None or self.preset != "recommended":
            check_choice("--preset", self.preset, ("recommended", *PRESETS))
            return super().base()
        wanted = Experiment(dataset=self.data or "photos", image_size=self.size)
        shape = image_shape(wanted)
        chosen = recommended(shape) if self.steps is None else recommended(shape, self.steps)
        return dataclasses.replace(chosen, dataset=wanted.dataset, image_size=wanted.image_size)
