"""Complaints as one line on stderr and an exit code; docs/run-folder.md lists the codes."""

import contextlib
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from types import FrameType
from typing import Any

from flowjax_glow.data import DataError
from flowjax_glow.errors import missing_package
from flowjax_glow.runs.folder import ConfigChangedError, FolderInUseError
from flowjax_glow.training import CheckpointError, Preempted

SOME_RUNS_FAILED, USAGE, DATA, DIVERGED, CHECKPOINT, IN_USE = 1, 2, 3, 4, 5, 6
PREEMPTED = 75  # as sysexits.h says it: try again later
OURS = ("flowjax_glow", "experiments", "benchmarks")
INTERRUPTED = 130  # as shells say it

#: What the user must mend; the first of them would meet every run of a sweep.
FOR_THE_USER = (DataError, CheckpointError, ConfigChangedError, FolderInUseError)


def end_on_sigterm() -> None:
    """Makes SIGTERM unwind, so that a run notes that it did not end, and its processes end."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, stop)


@contextlib.contextmanager
def one_line_errors(debug: bool = False) -> Iterator[None]:
    """Turns complaints into one line on stderr and an exit code; tracebacks are for `debug`."""
    try:
        with contextlib.nullcontext() if debug else one_line_warnings():
            yield
    except KeyboardInterrupt:
        if debug:
            raise
        print("interrupted; the same command goes on where it was", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Preempted as ended:
        print(ended, file=sys.stderr)
        sys.exit(PREEMPTED)
    except ModuleNotFoundError as error:
        if debug or error.name is None or error.name.split(".")[0] in OURS:
            raise
        print(f"error: {missing_package(error.name)}", file=sys.stderr)
        sys.exit(USAGE)
    except (DataError, CheckpointError, FolderInUseError, ValueError, OSError) as error:
        if debug:
            traceback.print_exc()
        print(one_line(error), file=sys.stderr)
        sys.exit(exit_code(error))


@contextlib.contextmanager
def one_line_warnings() -> Iterator[None]:
    """Shows warnings as one line each, without the place in the code.

    On a terminal the line may have a progress bar, so a new one begins.
    """

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        start = "\n" if sys.stderr.isatty() else ""
        print(start + " ".join(f"warning: {message}".split()), file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def one_line(error: BaseException) -> str:
    """``error: `` and the message, without control characters that file names may have."""
    line = " ".join(f"error: {error}".split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def exit_code(error: BaseException) -> int:
    """The code for a complaint."""
    codes = {DataError: DATA, CheckpointError: CHECKPOINT, FolderInUseError: IN_USE}
    return next((code for kind, code in codes.items() if isinstance(error, kind)), USAGE)
