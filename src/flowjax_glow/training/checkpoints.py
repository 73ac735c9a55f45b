"""The checkpoints of a run: the latest few, of which the newest that is whole is read.

A run writes them with `Checkpoints`; whoever else wants one calls `read_checkpoint`, which changes
nothing in the folder.
"""

import os
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import jax

from flowjax_glow.errors import check_positive
from flowjax_glow.training.state import TrainState
from flowjax_glow.training.stored import (
    CheckpointError,
    Unusable,
    arguments_to_save,
    complaint,
    first_line,
    import_orbax,
    read_stored,
)

__all__ = ["KEPT", "CheckpointError", "Checkpoints", "latest_step", "read_checkpoint"]

#: How many of the latest checkpoints stay, unless told otherwise.
KEPT = 2

#: How many checkpoints in a row a run may replace while one is copied.
_TRIES = 20

#: Why steps cannot be used.
_Reasons: TypeAlias = Mapping[int, str]


class Checkpoints(AbstractContextManager["Checkpoints"]):
    """The checkpoints of one run, in a folder of their own, written by orbax.

    Saving is synchronous: when `save` returns, the checkpoint is complete, and only then the oldest
    one beyond `keep` goes. A process killed in between leaves all earlier ones. Remains of such a
    kill are removed before the first save, so only the run itself may open its folder this way.
    Used in a ``with`` statement, which closes it.

    Args:
        folder: made by the first save if missing.
        keep: how many of the latest checkpoints stay. With two, one is left where the other turns
            out to be damaged; each costs the disk four times the parameters (with Adam).

    Raises:
        ValueError: if `keep` is not positive.
        CheckpointError: if orbax is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int = KEPT) -> None:
        check_positive("Checkpoints.keep", keep)
        import_orbax()
        self.folder = Path(folder).resolve()  # orbax takes absolute paths only
        self._keep = keep
        self._manager: Any = None

    def latest_step(self) -> int | None:
        """The step of the latest checkpoint, usable or not; None if there is none."""
        return latest_step(self.folder)

    def save(self, state: TrainState) -> None:
        """Writes `state` under its step.

        Raises:
            CheckpointError: if the folder already holds this step or a later one.
        """
        step, latest = int(state.step), self.latest_step()
        if latest is not None and latest >= step:
            raise complaint(
                "Checkpoints.save",
                f"a step beyond {latest}, the latest in {self.folder}",
                got=f"step {step}",
                advice="restore the latest checkpoint first, or use an empty folder",
            )
        if self._manager is None:  # it reads the folder once, so nothing may be set aside later
            self._manager = _manager(self.folder, self._keep)
        self._manager.save(step, args=arguments_to_save(state))

    def restore(self, example: TrainState) -> TrainState | None:
        """The newest checkpoint that is whole and of this configuration, None if there is none.

        Later ones that are not are set aside as ``STEP.corrupt-DATE``, each with a warning, once an
        earlier one has been read; nothing is deleted. The run then goes on from there.

        Args:
            example: a state, or one of `jax.ShapeDtypeStruct`, that tells structure, shapes, dtypes
                and shardings of what is to come back. It is not consumed.

        Raises:
            CheckpointError: if there are checkpoints, and none is usable. The folder then stays as
                it was.
        """
        steps = _steps(self.folder)
        state, broken = _newest_usable(
            steps, lambda step: read_stored(self.folder / str(step), example)
        )
        if state is None:
            _check_none(self.folder, broken)
            return None
        if broken:
            self._set_aside(broken, int(state.step))
        return state

    def close(self) -> None:
        """Releases the folder."""
        if self._manager is not None:
            self._manager.close()
            self._manager = None

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _set_aside(self, broken: _Reasons, usable: int) -> None:
        self.close()
        for step, reason in broken.items():
            path = self.folder / str(step)
            aside = path.with_name(f"{step}.corrupt-{time.strftime('%Y%m%d-%H%M%S')}")
            if jax.process_index() == 0:
                path.rename(aside)
            _warn(self.folder, step, reason, f"set aside as {aside.name}; it goes on from {usable}")


def read_checkpoint(folder: str | os.PathLike[str], example: TrainState) -> TrainState | None:
    """The newest checkpoint in `folder` that is whole, or None if there is none at all.

    It changes nothing there: a run may save into the folder meanwhile, which may also be read-only.
    Of later ones that are not usable it warns. The checkpoint is read from a temporary copy, since
    a run that saves removes old ones.

    Args:
        folder: that of a run's `Checkpoints`; it may be missing.
        example: as `Checkpoints.restore` takes it.

    Raises:
        CheckpointError: if orbax is not installed; if there are checkpoints and none is usable,
            since it cannot be copied or read, a leaf is missing, unknown or of another shape or
            dtype, or its values are not those that were saved; if they were replaced each time they
            were copied.
    """
    folder = Path(folder).resolve()
    import_orbax()
    for _ in range(_TRIES):
        steps = _steps(folder)
        state, broken = _newest_usable(steps, lambda step: _read_copy(folder / str(step), example))
        # A run removes a checkpoint only after it has completed a later one.
        if broken and _steps(folder) != steps:
            continue
        if state is None:
            _check_none(folder, broken)
            return None
        for step, reason in broken.items():
            _warn(folder, step, reason, f"step {int(state.step)} is read in its place")
        return state
    raise complaint(
        f"checkpoints in {folder}",
        "one that stays while it is copied",
        got=f"{_TRIES} that were replaced meanwhile",
        advice="try again when the run saves less often",
    )


def latest_step(folder: str | os.PathLike[str]) -> int | None:
    """The step of the latest checkpoint in a folder of them, usable or not; None without any."""
    return next(iter(_steps(Path(folder))), None)


def _steps(folder: Path) -> list[int]:
    """The steps of all complete checkpoints, latest first; what is half-written is named longer."""
    names = (path.name for path in folder.glob("*"))
    return sorted((int(name) for name in names if name.isdecimal()), reverse=True)


def _newest_usable(
    steps: Sequence[int], read: Callable[[int], TrainState]
) -> tuple[TrainState | None, _Reasons]:
    """The first state that can be read, and why those before it cannot."""
    reasons: dict[int, str] = {}
    for step in steps:
        try:
            return read(step), reasons
        except Unusable as reason:
            reasons[step] = str(reason)
    return None, reasons


def _read_copy(path: Path, example: TrainState) -> TrainState:
    with TemporaryDirectory() as place:
        copy = Path(place) / "copy"
        try:
            shutil.copytree(path, copy)
        except OSError as error:
            raise Unusable(f"it cannot be copied, {first_line(error)}") from error
        return read_stored(copy, example)


def _check_none(folder: Path, broken: _Reasons) -> None:
    """Raises if there are checkpoints, of which none is usable."""
    if broken:
        raise complaint(
            f"checkpoints in {folder}",
            "one that is whole and of this configuration",
            got="; ".join(f"step {step}, {reason}" for step, reason in broken.items()),
            advice="put a copy back if there is one, or move the run folder away (train and sweep: "
            "--restart)",
        )


def _warn(folder: Path, step: int, reason: str, then: str) -> None:
    warnings.warn(
        f"checkpoint of step {step} in {folder} is not usable ({reason}): {then}", stacklevel=3
    )


def _manager(folder: Path, keep: int) -> Any:
    orbax = import_orbax()
    return orbax.CheckpointManager(
        folder,
        options=orbax.CheckpointManagerOptions(
            max_to_keep=keep,
            create=True,
            cleanup_tmp_directories=True,
            enable_async_checkpointing=False,  # one in flight at exit would be lost silently
        ),
    )
