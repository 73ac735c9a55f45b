"""`digits`: the 1797 handwritten digits that scikit-learn carries in its wheel."""

import functools

import numpy as np
import numpy.typing as npt

from flowjax_glow.data.errors import package_file
from flowjax_glow.data.indexed import ArraySource, array_source, held_out_split
from flowjax_glow.data.resize import square
from flowjax_glow.data.source import Images, Labels

INK = 16  # the data set counts 0..16 inked pixels in each 4 x 4 block of a scan


def load_digits(name: str, size: int | None) -> ArraySource:
    """The source `digits`, 8 x 8 x 1, or smaller squares; 1618 train and 179 test images.

    Raises:
        DataError: for a size above 8, or when scikit-learn is missing.
    """
    images, labels = square(digits(), size, name), digit_labels()
    splits = held_out_split(len(images)).items()
    return array_source(
        name,
        {split: images[rows] for split, rows in splits},
        {split: labels[rows] for split, rows in splits},
    )


def digits() -> Images:
    """uint8 (1797, 8, 8, 1), the gray levels 0..16 spread over 0..255."""
    return np.rint(_table()[:, :64] * (255 / INK)).astype(np.uint8).reshape(-1, 8, 8, 1)


def digit_labels() -> Labels:
    """int32 (1797,), which digit each is."""
    return _table()[:, 64].astype(np.int32)


@functools.cache
def _table() -> npt.NDArray[np.float32]:
    """A row per image, 64 levels and a label.

    Read from the package's file: importing scikit-learn takes a second, this a few milliseconds.
    """
    file = package_file("sklearn", "datasets/data/digits.csv.gz", "digits")
    return np.loadtxt(file, delimiter=",", dtype=np.float32)
