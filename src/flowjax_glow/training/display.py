"""How far runs got, on stderr: bars on a terminal, plain lines now and then elsewhere.

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
    """A place for the progress of one run; this one is nowhere, for a process without a stream."""

    #: Seconds that must pass between two updates.
    seconds = float("inf")

    def show(self, step: int, status: str) -> None:
        """Shows the step and, in words, how it goes."""

    def close(self) -> None:
        """Makes room for other runs; without it the last state stays."""


class Board:
    """A place for the progress of several runs at a time; this one is nowhere."""

    #: Seconds that must pass between two updates of a run.
    seconds = Screen.seconds

    def screen(self, total: int, label: str) -> Screen:
        """The place of one more run, of `total` steps."""
        del total, label
        return Screen()

    def note(self, line: str) -> None:
        """Writes a line beside the progress."""

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
        self,
        total: int,
        screen: Screen,
        clock: Callable[[], float] = time.monotonic,
        units: tuple[str, str] = ("bits/dim", "images"),
    ) -> None:
        self._loss_unit, self._examples = units
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
            self._screen.show(step, f"{loss:.3f} {self._loss_unit}{self._speed(step, now)}")
        except (OSError, ValueError):  # a broken pipe, a closed file
            self._screen = Screen()

    def _speed(self, step: int, now: float) -> str:
        """``, 1234 images/s, 0:42 left``, or nothing before it can be known."""
        first, since = self._first or (step, now)
        if step == first or now <= since:
            return ""
        elapsed = now - since
        left = elapsed / (step - first) * (self._total - step)
        return f", {self._images / elapsed:.0f} {self._examples}/s, {clock_time(left)} left"


@contextmanager
def progress(
    total: int,
    label: str,
    stream: Stream | None = None,
    units: tuple[str, str] = ("bits/dim", "images"),
) -> Iterator[Progress]:
    """Shows the progress of a run of `total` steps while the ``with`` statement lasts.

    Args:
        total: the number of steps of the whole run.
        label: the name of the run.
        stream: by default stderr.
        units: of the loss, and of what a batch has.

    Yields:
        What `loop.train` reports its steps to.
    """
    with progress_board(stream) as board:
        yield Progress(total, board.screen(total, label), units=units)


@contextmanager
def progress_board(stream: Stream | None = None) -> Iterator[Board]:
    """Shows the progress of any number of runs while the ``with`` statement lasts.

    Args:
        stream: by default stderr.

    Yields:
        What gives each run its place. Its methods may raise OSError or ValueError where the stream
        has gone away.
    """
    board = _board(sys.stderr if stream is None else stream)
    try:
        yield board
    finally:
        with suppress(OSError, ValueError):
            board.close()


def clock_time(seconds: float) -> str:
    """``m:ss``, or ``h:mm:ss`` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _Line(Screen):
    """``control: step 120/500, 3.812 bits/dim, ...``, one line a time, no control codes."""

    seconds = _PLAIN_SECONDS

    def __init__(self, total: int, label: str, stream: Stream) -> None:
        self._total = total
        self._label = label
        self._stream = stream

    def show(self, step: int, status: str) -> None:
        _print(f"{self._label}: step {step}/{self._total}, {status}", self._stream)


class _Lines(Board):
    """Lines of all runs, one after another."""

    seconds = _Line.seconds

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def screen(self, total: int, label: str) -> Screen:
        return _Line(total, label, self._stream)

    def note(self, line: str) -> None:
        _print(line, self._stream)


class _Bar(Screen):
    """The same beside a bar that is drawn in place."""

    seconds = _BAR_SECONDS

    def __init__(self, bars: Any, total: int, label: str) -> None:
        self._bars = bars
        self._task = bars.add_task(label, total=total, status="compiling")

    def show(self, step: int, status: str) -> None:
        self._bars.update(self._task, completed=step, status=status, refresh=True)

    def close(self) -> None:
        self._bars.remove_task(self._task)
        self._bars.refresh()


class _Bars(Board):
    """A bar per run, one below the other."""

    seconds = _Bar.seconds

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        bars.start()

    def screen(self, total: int, label: str) -> Screen:
        return _Bar(self._bars, total, label)

    def note(self, line: str) -> None:
        self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        self._bars.stop()


def _print(line: str, stream: Stream) -> None:
    # one write, so that lines of several threads do not mix
    stream.write(f"{line}\n")
    stream.flush()


def _board(stream: Stream | None) -> Board:
    if stream is None or stream.closed:
        return Board()
    if not stream.isatty() or os.environ.get("TERM") in (None, "dumb"):
        return _Lines(stream)
    try:
        return _rich_bars(stream)
    except ImportError:  # rich is optional
        return _Lines(stream)
    except (OSError, ValueError):  # the terminal went away
        return Board()


def _rich_bars(stream: Stream) -> Board:
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
    bars = RichProgress(
        *columns,
        console=QuietConsole(file=stream),
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    return _Bars(bars)
