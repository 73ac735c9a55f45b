"""A share of the runs of a sweep, so that several machines do it together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from flowjax_glow.errors import expected

Run = TypeVar("Run")


@dataclass(frozen=True)
class Shard:
    """Every `count`-th run, from the one of this `index`, which counts from 1."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def of(self, runs: Sequence[Run]) -> list[Run]:
        """Its share of the runs."""
        return list(runs[self.index - 1 :: self.count])


def parse_shard(text: str | None) -> Shard | None:
    """`2/3` is the second of three shares of the runs.

    Raises:
        ValueError: if it is written otherwise.
    """
    if text is None:
        return None
    index, _, count = text.partition("/")
    if index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
        return Shard(int(index), int(count))
    raise expected("--shard", "I/N with I from 1 to N", got=repr(text), advice="write 1/2 and 2/2")
