"""`tfds:NAME`: data sets prepared by TensorFlow Datasets, read from disk and never downloaded."""

import importlib.util
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flowjax_glow.data.errors import DataError, optional_module
from flowjax_glow.data.indexed import HELD_OUT, ArraySource, IndexedSource, Indices, array_source
from flowjax_glow.data.levels import to_bytes
from flowjax_glow.data.resize import center_crop, square
from flowjax_glow.data.source import Images, Labels
from flowjax_glow.errors import how_to_install


@dataclass(frozen=True)
class Recipe:
    """How the literature cuts a data set: the middle `crop` pixels, shrunk to `size`."""

    crop: int
    size: int


RECIPES = {"celeb_a": Recipe(crop=148, size=64)}


@dataclass(frozen=True)
class PreparedSource(IndexedSource):
    """Records read at random from array_record files; a batch decodes only its own images."""

    records: Mapping[str, Sequence[Mapping[str, Any]]] = field(repr=False, compare=False)
    crop: int | None = None

    def count(self, split: str) -> int:
        return len(self.records[split])

    def read(self, split: str, indices: Indices) -> Images:
        return self._images([self.records[split][int(i)] for i in indices])

    def read_labelled(self, split: str, indices: Indices) -> tuple[Images, Labels]:
        records = [self.records[split][int(i)] for i in indices]
        return self._images(records), np.array([record["label"] for record in records], np.int32)

    def _images(self, records: Sequence[Mapping[str, Any]]) -> Images:
        height, width, _ = self.shape
        side = height if height == width else None  # other shapes are the data set's own
        return np.stack([cut(self.name, record["image"], self.crop, side) for record in records])


def load_prepared(name: str, data_set: str, size: int | None) -> IndexedSource:
    """The source `tfds:NAME`; NAME as in TensorFlow Datasets, with `/config` and `:version`.

    Data in array_record files is read image by image without TensorFlow; other formats need
    TensorFlow and are held in memory. `TFDS_DATA_DIR` says where the data lies, otherwise
    ~/tensorflow_datasets. The test split is `test`, else `validation`, else the last tenth.
    CelebA (`tfds:celeb_a`) is cut to its middle 148 x 148 pixels and shrunk to 64 x 64.

    Raises:
        DataError: when it is not prepared (at once, without the network), holds no images of one
            known size while none is asked for, or needs a package that is missing.
    """
    builder = find_builder(name, data_set)
    recipe = RECIPES.get(builder.name)
    crop = recipe.crop if recipe else None
    side = size if size is not None else recipe.size if recipe else None
    shape = image_shape(name, builder, crop, side)
    splits = split_names(name, list(builder.info.splits))
    if has_random_access(builder):
        records = {split: builder.as_data_source(part) for split, part in splits.items()}
        return PreparedSource(name, shape, records, crop, classes=class_names(builder))
    return whole_source(name, builder, splits, crop, side)


def find_builder(name: str, data_set: str) -> Any:
    """The reader of a data set found on disk; its own code is not loaded and no network asked."""
    optional_module("tensorflow_datasets", name)
    from tensorflow_datasets.core import read_only_builder, registered

    try:
        return read_only_builder.builder_from_files(data_set, data_dir=data_dir())
    except registered.DatasetNotFoundError as error:
        raise DataError(
            f"{name}: expected a prepared data set, got none in {data_dir()}; "
            f"prepare it once, online: {how_to_install('experiments,tensorflow')}, then "
            f"tfds build {data_set} --file_format=array_record "
            f"--data_dir={shlex.quote(data_dir())}; "
            "offline there are photos, digits, folder:PATH, npz:PATH and cifar10:PATH"
        ) from error
    except ValueError as error:
        raise DataError(
            f"{name}: expected NAME, NAME/config or NAME:1.0.0, got {str(error).splitlines()[0]}; "
            "look the name up at https://www.tensorflow.org/datasets/catalog"
        ) from error


def class_names(builder: Any) -> tuple[str, ...]:
    """Those of a feature `label` that says which class an image is of; none without one."""
    return tuple(getattr(dict(builder.info.features).get("label"), "names", None) or ())


def data_dir() -> str:
    """Where TensorFlow Datasets keeps its data; read each time, as its own constant is not."""
    return str(Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser())


def image_shape(
    name: str, builder: Any, crop: int | None, side: int | None
) -> tuple[int, int, int]:
    """(height, width, channels) of the images that come out."""
    feature = dict(builder.info.features).get("image")
    if feature is None:
        raise DataError(
            f"{name}: expected a feature `image`, got {sorted(builder.info.features)}; "
            "choose an image data set"
        )
    check_feature(name, feature)
    height, width, channels = (*feature.shape, 1)[:3]
    if side is None and None in (height, width):
        raise DataError(
            f"{name}: expected a size in pixels, got none for images of many sizes; "
            "give one, for example size=32"
        )
    if side is None:
        return (height, width, channels)
    limits = [limit for limit in (height, width, crop) if limit is not None]
    limit = min(limits, default=max(side, 1))
    if not 1 <= side <= limit:
        raise DataError(
            f"{name}: expected a size of 1 to {limit}, got {side}; "
            "images are made smaller, never larger"
        )
    return (side, side, channels)


def check_feature(name: str, feature: Any) -> None:
    """Raises unless the images are uint8 or uint16, gray or in color."""
    shape, dtype = tuple(feature.shape), np.dtype(feature.np_dtype)
    if len(shape) not in (2, 3) or (*shape, 1)[2] not in (1, 3):
        raise DataError(
            f"{name}: expected images (height, width, 1 or 3) or (height, width), got {shape}; "
            "choose another data set, or write its images to an .npz file"
        )
    if dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"{name}: expected images of uint8 or uint16, got {dtype}; "
            "write them to an .npz file, scaled to 0..255"
        )


def split_names(name: str, splits: Sequence[str]) -> dict[str, str]:
    """Which part of the data set, in its own slicing words, is train and which test."""
    if "train" not in splits:
        raise DataError(
            f"{name}: expected a split `train`, got {sorted(splits)}; choose another data set"
        )
    for held_out in ("test", "validation"):
        if held_out in splits:
            return {"train": "train", "test": held_out}
    start = 100 - 100 // HELD_OUT
    return {"train": f"train[:{start}%]", "test": f"train[{start}%:]"}


def has_random_access(builder: Any) -> bool:
    """Whether array_record files lie among the prepared ones."""
    return any(format.value == "array_record" for format in builder.info.available_file_formats())


def whole_source(
    name: str, builder: Any, splits: Mapping[str, str], crop: int | None, side: int | None
) -> ArraySource:
    """All images in memory, read by TensorFlow from the formats that only it reads."""
    if importlib.util.find_spec("tensorflow") is None:
        raise DataError(
            f"{name}: expected array_record files, got {builder.info.file_format.value} files, "
            f"which only TensorFlow reads; install it: {how_to_install('experiments,tensorflow')}"
        )
    data = optional_module("tensorflow_datasets", name)
    images, labels, classes = {}, {}, class_names(builder)
    for split, part in splits.items():
        records = data.as_numpy(builder.as_dataset(split=part, shuffle_files=False))
        rows = [(cut(name, r["image"], crop, side), r["label"] if classes else 0) for r in records]
        images[split] = np.stack([image for image, _ in rows])
        labels[split] = np.array([label for _, label in rows], np.int32)
    return array_source(name, images, labels if classes else None, classes)


def cut(name: str, image: np.ndarray, crop: int | None, side: int | None) -> Images:
    """One image as the source gives it: (height, width, channels) cropped, then shrunk."""
    levels = to_bytes(name, image)
    images = (levels if levels.ndim == 3 else levels[..., None])[None]
    return square(images if crop is None else center_crop(images, crop), side, name)[0]
