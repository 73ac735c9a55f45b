"""`mnist:PATH`: MNIST, Fashion-MNIST and others in their file format."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flowjax_glow.data.errors import DataError
from flowjax_glow.data.indexed import ArraySource, array_source
from flowjax_glow.data.resize import square

FILES = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}
LABELS = {"train": "train-labels-idx1-ubyte", "test": "t10k-labels-idx1-ubyte"}

#: A header is two zeros, 8 for uint8, the number of dimensions, and their sizes: images have count,
#: height and width, labels a count. All are big-endian integers of 32 bits.
MAGIC = 0x00000800

#: More pixels than any such data set has; a header that claims more is broken.
MOST = 2**32


def load_mnist(name: str, path: str, size: int | None) -> ArraySource:
    """The source `mnist:PATH`: the image files of a data set, each with or without ``.gz``.

    Where its two files of labels lie beside them, images have labels.

    Raises:
        DataError: for a missing or broken file, or a size above that of the images.
    """
    folder = Path(path).expanduser()
    splits = {
        split: square(read_values(name, folder, file, 3)[..., None], size, name)
        for split, file in FILES.items()
    }
    labels = None
    if all(_versions(folder, file) for file in LABELS.values()):
        labels = {split: read_values(name, folder, file, 1) for split, file in LABELS.items()}
    return array_source(name, splits, labels)


def _versions(folder: Path, file: str) -> list[Path]:
    """A file as it is there, plain or packed."""
    return [path for path in (folder / file, folder / f"{file}.gz") if path.is_file()]


def read_values(name: str, folder: Path, file: str, dimensions: int) -> npt.NDArray[np.uint8]:
    """The array of one file: images (count, height, width), or labels (count,)."""
    found, what = _versions(folder, file), "images" if dimensions == 3 else "labels"
    if not found:
        raise DataError(
            f"{name}: expected {file} or {file}.gz in {folder}, got neither; "
            "give the folder that holds the data set's files"
        )
    try:
        with gzip.open(found[0]) if found[0].suffix == ".gz" else found[0].open("rb") as stream:
            header = 4 * (1 + dimensions)
            magic, *shape = struct.unpack(f">{1 + dimensions}I", stream.read(header))
            pixels = math.prod(shape)
            if magic != MAGIC + dimensions or not 0 < pixels <= MOST:
                raise DataError(
                    f"{name}: expected a file of uint8 {what} with {dimensions} dimensions, got "
                    f"the header {magic:#010x} {tuple(shape)} in {found[0]}; fetch the file again"
                )
            content = stream.read(pixels)
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise DataError(
            f"{name}: expected a whole file, got {type(error).__name__}: {error} in {found[0]}; "
            "fetch the file again"
        ) from error
    if len(content) != pixels:
        raise DataError(
            f"{name}: expected {pixels} {'pixels' if what == 'images' else what}, got "
            f"{len(content)} in {found[0]}; fetch the file again"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)
