"""Products with the Jacobian of a batched map, example by example, and its largest stretch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from flowjax_glow.types import PerExample

Product = Callable[[Any], Any]

#: Power iteration takes at least so many rounds. Among d directions a random start has about
#: 1 / sqrt(d) of the one that is stretched most, so at first the value hardly grows.
FEWEST_ROUNDS = 8


class Stretch(NamedTuple):
    """What power iteration found at every example.

    Attributes:
        size: ``|J v|``, a lower bound of the largest singular value of J; not finite where J is
            not.
        direction: v, of length 1.
        settled: whether `size` is finite and changed by no more than the tolerance in the last
            round, of `FEWEST_ROUNDS` or more.
    """

    size: PerExample
    direction: Any
    settled: Bool[Array, " batch"]


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


def largest_stretch(
    push: Product, pull: Product, start: Any, *, tolerance: float | jax.Array, max_rounds: int
) -> Stretch:
    """Power iteration with ``J^T J`` from the directions `start`, all examples side by side.

    It ends once no example's ``|J v|`` changes by more than the fraction `tolerance` in a round,
    but not within the first `FEWEST_ROUNDS`, or after `max_rounds`. A round is a product with J and
    one with J^T. What it finds is a lower bound in any case: a direction that the start lacks is
    never found, and a slow climb may end early.
    """

    def moving(size: PerExample, before: PerExample) -> jax.Array:
        return jnp.abs(size - before) > tolerance * size  # False where it is NaN

    def climb(carry: tuple) -> tuple:
        _, stretched, before, _, rounds = carry
        direction = normalized(pull(normalized(stretched)))
        stretched = push(direction)
        return direction, stretched, norm(stretched), before, rounds + 1

    def goes_on(carry: tuple) -> jax.Array:
        _, _, size, before, rounds = carry
        unsettled = moving(size, before).any() | (rounds < FEWEST_ROUNDS)
        return unsettled & (rounds < max_rounds)

    direction = normalized(start)
    stretched = push(direction)
    size = norm(stretched)
    carry = (direction, stretched, size, jnp.zeros_like(size), 0)
    direction, _, size, before, rounds = jax.lax.while_loop(goes_on, climb, carry)
    settled = jnp.isfinite(size) & ~moving(size, before) & (rounds >= FEWEST_ROUNDS)
    return Stretch(size, direction, settled)


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
