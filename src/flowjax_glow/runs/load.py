"""Trained models, read back from their run folders or from model files."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from flowjax_glow import data
from flowjax_glow.combinators import MultiScale
from flowjax_glow.config_json import config_to_json
from flowjax_glow.context import in_turn
from flowjax_glow.data import DataError
from flowjax_glow.data.indexed import held_out, held_out_labelled
from flowjax_glow.data.source import Labels
from flowjax_glow.errors import expected
from flowjax_glow.model import Model
from flowjax_glow.runs.compilation import make_room_for_programs
from flowjax_glow.runs.cost.workload import Workload
from flowjax_glow.runs.experiment import Experiment, from_json, read_config
from flowjax_glow.runs.images import (
    known_classes,
    listed,
    noted_classes,
    noted_shape,
    source_of,
)
from flowjax_glow.runs.loss import exact_flow
from flowjax_glow.runs.results import run_folders
from flowjax_glow.training import CheckpointError, averaged_params, read_checkpoint
from flowjax_glow.types import Params


@dataclass(frozen=True)
class Trained:
    """A trained model, what is known of its training, and where findings about it go.

    Attributes:
        path: of the run folder or the model file.
        folder: what commands write their findings into: the run folder, or one beside the file.
        experiment: the run's; of a model file, as much as its record tells.
        event_shape: of one image, (height, width, channels).
        step: how many steps it was trained.
        params: of the last step; of a model file, those that are in it.
        average: their moving average; None if there is none.
        classes: the names of the classes that the model is conditioned on; () of one without.
        named: whether a file tells these names; where none does they are numbers.
    """

    path: Path
    folder: Path
    experiment: Experiment
    event_shape: tuple[int, int, int]
    step: int
    params: Params = field(repr=False)
    average: Params | None = field(repr=False)
    classes: tuple[str, ...] = ()
    named: bool = False

    @property
    def flow(self) -> MultiScale:
        """The model, its nets in float32 whatever it was trained in."""
        return exact_flow(self.experiment)

    def parameters(self, averaged: bool) -> Params:
        """The last ones, or their moving average.

        Raises:
            ValueError: if there is no average, as in a model file that has the last ones.
        """
        if not averaged:
            return self.params
        if self.average is None:
            raise expected(
                "--averaged",
                "a run folder, or a model file of averaged parameters",
                got=f"{self.path}, which has the last ones alone",
                advice="export the run again with --averaged",
            )
        return self.average

    @cached_property
    def source(self) -> data.Source:
        """The data set that it was trained on, of which nothing else here needs to be there.

        Raises:
            DataError: if it is not here, cannot be read, has other images, or is not known.
        """
        if not self.experiment.dataset:
            raise DataError(
                f"{self.path}: expected the name of its data set, got none in its record; name one "
                "by --data"
            )
        try:
            source = source_of(self.experiment)
        except DataError as error:
            raise DataError(
                f"{error} (the data set of {self.path}; --data, where a command has it, names "
                "another)"
            ) from error
        return self.fitting(source)

    def images(self, name: str | None, count: int | None) -> data.Images:
        """Held-out images: of the data set of that `name`, or of the model's own.

        Args:
            name: as `flowjax_glow.data.load` takes it.
            count: how many; by default 256, or all of a data set that has fewer.

        Raises:
            DataError: if the data set is not here, has other images, or too few.
        """
        return held_out(self.source_called(name), count)

    def labelled_images(
        self, name: str | None, count: int | None, label: int | None = None
    ) -> tuple[data.Images, Labels | None]:
        """`images`, and their labels; None of a model without classes.

        Args:
            label: of a class that is taken alone; images without labels are all taken for it.

        Raises:
            DataError: as `images`, and if the images have no labels or other classes.
        """
        source = self.source_called(name)
        if not self.classes or (label is not None and not source.classes):
            images = held_out(source, count)
            return images, None if label is None else np.full(len(images), label, np.int32)
        same = len(source.classes) == len(self.classes)  # all that a file without names tells
        if not same or (self.named and source.classes != self.classes):
            advice = (
                "choose images of the same classes, or a folder without folders in it, which an "
                "option --label takes for one class"
                if source.classes
                else "choose others, or say what they all are where there is an option --label"
            )
            raise DataError(
                f"{source.name}: expected images of the classes {listed(self.classes)}, as "
                f"{self.path} was trained on, got {listed(source.classes)}; {advice}"
            )
        return held_out_labelled(source, count, label=label)

    def given_images(self, name: str | None, count: int | None) -> tuple[Params, data.Images]:
        """The last parameters at the labels of held-out images, if there are any, and these."""
        images, labels = self.labelled_images(name, count)
        return self.flow.given(self.params, labels), images

    def given_labels(self) -> Params:
        """The last parameters at every label, which samples take in turn."""
        return self.flow.given(self.params, in_turn(len(self.classes)) if self.classes else None)

    def source_called(self, name: str | None) -> data.Source:
        """The data set of that `name` at the model's size, or the model's own."""
        if name is None:
            return self.source
        size = self.experiment.image_size
        height, width, _ = self.event_shape
        if size is None and height == width:
            size = height
        return self.fitting(data.load(name, size=size))

    def fitting(self, source: data.Source) -> data.Source:
        """`source`; raises DataError unless its images have the model's shape."""
        if source.shape != self.event_shape:
            got, like = ("x".join(map(str, sides)) for sides in (source.shape, self.event_shape))
            raise DataError(
                f"{source.name}: expected images of {like} as {self.path} was trained on, got "
                f"{got}; choose other images, or write these to an .npz file in that shape"
            )
        return source


class NoCheckpointError(CheckpointError):
    """A run has not saved anything yet."""


def trained_models(path: Path) -> Iterator[Trained]:
    """The model of a file, of a run folder, or of every run of a sweep that has a checkpoint.

    Runs of a sweep that have none, because they have just begun or diverged at once, are named on
    stderr and left out.

    Raises:
        CheckpointError: if a checkpoint cannot be read, or `path` is a run's that has none.
        ValueError: if `path` is none of these, or no run of it has begun.
    """
    begun = model_paths(path)
    if not begun:
        raise expected(
            f"{path}",
            "a sweep folder with runs",
            got="none that has begun",
            advice="train one with flowjax-glow train",
        )
    for each in begun:
        make_room_for_programs()
        try:
            yield load_trained(each)
        except NoCheckpointError as error:
            if each == path:
                raise
            print(f"left out: {error}", file=sys.stderr)


def model_paths(path: Path) -> list[Path]:
    """The model file, or as `run_folders`."""
    return [path] if path.is_file() else run_folders(path)


def findings_folder(path: Path) -> Path:
    """Where findings about the model of a run folder or a file go; it may be still to be made."""
    return path.with_name(f"{path.stem}-findings") if path.is_file() else path


def load_trained(path: Path) -> Trained:
    """The model of a run folder or of a model file; its data set need not be here.

    Raises:
        CheckpointError: if a run has no checkpoint, or one that cannot be read.
        DataError: if a folder of an older version does not tell the shape of the images, and its
            data set is not here.
        ValueError: if it is no run folder, or no model file.
    """
    if path.is_file():
        return _of_file(path)
    experiment = read_config(path)
    shape = noted_shape(path, experiment)
    example = Workload(experiment, shape, images=experiment.accumulate).state
    state = read_checkpoint(path / "checkpoints", example)
    if state is not None:
        step, average = int(state.step), averaged_params(state)
        classes, named = noted_classes(path, experiment)
        return Trained(path, path, experiment, shape, step, state.params, average, classes, named)
    raise NoCheckpointError(
        str(
            expected(
                f"{path}",
                "a checkpoint",
                got="none",
                advice="wait for its first one; a run that diverged before has no model",
            )
        )
    )


def _of_file(path: Path) -> Trained:
    model = Model.load(path)
    if model.n_bits is None:
        raise expected(
            f"{path}",
            "a model of images",
            got=f"one of float events of shape {model.event_shape}",
            advice="commands are about images: use Model.load and stability_report in Python",
        )
    try:
        experiment = experiment_of(model)
        classes, named = known_classes("record", experiment, model.record.get("classes"))
    except (ValueError, OverflowError, TypeError) as error:
        raise expected(
            f"{path}",
            "a record of a training, or none",
            got=f"{error}",
            advice="read it with the version that wrote it",
        ) from error
    step, averaged = model.record.get("step"), model.record.get("averaged") is True
    height, width, channels = model.event_shape
    return Trained(
        path,
        findings_folder(path),
        experiment,
        (height, width, channels),
        step if isinstance(step, int) else 0,
        model.params,
        model.params if averaged else None,
        classes,
        named,
    )


def experiment_of(model: Model) -> Experiment:
    """What a model's record tells of its training, with an empty name for an unknown data set.

    Raises:
        ValueError: if the record has fields that no experiment has.
    """
    told: Mapping[str, Any] = model.record.get("experiment") or {}
    fields = {"variant": "model", "dataset": "", "image_size": None, "optimizer": {}, **told}
    return from_json({**fields, "model": config_to_json(model.config), "n_bits": model.n_bits})
