"""Float events of one's own, such as vectors, in seeded batches like images."""

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from flowjax_glow.data.errors import DataError
from flowjax_glow.data.indexed import EXAMPLES_SEED, epoch_indices, held_out_split, permutation
from flowjax_glow.data.source import SPLITS

#: A batch of float events, channels last.
Floats: TypeAlias = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class EventSource:
    """Float events held in memory: vectors `(count, channels)`, sequences, volumes.

    Attributes:
        name: of the data, for records and messages.
        train: events to train on, `(count, ..., channels)`.
        test: held-out ones; by default the last tenth of a fixed shuffle of `train` is held out.

    Raises:
        DataError: if there are none, any is not finite, or both parts differ in shape.

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

    def __post_init__(self) -> None:
        if self.test is None and len(self.train) > 1:
            rows = held_out_split(len(self.train))
            object.__setattr__(self, "test", self.train[rows["test"]])
            object.__setattr__(self, "train", self.train[rows["train"]])
        for split in SPLITS:
            events = self._events(split)
            if not events.size or not np.isfinite(events).all() or events.shape[1:] != self.shape:
                raise DataError(
                    f"{self.name}: expected finite events of one shape in train and test, got "
                    f"{events.shape} in {split} with {(~np.isfinite(events)).sum()} numbers that "
                    f"are not finite, beside {self.shape} in train; clean the arrays"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one event."""
        return self.train.shape[1:]

    def count(self, split: str) -> int:
        """How many events the split has."""
        return len(self._events(split))

    def batch(self, split: str, *, seed: int, step: int, size: int) -> Floats:
        """The events of one training step, a pure function of its arguments.

        Every epoch is a shuffle of its own.

        Args:
            split: "train" or "test".
            seed: which random order; not negative.
            step: which batch of that order; not negative.
            size: events in the batch.
        """
        events = self._events(split)
        return events[epoch_indices(len(events), seed, step * size, size)]

    def examples(self, split: str, count: int) -> Floats:
        """A fixed evaluation set, a prefix of any longer one.

        Raises:
            DataError: if there are fewer.
        """
        events = self._events(split)
        if count > len(events):
            raise DataError(
                f"{self.name}: expected at least {count} events in {split}, got {len(events)}; "
                "ask for fewer"
            )
        return events[permutation(len(events), EXAMPLES_SEED, 1)[:count]]

    def _events(self, split: str) -> Floats:
        if split not in SPLITS:
            raise DataError(
                f"{self.name}: expected a split of {SPLITS}, got {split!r}; use one of them"
            )
        found = self.train if split == "train" else self.test
        return self.train[:0] if found is None else found
