"""`mnist:PATH`: MNIST, Fashion-MNIST and others in their file format."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from flowjax_glow.data.errors import DataError
from flowjax_glow.data.indexed import ArraySource, array_source
from flowjax_glow.data.resize import square
from flowjax_glow.data.source import Images

FILES = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}

#: Bytes of a header: two zeros, 8 for uint8, 3 dimensions, and count, height and width as
#: big-endian integers of 32 bits.
HEADER = 16
MAGIC = 0x00000803

#: More pixels than any such data set has; a header that claims more is broken.
MOST = 2**32


def load_mnist(name: str, path: str, size: int | None) -> ArraySource:
    """The source `mnist:PATH`: the two image files of a data set, each with or without ``.gz``.

    Raises:
      DataError: for a missing or broken file, or a size above that of the images.
    """
    folder = Path(path).expanduser()
    splits = {
        split: square(read_images(name, folder, file)[..., None], size, name)
        for split, file in FILES.items()
    }
    return array_source(name, splits)


def read_images(name: str, folder: Path, file: str) -> Images:
    """The images of one file, (count, height, width)."""
    found = [path for path in (folder / file, folder / f"{file}.gz") if path.is_file()]
    if not found:
        raise DataError(
            f"{name}: expected {file} or {file}.gz in {folder}, got neither; "
            "give the folder that holds the data set's files"
        )
    try:
        with gzip.open(found[0]) if found[0].suffix == ".gz" else found[0].open("rb") as stream:
            magic, *shape = struct.unpack(">IIII", stream.read(HEADER))
            pixels = math.prod(shape)
            if magic != MAGIC or not 0 < pixels <= MOST:
                raise DataError(
                    f"{name}: expected a file of uint8 images with three dimensions, got the "
                    f"header {magic:#010x} {tuple(shape)} in {found[0]}; fetch the file again"
                )
            content = stream.read(pixels)
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise DataError(
            f"{name}: expected a whole file, got {type(error).__name__}: {error} in {found[0]}; "
            "fetch the file again"
        ) from error
    if len(content) != pixels:
        raise DataError(
            f"{name}: expected {pixels} pixels, got {len(content)} in {found[0]}; "
            "fetch the file again"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)
