"""How far a run got, on stderr: a bar on a terminal, a plain line now and then elsewhere.

Showing progress must never end a run: when the stream is closed, the display falls silent.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

#: A text file. `typing.TextIO` would ask for attributes that `io.StringIO` does not have.
Stream: TypeAlias = Any

_PLAIN_SECONDS = 5.0
_BAR_SECONDS = 0.2


class Screen:
    """A place for progress; this one is nowhere, for a process without a stream."""

    #: Seconds that must pass between two updates.
    seconds = float("inf")

    def show(self, step: int, status: str) -> None:
        """Shows the step and, in words, how it goes."""

    def close(self) -> None:
        """Leaves the stream as it was."""


class Progress:
    """Tells, from the steps reported to it, the speed and the time left.

    Speed is measured from the first step reported on, since that one waited for the compiler.

    Args:
      total: the number of steps of the whole run.
      screen: where lines go.
      clock: seconds, of any origin.
    """

    def __init__(
        self, total: int, screen: Screen, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._screen = screen
        self._clock = clock
        self._first: tuple[int, float] | None = None
        self._images = 0
        self._shown = -float("inf")

    def update(self, step: int, *, loss: float, images: int) -> None:
        """Takes in a step (counted from 1), its loss in bits/dim and its number of images."""
        now = self._clock()
        if self._first is None:
            self._first = (step, now)
        else:
            self._images += images
        if step < self._total and now - self._shown < self._screen.seconds:
            return
        self._shown = now
        try:
            self._screen.show(step, f"{loss:.3f} bits/dim{self._speed(step, now)}")
        except (OSError, ValueError):  # a broken pipe, a closed file
            self._screen = Screen()

    def _speed(self, step: int, now: float) -> str:
        """``, 1234 images/s, 0:42 left``, or nothing before it can be known."""
        first, since = self._first or (step, now)
        if step == first or now <= since:
            return ""
        elapsed = now - since
        left = elapsed / (step - first) * (self._total - step)
        return f", {self._images / elapsed:.0f} images/s, {clock_time(left)} left"


@contextmanager
def progress(total: int, label: str, stream: Stream | None = None) -> Iterator[Progress]:
    """Shows the progress of a run of `total` steps while the ``with`` statement lasts.

    Args:
      total: the number of steps of the whole run.
      label: the name of the run.
      stream: by default stderr.

    Yields:
      What `loop.train` reports its steps to.
    """
    screen = _screen(total, label, sys.stderr if stream is None else stream)
    try:
        yield Progress(total, screen)
    finally:
        _close(screen)


def clock_time(seconds: float) -> str:
    """``m:ss``, or ``h:mm:ss`` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _Lines(Screen):
    """``control: step 120/500, 3.812 bits/dim, ...``, one line a time, no control codes."""

    seconds = _PLAIN_SECONDS

    def __init__(self, total: int, label: str, stream: Stream) -> None:
        self._total = total
        self._label = label
        self._stream = stream

    def show(self, step: int, status: str) -> None:
        print(f"{self._label}: step {step}/{self._total}, {status}", file=self._stream, flush=True)


class _Bar(Screen):
    """The same beside a bar that is drawn in place."""

    seconds = _BAR_SECONDS

    def __init__(self, bar: Any, total: int, label: str) -> None:
        self._bar = bar
        self._task = bar.add_task(label, total=total, status="compiling")
        bar.start()

    def show(self, step: int, status: str) -> None:
        self._bar.update(self._task, completed=step, status=status, refresh=True)

    def close(self) -> None:
        self._bar.stop()


def _screen(total: int, label: str, stream: Stream | None) -> Screen:
    if stream is None or stream.closed:
        return Screen()
    if not stream.isatty() or os.environ.get("TERM") in (None, "dumb"):
        return _Lines(total, label, stream)
    try:
        return _rich_bar(total, label, stream)
    except ImportError:  # rich is optional
        return _Lines(total, label, stream)
    except (OSError, ValueError):  # the terminal went away
        return Screen()


def _rich_bar(total: int, label: str, stream: Stream) -> Screen:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as RichProgress

    class QuietConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end the process

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}", markup=False),
    )
    # drawn by `show` alone: a thread of its own could not be kept from dying on a closed terminal
    bar = RichProgress(
        *columns,
        console=QuietConsole(file=stream),
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    return _Bar(bar, total, label)


def _close(screen: Screen) -> None:
    with suppress(OSError, ValueError):
        screen.close()
