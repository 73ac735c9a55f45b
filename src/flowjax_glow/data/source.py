"""What every data set offers: seeded batches by step, and a fixed evaluation set."""

import abc
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flowjax_glow.data.errors import DataError

Images = npt.NDArray[np.uint8]  # (batch, height, width, channels), 0..255

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Source(abc.ABC):
    """Images of one shape under a name.

    Attributes:
      name: as given on the command line, for example "photos" or "npz:faces.npz".
      shape: (height, width, channels) of every image.
    """

    name: str
    shape: tuple[int, int, int]

    def batch(
        self, split: str, *, seed: int, step: int, size: int, hosts: int = 1, host: int = 0
    ) -> Images:
        """The images of one training step: a pure function of its arguments, in any process.

        Args:
          split: "train" or "test".
          seed: which random order; not negative.
          step: which batch of that order; not negative, and no earlier one need be drawn first.
          size: images in the batch of all hosts together.
          hosts: how many processes share the batch; divides `size`.
          host: which of them asks.

        Returns:
          uint8 (size // hosts, height, width, channels). The concatenation over hosts equals
          what `hosts=1` returns.

        Raises:
          DataError: for an argument outside its range, an empty split or unreadable data.
        """
        self._check_split(split)
        self._check_batch(seed, step, size, hosts, host)
        share = size // hosts
        return self._batch(split, seed, step, size, slice(host * share, (host + 1) * share))

    def examples(self, split: str, count: int) -> Images:
        """A fixed evaluation set: the same in every process, and a prefix of any longer one.

        Returns:
          uint8 (count, height, width, channels).

        Raises:
          DataError: when there are fewer than `count`, naming how many there are.
        """
        self._check_split(split)
        if count < 1:
            raise DataError(
                f"{self.name}: expected a count of at least 1, got {count}; ask for more"
            )
        return self._examples(split, count)

    def facts(self) -> dict[str, int | str]:
        """What a run that goes on must find again, as JSON: how many images, parted by what."""
        return {}

    @abc.abstractmethod
    def _batch(self, split: str, seed: int, step: int, size: int, rows: slice) -> Images:
        """Those `rows` of the batch of `size` images."""

    @abc.abstractmethod
    def _examples(self, split: str, count: int) -> Images:
        """The first `count` images of the evaluation set."""

    def _check_split(self, split: str) -> None:
        if split not in SPLITS:
            raise DataError(
                f"{self.name}: expected a split of {SPLITS}, got {split!r}; use one of them"
            )

    def _check_batch(self, seed: int, step: int, size: int, hosts: int, host: int) -> None:
        if seed < 0 or step < 0:
            raise DataError(
                f"{self.name}: expected seed and step of at least 0, got {seed} and {step}; "
                "count both from 0"
            )
        if size < 1 or hosts < 1 or size % hosts:
            raise DataError(
                f"{self.name}: expected a batch size that the number of hosts divides, "
                f"got size {size} for {hosts} hosts; choose a multiple of the number of hosts"
            )
        if not 0 <= host < hosts:
            raise DataError(
                f"{self.name}: expected a host of 0 to {hosts - 1}, got {host}; count hosts from 0"
            )
