"""Permutations drawn anew: what a model becomes whose fixed permutations were never saved."""

from typing import Any

import jax

from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import Permutation
from flowjax_glow.combinators import Chain, Invert, MultiScale, Repeat
from flowjax_glow.types import Key, Params


def redraw_permutations(flow: Bijector, params: Params, key: Key) -> Params:
    """`params` with the indices of every `Permutation` drawn anew, and nothing else changed.

    This is the state that a reload has lost if the permutations were kept outside of what is saved:
    every weight is as trained, and both directions still agree with each other in exact arithmetic,
    but every layer after a permutation reads channels that it was not trained on. A flow without
    permutations comes back as it is. Combinators of this library are looked into; other bijectors
    stay as they are. Works under `jax.jit`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from flowjax_glow import Permutation, Repeat
        >>> flow = Repeat(Permutation(), depth=2)
        >>> params = flow.init(jax.random.key(0), jnp.zeros((1, 4, 4, 12)))
        >>> lost = redraw_permutations(flow, params, jax.random.key(1))
        >>> bool((lost["indices"] != params["indices"]).any())
        True
    """

    def all_of(bijectors: tuple[Bijector, ...], own: Any, key: Key) -> tuple[Params, ...]:
        keys = jax.random.split(key, max(len(bijectors), 1))
        rows = zip(bijectors, own, keys[: len(bijectors)], strict=True)
        return tuple(redraw_permutations(*row) for row in rows)

    match flow:
        case Permutation():
            indices = params["indices"]  # with an axis in front for every `Repeat` around
            drawn = jax.random.permutation(key, indices, axis=-1, independent=True)
            return {**params, "indices": drawn}
        case Repeat(step=step):
            return redraw_permutations(step, params, key)
        case Chain(bijectors=bijectors):
            return all_of(bijectors, params, key)
        case MultiScale(levels=levels, splits=splits):
            first, second = jax.random.split(key)
            return {
                "levels": all_of(levels, params["levels"], first),
                "splits": all_of(splits, params["splits"], second),
            }
        case Invert(bijector=bijector):
            return redraw_permutations(bijector, params, key)
    return params
