"""Kills by the dozen: a run that is killed at any moment goes on to the same bits.

Every attempt at a run is ended by SIGKILL, until the wanted number of kills was dealt out; the last
one is left alone. Kills come at a random moment of the attempt, or as soon as a half-written
checkpoint is seen. Whether one has hit a save is seen afterwards: then it is there still.
"""

import shutil
import signal
import sys
import time
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np

from flowjax_glow.training import TrainState
from tests.soak.attempts import Command, differences, ended, start

#: Seconds between looks for a half-written checkpoint, and the mean time that a kill comes later.
LOOKS, LATER = 0.0005, 0.01


@dataclass
class Kills:
    """What was dealt out and how it ended."""

    kills: int = 0
    inside: int = 0
    runs: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.inside} of them inside a save, over {self.runs} runs: "
            f"{self.runs - len(self.faults)} of {self.runs} runs bit-identical to an uninterrupted "
            "one"
        )


def soak(
    command: Command, example: TrainState, *, kills: int, inside: int, seed: int, place: Path
) -> Kills:
    """Kills attempts of `command` below `place` until `kills`, of which `inside` hit a save."""
    rng, told, whole, folder = np.random.default_rng(seed), Kills(), place / "whole", place / "run"
    for _ in range(2):  # the second time everything is compiled
        shutil.rmtree(whole, ignore_errors=True)
        begin = time.monotonic()
        code = ended(start(command, whole))
        seconds = time.monotonic() - begin
    while told.kills < kills or told.inside < inside or folder.exists():
        before, process = half_written(folder), start(command, folder)
        if told.kills < kills or told.inside < inside:
            in_save = told.inside < inside and rng.random() < 0.5
            _wait(process, folder, set(before), rng, seconds, in_save=in_save)
            process.kill()
        again = ended(process)
        if again == -signal.SIGKILL:
            told.kills += 1
            told.inside += not half_written(folder) <= before
            continue
        told.runs += 1
        wrong = [f"exit code {again}, not {code}"] if again != code else []
        wrong += differences(folder, whole, example)
        if wrong:
            told.faults.append(f"run {told.runs}: {'; '.join(wrong)}")
        print(f"so far: {told}", file=sys.stderr, flush=True)
        shutil.rmtree(folder)
    return told


def _wait(
    process: ForkServerProcess,
    folder: Path,
    before: set[tuple[str, int]],
    rng: np.random.Generator,
    seconds: float,
    *,
    in_save: bool,
) -> None:
    """Returns when it is time to kill, or when the attempt has ended."""
    if not in_save:
        process.join(rng.uniform(0, seconds))
        return
    for _ in range(int(rng.integers(1, 9))):  # how many changes to see first
        while process.is_alive() and half_written(folder) <= before:
            time.sleep(LOOKS)
        before |= half_written(folder)
    process.join(rng.exponential(LATER))


def half_written(folder: Path) -> set[tuple[str, int]]:
    """The checkpoints that are not complete, each with the time of its last change."""
    found = set()
    for path in folder.glob("checkpoints/*-tmp*"):
        try:
            found.add((path.name, path.stat().st_ctime_ns))
        except FileNotFoundError:  # complete by now
            continue
    return found
