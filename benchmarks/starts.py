"""From the start of a process to its first training step, and the memory it takes to train.

Every start is a process of its own, which does nothing else. ``cold`` finds an empty folder of
compiled programs, ``warm`` the one that the cold start before it filled.
"""

import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.crew import Job, Worker

#: After the first: memory that only a second step needs counts, too.
_MORE_STEPS = 3


def cold_and_warm(job: Job) -> dict[str, dict[str, float]]:
    """Two starts, the second with the programs that the first one compiled.

    Raises:
      WorkerError: if the contender cannot do it.
    """
    with TemporaryDirectory() as folder:
        job = replace(job, cache=Path(folder))
        return {kind: _start(job) for kind in ("cold", "warm")}


def _start(job: Job) -> dict[str, float]:
    """Seconds to the first step; resident MiB after the imports, and at most."""
    begun = time.perf_counter()
    with Worker(job) as worker:
        imported = worker.ask("load")["mib"]
        worker.ask("build")
        worker.ask("train", 0)
        seconds = time.perf_counter() - begun
        for _ in range(_MORE_STEPS):
            worker.ask("train", 0)
        peak = worker.ask("memory")["mib"]
    return {"seconds": seconds, "imported_mib": imported, "peak_mib": peak}
