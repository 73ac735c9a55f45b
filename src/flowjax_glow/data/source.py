"""What every data set offers: seeded batches by step, and a fixed evaluation set."""

import abc
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from flowjax_glow.data.errors import DataError

Images = npt.NDArray[np.uint8]  # (batch, height, width, channels), 0..255
Labels = npt.NDArray[np.int32]  # (batch,), the numbers of classes, from 0

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Source(abc.ABC):
    """Images of one shape under a name.

    Attributes:
        name: as given on the command line, for example "photos" or "npz:faces.npz".
        shape: (height, width, channels) of every image.
        classes: the names of the classes, in the order of their labels; none where images have no
            labels.
    """

    name: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...] = field(default=(), kw_only=True, repr=False)

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
        return self._batch(*self._checked(split, seed, step, size, hosts, host))

    def labelled_batch(
        self, split: str, *, seed: int, step: int, size: int, hosts: int = 1, host: int = 0
    ) -> tuple[Images, Labels]:
        """The images that `batch` returns of the same arguments, and their labels.

        Returns:
            the images, and int32 (size // hosts,).

        Raises:
            DataError: as `batch`, and where images have no labels.
        """
        self._check_classes()
        return self._labelled_batch(*self._checked(split, seed, step, size, hosts, host))

    def examples(self, split: str, count: int) -> Images:
        """A fixed evaluation set: the same in every process, and a prefix of any longer one.

        Returns:
            uint8 (count, height, width, channels).

        Raises:
            DataError: when there are fewer than `count`, naming how many there are.
        """
        self._check_split(split)
        self._check_count(count)
        return self._examples(split, count)

    def labelled_examples(self, split: str, count: int) -> tuple[Images, Labels]:
        """The images that `examples` returns of the same arguments, and their labels.

        Raises:
            DataError: as `examples`, and where images have no labels.
        """
        self._check_classes()
        self._check_split(split)
        self._check_count(count)
        return self._labelled_examples(split, count)

    def facts(self) -> dict[str, int | str]:
        """What a run that goes on must find again, as JSON: how many images, parted by what."""
        return {}

    @abc.abstractmethod
    def _batch(self, split: str, seed: int, step: int, size: int, rows: slice) -> Images:
        """Those `rows` of the batch of `size` images."""

    @abc.abstractmethod
    def _examples(self, split: str, count: int) -> Images:
        """The first `count` images of the evaluation set."""

    def _labelled_batch(
        self, split: str, seed: int, step: int, size: int, rows: slice
    ) -> tuple[Images, Labels]:
        """What `_batch` returns, and the labels; of a source with classes."""
        raise self._without_labels()

    def _labelled_examples(self, split: str, count: int) -> tuple[Images, Labels]:
        """What `_examples` returns, and the labels; of a source with classes."""
        raise self._without_labels()

    def _without_labels(self) -> DataError:
        """What is raised of a source of one's own that names classes and reads no labels."""
        return DataError(
            f"{self.name}: expected labels beside its classes, got a {type(self).__name__} that "
            "reads none; define how it does"
        )

    def _checked(
        self, split: str, seed: int, step: int, size: int, hosts: int, host: int
    ) -> tuple[str, int, int, int, slice]:
        """The arguments of `_batch`."""
        self._check_split(split)
        self._check_batch(seed, step, size, hosts, host)
        share = size // hosts
        return split, seed, step, size, slice(host * share, (host + 1) * share)

    def _check_classes(self) -> None:
        if not self.classes:
            raise DataError(
                f"{self.name}: expected images with labels, got images alone; choose a data set "
                "with classes, or a folder with a folder for each class"
            )

    def _check_count(self, count: int) -> None:
        if count < 1:
            raise DataError(
                f"{self.name}: expected a count of at least 1, got {count}; ask for more"
            )

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
