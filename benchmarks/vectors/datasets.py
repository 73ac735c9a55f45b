"""Sets of vectors from packages alone: two moons, digits, and digits in principal components."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

#: A 32-layer flow on so many dimensions is the size of open reports of exploding couplings.
COMPONENTS = 19


class Vectors(NamedTuple):
    """Rows of float32: trained on, to choose a learning rate by, and to measure on."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def moons() -> Vectors:
    """Two half circles in the plane, with noise of 0.1; 3,000 points each."""
    from sklearn.datasets import make_moons

    points, _ = make_moons(9000, noise=0.1, random_state=0)
    return _parts(np.asarray(points), (3000, 3000))


def digits64() -> Vectors:
    """8x8 digits as vectors, uniform noise within their 17 gray levels, in [-0.5, 0.5)."""
    return _parts(_digits(), (1200, 297))


def digits19() -> Vectors:
    """The first 19 principal components of `digits64`, found on the rows that are trained on."""
    parts = digits64()
    center = parts.train.mean(0)
    _, _, directions = np.linalg.svd(parts.train - center, full_matrices=False)
    return Vectors(*((part - center) @ directions[:COMPONENTS].T for part in parts))


def _digits() -> np.ndarray:
    from sklearn.datasets import load_digits

    images, _ = load_digits(return_X_y=True)
    noise = np.random.default_rng(0).uniform(size=images.shape)
    return (images + noise) / 17 - 0.5


def _parts(rows: np.ndarray, sizes: tuple[int, int]) -> Vectors:
    rows = rows[np.random.default_rng(1).permutation(len(rows))].astype(np.float32)
    train, validation = sizes
    return Vectors(rows[:train], rows[train : train + validation], rows[train + validation :])


DATASETS: dict[str, Callable[[], Vectors]] = {
    "moons": moons,
    "digits19": digits19,
    "digits64": digits64,
}
