"""Sources whose images are numbered: batches walk through seeded permutations, epoch by epoch."""

import abc
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from flowjax_glow.data.errors import DataError
from flowjax_glow.data.source import SPLITS, Images, Labels, Source

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

    def read_labelled(self, split: str, indices: Indices) -> tuple[Images, Labels]:
        """The images of these numbers and their labels, of a source with classes."""
        raise self._without_labels()

    def _batch(self, split: str, seed: int, step: int, size: int, rows: slice) -> Images:
        return self.read(split, self._of_batch(split, seed, step, size, rows))

    def _labelled_batch(
        self, split: str, seed: int, step: int, size: int, rows: slice
    ) -> tuple[Images, Labels]:
        return self.read_labelled(split, self._of_batch(split, seed, step, size, rows))

    def _of_batch(self, split: str, seed: int, step: int, size: int, rows: slice) -> Indices:
        total = self._at_least(split, 1)
        start, stop, _ = rows.indices(size)
        return epoch_indices(total, seed, step * size + start, stop - start)

    def _examples(self, split: str, count: int) -> Images:
        return self.read(split, self._of_examples(split, count))

    def _labelled_examples(self, split: str, count: int) -> tuple[Images, Labels]:
        return self.read_labelled(split, self._of_examples(split, count))

    def _of_examples(self, split: str, count: int) -> Indices:
        return permutation(self._at_least(split, count), EXAMPLES_SEED, 1)[:count]

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
    return source.examples("test", _usual(source, count, usual))


def _usual(source: Source, count: int | None, usual: int) -> int:
    if count is None:
        count = min(usual, source.count("test")) if isinstance(source, IndexedSource) else usual
    return count


def held_out_labelled(
    source: Source, count: int | None = None, usual: int = 256, label: int | None = None
) -> tuple[Images, Labels]:
    """`held_out` images and their labels; with a `label` those of this class alone.

    Raises:
        DataError: if there are fewer than were asked for, or none, or images have no labels.
    """
    if label is None:
        return source.labelled_examples("test", _usual(source, count, usual))
    wanted = count or usual
    drawn = wanted * len(source.classes)
    total = source.count("test") if isinstance(source, IndexedSource) else drawn
    while True:
        drawn = min(drawn, total)
        images, labels = source.labelled_examples("test", drawn)
        images = images[labels == label][:wanted]
        if len(images) == wanted or drawn == total:
            break
        drawn *= 2
    if len(images) < (count or 1):
        raise DataError(
            f"{source.name}: expected at least {count or 1} images of the class "
            f"{source.classes[label]} in test, got {len(images)}; ask for fewer or add images"
        )
    return images, np.full(len(images), label, np.int32)


@dataclass(frozen=True)
class ArraySource(IndexedSource):
    """A source held in memory: one uint8 array (count, height, width, channels) a split.

    With classes it has the labels of each split, int32 (count,).
    """

    images: Mapping[str, Images] = field(repr=False, compare=False)
    labels: Mapping[str, Labels] | None = field(default=None, repr=False, compare=False)

    def count(self, split: str) -> int:
        return len(self.images[split])

    def read(self, split: str, indices: Indices) -> Images:
        return self.images[split][indices]

    def read_labelled(self, split: str, indices: Indices) -> tuple[Images, Labels]:
        assert self.labels is not None  # a source has classes or no labels
        return self.read(split, indices), self.labels[split][indices]


def array_source(
    name: str,
    images: Mapping[str, Images],
    labels: Mapping[str, npt.NDArray[Any]] | None = None,
    classes: Sequence[str] | None = None,
) -> ArraySource:
    """An `ArraySource` whose shape is that of the arrays.

    Args:
        labels: of every image, if they have any.
        classes: the names of the classes; None to number them up to the largest label.

    Raises:
        DataError: unless there is a label of 0 or more, and of a class with a name, for each image.
    """
    height, width, channels = images["train"].shape[1:]
    shape = (height, width, channels)
    if labels is None:
        return ArraySource(name, shape, images)
    known, names = known_labels(
        name, labels, {key: len(own) for key, own in images.items()}, classes
    )
    return ArraySource(name, shape, images, known, classes=names)


def known_labels(
    name: str,
    labels: Mapping[str, npt.NDArray[Any]],
    counts: Mapping[str, int],
    classes: Sequence[str] | None = None,
) -> tuple[dict[str, Labels], tuple[str, ...]]:
    """The labels of each split as int32, and the names of the classes.

    Args:
        counts: how many labels each split must have.
        classes: the names; None to number the classes up to the largest label.

    Raises:
        DataError: unless there are so many labels of 0 or more, each of a class with a name.
    """
    for split, own in labels.items():
        whole = np.issubdtype(own.dtype, np.integer)
        if not whole or own.shape != (counts[split],) or own.min(initial=0) < 0:
            raise DataError(
                f"{name}: expected {counts[split]} labels of 0 or more in {split}, got "
                f"{own.dtype} of shape {own.shape}; number the classes from 0"
            )
    count = 1 + max(int(own.max(initial=0)) for own in labels.values())
    names = tuple(classes or map(str, range(count)))
    if count > len(names):
        raise DataError(
            f"{name}: expected labels of 0 to {len(names) - 1}, got {count - 1}; name all classes"
        )
    return {split: own.astype(np.int32) for split, own in labels.items()}, names
