"""Readers beside a trainer that saves every step: neither has an effect on the other."""

import itertools
import shutil
import sys
import warnings
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from flowjax_glow.training import latest_step, read_checkpoint
from tests.soak.attempts import differences, ended, flowjax_glow, start
from tests.soak.runs import command, example, saving

#: A command that reads, and how many reads come before the next one.
SAMPLE, EVERY = ["sample", "FOLDER", "--count=8"], 100


@dataclass
class Readers:
    """How often a run was read while it trained."""

    reads: int = 0
    commands: int = 0
    states: int = 0
    runs: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.reads} reads of {self.states} states and {self.commands} commands beside "
            f"{self.runs} runs that save every step, all bit-identical to an undisturbed one"
            if not self.faults
            else f"{self.reads} reads, {self.commands} commands, {self.runs} runs"
        )


def soak(reads: int, place: Path, steps: int = 400) -> Readers:
    """Reads the checkpoints of a run `reads` times, over as many runs as that takes."""
    experiment, told = saving(steps), Readers()
    train, whole, folder = command(experiment, place), place / "whole", place / "run"
    shape, code = example(experiment), ended(start(train, whole))
    while told.reads < reads:
        process, seen = start(train, folder), [0]
        while process.is_alive() and latest_step(folder / "checkpoints") is None:
            process.join(0.01)
        for count in itertools.count():
            if latest_step(folder / "checkpoints") in (None, steps) or not process.is_alive():
                break  # the rest is not training
            if count % EVERY == 0 and told.commands < reads / EVERY:
                told.commands += 1
                sample = [*SAMPLE, f"--seed={told.commands}"]  # no file is written over
                if wrong := ended(start(partial(flowjax_glow, sample), folder)):
                    told.faults.append(f"sample: exit code {wrong}")
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    state = read_checkpoint(folder / "checkpoints", shape)
                except Exception as error:
                    told.faults.append(f"read: {error}")
                    continue
            assert state is not None
            told.reads += 1
            seen.append(int(state.step))
        told.runs += 1
        told.states += len(set(seen)) - 1
        if seen != sorted(seen):
            told.faults.append("an earlier state after a later one")
        again = ended(process)
        wrong = [f"exit code {again}, not {code}"] if again != code else []
        wrong += differences(folder, whole, shape)
        if wrong:
            told.faults.append(f"run {told.runs}: {'; '.join(wrong)}")
        print(f"so far: {told}", file=sys.stderr, flush=True)
        shutil.rmtree(folder)
    return told
