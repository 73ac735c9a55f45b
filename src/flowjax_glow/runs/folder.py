"""Run folders: claimed by one process, continued by the same experiment, never overwritten.

Also what two of their files say: status.json and environment.json.
"""

import fcntl
import functools
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax

from flowjax_glow.errors import expected
from flowjax_glow.files import from_strict, read_json, write_json
from flowjax_glow.runs.experiment import Experiment, differences, read_config, to_json
from flowjax_glow.training import (
    CheckpointError,
    Diverged,
    Preempted,
    latest_step,
    read_metrics,
)


class FolderInUseError(RuntimeError):
    """Another process works in the folder."""


class ConfigChangedError(ValueError):
    """The folder holds a run of another configuration."""


@contextmanager
def claimed(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Makes `folder` and holds it for this process alone while the ``with`` statement lasts.

    With `shared` others may hold it at the same time who share it as well.

    Raises:
        FolderInUseError: if somebody else holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise FolderInUseError(
                f"{folder}: expected a folder nobody works in, got one held by process "
                f"{file.read().strip() or 'unknown'}; wait for it or choose another --output"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def has_begun(folder: Path) -> bool:
    """Whether a run in `folder` took a step; what failed before has nothing to go on with."""
    if (folder / "summary.json").exists() or latest_step(folder / "checkpoints") is not None:
        return True
    status, metrics = read_status(folder) or {}, folder / "metrics.jsonl"
    if status.get("step", 0) or status.get("resumed_from", 0):
        return True
    return metrics.exists() and any(row["step"] > 0 for row in read_metrics(metrics))


def holds_run(folder: Path) -> bool:
    """Whether there is anything of a run in `folder`, be it in what state it may."""
    return any((folder / name).exists() for name in _OF_A_RUN)


#: What a run leaves, by the first of which it is known.
_OF_A_RUN = ("config.json", "checkpoints", "metrics.jsonl")


def check_same(folder: Path, experiment: Experiment) -> None:
    """Raises ConfigChangedError if `folder` holds a run that `experiment` cannot go on with.

    A run that never began is in nobody's way, whatever its configuration was.
    """
    if not (folder / "config.json").exists():
        _check_new(folder)
        return
    if not has_begun(folder):
        return
    earlier = read_config(folder)
    done = (read_status(folder) or {}).get("step", 0)
    changed = [*differences(earlier, experiment), *_other_numbers(folder)]
    if experiment.steps < done:
        changed.append(f"steps: {done} done -> {experiment.steps}")
    if changed:
        raise ConfigChangedError(
            f"{folder}: expected the configuration it was started with, got "
            f"{'; '.join(changed)}; choose another --output, or move the run folder away (train "
            "and sweep: --restart)"
        )


def _other_numbers(folder: Path) -> list[str]:
    """`option: old -> new` for every option of jax that makes the same keys draw otherwise."""
    noted = read_json(folder / "environment.json", perhaps={"random": dict}) or {}
    now, then = random_options(), noted.get("random", {})  # of older runs nothing is known
    return [
        f"{name.upper()}: {then[name]} -> {now[name]} (an option of jax)"
        for name in sorted(now.keys() & then.keys())
        if then[name] != now[name]
    ]


def _check_new(folder: Path) -> None:
    """Raises if there is something of a run whose configuration is not known any more."""
    left = [name for name in _OF_A_RUN[1:] if (folder / name).exists()]
    if left:
        raise ConfigChangedError(
            f"{folder}: expected config.json beside {' and '.join(left)}, got none; put it back, "
            "choose another --output, or move the run folder away (train and sweep: --restart)"
        )


def check_starts(folder: Path) -> None:
    """Raises CheckpointError if `folder` has no checkpoint and its run must have saved one.

    A run that was killed before its first save starts anew. One that went beyond that, was told to
    end, or had itself gone on from a checkpoint, has lost its state.
    """
    if not (folder / "config.json").exists():
        return
    earlier, status = read_config(folder), read_status(folder) or {}
    metrics = folder / "metrics.jsonl"
    rows = read_metrics(metrics) if metrics.exists() else []
    reached = max([status.get("step", 0), *(row["step"] for row in rows)])
    ended_well = status.get("status") in ("done", "preempted") and reached > 0
    first_save = min(earlier.save_every, earlier.steps)
    if ended_well or reached > first_save or status.get("resumed_from", 0):
        raise CheckpointError(
            f"{folder / 'checkpoints'}: expected a checkpoint, got none though step {reached} was "
            "reached; put the folder back, or move the run folder away (train and sweep: --restart)"
        )


def open_run(folder: Path, experiment: Experiment) -> None:
    """Writes down what is about to run; an old summary goes, being the last word no longer."""
    folder.mkdir(parents=True, exist_ok=True)
    check_same(folder, experiment)
    (folder / "summary.json").unlink(missing_ok=True)
    write_json(folder / "config.json", to_json(experiment))  # first: it says whose folder this is
    write_json(folder / "environment.json", environment())
    (folder / "arrays").mkdir(exist_ok=True)


def named(path: Path) -> Path:
    """`path`, or what it stands for if it is `.` or ends in `..`; a link stays a link."""
    return path.resolve() if path.name in ("", "..") else path


def set_aside(folder: Path) -> None:
    """Renames a run folder out of the way; nothing is deleted."""
    if folder.exists():
        path = named(folder)
        path.rename(path.with_name(f"{path.name}.replaced-{time.strftime('%Y%m%d-%H%M%S')}"))


def is_complete(folder: Path, experiment: Experiment) -> bool:
    """Whether the folder's run has come to its end, be it by diverging.

    Raises:
        ConfigChangedError: if it is a run that `experiment` could not go on with.
    """
    check_same(folder, experiment)
    summary = read_summary(folder)
    return summary is not None and (
        summary["status"] == "diverged" or summary["steps"] >= experiment.steps
    )


def read_status(folder: Path) -> dict[str, Any] | None:
    """status.json, None before a run has begun.

    Raises:
        ValueError: if it is damaged.
    """
    perhaps = {"step": int, "resumed_from": int, "seconds": float}
    return read_json(folder / "status.json", {"status": str}, perhaps)


def read_summary(folder: Path) -> dict[str, Any] | None:
    """summary.json, None before a run has ended.

    Raises:
        ValueError: if it is damaged.
    """
    summary = read_json(folder / "summary.json", {"status": str, "steps": int})
    for name, value in (summary or {}).items():
        if name not in ("variant", "status") and not _is_measured(from_strict(value)):
            raise expected(
                f"{folder / 'summary.json'}",
                f"numbers in `{name}`",
                got=repr(value)[:80],
                advice="restore the file, or move the run folder away (train and sweep: --restart)",
            )
    return summary


def _is_measured(value: Any) -> bool:
    """Whether it is a number, nothing, or an object of such."""
    if isinstance(value, dict):
        return all(map(_is_measured, value.values()))
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def summary_of(folder: Path) -> dict[str, Any]:
    """summary.json of a run that has ended.

    Raises:
        ValueError: if it has not, or the file is damaged.
    """
    summary = read_summary(folder)
    if summary is None:
        raise expected(f"{folder}", "a run that has ended", got="no summary.json", advice="wait")
    return summary


def mark_failed(folder: Path) -> None:
    """Notes that a run has ended badly whose process could not note it."""
    status = read_status(folder)
    if status is not None and status["status"] == "running":
        write_json(folder / "status.json", status | {"status": "failed"})


class Status:
    """status.json: where the run stands, and how long it took over all its attempts.

    Args:
        folder: of the run.
        resumed_from: the step of the checkpoint that this attempt goes on from; 0 for none.
    """

    def __init__(self, folder: Path, resumed_from: int = 0) -> None:
        self._path = folder / "status.json"
        self._before = (read_status(folder) or {}).get("seconds", 0.0)
        self._start = time.monotonic()
        self._resumed_from = self._step = resumed_from

    def write(self, status: str, step: int) -> None:
        self._step = step
        seconds = self._before + time.monotonic() - self._start
        write_json(
            self._path,
            {
                "status": status,
                "step": step,
                "resumed_from": self._resumed_from,
                "seconds": round(seconds, 1),
            },
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Notes how it ended: `failed`, unless by divergence or by a signal that was heeded."""
        self.write("running", self._step)
        try:
            yield
        except Diverged as error:
            self.write("diverged", error.step)
            raise
        except Preempted as error:
            self.write("preempted", error.step)
            raise
        except BaseException:
            self.write("failed", self._step)
            raise


PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def _own_version() -> str:
    try:
        return version("flowjax-glow")
    except PackageNotFoundError:
        return "not installed, from the path"


def environment() -> dict[str, Any]:
    """Versions, devices and the git revision."""
    return {
        "flowjax-glow": _own_version(),
        "git_revision": _git_revision(),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": {name: version(name) for name in PACKAGES},
        "backend": jax.default_backend(),
        "devices": [device.device_kind for device in jax.devices()],
        "processes": jax.process_count(),
        "random": random_options(),
    }


def random_options() -> dict[str, Any]:
    """The options of jax on which it depends what a key draws."""
    names = ("jax_default_prng_impl", "jax_threefry_partitionable")
    return {name: jax.config.values[name] for name in names}


@functools.cache  # the code that runs is the code that was imported, whatever comes later
def _git_revision() -> str | None:
    """The revision, `-dirty` if the tree differs from it; None if this code is in no repository."""
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)  # a wheel may lie in another's
        return _git("describe", "--always", "--dirty", "--abbrev=12")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    here = Path(__file__).parent
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    return done.stdout.strip()
