"""The parent's end of the workers: each answers when it is asked, and only one is ever asked."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.workloads import Workload

_ROOT = Path(__file__).parents[1]


class WorkerError(RuntimeError):
    """What a worker could not do."""


@dataclass(frozen=True)
class Job:
    """One contender's work.

    Attributes:
      batches: the file that `Workload.save_batches` wrote.
      cache: the folder that compiled programs are kept in, for contenders that compile.
      options: beside those that the contender has anyway.
      platform: as JAX calls it; None for the best one there is.
    """

    contender: str
    work: Workload
    batches: Path
    cache: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    platform: str | None = "cpu"


class Worker:
    """A running worker process."""

    def __init__(self, job: Job) -> None:
        self._name = job.contender
        self._process = subprocess.Popen(
            [
                # peers warn about what PyTorch will drop, over and over
                *(sys.executable, "-W", "ignore", "-m", "benchmarks.worker", job.contender),
                *("--workload", json.dumps(asdict(job.work))),
                *("--batches", str(job.batches.resolve())),
                *("--options", json.dumps(dict(job.options))),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
            env=_environment(job),
        )

    def ask(self, command: str, *numbers: float) -> dict[str, Any]:
        """The answer to one line.

        Raises:
          WorkerError: if that is an error, or the process is gone.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(" ".join([command, *map(str, numbers)]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"the process ended with {self._process.wait()} at `{command}`")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def close(self) -> None:
        """Ends the process, which by now waits for a line or is gone."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _environment(job: Job) -> dict[str, str]:
    """Every program is kept, however small; several processes may share a device."""
    chosen = {} if job.platform is None else {"JAX_PLATFORMS": job.platform}
    return {
        **os.environ,
        **chosen,
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_COMPILATION_CACHE_DIR": str(job.cache.resolve()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
