"""Permutations drawn anew: what a model becomes whose fixed permutations were never saved."""

import jax

from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import Permutation
from flowjax_glow.combinator import Combinator
from flowjax_glow.context import Given, give
from flowjax_glow.types import Key, Params, Tree


def redraw_permutations(flow: Bijector, params: Params, key: Key) -> Params:
    """`params` with the indices of every `Permutation` drawn anew, and nothing else changed.

    This is the state that a reload has lost if the permutations were kept outside of what is saved:
    every weight is as trained, and both directions still agree with each other in exact arithmetic,
    but every layer after a permutation reads channels that it was not trained on. A flow without
    permutations comes back as it is. Works under `jax.jit`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from flowjax_glow import Permutation, Repeat
        >>> flow = Repeat(Permutation(), depth=2)
        >>> params = flow.init(jax.random.key(0), jnp.zeros((1, 4, 4, 12)))
        >>> lost = redraw_permutations(flow, params, jax.random.key(1))
        >>> bool((lost["indices"] != params["indices"]).any())
        True
    """
    if isinstance(params, Given):
        return give(redraw_permutations(flow, params.params, key), params.context)
    if isinstance(flow, Permutation):
        indices = params["indices"]  # with an axis in front for every `Repeat` around
        drawn = jax.random.permutation(key, indices, axis=-1, independent=True)
        return {**params, "indices": drawn}
    if isinstance(flow, Combinator):
        return _redrawn(flow.children, params, key)
    return params


def _redrawn(children: Tree, params: Params, key: Key) -> Params:
    """Every branch of the tree of children has a key of its own."""
    if isinstance(children, Bijector):
        return redraw_permutations(children, params, key)
    branches, structure = jax.tree.flatten(children, is_leaf=lambda node: node is not children)
    keys = jax.random.split(key, len(branches))
    rows = zip(branches, structure.flatten_up_to(params), keys, strict=True)
    return structure.unflatten([_redrawn(*row) for row in rows])
