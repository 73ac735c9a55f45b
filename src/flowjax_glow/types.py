"""Array types with their shapes; every room speaks in these words."""

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from jaxtyping import Array, Float, PyTree, UInt8
from jaxtyping import Key as TypedKey

#: A batch of events, channels last: vectors `(batch, channels)`, sequences, images, volumes. Only
#: the batch axis is named, since squeezes and splits change the others.
Event: TypeAlias = Float[Array, "batch *_ _"]

#: A batch of images or of feature maps, NHWC: the events of squeezes and convolutions.
Image: TypeAlias = Float[Array, "batch _ _ _"]

#: A batch of quantized images, NHWC, as data sets store them: of NumPy or of JAX.
Pixels: TypeAlias = UInt8[Array | np.ndarray, "batch height width channels"]

#: A batch as data have it: uint8 images, or float events of any shape; of NumPy or of JAX.
Examples: TypeAlias = Pixels | Float[Array | np.ndarray, "batch *_ _"]

if TYPE_CHECKING:  # a strict type checker does not know what jaxtyping's trees are
    Tree: TypeAlias = Any
    Latents: TypeAlias = Any
else:
    #: A pytree of anything.
    Tree = PyTree[Any]

    #: What a flow maps events to: an array of their shape, or a tuple of such, finest level
    #: first; of NumPy or of JAX.
    Latents = PyTree[Float[Array | np.ndarray, "batch ..."]]

#: log|det| of the map just called, one number per example, in nats.
LogDet: TypeAlias = Float[Array, " batch"]

#: One number per example.
PerExample: TypeAlias = Float[Array, " batch"]

#: Parameters of a bijector: float leaves train, integer leaves (indices, signs) never do.
Params: TypeAlias = Tree

#: A typed JAX random key, ``jax.random.key(seed)``.
Key: TypeAlias = TypedKey[Array, ""]
