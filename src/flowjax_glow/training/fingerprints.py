"""Fingerprints of arrays: what a checkpoint format without checksums needs."""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped, UInt32

from flowjax_glow.effort import BRIEFEST


@partial(jax.jit, compiler_options=BRIEFEST)
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
