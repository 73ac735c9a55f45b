"""Attempts at a run, each a process of its own, and what must be the same after any of them.

The processes are forked from one that has imported what they need, and has not opened a device: all
that an attempt saves is the time for imports.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TypeAlias

import jax
import numpy as np

from flowjax_glow.__main__ import main
from flowjax_glow.training import (
    Checkpoints,
    MetricsLog,
    TrainState,
    read_checkpoint,
    read_metrics,
    train,
)
from tests.training import toy

#: What an attempt does: trains in this folder, on from where it was.
Command: TypeAlias = Callable[[Path], None]

#: Steps of a toy's run, which is saved after every other.
TOY_STEPS = 30

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__, "flowjax_glow.commands.train", "orbax.checkpoint"])


def start(command: Command, folder: Path) -> ForkServerProcess:
    """A process that runs `command`, and tells what it has to say in ``FOLDER.log``."""
    process = _PROCESSES.Process(target=_logged, args=(command, folder))
    process.start()
    return process


def ended(process: ForkServerProcess) -> int:
    """Its exit code, once it has ended; below 0 the signal that ended it."""
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _logged(command: Command, folder: Path) -> None:
    with folder.with_name(f"{folder.name}.log").open("a") as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())
    command(folder)


def flowjax_glow(arguments: Sequence[str], folder: Path) -> None:
    """``flowjax-glow ARGUMENTS`` with FOLDER in place of the word."""
    main([each.replace("FOLDER", str(folder)) for each in arguments])


def train_toy(folder: Path) -> None:
    """A run of the tests' linear model."""
    folder.mkdir(exist_ok=True)
    mesh = toy.mesh_of(1)
    with MetricsLog(folder / "metrics.jsonl") as log, Checkpoints(folder / "checkpoints") as saved:
        example = toy.start()
        train(
            saved.restore(example) or example,
            toy.make_step(mesh, toy.noisy_loss),
            toy.batch,
            steps=TOY_STEPS,
            mesh=mesh,
            log=log,
            checkpoints=saved,
            save_every=2,
        )


def differences(folder: Path, whole: Path, example: TrainState) -> list[str]:
    """In what a run is not the uninterrupted one: steps, metrics, the bits of its last state."""
    found, ours = [], read_metrics(folder / "metrics.jsonl")
    steps = [row["step"] for row in ours if "loss" in row]
    if steps != list(range(1, len(steps) + 1)):
        found.append(f"steps missing or double: {steps}")
    if (folder / "metrics.jsonl").read_bytes() != (whole / "metrics.jsonl").read_bytes():
        found.append("other metrics")
    last, wanted = (_bits(each / "checkpoints", example) for each in (folder, whole))
    if last != wanted:
        found.append("another last state")
    return found


def _bits(checkpoints: Path, example: TrainState) -> list[bytes]:
    leaves = jax.tree.leaves(read_checkpoint(checkpoints, example))
    return [np.asarray(leaf).tobytes() for leaf in leaves]
