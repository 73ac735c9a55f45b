"""A call: phases one after another, each with a deadline and a record of its own.

While a phase works, those after it are prepared in threads, built and compiled, as far as the next
one that is not quiet. A quiet phase takes times: it begins when all that has been started is
prepared, or half of its time has passed; then its record names what may disturb it. What goes wrong
in a phase is recorded, and the others go on. A record is on the disk after every entry, so a call
that is cut off keeps what it had.
"""

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowjax_glow.files import write_arrays, write_json


class Deadline:
    """A moment; `left` are the seconds until then, negative once it has passed."""

    def __init__(self, moment: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._moment = moment
        self._clock = clock

    @property
    def left(self) -> float:
        return self._moment - self._clock()

    def share(self, fraction: float) -> "Deadline":
        """The deadline that leaves this part of the time that is left now."""
        return Deadline(self._moment - (1 - fraction) * max(self.left, 0.0), self._clock)


class Record:
    """The JSON file of a phase, and the arrays beside it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.fields: dict[str, Any] = {"phase": name, "status": "running"}
        self._folder = folder
        self._name = name
        self._arrays: dict[str, np.ndarray] = {}

    def note(self, **fields: Any) -> None:
        """Adds or replaces fields, and writes the file."""
        self.fields |= fields
        write_json(self._folder / f"{self._name}.json", self.fields)

    def keep(self, **arrays: np.ndarray) -> None:
        """Adds or replaces arrays, and writes their file."""
        self._arrays |= arrays
        write_arrays(self._folder / f"{self._name}.npz", self._arrays)


@dataclass(frozen=True)
class Phase:
    """A part of a call.

    Attributes:
      seconds: its part of the call, on the scale of the others'; what one leaves the next may use.
      prepare: builds and compiles; called in a thread.
      run: does the work with what `prepare` gave, until the deadline.
      quiet: whether nothing may be prepared meanwhile, since it takes times.
    """

    name: str
    seconds: float
    prepare: Callable[[], Any]
    run: Callable[[Any, Record, Deadline], None]
    quiet: bool = False


class Ahead:
    """A function at work in a thread that does not hold up the end of the process."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._outcome: tuple[Any, BaseException | None] = (None, None)
        self.seconds = 0.0
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        start = time.monotonic()
        try:
            self._outcome = (self._function(), None)
        except BaseException as error:
            self._outcome = (None, error)
        self.seconds = time.monotonic() - start

    def wait(self, seconds: float | None = None) -> bool:
        """Until it is done, at most so long; returns whether it is."""
        self._thread.join(None if seconds is None else max(seconds, 0.0))
        return not self._thread.is_alive()

    def result(self) -> Any:
        """What the function returned, or raises what it raised; waits for it."""
        self.wait()
        value, error = self._outcome
        if error is not None:
            raise error
        return value


def run_phases(phases: Sequence[Phase], folder: Path, seconds: float) -> list[Record]:
    """Runs all phases within `seconds` from now, as far as they come; their records."""
    folder.mkdir(parents=True, exist_ok=True)
    start, scale = time.monotonic(), seconds / sum(phase.seconds for phase in phases)
    records, prepared, planned = [], {}, 0.0

    def prepare(indices: Iterable[int]) -> None:
        for index in indices:
            if index not in prepared:
                prepared[index] = Ahead(phases[index].prepare)

    for index, phase in enumerate(phases):
        planned += phase.seconds
        deadline = Deadline(start + scale * planned)
        record = Record(folder, phase.name)
        records.append(record)
        if Deadline(start + seconds).left <= 0:
            record.note(status="skipped", reason="the deadline had passed")
            continue
        record.note()
        prepare([index] if phase.quiet else _and_next(phases, index))
        if phase.quiet:
            latest = deadline.share(0.5)
            record.note(
                disturbed_by=[
                    phases[other].name
                    for other, ahead in prepared.items()
                    if not ahead.wait(latest.left) and other != index
                ]
            )
        _run(phase, prepared[index], record, deadline)
    return records


def _and_next(phases: Sequence[Phase], index: int) -> Iterator[int]:
    """That phase, and those after it as far as the next one that is not quiet."""
    yield index
    for following in range(index + 1, len(phases)):
        yield following
        if not phases[following].quiet:
            return


def _run(phase: Phase, prepared: Ahead, record: Record, deadline: Deadline) -> None:
    start = time.monotonic()
    print(f"{phase.name}: {deadline.left:.0f} s left", flush=True)
    try:
        ready = prepared.result()
        record.note(seconds_prepared=prepared.seconds, seconds_waited=time.monotonic() - start)
        phase.run(ready, record, deadline)
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        record.note(
            status="failed", reason=f"{type(error).__name__}: {' '.join(str(error).split())}"
        )
    else:
        record.note(status="done")
    record.note(seconds=time.monotonic() - start)
    print(f"{phase.name}: {record.fields['status']}", flush=True)
