"""Checkpoints of a training state that are checked, leaf by leaf, when they are read.

A run writes them with `Checkpoints`; whoever else wants one calls `read_checkpoint`, which changes
nothing in the folder.
"""

import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding
from jaxtyping import Array, Shaped, UInt32

from flowjax_glow.errors import check_positive, expected
from flowjax_glow.training.state import TrainState

#: What a checkpoint says of each of its leaves: shape, dtype and fingerprint.
_Description: TypeAlias = dict[str, dict[str, Any]]

#: How many checkpoints in a row a run may replace while one is copied.
_TRIES = 20


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written, read or trusted."""


class Checkpoints(AbstractContextManager["Checkpoints"]):
    """The checkpoints of one run, in a folder of their own, written by orbax.

    Saving is synchronous: when `save` returns, the checkpoint is complete, and a process killed in
    between leaves the previous one. Remains of such a kill are removed on opening, so only the run
    itself may open its folder this way. Used in a ``with`` statement, which closes it.

    Args:
      folder: made if missing.
      keep: how many of the latest checkpoints stay.

    Raises:
      ValueError: if `keep` is not positive.
      CheckpointError: if orbax is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int = 1) -> None:
        check_positive("Checkpoints.keep", keep)
        self.folder = Path(folder).resolve()  # orbax takes absolute paths only
        self._orbax = _import_orbax()
        self._manager = self._orbax.CheckpointManager(
            self.folder,
            options=self._orbax.CheckpointManagerOptions(
                max_to_keep=keep,
                create=True,
                cleanup_tmp_directories=True,
                enable_async_checkpointing=False,  # one in flight at exit would be lost silently
            ),
        )

    def latest_step(self) -> int | None:
        """The step of the latest checkpoint, or None if there is none."""
        return latest_step(self.folder)

    def save(self, state: TrainState) -> None:
        """Writes `state` under its step.

        Raises:
          CheckpointError: if the folder already holds this step or a later one.
        """
        step, latest = int(state.step), self.latest_step()
        if latest is not None and latest >= step:
            raise _error(
                "Checkpoints.save",
                f"a step beyond {latest}, the latest in {self.folder}",
                got=f"step {step}",
                advice="restore the latest checkpoint first, or use an empty folder",
            )
        leaves = _leaves(state)
        arguments = self._orbax.args
        self._manager.save(
            step,
            args=arguments.Composite(
                state=arguments.StandardSave(leaves), leaves=arguments.JsonSave(_describe(leaves))
            ),
        )

    def restore(self, example: TrainState) -> TrainState | None:
        """The latest checkpoint, or None if there is none, as `read_checkpoint` reads it."""
        step = self.latest_step()
        return None if step is None else _read(self.folder / str(step), example)

    def close(self) -> None:
        """Releases the folder."""
        self._manager.close()

    def __exit__(self, *raised: object) -> None:
        self.close()


def read_checkpoint(folder: str | os.PathLike[str], example: TrainState) -> TrainState | None:
    """The latest checkpoint in `folder`, or None if there is none.

    It changes nothing there: a run may save into the folder meanwhile, which may also be read-only.
    The checkpoint is read from a temporary copy, since a run that saves removes the one before.

    Args:
      folder: that of a run's `Checkpoints`; it may be missing.
      example: a state, or one of `jax.ShapeDtypeStruct`, that tells structure, shapes, dtypes
        and shardings of what is to come back. It is not consumed.

    Raises:
      CheckpointError: if orbax is not installed, if the checkpoint cannot be read, if a leaf is
        missing, unknown or of another shape or dtype, or if its values are not those that were
        saved; if it was replaced each time it was copied.
      OSError: if it cannot be copied.
    """
    folder = Path(folder).resolve()
    for _ in range(_TRIES):
        step = latest_step(folder)
        if step is None:
            return None
        with TemporaryDirectory() as place:
            copy = Path(place) / "copy"
            try:
                shutil.copytree(folder / str(step), copy)
            except OSError:
                if latest_step(folder) == step:
                    raise
                continue
            # A run removes a checkpoint only after it has completed a later one.
            if latest_step(folder) == step:
                return _read(copy, example, shown=folder / str(step))
    raise _error(
        f"checkpoint in {folder}",
        "one that stays while it is copied",
        got=f"{_TRIES} that were replaced meanwhile",
        advice="try again when the run saves less often",
    )


def latest_step(folder: str | os.PathLike[str]) -> int | None:
    """The largest step of a complete checkpoint in a folder of them; None if there is none."""
    names = (path.name for path in Path(folder).glob("*"))  # half-written ones have longer names
    return max((int(name) for name in names if name.isdecimal()), default=None)


def _read(path: Path, example: TrainState, shown: Path | None = None) -> TrainState:
    """The checkpoint at `path`, which errors call `shown`; orbax's become one clear error."""
    orbax, wanted = _import_orbax(), _leaves(example)
    where = f"checkpoint {shown or path}"

    def read(item: str, arguments: Any) -> Any:
        composite = orbax.args.Composite(**{item: arguments})
        try:
            with orbax.Checkpointer(orbax.CompositeCheckpointHandler()) as reader:
                return reader.restore(path, composite)[item]
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0][:200]
            raise _error(
                where,
                "a complete checkpoint",
                got=f"{type(error).__name__}: {reason}",
                advice="it is damaged: move its folder away to go on without it",
            ) from error

    saved: _Description = read("leaves", orbax.args.JsonRestore())
    _check_leaves(where, wanted, saved)
    target = {name: _abstract(leaf) for name, leaf in wanted.items()}
    leaves = read("state", orbax.args.StandardRestore(target))
    _check_values(where, leaves, saved)
    # by name, since what is stored does not remember the order
    ordered = [leaves[name] for name in wanted]
    return jax.tree.unflatten(jax.tree.structure(example), ordered)


def _import_orbax() -> ModuleType:
    # inside a function: it takes most of a second, and only runs that save need it
    try:
        import orbax.checkpoint
        from absl import logging
    except ImportError as error:
        raise _error(
            "Checkpoints",
            "the package orbax-checkpoint",
            got=f"{type(error).__name__}: {error}",
            advice='run: pip install "flowjax-glow[experiments]"',
        ) from error
    logging.set_verbosity(logging.ERROR)  # orbax narrates every save
    return orbax.checkpoint


def _leaves(state: TrainState) -> dict[str, Any]:
    """The leaves by name, such as ``params.steps.scale``: a form without any custom nodes."""
    paths = jax.tree.leaves_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in paths}


def _describe(leaves: dict[str, Array]) -> _Description:
    marks = jax.device_get(fingerprints(leaves))
    return {
        name: {
            "shape": list(leaf.shape),
            "dtype": str(leaf.dtype),
            "fingerprint": int(marks[name]),
        }
        for name, leaf in leaves.items()
    }


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None) or SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _check_leaves(where: str, wanted: dict[str, Any], saved: _Description) -> None:
    """Raises unless the same leaves are there, with the same shapes and dtypes."""
    for name in sorted(wanted.keys() | saved.keys()):
        ours = _form(wanted[name].shape, wanted[name].dtype) if name in wanted else "no such leaf"
        theirs = (
            _form(saved[name]["shape"], saved[name]["dtype"]) if name in saved else "no such leaf"
        )
        if ours != theirs:
            raise _error(
                where,
                f"{name} to be {ours}",
                got=theirs,
                advice="it belongs to another configuration: restore it with that one, "
                "or use another folder",
            )


def _form(shape: Any, dtype: Any) -> str:
    return f"{dtype}{list(shape)}"


def _check_values(where: str, leaves: dict[str, Array], saved: _Description) -> None:
    """Raises unless every leaf has the fingerprint it was saved with."""
    marks = jax.device_get(fingerprints(leaves))
    changed = [name for name in leaves if int(marks[name]) != saved[name]["fingerprint"]]
    if changed:
        raise _error(
            where,
            "the values that were saved",
            got=f"others in {', '.join(changed)}",
            advice="it is damaged: move its folder away to go on without it",
        )


def _error(where: str, what: str, *, got: str, advice: str) -> CheckpointError:
    return CheckpointError(str(expected(where, what, got=got, advice=advice)))


@jax.jit
def fingerprints(leaves: Mapping[str, Array]) -> dict[str, UInt32[Array, ""]]:
    """The fingerprint of every array, independent of how it is spread over devices.

    The checkpoint format has none: a bit that flips on the disk would come back as a wrong weight.
    """
    return {name: fingerprint(leaf) for name, leaf in leaves.items()}


def fingerprint(leaf: Shaped[Array, "..."]) -> UInt32[Array, ""]:
    r"""32 bits that change whenever one word of the array does.

    With the 32-bit words ``w_i`` of the array and a bijection ``s`` that scatters bits,

    .. math:: \sum_i s(w_i \oplus s(i)) \mod 2^{32}.

    Integer sums do not depend on their order, so it is the same on any number of devices. Changes
    of several words pass unnoticed with probability ``2^-32``.
    """
    words = _words(leaf)
    positions = jnp.arange(words.size, dtype=jnp.uint32).reshape(words.shape)
    return jnp.sum(_scatter_bits(words ^ _scatter_bits(positions)), dtype=jnp.uint32)


def _words(leaf: Array) -> UInt32[Array, "..."]:
    """The bits of `leaf`, zero-extended to 32; of a 64-bit array two words an element."""
    if leaf.dtype == jnp.bool_:
        return leaf.astype(jnp.uint32)
    unsigned = jnp.dtype(f"uint{min(32, 8 * leaf.dtype.itemsize)}")
    return jax.lax.bitcast_convert_type(leaf, unsigned).astype(jnp.uint32)


def _scatter_bits(words: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """The finalizer of MurmurHash3, a bijection of 32-bit words."""
    words = (words ^ (words >> 16)) * jnp.uint32(0x85EBCA6B)
    words = (words ^ (words >> 13)) * jnp.uint32(0xC2B2AE35)
    return words ^ (words >> 16)
