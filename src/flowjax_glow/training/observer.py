"""What looks at a training from outside, after some of its steps."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from flowjax_glow.errors import expected
from flowjax_glow.training.metrics import Row
from flowjax_glow.training.state import TrainState


@runtime_checkable
class Observer(Protocol):
    """Something that `train` shows the metrics so far, and then its state after some steps.

    A drift guard, a monitor of the inverse, the looks of a run: what they have seen they leave in
    the metrics, and find again there when an interrupted run goes on.
    """

    def observe(self, state: TrainState) -> Mapping[str, Any] | None:
        """Looks at the state after a step, which it must not keep (`copy_state` can).

        What it returns, if anything, becomes a row of the metrics.
        """
        ...

    def resume(self, rows: Sequence[Row]) -> None:
        """Takes in the metrics before the first step: all rows up to where the run goes on.

        There are none where it starts. A training without a log that goes on has none to give, and
        does not call this.
        """
        ...


#: Observers, each with the numbers of steps after which it is shown the state, 0 for the start.
Observers: TypeAlias = Sequence[tuple[Observer, Collection[int]]]


@dataclass(frozen=True)
class Calling(Observer):
    """An observer that calls a function with the state and remembers nothing."""

    function: Callable[[TrainState], Mapping[str, Any] | None]

    def observe(self, state: TrainState) -> Mapping[str, Any] | None:
        return self.function(state)

    def resume(self, rows: Sequence[Row]) -> None:
        del rows


def shown_to_all(observers: Observers, state: TrainState, step: int) -> dict[str, Any] | None:
    """What those return that are due after `step`, in their order, as one row; None if nothing."""
    due = [observer for observer, steps in observers if step in steps]
    rows = [row for observer in due if (row := observer.observe(state)) is not None]
    joined = {name: value for row in rows for name, value in row.items()}
    if len(joined) < sum(map(len, rows)):
        raise expected(
            "train",
            "observers that return fields of different names",
            got=f"{[sorted(row) for row in rows]}",
            advice="rename the field that two of them return",
        )
    return joined if rows else None
