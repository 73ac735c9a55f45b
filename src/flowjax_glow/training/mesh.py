"""Where things live: batches split over the devices, everything else a copy on each.

One device, many, and several hosts differ in the mesh alone.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from flowjax_glow.errors import expected
from flowjax_glow.training.types import Batch

_Tree = TypeVar("_Tree")


def data_mesh(
    devices: Sequence[Any] | None = None,
) -> Mesh:
    """A mesh with the one axis ``"data"`` over `devices`, by default all of them on all hosts."""
    chosen = jax.devices() if devices is None else list(devices)
    # jax makes Explicit axes by default, and would then ask for shardings inside the model
    return jax.make_mesh((len(chosen),), ("data",), (AxisType.Auto,), devices=chosen)


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of what every device holds in full."""
    return NamedSharding(mesh, PartitionSpec())


def sharded(mesh: Mesh) -> NamedSharding:
    """The sharding of what the devices split along its first axis."""
    return NamedSharding(mesh, PartitionSpec("data"))


def replicate(mesh: Mesh, tree: _Tree) -> _Tree:
    """`tree` on every device of the mesh. It may share memory with `tree`."""
    return jax.device_put(tree, replicated(mesh))


def shard_batch(mesh: Mesh, batch: Batch) -> Batch:
    """Splits a host batch over the devices.

    Args:
        mesh: a mesh of `data_mesh`.
        batch: this host's share of the batch, which with one host is all of it.

    Raises:
        ValueError: if the local devices do not divide the share evenly.
    """
    devices = len(mesh.local_devices)
    examples = batch_size(batch)
    if examples % devices:
        raise expected(
            "shard_batch",
            f"a batch size that {devices} devices divide",
            got=f"{examples} examples",
            advice=f"use a multiple of {devices}, or give data_mesh fewer devices",
        )
    sharding = sharded(mesh)
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(sharding, np.asarray(leaf)), batch
    )


def batch_size(batch: Batch) -> int:
    """The number of examples in a batch.

    Raises:
        ValueError: if the arrays of the batch do not agree on one.
    """
    sizes = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(batch)}
    if len(sizes) != 1 or () in sizes:
        raise expected(
            "batch_size",
            "arrays with one common leading batch axis",
            got=f"leading axes {sorted(sizes)}",
            advice="give every array of the batch as many rows",
        )
    return sizes.pop()[0]
