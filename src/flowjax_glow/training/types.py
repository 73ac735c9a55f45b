"""The words of training: a loss, a batch, a step and what it measures."""

from collections.abc import Callable
from typing import Any, TypeAlias

from jaxtyping import Array, Float

from flowjax_glow.types import Key, Params, Tree

#: One leaf of a pytree class: an array, or what JAX puts in its place while it works on the
#: structure alone (a shape, a sharding, a copy on the host), hence no shape in the type.
Leaf: TypeAlias = Any

#: Arrays with a leading batch axis, for images one uint8 array (batch, height, width, channels).
Batch: TypeAlias = Tree

#: The mean loss of a batch, here always bits per dimension. The key feeds dequantization.
LossFn: TypeAlias = Callable[[Params, Key, Batch], Float[Array, ""]]

#: The loss of every example of a batch, ``(batch,)``, in the unit of `LossFn`.
ExampleLossFn: TypeAlias = Callable[[Params, Key, Batch], Float[Array, " batch"]]

#: What a step measured, on the device: the scalars ``loss``, ``grad_norm``, ``update_finite``, and
#: vectors over the leaves that train, ``leaf_norms`` and ``leaf_finite``.
Metrics: TypeAlias = dict[str, Array]
