"""The images of an experiment, and whether its model fits them."""

import dataclasses
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from flowjax_glow import data
from flowjax_glow.arrays import ArraysError, read_npz
from flowjax_glow.config import glow
from flowjax_glow.data import DataError
from flowjax_glow.data.folder import BY_NAME
from flowjax_glow.data.indexed import IndexedSource
from flowjax_glow.data.source import SPLITS
from flowjax_glow.errors import expected
from flowjax_glow.files import read_json, write_json
from flowjax_glow.runs.experiment import Experiment
from flowjax_glow.runs.folder import ConfigChangedError


def source_of(experiment: Experiment) -> data.Source:
    """The data set of an experiment, at its size.

    Raises:
        DataError: if it is not here, or cannot be read.
    """
    return data.load(experiment.dataset, size=experiment.image_size)


def image_shape(experiment: Experiment) -> tuple[int, int, int]:
    """``(height, width, channels)``; of a data set that is not here, the experiment's, in color.

    Raises:
        DataError: if it is not here and the experiment does not say its size.
    """
    try:
        return source_of(experiment).shape
    except DataError:
        if experiment.image_size is None:
            raise
        return (experiment.image_size, experiment.image_size, 3)


def noted_shape(folder: Path, experiment: Experiment) -> tuple[int, int, int]:
    """The shape of the images of a run, (height, width, channels), which data.json notes.

    Folders of versions that did not note it have some of the images in arrays/, or need their data
    set.

    Raises:
        DataError: if neither tells, and the data set is not here.
        ValueError: if data.json is damaged.
    """
    file = folder / "data.json"
    noted = (read_json(file, perhaps={"shape": list}) or {}).get("shape")
    for kept in () if noted else sorted((folder / "arrays").glob("clipping-*.npz")):
        with suppress(ArraysError, OSError, KeyError):
            noted = list(read_npz(kept, ("originals",))["originals"].shape[1:])
    if noted is None:
        return source_of(experiment).shape
    if len(noted) != 3 or not all(type(side) is int and side > 0 for side in noted):
        raise expected(
            f"{file}",
            "`shape` of type (height, width, channels)",
            got=repr(noted)[:80],
            advice="restore the file, or move the run folder away (train and sweep: --restart)",
        )
    height, width, channels = noted
    return height, width, channels


def fit_to_data(
    experiment: Experiment, source: data.Source, begun: Experiment | None = None
) -> Experiment:
    """`experiment` with no more held-out images than a small data set has, in whole chunks.

    A data set with fewer than a chunk of them makes the chunks smaller, a power of two. A run that
    has `begun` keeps the number it began with as long as there are as many.

    Raises:
        DataError: if it has none.
    """
    available = source.count("test") if isinstance(source, IndexedSource) else experiment.held_out
    if not available:
        raise DataError(
            f"{source.name}: expected a test image, got none; add images or choose another data set"
        )
    if begun is not None and begun.held_out <= available < experiment.held_out:
        kept = {name: getattr(begun, name) for name in ("held_out", "clip_samples", "chunk")}
        return dataclasses.replace(experiment, **kept)
    chunk = experiment.chunk
    if available < chunk:
        chunk = 1 << (available.bit_length() - 1)
        if any(count % chunk for count in (experiment.look_samples, experiment.final_samples)):
            chunk = 1
    held_out = min(experiment.held_out, available) // chunk * chunk
    clip_samples = min(experiment.clip_samples, held_out)
    return dataclasses.replace(
        experiment, held_out=held_out, clip_samples=clip_samples, chunk=chunk
    )


def check_size(experiment: Experiment, shape: Sequence[int], levels: int) -> None:
    """Checks that every one of `levels` can halve images of a shape, (height, width, channels).

    Raises:
        ValueError: in terms of the option --size, if one cannot.
    """
    height, width, _ = shape
    multiple, side = 2**levels, min(height, width)
    if height % multiple == width % multiple == 0:
        return
    below = side // multiple * multiple
    sizes = [size for size in (below, below + multiple) if size]
    if experiment.image_size is None:
        where, sizes = "--size", sizes[:1]  # images are made smaller, never larger
    else:
        where = f"--size={experiment.image_size}"
    raise expected(
        where,
        f"a multiple of {multiple}, as it is halved {levels} time{'s' * (levels > 1)}",
        got=f"{height}" if height == width else f"{height}x{width}",
        advice=f"use {' or '.join(map(str, sizes))}",
    )


def described(source: data.Source) -> str:
    """Which images there are, in a line."""
    facts, (height, width, channels) = source.facts(), source.shape
    counts = " and ".join(f"{facts[split]} {split}" for split in SPLITS if split in facts)
    rule = f", parted by {facts['split']}" if "split" in facts else ""
    return f"{source.name}: {counts or 'any number of'} images, {height}x{width}x{channels}{rule}"


def check_images(folder: Path, source: data.Source, *, labelled: bool = False) -> None:
    """Compares the images that a run is about to train on with those that it noted when it began.

    Fewer or more files change the batches, which is told. Another rule that parts train from test
    is refused, since images that were held out would be trained on. So are other classes of a run
    that is `labelled`, as its labels would mean something else.

    Raises:
        ConfigChangedError: if they are parted by another rule than when the run began, or have
            other classes.
    """
    facts, begun = source.facts(), (folder / "metrics.jsonl").exists()
    older = {"split": BY_NAME} if begun and "split" in facts else facts  # which noted nothing
    noted = read_json(folder / "data.json") or older
    if noted.get("split") != facts.get("split"):
        raise ConfigChangedError(
            f"{folder}: expected images parted by {noted.get('split')}, as when it began, got "
            f"{source.name} parted by {facts.get('split')}; restore the folder's layout, choose "
            "another --output, or move the run folder away (train and sweep: --restart)"
        )
    if labelled and noted.get("classes", list(source.classes)) != list(source.classes):
        raise ConfigChangedError(
            f"{folder}: expected images of the classes {listed(noted['classes'])}, as when it "
            f"began, got {source.name} with {listed(source.classes)}; restore the data, choose "
            "another --output, or move the run folder away (train and sweep: --restart)"
        )
    if changed := [name for name in facts if noted.get(name, facts[name]) != facts[name]]:
        told = ", ".join(f"{name} {noted[name]} -> {facts[name]}" for name in changed)
        warnings.warn(
            f"{folder}: {source.name} holds other images than when the run began ({told}); "
            "batches from here on are others, too",
            stacklevel=2,
        )


def listed(classes: Any) -> str:
    """Names of classes for a message, the first of them if there are many."""
    shown = ", ".join(map(str, classes[:12]))
    return f"{shown}, ... ({len(classes)})" if len(classes) > 12 else shown or "none"


def note_images(folder: Path, source: data.Source, *, labelled: bool = False) -> None:
    """Writes data.json, which `check_images` reads when the run goes on, and who opens it later."""
    classes = {"classes": source.classes} if labelled else {}
    write_json(folder / "data.json", {"shape": source.shape, **classes, **source.facts()})


def noted_classes(folder: Path, experiment: Experiment) -> tuple[tuple[str, ...], bool]:
    """`known_classes` of a run's labels, which data.json notes; none of one without.

    Raises:
        ValueError: if data.json is damaged.
    """
    file = folder / "data.json"
    noted = (read_json(file, perhaps={"classes": list}) or {}).get("classes")
    return known_classes(f"{file}", experiment, noted)


def known_classes(where: str, experiment: Experiment, names: Any) -> tuple[tuple[str, ...], bool]:
    """The names of an experiment's classes, and whether a file told them; numbers if it did not.

    Raises:
        ValueError: if they are not as many strings as the model has classes.
    """
    classes = experiment.model.classes
    if not classes:
        return (), False
    if names is None:
        return tuple(map(str, range(classes))), False
    known = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    if not known or len(names) != classes:
        raise expected(
            where,
            f"`classes` to be {classes} names",
            got=repr(names)[:80],
            advice="restore the file, or move the run folder away (train and sweep: --restart)",
        )
    return tuple(names), True


def check_builds(
    experiment: Experiment, shape: Sequence[int], devices: int, local_devices: int | None = None
) -> None:
    """Builds the model on shapes alone, so that a size that cannot work is told at once.

    Raises:
        ValueError: if the model does not take images of `shape`, or `devices` cannot share a batch,
            or those of this process a chunk.
    """
    parts = "batch" if experiment.accumulate == 1 else "batch / accumulate"
    for name, size, count in (
        (parts, experiment.batch // experiment.accumulate, devices),
        ("chunk", experiment.chunk, local_devices or devices),
    ):
        if size % count:
            raise expected(
                f"Experiment.{name}",
                f"a multiple of the {count} devices",
                got=size,
                advice="change --batch or --set chunk=, or use fewer devices",
            )
    check_size(experiment, shape, experiment.model.levels)
    images = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    jax.eval_shape(glow(experiment.model).init, jax.random.key(0), images)
