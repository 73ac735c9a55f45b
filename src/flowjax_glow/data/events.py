"""Float events of one's own, such as vectors, in seeded batches like images."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from flowjax_glow.data.errors import DataError
from flowjax_glow.data.indexed import (
    EXAMPLES_SEED,
    Indices,
    epoch_indices,
    held_out_split,
    known_labels,
    permutation,
)
from flowjax_glow.data.source import SPLITS, Labels

#: A batch of float events, channels last.
Floats: TypeAlias = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class EventSource:
    """Float events held in memory: vectors `(count, channels)`, sequences, volumes.

    Attributes:
        name: of the data, for records and messages.
        train: events to train on, `(count, ..., channels)`.
        test: held-out ones; by default the last tenth of a fixed shuffle of `train` is held out,
            with its labels.
        labels: of the events in `train`, whole numbers from 0, `(count,)`; None for no labels.
        test_labels: of those in `test`, where both parts are given.
        classes: the names of the classes; the numbers up to the largest label if none are given.

    Raises:
        DataError: if there are none, any is not finite, both parts differ in shape, or labels are
            not one of a class for each event.

    >>> import numpy as np
    >>> source = EventSource("noise", np.random.default_rng(0).standard_normal((100, 5)))
    >>> source.shape, source.count("train"), source.count("test")
    ((5,), 90, 10)
    >>> source.batch("train", seed=0, step=3, size=8).shape
    (8, 5)
    """

    name: str
    train: Floats = field(repr=False)
    test: Floats | None = field(default=None, repr=False)
    labels: npt.NDArray[Any] | None = field(default=None, repr=False)
    test_labels: npt.NDArray[Any] | None = field(default=None, repr=False)
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_labels()
        if self.test is None and len(self.train) > 1:
            rows = held_out_split(len(self.train))
            self._set(test=self.train[rows["test"]], train=self.train[rows["train"]])
            if self.labels is not None:
                self._set(test_labels=self.labels[rows["test"]], labels=self.labels[rows["train"]])
        for split in SPLITS:
            events = self._events(split)
            if not events.size or not np.isfinite(events).all() or events.shape[1:] != self.shape:
                raise DataError(
                    f"{self.name}: expected finite events of one shape in train and test, got "
                    f"{events.shape} in {split} with {(~np.isfinite(events)).sum()} numbers that "
                    f"are not finite, beside {self.shape} in train; clean the arrays"
                )

    def _check_labels(self) -> None:
        """Those of the parts that were given, and the names of their classes."""
        given = {"train": self.labels, "test": self.test_labels}
        if all(labels is None for labels in given.values()) and not self.classes:
            return
        if self.test is None:
            if self.test_labels is not None:
                raise DataError(
                    f"{self.name}: expected test events beside test_labels, got none; give both, "
                    "or labels alone, whose last tenth is held out"
                )
            del given["test"]
        counts = {split: self.count(split) for split in given}
        labels = {split: np.zeros(0) if own is None else own for split, own in given.items()}
        known, names = known_labels(self.name, labels, counts, self.classes)
        self._set(labels=known["train"], test_labels=known.get("test"), classes=names)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one event."""
        return self.train.shape[1:]

    def count(self, split: str) -> int:
        """How many events the split has.

        Raises:
            DataError: for an unknown split.
        """
        return len(self._events(split))

    def batch(self, split: str, *, seed: int, step: int, size: int) -> Floats:
        """The events of one training step, a pure function of its arguments.

        Every epoch is a shuffle of its own.

        Args:
            split: "train" or "test".
            seed: which random order; not negative.
            step: which batch of that order; not negative.
            size: events in the batch.

        Raises:
            DataError: for an unknown split.
        """
        return self._events(split)[self._of_batch(split, seed, step, size)]

    def labelled_batch(
        self, split: str, *, seed: int, step: int, size: int
    ) -> tuple[Floats, Labels]:
        """The events that `batch` returns of the same arguments, and their labels, int32 (size,).

        Raises:
            DataError: if events have no labels.
        """
        rows = self._of_batch(split, seed, step, size)
        return self._events(split)[rows], self._labels(split)[rows]

    def examples(self, split: str, count: int) -> Floats:
        """A fixed evaluation set, a prefix of any longer one.

        Raises:
            DataError: if there are fewer.
        """
        return self._events(split)[self._of_examples(split, count)]

    def labelled_examples(self, split: str, count: int) -> tuple[Floats, Labels]:
        """The events that `examples` returns of the same arguments, and their labels.

        Raises:
            DataError: as `examples`, and if events have no labels.
        """
        rows = self._of_examples(split, count)
        return self._events(split)[rows], self._labels(split)[rows]

    def _of_batch(self, split: str, seed: int, step: int, size: int) -> Indices:
        return epoch_indices(self.count(split), seed, step * size, size)

    def _of_examples(self, split: str, count: int) -> Indices:
        total = self.count(split)
        if count > total:
            raise DataError(
                f"{self.name}: expected at least {count} events in {split}, got {total}; "
                "ask for fewer"
            )
        return permutation(total, EXAMPLES_SEED, 1)[:count]

    def _labels(self, split: str) -> Labels:
        found = self.labels if split == "train" else self.test_labels
        if found is None:
            raise DataError(
                f"{self.name}: expected events with labels, got events alone; pass labels="
            )
        return found

    def _events(self, split: str) -> Floats:
        if split not in SPLITS:
            raise DataError(
                f"{self.name}: expected a split of {SPLITS}, got {split!r}; use one of them"
            )
        found = self.train if split == "train" else self.test
        return self.train[:0] if found is None else found
