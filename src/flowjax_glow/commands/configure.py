"""Options that choose an experiment: a preset or a configuration, and what is changed in it."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import UseAppendAction

from flowjax_glow import data
from flowjax_glow.commands.command import Command
from flowjax_glow.errors import check_choice, expected
from flowjax_glow.runs.experiment import Experiment, read_config
from flowjax_glow.runs.images import check_size, image_shape, source_of
from flowjax_glow.runs.presets import PRESETS, STEPS, recommended
from flowjax_glow.runs.settings import described_fields, with_settings

#: The preset that follows from the images, and what tells of them and of its recipe.
BY_IMAGES = "recommended"
TELLING = ("dataset", "image_size", "steps")


@dataclass(frozen=True, kw_only=True)
class OnExperiment(Command):
    """A command about an experiment, before anything is trained."""

    preset: str = "laptop"
    """Sizes and recipe; --list describes them."""

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

    list: bool = False
    """Print presets, data sets and the fields for --set with their values, and do nothing else."""

    def experiment(self) -> Experiment:
        """What the options choose.

        Raises:
            ValueError: if there is no such preset, field or value.
        """
        return with_settings(self.base(), self.settings())

    def base(self) -> Experiment:
        """What the settings change."""
        check_choice("--preset", self.preset, tuple(PRESETS))
        return PRESETS[self.preset].control

    def settings(self) -> Sequence[str]:
        """Those of the short options, then those of --set."""
        short = {
            "dataset": self.data,
            "image_size": self.size,
            "steps": self.steps,
            "batch": self.batch,
        }
        given = [f"{name}={value}" for name, value in short.items() if value is not None]
        return [*given, *self.set]

    def choices(self) -> dict[str, Mapping[str, str]]:
        """What `list` prints, section by section: names, and a line about each."""
        return {
            "Presets": {name: preset.about for name, preset in PRESETS.items()},
            "Data sets": data.names(),
            "Fields for --set, what they are now and what they mean": described_fields(
                self.experiment()
            ),
        }

    def place(self, experiment: Experiment) -> Path:
        """Where results lie by default: ``runs/PRESET-DATA``."""
        return _folder(self.preset, experiment.dataset)


@dataclass(frozen=True, kw_only=True)
class OnOneModel(OnExperiment):
    """A command about one model, which fits its images if nothing says otherwise."""

    preset: str = BY_IMAGES
    """Sizes and recipe; `recommended` fits the images, --list describes the others."""

    labels: bool = False
    """Condition the model on the labels of the images: as many classes as the data set has. With a
    preset other than `recommended`, and with --config, add --set model.top_prior=places."""

    config: Path | None = None
    """A run folder, or its config.json, whose experiment is taken in place of a preset."""

    def experiment(self) -> Experiment:
        chosen = super().experiment()
        if not self.labels or chosen.model.classes:
            return chosen
        model = dataclasses.replace(chosen.model, classes=_classes(chosen))
        return dataclasses.replace(chosen, model=model)

    def base(self) -> Experiment:
        check_choice("--preset", self.preset, (BY_IMAGES, *PRESETS))
        if self.config is not None:
            return self._read_config(self.config)
        if self.preset != BY_IMAGES:
            return super().base()
        telling = [each for each in self.settings() if each.partition("=")[0].strip() in TELLING]
        size = 16 if self.data is None else None  # of the default photos
        wanted = with_settings(Experiment(image_size=size, steps=STEPS), telling)
        shape = image_shape(wanted)
        check_size(wanted, shape, levels=1)
        chosen = recommended(shape, wanted.steps, _classes(wanted) if self.labels else 0)
        return dataclasses.replace(chosen, dataset=wanted.dataset, image_size=wanted.image_size)

    def _read_config(self, path: Path) -> Experiment:
        if self.preset != BY_IMAGES:
            raise expected("--config", "no --preset beside it", got=self.preset, advice="drop one")
        folder = path.parent if path.name == "config.json" else path
        if not (folder / "config.json").is_file():
            raise expected(
                f"--config={path}",
                "a run folder or its config.json",
                got="neither",
                advice="name a folder that flowjax-glow train has written",
            )
        return read_config(folder)

    def choices(self) -> dict[str, Mapping[str, str]]:
        ours = {BY_IMAGES: "the default: sizes that fit the images, and our remedy"}
        found = super().choices()
        return {**found, "Presets": {**ours, **found["Presets"]}}

    def place(self, experiment: Experiment) -> Path:
        if self.config is None:
            return super().place(experiment)
        return _folder(experiment.variant, experiment.dataset)


def _classes(experiment: Experiment) -> int:
    """How many classes the images of an experiment have, at least one."""
    source = source_of(experiment)
    if not source.classes:
        raise expected(
            "--labels",
            "images with labels",
            got=f"{source.name}, which has none",
            advice="choose a data set with classes, or a folder that holds two folders or more, "
            "one for each class, and no image beside them",
        )
    return len(source.classes)


def _folder(*names: str) -> Path:
    name = "-".join(names)
    return Path("runs") / "".join(c if c.isalnum() or c in "-_." else "-" for c in name)


def listing(sections: Mapping[str, Mapping[str, str]]) -> str:
    """Sections of names, with a line about each."""
    return "\n\n".join(
        f"{title}:\n" + "\n".join(f"  {name:<24} {about}" for name, about in rows.items())
        for title, rows in sections.items()
    )
