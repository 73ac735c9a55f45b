"""Sources whose images are numbered: batches walk through seeded permutations, epoch by epoch."""

import abc
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from flowjax_glow.data.errors import DataError
from flowjax_glow.data.source import SPLITS, Images, Source

Indices = npt.NDArray[np.int64]

EXAMPLES_SEED = 20_180_709  # any number that nobody takes for a seed of training
HELD_OUT = 10  # one image in ten is held out where a data set brings no test split


@functools.lru_cache(maxsize=4)  # a batch touches two epochs, train and test take turns
def permutation(total: int, seed: int, epoch: int) -> Indices:
    """The order of `total` images in one epoch, as a read-only array."""
    order = np.random.default_rng([seed, epoch]).permutation(total)
    order.setflags(write=False)
    return order


def epoch_indices(total: int, seed: int, start: int, count: int) -> Indices:
    """Image numbers at positions start .. start + count - 1 of the endless sequence of epochs.

    Every epoch is a permutation of its own, so each image comes once in any epoch; a count
    above `total` runs through several epochs.
    """
    epochs, offsets = np.divmod(start + np.arange(count), total)
    orders = [
        permutation(total, seed, int(epoch))[offsets[epochs == epoch]]
        for epoch in np.unique(epochs)
    ]
    return np.concatenate(orders)


def held_out_split(total: int) -> dict[str, Indices]:
    """Image numbers of train and test: the last tenth of a fixed shuffle (at least one) is test."""
    order = permutation(total, EXAMPLES_SEED, 0)
    train = total - max(1, total // HELD_OUT)
    return {"train": np.sort(order[:train]), "test": np.sort(order[train:])}


@dataclass(frozen=True)
class IndexedSource(Source):
    """A source of numbered images; a subclass says how many there are and reads some of them."""

    def facts(self) -> dict[str, int | str]:
        return {split: self.count(split) for split in SPLITS}

    @abc.abstractmethod
    def count(self, split: str) -> int:
        """How many images the split has."""

    @abc.abstractmethod
    def read(self, split: str, indices: Indices) -> Images:
        """The images of these numbers, uint8 (len(indices), height, width, channels)."""

    def _batch(self, split: str, seed: int, step: int, size: int, rows: slice) -> Images:
        total = self._at_least(split, 1)
        start, stop, _ = rows.indices(size)
        return self.read(split, epoch_indices(total, seed, step * size + start, stop - start))

    def _examples(self, split: str, count: int) -> Images:
        total = self._at_least(split, count)
        return self.read(split, permutation(total, EXAMPLES_SEED, 1)[:count])

    def _at_least(self, split: str, count: int) -> int:
        total = self.count(split)
        if total < count:
            raise DataError(
                f"{self.name}: expected at least {count} images in {split}, got {total}; "
                "ask for fewer or add images"
            )
        return total


def held_out(source: Source, count: int | None = None, usual: int = 256) -> Images:
    """`count` test images; if None, the `usual` number, or all of a data set that has fewer.

    Raises:
      DataError: if there are fewer than were asked for, or none.
    """
    if count is None:
        count = min(usual, source.count("test")) if isinstance(source, IndexedSource) else usual
    return source.examples("test", count)


@dataclass(frozen=True)
class ArraySource(IndexedSource):
    """A source held in memory: one uint8 array (count, height, width, channels) a split."""

    images: Mapping[str, Images] = field(repr=False, compare=False)

    def count(self, split: str) -> int:
        return len(self.images[split])

    def read(self, split: str, indices: Indices) -> Images:
        return self.images[split][indices]


def array_source(name: str, images: Mapping[str, Images]) -> ArraySource:
    """An `ArraySource` whose shape is that of the arrays."""
    height, width, channels = images["train"].shape[1:]
    return ArraySource(name, (height, width, channels), images)
