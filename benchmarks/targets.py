"""What the library promises of its speed and memory, and whether a run bears it out."""

import operator
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.summary import Summary


@dataclass(frozen=True)
class Target:
    """A bound on a figure.

    Attributes:
      figure: what was measured; None where something was not.
      goal: what would be better still, if there is such a thing.
      at_least: whether `bound` is the least, or else the most.
      of: who was compared with whom.
    """

    what: str
    figure: float | None
    bound: float
    goal: float | None = None
    at_least: bool = True
    of: str = ""

    @property
    def verdict(self) -> str:
        """Whether it holds."""
        reaches = operator.ge if self.at_least else operator.le
        if self.figure is None:
            return "not measured"
        if self.goal is not None and reaches(self.figure, self.goal):
            return "holds, goal reached"
        return "holds" if reaches(self.figure, self.bound) else "missed"


def targets(summary: Summary) -> list[Target]:
    """All of them, in the order of the table."""
    return [*_speed(summary), *_starts(summary), *_memory(summary)]


def ratio(above: float | None, below: float | None) -> float | None:
    """Of two figures, if both were measured."""
    return above / below if above is not None and below else None


def _versus(ours: str | None, peer: str | None) -> str:
    return f"{ours or 'none of ours'} over {peer or 'no peer'}"


#: Least ratio of ours over the fastest faithful peer, and the goal.
_SPEED = {"train": (1.25, 1.6), "encode": (1.1, 1.5), "sample": (1.3, 1.6)}


def _speed(summary: Summary) -> Iterator[Target]:
    ours = summary.ours()
    for measure, (bound, goal) in _SPEED.items():
        peer = summary.best_peer(measure)
        faster = ratio(summary.rate(ours, measure), summary.rate(peer, measure))
        what = f"{measure} images/s over the fastest faithful peer's"
        yield Target(what, faster, bound, goal, of=_versus(ours, peer))
    what = "nominal training FLOP/s over the matmul peak"
    yield Target(what, summary.efficiency(ours), 0.45, 0.6, of=ours or "none of ours")


def _starts(summary: Summary) -> Iterator[Target]:
    ours = summary.ours()
    deep, shallow = (summary.start(ours, name, "cold") for name in ("deep", "shallow"))
    what = "seconds to the first step, depth 32 over depth 8, cold"
    yield Target(what, ratio(deep, shallow), 1.4, at_least=False, of=ours or "none of ours")
    for kind, bound in (("cold", 12.0), ("warm", 5.0)):
        seconds = summary.start(ours, "small", kind)
        what = f"seconds to the first step of small, {kind}"
        yield Target(what, seconds, bound, at_least=False, of=ours or "none of ours")


def _memory(summary: Summary) -> Iterator[Target]:
    peer = summary.leanest_peer("deep")
    leaner = ratio(summary.memory("ours-invert", "deep"), summary.memory(peer, "deep"))
    what = "memory above the imports in training deep, warm, over the leanest peer's"
    yield Target(what, leaner, 0.5, at_least=False, of=_versus("ours-invert", peer))
    # the inverse of a ratio of speeds is that of times
    slower = ratio(summary.rate("ours-store", "train"), summary.rate("ours-invert", "train"))
    what = "time of a training step, invert over store"
    yield Target(what, slower, 1.35, at_least=False, of="ours-invert over ours-store")
