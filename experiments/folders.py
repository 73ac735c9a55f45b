"""Run folders: claimed by one process, continued by the same experiment, never overwritten."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from experiments.config import differences, read_config, to_json
from experiments.environment import environment
from experiments.presets import Experiment
from flowjax_glow.files import read_json, write_json


class FolderInUseError(RuntimeError):
    """Another process works in the folder."""


class ConfigChangedError(ValueError):
    """The folder holds a run of another configuration."""


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Makes `folder` and holds it for this process alone while the ``with`` statement lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
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


def check_same(folder: Path, experiment: Experiment) -> None:
    """Raises ConfigChangedError if `folder` holds a run that `experiment` cannot go on with."""
    if not (folder / "config.json").exists():
        return
    earlier = read_config(folder)
    done = (read_json(folder / "status.json") or {}).get("step", 0)
    changed = differences(earlier, experiment)
    if experiment.steps < done:
        changed.append(f"steps: {done} done -> {experiment.steps}")
    if changed:
        raise ConfigChangedError(
            f"{folder}: expected the configuration it was started with, got "
            f"{'; '.join(changed)}; use --restart with this variant and seed to start over, "
            "or --output for another folder"
        )


def open_run(folder: Path, experiment: Experiment) -> None:
    """Writes down what is about to run; an old summary goes, being the last word no longer."""
    folder.mkdir(parents=True, exist_ok=True)
    check_same(folder, experiment)
    (folder / "arrays").mkdir(exist_ok=True)
    (folder / "summary.json").unlink(missing_ok=True)
    write_json(folder / "config.json", to_json(experiment))
    write_json(folder / "environment.json", environment())


def set_aside(folder: Path) -> None:
    """Renames a run folder out of the way; nothing is deleted."""
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.replaced-{time.strftime('%Y%m%d-%H%M%S')}"))
