"""Runs as child processes, several at a time; each computes on one core, or on the accelerators.

A run that is killed, aborts or fails takes nothing else with it. Every child computes with one
thread, however many cores there are, so that a run's bits do not depend on their number.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from flowjax_glow.commands.child import SEPARATOR
from flowjax_glow.commands.errors import (
    CHECKPOINT,
    DATA,
    IN_USE,
    PREEMPTED,
    SOME_RUNS_FAILED,
    USAGE,
)
from flowjax_glow.runs.experiment import Experiment, to_json
from flowjax_glow.runs.folder import is_complete, mark_failed, summary_of
from flowjax_glow.training import Board, Preempted, Preemption, Screen, progress_board

#: What a child runs.
CHILD = (sys.executable, "-m", "flowjax_glow.commands.child")

#: One thread for XLA's kernels (it reads NPROC when it starts), and for those of numpy.
ONE_THREAD = {"NPROC": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

#: Exit codes of what the user must mend before any run can go on.
COMPLAINTS = (USAGE, DATA, CHECKPOINT, IN_USE)

#: Seconds that a child has to end after it was told to; a step or a compilation may be under way.
PATIENCE = 10.0


class Job(NamedTuple):
    """An experiment and the folder of its run."""

    experiment: Experiment
    folder: Path


class Ended(NamedTuple):
    """A job and what became of it: `done`, `diverged` or `failed`."""

    job: Job
    status: str


@dataclass(frozen=True)
class Machine:
    """What runs compute on: the backend of jax here and its number of devices."""

    backend: str
    devices: int

    @property
    def jobs(self) -> int:
        """How many runs at a time are worth it: one per core, or one that has the accelerators."""
        return _cores() if self.backend == "cpu" else 1


def machine() -> Machine:
    """Asks a short-lived process: one that has opened an accelerator keeps it from the runs."""
    ask = "import jax; print(jax.default_backend(), jax.device_count())"
    answer = subprocess.run(
        [sys.executable, "-c", ask], stdout=subprocess.PIPE, text=True, check=True
    )
    backend, devices = answer.stdout.split()
    return Machine(backend, int(devices))


def _cores() -> int:
    """Those that this process may use; not every system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_in_children(
    todo: Sequence[Job], on: Machine, jobs: int | None = None, *, brief: bool = False
) -> Generator[Ended, None, None]:
    """Runs `jobs` of them at a time, and yields each when it has ended.

    What is finished already comes first, without a process. Closing the iterator ends all
    processes; so does an exception while it waits, and a signal: it is watched for until then.
    Runs that are ended save first.

    Args:
        on: what they compute on; on the CPU each has one thread.
        jobs: by default one per core, or one on accelerators.
        brief: whether programs are compiled fast rather than well.

    Raises:
        SystemExit: with the code of a child that has complained of what the user must mend.
        ConfigChangedError: if a folder holds a run of another configuration.
        Preempted: if a signal has told this process, or a child, to end.
    """
    waiting = []
    for job in todo:
        if is_complete(job.folder, job.experiment):
            yield Ended(job, _status(job))
        else:
            waiting.append(job)
    with (
        Preemption(),
        progress_board() as board,
        ThreadPoolExecutor(jobs or on.jobs) as threads,
    ):
        children = _Children(_environment(on, brief), board)
        try:
            futures = {threads.submit(children.run, job): job for job in waiting}
            for count, future in enumerate(as_completed(futures), 1):
                job, code = futures[future], future.result()
                if code in COMPLAINTS:
                    raise SystemExit(code)
                if code == PREEMPTED:  # by whoever ends processes here, and will end the others
                    raise Preempted
                ended = Ended(job, _status(job) if code == 0 else "failed")
                children.note(f"{job.folder.name}: {ended.status} ({count} of {len(waiting)})")
                yield ended
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            children.stop()


def _status(job: Job) -> str:
    return summary_of(job.folder)["status"]


def _environment(on: Machine, brief: bool) -> dict[str, str]:
    return {
        **os.environ,
        **(ONE_THREAD if on.backend == "cpu" else {}),
        **({"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"} if brief else {}),
    }


class _Children:
    """The processes under way, each of which a thread listens to."""

    def __init__(self, environment: dict[str, str], board: Board) -> None:
        self._environment = environment
        self._board = board
        self._processes: set[subprocess.Popen[str]] = set()
        self._stopped = False
        self._lock = threading.Lock()

    def run(self, job: Job) -> int:
        """Runs a job to its end and returns the exit code."""
        process = self._start()
        if process is None:
            return SOME_RUNS_FAILED
        name, screen = job.folder.name, self._screen(job)
        with process:
            _give_order(process, job, self._board.seconds)
            for line in process.stdout or ():
                if line.startswith(SEPARATOR):
                    with suppress(OSError, ValueError):
                        screen.show(**json.loads(line.removeprefix(SEPARATOR)))
                else:
                    self.note(f"{name}: {line.rstrip()}")
            code = process.wait()
        self._processes.discard(process)
        with suppress(OSError, ValueError):
            screen.close()
        if code not in (0, IN_USE):  # in use, it is another's to note
            mark_failed(job.folder)
        if code < 0:
            self.note(f"{name}: its process was ended by signal {-code}")
        return code

    def stop(self) -> None:
        """Ends what is under way, and lets nothing new begin."""
        with self._lock:
            self._stopped = True
            processes = list(self._processes)
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + PATIENCE
        for process in processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()

    def note(self, line: str) -> None:
        """Writes a line beside the progress."""
        with suppress(OSError, ValueError):
            self._board.note(line)

    def _start(self) -> "subprocess.Popen[str] | None":
        with self._lock:
            if self._stopped:
                return None
            process = subprocess.Popen(
                CHILD,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=self._environment,
                start_new_session=True,  # Ctrl-C reaches the parent, which tells its children
            )
            self._processes.add(process)
        return process

    def _screen(self, job: Job) -> Screen:
        try:
            return self._board.screen(job.experiment.steps, job.folder.name)
        except (OSError, ValueError):  # the terminal went away
            return Screen()


def _give_order(process: subprocess.Popen[str], job: Job, seconds: float) -> None:
    order = {
        "experiment": to_json(job.experiment),
        "folder": str(job.folder),
        "seconds": min(seconds, 1e9),  # infinity is no JSON
    }
    assert process.stdin is not None
    # Unbuffered, and left open: it is how the child knows that we live.
    with suppress(BrokenPipeError):  # it has died already; its exit code tells
        os.write(process.stdin.fileno(), (json.dumps(order) + "\n").encode())
