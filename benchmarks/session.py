"""A whole run: the starts, then the rounds; whatever is known so far is on disk after each."""

import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.crew import Job, Worker, WorkerError
from benchmarks.machine import description
from benchmarks.rounds import MEASURES, play, ready
from benchmarks.starts import cold_and_warm
from benchmarks.workloads import WORKLOADS, Workload
from flowjax_glow.files import write_json


@dataclass(frozen=True)
class Session:
    """What to measure.

    Attributes:
      workload: of the rounds; starts are measured on all workloads.
      seconds: of a contender's turn.
      starts: cold and warm ones of every contender on every workload.
      quick: tiny models and short turns, to try the benchmark itself.
    """

    workload: str
    contenders: list[str]
    rounds: int
    seconds: float
    starts: int
    quick: bool
    output: Path

    def run(self) -> None:
        """Measures everything; a contender that fails is left with its error."""
        works = {name: w.quick() if self.quick else w for name, w in WORKLOADS.items()}
        results = self._blank(works)
        self.output.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory() as place:
            folder = Path(place)
            jobs = {
                workload: Job("", work, work.save_batches(folder), folder / "cache")
                for workload, work in works.items()
            }
            for repetition in range(self.starts):
                print(f"starts {repetition + 1} of {self.starts}", flush=True)
                self._start_all(results, jobs)
            self._play_all(results, jobs[self.workload])

    def _start_all(self, results: dict[str, Any], jobs: Mapping[str, Job]) -> None:
        """Each contender on each workload, once cold and once warm."""
        for workload, job in jobs.items():
            for name, record in _able(results):
                try:
                    pair = cold_and_warm(replace(job, contender=name))
                except WorkerError as error:
                    record["error"] = str(error)
                else:
                    record["starts"][workload].append(pair)
                self._save(results)

    def _play_all(self, results: dict[str, Any], job: Job) -> None:
        """Rounds with workers of all contenders, which stay alive from the first to the last."""
        seconds = 0.02 if self.quick else self.seconds
        with ExitStack() as stack:
            workers: dict[str, Worker] = {}
            for name, record in _able(results):
                print(f"{name} gets ready", flush=True)
                try:
                    workers[name] = ready(replace(job, contender=name), stack, record)
                except WorkerError as error:
                    record["error"] = str(error)
                self._save(results)
            for turn in range(self.rounds):
                print(f"round {turn + 1} of {self.rounds}", flush=True)
                play(workers, results, turn=turn, seconds=seconds)
                self._save(results)

    def _blank(self, works: Mapping[str, Workload]) -> dict[str, Any]:
        """The results before anything is measured."""
        return {
            "command": " ".join(["python -m benchmarks.run", *sys.argv[1:]]),
            "date": time.strftime("%Y-%m-%d %H:%M:%S%z"),
            "machine": description(),
            "quick": self.quick,
            "workload": self.workload,
            "workloads": {
                name: asdict(work) | {"nominal_flops": work.nominal_flops}
                for name, work in works.items()
            },
            "contenders": {name: _record(name, works) for name in self.contenders},
            "peaks": {},
        }

    def _save(self, results: dict[str, Any]) -> None:
        write_json(self.output / "benchmark.json", results)


def _record(name: str, works: Mapping[str, Workload]) -> dict[str, Any]:
    entry = CONTENDERS[name]
    return {
        "ours": entry.is_ours,
        "faithful": entry.faithful,
        "note": entry.note,
        "error": None,
        "versions": {},
        "facts": {},
        "starts": {workload: [] for workload in works},
        "rounds": {measure: [] for measure in MEASURES},
    }


def _able(results: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The contenders without an error so far."""
    return [(name, r) for name, r in results["contenders"].items() if not r["error"]]
