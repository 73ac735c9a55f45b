"""One run as a process of its own, which `children` starts.

Stdin has a line of JSON: the experiment, its folder, and how often to report. It stays open for as
long as the parent lives; when it closes, this process ends. Stdout has the progress as JSON text
sequences (RFC 7464: a record separator, JSON, a line feed) and, between them, whatever else is
printed. The exit code is 0 for a run with a summary, `PREEMPTED` if a signal has ended it, that of
`errors.exit_code` for a complaint that every run would have, and 1 for any other fault.
"""

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowjax_glow.commands.errors import (
    FOR_THE_USER,
    PREEMPTED,
    exit_code,
    one_line,
    one_line_warnings,
)
from flowjax_glow.runs.compilation import keep_compiled_programs
from flowjax_glow.runs.experiment import from_json
from flowjax_glow.runs.folder import claimed
from flowjax_glow.runs.run import run
from flowjax_glow.training import Preempted, Preemption, Progress, Screen, keep_freed_memory

SEPARATOR = "\x1e"


def main() -> int:
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_compiled_programs()
    keep_freed_memory()

    @contextmanager
    def reported(total: int, label: str) -> Iterator[Progress]:
        del label
        yield Progress(total, _Report(order["seconds"]))

    try:
        with Preemption() as preemption, one_line_warnings():
            experiment, folder = from_json(order["experiment"]), Path(order["folder"])
            with claimed(folder):
                run(experiment, folder, show=reported, preemption=preemption)
    except Preempted:
        return PREEMPTED
    except FOR_THE_USER as error:
        print(one_line(error), file=sys.stderr)
        return exit_code(error)
    except Exception:
        traceback.print_exc()
        return 1
    return 0


class _Report(Screen):
    """Tells the parent."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def show(self, step: int, status: str) -> None:
        print(f"{SEPARATOR}{json.dumps({'step': step, 'status': status})}", flush=True)


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # returns when nobody holds the other end any more
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
