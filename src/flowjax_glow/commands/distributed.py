"""Several processes, perhaps on several hosts, that do one command together."""

import contextlib
import inspect
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from flowjax_glow.errors import expected
from flowjax_glow.runs.folder import FolderInUseError, claimed, holds_run, set_aside
from flowjax_glow.runs.processes import is_first, told_by_first, wait_for_all

#: Seconds after which a process that is no more is missed, and those that all wait at the end.
HEARTBEAT, FAREWELL = 20, 60


def join(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Joins the other processes; to be called before anything else opens a device.

    Raises:
        ValueError: if nothing tells how many there are and which this is.
    """
    seconds: dict[str, Any] = {"heartbeat_timeout_seconds": HEARTBEAT}
    if "shutdown_timeout_seconds" in inspect.signature(jax.distributed.initialize).parameters:
        seconds["shutdown_timeout_seconds"] = FAREWELL  # jax 0.8 has its own
    try:
        jax.distributed.initialize(coordinator, processes, process, **seconds)
    except (ValueError, TypeError) as error:
        raise expected(
            "--distributed",
            "a job of SLURM, Open MPI or Kubernetes",
            got=f"none that tells all ({error})",
            advice="or say --coordinator=HOST:PORT --processes=N --process=I",
        ) from error


@contextlib.contextmanager
def heard_once() -> Iterator[None]:
    """Lets the first process print, and say what it warns of."""
    if is_first():
        yield
        return
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def taken(folder: Path, restart: bool = False) -> Iterator[None]:
    """Holds `folder` for this training, after setting an old run aside if it is to `restart`.

    Of several processes the first one does, once all have read what they want to know of it.

    Raises:
        FolderInUseError: in all of them, if somebody else holds it.
    """
    wait_for_all("read")
    failure = None
    with contextlib.ExitStack() as held:
        if is_first():
            try:
                if restart and holds_run(folder):
                    with claimed(folder):
                        pass  # nobody trains in it
                    set_aside(folder)
                held.enter_context(claimed(folder))
            except (FolderInUseError, OSError) as error:
                failure = error
        failed = told_by_first(failure is not None)
        if failure is not None:
            raise failure
        if failed:
            raise FolderInUseError(
                f"{folder}: expected a folder that the first process can hold, got one that it "
                "cannot; see what it says"
            )
        yield
