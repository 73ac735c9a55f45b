"""`digits`: the 1797 handwritten digits that scikit-learn carries in its wheel."""

import functools

import numpy as np

from flowjax_glow.data.errors import package_file
from flowjax_glow.data.indexed import ArraySource, array_source, held_out_split
from flowjax_glow.data.resize import square
from flowjax_glow.data.source import Images

INK = 16  # the data set counts 0..16 inked pixels in each 4 x 4 block of a scan


def load_digits(name: str, size: int | None) -> ArraySource:
    """The source `digits`, 8 x 8 x 1, or smaller squares; 1618 train and 179 test images.

    Raises:
      DataError: for a size above 8, or when scikit-learn is missing.
    """
    images = square(digits(), size, name)
    return array_source(
        name, {split: images[rows] for split, rows in held_out_split(len(images)).items()}
    )


@functools.cache
def digits() -> Images:
    """uint8 (1797, 8, 8, 1), the gray levels 0..16 spread over 0..255.

    Read from the package's file: importing scikit-learn takes a second, this a few milliseconds.
    """
    file = package_file("sklearn", "datasets/data/digits.csv.gz", "digits")
    table = np.loadtxt(file, delimiter=",", dtype=np.float32, usecols=range(64))
    return np.rint(table * (255 / INK)).astype(np.uint8).reshape(-1, 8, 8, 1)
