"""Products with the Jacobian of a batched map, example by example, and norms of their results."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

PerExample = Float[Array, " batch"]
Product = Callable[[Any], Any]


def products(function: Callable[[Any], Any], at: Any) -> tuple[Product, Product]:
    """``v -> J v`` and ``u -> J^T u`` at one point.

    A map with a backward pass of its own has no forward-mode derivative; there ``J v`` is the
    transpose of the transpose, at twice the price.
    """
    value, pull = jax.vjp(function, at)
    try:
        _, push = jax.linearize(function, at)
    except TypeError:
        zeros = jax.tree.map(jnp.zeros_like, value)
        _, back = jax.vjp(lambda u: pull(u)[0], zeros)
        return lambda v: back(v)[0], lambda u: pull(u)[0]
    return push, lambda u: pull(u)[0]


def directional(function: Callable[[Any], Any], at: Any, along: Any) -> tuple[Any, Any]:
    """The value at a point, and the derivative along a direction."""
    try:
        return jax.jvp(function, (at,), (along,))
    except TypeError:  # as in `products`
        return function(at), products(function, at)[0](along)


def sizes(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """``|x|``, infinite where x is not finite."""
    return jnp.where(jnp.isfinite(x), jnp.abs(x), jnp.inf)


def norm(tree: Any) -> PerExample:
    """L2 norm of every example over all arrays; huge entries do not overflow on being squared."""
    flat = flatten(tree)
    largest = jnp.max(jnp.abs(flat), axis=1)
    largest = jax.lax.stop_gradient(largest)  # it cancels
    unit = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1.0)
    return unit * jnp.linalg.norm(flat / unit[:, None], axis=1)


def normalized(tree: Any) -> Any:
    """Every example divided by its norm, zero if it is zero."""
    length = norm(tree)
    length = jnp.where(length > 0, length, 1.0)
    return jax.tree.map(lambda a: a / length.reshape(-1, *[1] * (a.ndim - 1)), tree)


def flatten(tree: Any) -> Float[Array, "batch dimensions"]:
    """All arrays side by side, one row per example."""
    leaves = jax.tree.leaves(tree)
    return jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in leaves], axis=1)


def noise_like(key: jax.Array, tree: Any) -> Any:
    """Standard normal numbers in the shape of `tree`."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    noise = [jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves)]
    return jax.tree.unflatten(structure, noise)
