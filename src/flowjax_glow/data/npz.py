"""`npz:PATH`: arrays of one's own, `images` and perhaps `test_images`."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from flowjax_glow.arrays import ArraysError, array_names, read_npz
from flowjax_glow.data.errors import DataError
from flowjax_glow.data.indexed import ArraySource, array_source, held_out_split
from flowjax_glow.data.levels import to_bytes
from flowjax_glow.data.resize import square
from flowjax_glow.data.source import SPLITS, Images

IMAGES = ("images", "test_images")
LABELS = ("labels", "test_labels")


def load_npz(name: str, path: str, size: int | None) -> ArraySource:
    """The source `npz:PATH`.

    The file holds `images`, uint8 or uint16, (count, height, width, channels) or (count, height,
    width), with 1 or 3 channels, and may hold `test_images` of the same image shape; without
    them the last tenth of a fixed shuffle is the test split. uint16 is scaled to uint8. Arrays
    `labels`, and `test_labels` beside `test_images`, of whole numbers from 0 are the labels; a
    `labels` of another kind is left alone, as all other arrays are.

    Raises:
        DataError: for a missing or broken file, a wrong array, or a size above that of the images.
    """
    arrays = read_arrays(name, Path(path).expanduser())
    images = {
        key: square(check_images(f"{name}[{key}]", arrays[key]), size, name)
        for key in IMAGES
        if key in arrays
    }
    parts = split_arrays(name, images)
    return array_source(name, parts, split_labels(arrays))


def split_labels(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """The labels of train and test, parted as the images are; None unless all have some."""
    alone = "test_images" not in arrays
    found = [arrays[key] for key in LABELS[: 1 if alone else 2] if key in arrays]
    whole = [own for own in found if np.issubdtype(own.dtype, np.integer)]
    if len(whole) < (1 if alone else 2):
        return None
    if alone and whole[0].shape == arrays["images"].shape[:1]:
        return {split: whole[0][rows] for split, rows in held_out_split(len(whole[0])).items()}
    return dict(zip(SPLITS, (*whole, *whole)))


def read_arrays(name: str, path: Path) -> dict[str, np.ndarray]:
    """The arrays of `IMAGES` and `LABELS` that the file has; others are left alone."""
    try:
        arrays = read_npz(path, IMAGES)
        with suppress(ArraysError):  # objects, say, which are no labels of ours
            arrays |= read_npz(path, LABELS)
        if "images" not in arrays:
            raise DataError(
                f"{name}: expected an array `images`, got {array_names(path)}; "
                "write the file with np.savez(path, images=...)"
            )
    except FileNotFoundError as error:
        raise DataError(
            f"{name}: expected an .npz file, got no file at {path}; check the path"
        ) from error
    except (ArraysError, OSError) as error:
        raise DataError(
            f"{name}: expected an .npz file of plain arrays, got {error}; write it with np.savez"
        ) from error
    return arrays


def check_images(where: str, images: np.ndarray) -> Images:
    """The array as uint8 (count, height, width, channels), or `DataError`."""
    levels = to_bytes(where, images)
    if images.dtype == np.uint16 and images.size and images.max() < 256:
        raise DataError(
            f"{where}: expected uint16 levels of 0 to 65535, got none above {images.max()}; "
            "if they are those of uint8, images.astype(np.uint8)"
        )
    shaped = levels[..., None] if levels.ndim == 3 else levels
    if shaped.ndim != 4 or shaped.shape[-1] not in (1, 3) or 0 in shaped.shape:
        raise DataError(
            f"{where}: expected shape (count, height, width, 1 or 3) or (count, height, width), "
            f"got {images.shape}; transpose channels to the end"
        )
    return shaped


def split_arrays(name: str, images: dict[str, Images]) -> dict[str, Images]:
    """The arrays of train and test, held out of `images` where the file brings no test images."""
    train, test = images["images"], images.get("test_images")
    if test is None:
        return {split: train[rows] for split, rows in held_out_split(len(train)).items()}
    if test.shape[1:] != train.shape[1:]:
        raise DataError(
            f"{name}: expected test_images of the shape of images, got {test.shape[1:]} "
            f"for {train.shape[1:]}; store both alike"
        )
    return {"train": train, "test": test}
