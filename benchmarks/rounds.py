"""Rounds in which the contenders take turns, so that what disturbs one disturbs all alike."""

import time
from contextlib import ExitStack
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.crew import Job, Worker, WorkerError

MEASURES = ("train", "encode", "sample")

#: Calls before anything is measured: to compile, and to have a model that has begun to learn.
_WARM_UP = 3

#: Seconds before each turn, for the threads of the last one to stop waiting for more.
_PAUSE = 0.1


def ready(job: Job, stack: ExitStack, record: dict[str, Any]) -> Worker:
    """A warmed-up worker; its versions and facts go into `record`.

    Raises:
      WorkerError: if the contender cannot do it.
    """
    worker = stack.enter_context(Worker(job))
    record["versions"] = worker.ask("load")["versions"]
    worker.ask("build")
    for measure in MEASURES:
        for _ in range(_WARM_UP):
            worker.ask(measure, 0)
    record["facts"] = worker.ask("facts")
    return worker


def play(workers: dict[str, Worker], results: dict[str, Any], *, turn: int, seconds: float) -> None:
    """One round: for every measure every contender, and then the machine's peak.

    A contender that fails gets an ``error``, leaves `workers`, and takes no further part.
    """
    records = results["contenders"]

    def ask(name: str, command: str) -> dict[str, Any] | None:
        time.sleep(_PAUSE)
        try:
            return workers[name].ask(command, seconds)
        except WorkerError as error:
            records[name]["error"] = str(error)
            workers.pop(name).close()
            return None

    for measure in MEASURES:
        for name in _rotated(list(workers), turn):
            if figures := ask(name, measure):
                records[name]["rounds"][measure].append(figures)
    for framework, name in {CONTENDERS[name].framework: name for name in workers}.items():
        if found := ask(name, "peak"):
            results["peaks"].setdefault(framework, []).append(found["flops"])


def _rotated(names: list[str], by: int) -> list[str]:
    """Another one first each time, so that none always follows the same other."""
    first = by % max(len(names), 1)
    return names[first:] + names[:first]
