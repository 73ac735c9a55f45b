"""The one place that tells parameters that train from those that never do, and names them all.

Float leaves train. All others (a permutation's indices, for one) never do, so optimizer, gradient
and moving average see a tree in which `None`, an empty subtree to JAX, stands in their place.
"""

from typing import Any

import jax
import jax.numpy as jnp

from flowjax_glow.types import Params


def trainable(params: Params) -> Params:
    """The float leaves of `params`, with `None` where another leaf was."""
    return jax.tree.map(lambda leaf: leaf if _trains(leaf) else None, params)


def merge(params: Params, values: Params) -> Params:
    """`params` with its float leaves taken from `values`: ``merge(p, trainable(p))`` is ``p``."""
    return jax.tree.map(
        lambda value, leaf: leaf if value is None else value,
        values,
        params,
        is_leaf=lambda value: value is None,
    )


def named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves by name, such as ``levels.0.1.0.log_scale``: a form without any custom nodes."""
    paths = jax.tree.leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in paths}


def _trains(leaf: object) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
