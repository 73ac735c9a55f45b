"""`npz:PATH`: arrays of one's own, `images` and perhaps `test_images`."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from flowjax_glow.data.errors import DataError
from flowjax_glow.data.indexed import ArraySource, array_source, held_out_split
from flowjax_glow.data.resize import square
from flowjax_glow.data.source import Images


def load_npz(name: str, path: str, size: int | None) -> ArraySource:
    """The source `npz:PATH`.

    The file holds `images`, uint8 (count, height, width, channels) or (count, height, width),
    with 1 or 3 channels, and may hold `test_images` of the same image shape; without them the
    last tenth of a fixed shuffle is the test split.

    Raises:
      DataError: for a missing or broken file, a wrong array, or a size above that of the images.
    """
    arrays = read_arrays(name, Path(path).expanduser())
    images = {
        key: square(check_images(f"{name}[{key}]", array), size, name)
        for key, array in arrays.items()
    }
    return array_source(name, split_arrays(name, images))


def read_arrays(name: str, path: Path) -> dict[str, np.ndarray]:
    """The arrays `images` and, where the file has it, `test_images`; others are left alone."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            if "images" not in file.files:
                raise DataError(
                    f"{name}: expected an array `images`, got {sorted(file.files)}; "
                    "write the file with np.savez(path, images=...)"
                )
            return {key: file[key] for key in ("images", "test_images") if key in file.files}
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(
            f"{name}: expected an .npz file, got no file at {path}; check the path"
        ) from error
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{name}: expected an .npz file of plain arrays, got {type(error).__name__}: {error}; "
            "write it with np.savez"
        ) from error


def check_images(where: str, images: np.ndarray) -> Images:
    """The array as uint8 (count, height, width, channels), or `DataError`."""
    if images.dtype != np.uint8:
        raise DataError(
            f"{where}: expected dtype uint8, got {images.dtype}{describe_range(images)}; "
            "scale to 0..255, then np.rint(images).astype(np.uint8)"
        )
    shaped = images[..., None] if images.ndim == 3 else images
    if shaped.ndim != 4 or shaped.shape[-1] not in (1, 3) or 0 in shaped.shape:
        raise DataError(
            f"{where}: expected shape (count, height, width, 1 or 3) or (count, height, width), "
            f"got {images.shape}; transpose channels to the end"
        )
    return shaped


def describe_range(images: np.ndarray) -> str:
    """Says which value of a numeric array 0..255 cannot hold and where; empty if there is none."""
    if images.dtype.kind not in "iuf":
        return ""
    outside = ~((images >= 0) & (images <= 255))  # NaN compares false, so it is outside
    if not outside.any():
        return ""
    index = tuple(int(i) for i in np.unravel_index(outside.argmax(), images.shape))
    return f" with {images[index]} at index {index}"


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
