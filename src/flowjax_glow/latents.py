"""Ways between latents, and directions among them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowjax_glow.errors import expected
from flowjax_glow.numerics import per_example, sum_events
from flowjax_glow.types import Latents, Tree


def interpolate(
    first: Latents, second: Latents, share: float | Float[Array, ""], *, spherical: bool = False
) -> Latents:
    r"""The point at `share` of the way from `first` to `second`, example by example.

    Straight, it is ``(1 - t) a + t b``. Half way between two samples that is nearer to 0 than any
    sample: its length is 0.71 of theirs, which looks like a temperature of 0.71. Spherical, it is
    ``(sin((1 - t) w) a + sin(t w) b) / sin(w)`` with w the angle between a and b over all latents
    together, which keeps the length of samples (White 2016). Where a and b point the same way, or
    opposite ways, or one is 0, the straight way is taken.

    >>> import jax.numpy as jnp
    >>> a, b = jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0]])
    >>> interpolate(a, b, 0.5)
    Array([[0.5, 0.5]], dtype=float32)
    >>> print(interpolate(a, b, 0.5, spherical=True).round(3))
    [[0.707 0.707]]
    """
    shares = _straight(first, share)
    if spherical:
        lengths = jnp.sqrt(_product(first, first) * _product(second, second))
        cosine = _product(first, second) / jnp.where(lengths > 0, lengths, 1)
        angle = jnp.arccos(jnp.clip(cosine, -1, 1))
        sine = jnp.sin(angle)
        bent = (lengths > 0) & (sine > 1e-3)
        safe = jnp.where(bent, sine, 1)
        shares = tuple(
            jnp.where(bent, jnp.sin(part * angle) / safe, part) for part in (1 - share, share)
        )

    def blend(a: Any, b: Any) -> Array:
        a, b = jnp.asarray(a), jnp.asarray(b)
        one, other = (per_example(part.astype(a.dtype), a) for part in shares)
        return one * a + other * b

    return jax.tree.map(blend, first, second)


def latent_direction(having: Tree, lacking: Tree) -> Tree:
    """The mean of the latents that have an attribute minus the mean of those that lack it.

    Both are latents, of as many examples as there are. The arrays of the direction have a batch of
    1, so ``z + amount * direction`` moves every example of z.
    Source: Kingma & Dhariwal 2018, section 6.

    Raises:
        ValueError: if there is no example on either side.
    """
    for name, side in (("having", having), ("lacking", lacking)):
        if not len(jax.tree.leaves(side)[0]):
            raise expected(
                f"latent_direction.{name}",
                "an example or more",
                got="none",
                advice="encode some images of each kind",
            )
    return jax.tree.map(
        lambda a, b: a.mean(0, keepdims=True) - b.mean(0, keepdims=True), having, lacking
    )


def _straight(like: Latents, share: float | Float[Array, ""]) -> tuple[Array, Array]:
    leaf = jax.tree.leaves(like)[0]
    share = jnp.asarray(share, leaf.dtype)
    return jnp.full(leaf.shape[0], 1 - share), jnp.full(leaf.shape[0], share)


def _product(first: Latents, second: Latents) -> Float[Array, " batch"]:
    products = jax.tree.map(lambda a, b: sum_events(jnp.asarray(a) * b), first, second)
    return functools.reduce(jnp.add, jax.tree.leaves(products))
