"""One checkpoint on the disk: how a state is written, and read back leaf by leaf."""

import gc
import itertools
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CoroutineType, ModuleType
from typing import Any, TypeAlias

import jax
from jax.sharding import SingleDeviceSharding
from jaxtyping import Array

from flowjax_glow.errors import expected, how_to_install
from flowjax_glow.trainable import named_leaves
from flowjax_glow.training.fingerprints import fingerprints
from flowjax_glow.training.mesh import data_mesh, replicated
from flowjax_glow.training.state import TrainState

#: What a checkpoint says of each of its leaves: shape, dtype and fingerprint.
_Description: TypeAlias = dict[str, dict[str, Any]]

#: Leaves that a complaint names before it only counts them.
_NAMED = 3

#: Seconds between looks at what a failed reading left under way.
_PAUSES = (0.02, 0.05, 0.1)


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written, read or trusted."""


def complaint(where: str, what: str, *, got: str, advice: str) -> CheckpointError:
    """Builds (does not raise) an error in the form of `errors.expected`."""
    return CheckpointError(str(expected(where, what, got=got, advice=advice)))


class Unusable(Exception):  # noqa: N818 - a finding about a folder, from which another may help
    """Says why a checkpoint is not what it should be."""


def arguments_to_save(state: TrainState) -> Any:
    """What orbax is to write: the leaves, and a description to check them by."""
    leaves, arguments = named_leaves(state), import_orbax().args
    return arguments.Composite(
        state=arguments.StandardSave(leaves), leaves=arguments.JsonSave(_describe(leaves))
    )


def read_stored(path: Path, example: TrainState) -> TrainState:
    """The checkpoint at `path`, with the structure, dtypes and shardings of `example`.

    Raises:
        Unusable: if it cannot be read, belongs to another configuration, or has changed.
    """
    try:
        return _read(path, example)
    except Unusable:
        raise
    except Exception as error:  # damage shows in many ways, and most of them are orbax's own
        reason = f"it cannot be read, {first_line(error)}"
    # here, where no traceback holds them any more
    _end_leftovers()
    raise Unusable(reason)


def _end_leftovers() -> None:
    """Ends, unheard, what orbax left under way when it could not read a leaf.

    It reads all leaves at a time and closes its event loop at the first that fails. The others
    would report to it at some later time, each with a traceback on stderr.
    """
    with _unheard():
        for pause in _PAUSES:
            gc.collect()
            if not _orbax_runs():
                break
            time.sleep(pause)


def _orbax_runs() -> bool:
    return any(
        isinstance(thing, CoroutineType) and "orbax" in thing.cr_code.co_filename
        for thing in gc.get_objects()
    )


@contextmanager
def _unheard() -> Iterator[None]:
    """Drops errors that nobody can catch."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda report: None
    try:
        yield
    finally:
        sys.unraisablehook = hook


def first_line(error: BaseException) -> str:
    """The kind of an error and the beginning of its message."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def _read(path: Path, example: TrainState) -> TrainState:
    orbax, wanted = import_orbax(), named_leaves(example)

    def read(item: str, arguments: Any) -> Any:
        with orbax.Checkpointer(orbax.CompositeCheckpointHandler()) as reader:
            return reader.restore(path, orbax.args.Composite(**{item: arguments}))[item]

    saved: _Description = read("leaves", orbax.args.JsonRestore())
    _check_leaves(wanted, saved)
    target = {name: _abstract(leaf) for name, leaf in wanted.items()}
    leaves = read("state", orbax.args.StandardRestore(target))
    _check_values(leaves, saved)
    # by name, since what is stored does not remember the order
    ordered = [leaves[name] for name in wanted]
    return jax.tree.unflatten(jax.tree.structure(example), ordered)


def import_orbax() -> ModuleType:
    """The package, silenced.

    Raises:
        CheckpointError: if it is not installed.
    """
    # inside a function: it takes most of a second, and only runs that save need it
    try:
        import orbax.checkpoint
        from absl import logging
    except ImportError as error:
        raise complaint(
            "Checkpoints",
            "the package orbax-checkpoint",
            got=f"{type(error).__name__}: {error}",
            advice=f"install it: {how_to_install('experiments')}",
        ) from error
    logging.set_verbosity(logging.ERROR)  # orbax narrates every save
    return orbax.checkpoint


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
    """What orbax is to restore, where `leaf` is; on all devices if that is one process of many."""
    sharding = getattr(leaf, "sharding", None) or SingleDeviceSharding(jax.local_devices()[0])
    if jax.process_count() > 1 and sharding.is_fully_addressable:
        sharding = replicated(data_mesh())
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _check_leaves(wanted: dict[str, Any], saved: _Description) -> None:
    """Raises unless the same leaves are there, with the same shapes and dtypes."""
    absent = "no such leaf"
    ours = {name: _form(leaf.shape, leaf.dtype) for name, leaf in wanted.items()}
    theirs = {name: _form(leaf["shape"], leaf["dtype"]) for name, leaf in saved.items()}
    for name in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(name, absent), theirs.get(name, absent)
        if mine != other:
            raise Unusable(f"of another configuration: {name} is {other} in place of {mine}")


def _form(shape: Any, dtype: Any) -> str:
    return f"{dtype}{list(shape)}"


def _check_values(leaves: dict[str, Array], saved: _Description) -> None:
    """Raises unless every leaf has the fingerprint it was saved with."""
    marks = jax.device_get(fingerprints(leaves))
    changed = [name for name in leaves if int(marks[name]) != saved[name]["fingerprint"]]
    if changed:
        more = len(changed) - _NAMED
        shown = ", ".join(itertools.islice(changed, _NAMED))
        raise Unusable(
            f"damaged: other values than were saved in {shown}"
            + (f" and {more} more" if more > 0 else "")
        )
