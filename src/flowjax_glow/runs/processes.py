"""One run in several processes of `jax.distributed`, which share its folder.

The first process works in the folder. Every other one works in a copy of it, which goes when the
run ends: so all of them go on from the same rows, and what stays is written once. Checkpoints are
the exception: all processes write and read them together.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh

from flowjax_glow.training import Observer, TrainState, data_mesh, replicate
from flowjax_glow.training.metrics import Row

_Tree = TypeVar("_Tree")


def is_first() -> bool:
    """Whether this process is the one that writes, prints and answers for all."""
    return jax.process_index() == 0


def wait_for_all(reason: str) -> None:
    """Returns when every process has come here."""
    from jax.experimental.multihost_utils import sync_global_devices

    if jax.process_count() > 1:
        sync_global_devices(f"flowjax_glow: {reason}")


def told_by_first(fact: bool) -> bool:
    """What the first process says, in all of them."""
    from jax.experimental.multihost_utils import broadcast_one_to_all

    return bool(broadcast_one_to_all(np.int32(fact)))


@contextmanager
def own_copy(folder: Path) -> Iterator[Path]:
    """The folder of a run, in the first process; in others a copy, which shares checkpoints."""
    if is_first():
        wait_for_all("copied")
        yield folder
        return
    with TemporaryDirectory() as place:
        copy = Path(place) / "run"
        if folder.exists():
            shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("checkpoints", "lock"))
        copy.mkdir(exist_ok=True)
        (copy / "checkpoints").symlink_to(folder.absolute() / "checkpoints")
        wait_for_all("copied")
        yield copy


def local_mesh() -> Mesh:
    """The devices of this process."""
    return data_mesh(jax.local_devices())


def locally(tree: _Tree) -> _Tree:
    """What all devices hold alike, as arrays of this process alone: each looks at it by itself."""
    if jax.process_count() == 1:
        return tree
    return replicate(local_mesh(), jax.tree.map(lambda leaf: leaf.addressable_data(0), tree))


class Locally(Observer):
    """An observer that computes in every process by itself, and so finds the same in each."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def observe(self, state: TrainState) -> Mapping[str, Any] | None:
        return self._observer.observe(locally(state))

    def resume(self, rows: Sequence[Row]) -> None:
        self._observer.resume(rows)
