"""Nets of Flax NNX and Equinox inside couplings."""

import functools
from collections.abc import Callable
from typing import Any

import jax

from flowjax_glow.errors import expected
from flowjax_glow.interop.packages import needed
from flowjax_glow.nets import NetFunctions
from flowjax_glow.types import Event, Key, Params

#: Makes a module: ``build(key, channels_in, channels_out)``, or with `nnx.Rngs` for the key.
Build = Callable[[Any, int, int], Any]


@functools.cache
def net_from_nnx(build: Build) -> NetFunctions:
    """A net of Flax NNX: ``build(rngs, channels_in, channels_out)`` makes the module.

    The module takes a batch, `(batch, ..., channels_in)`, and gives `(batch, ..., channels_out)`.
    Its parameters are nested dicts of arrays by the names of its attributes.

    Raises:
        ValueError: on `init`, if the module has variables other than `nnx.Param`: a batch norm's
            statistics or a dropout's keys would have to change while the net must stay a function.

    >>> import jax, jax.numpy as jnp
    >>> from flax import nnx
    >>> from flowjax_glow import AffineCoupling
    >>> net = net_from_nnx(lambda rngs, n_in, n_out: nnx.Linear(n_in, n_out, rngs=rngs))
    >>> AffineCoupling(net=net).init(jax.random.key(0), jnp.ones((5, 4)))["kernel"].shape
    (2, 4)
    """
    from flax import nnx  # Flax linen does without it, and it takes a while to import

    def split(key: Key, x: Event, channels_out: int) -> tuple[Any, Any]:
        module = build(nnx.Rngs(key), x.shape[-1], channels_out)
        graph, params, others = nnx.split(module, nnx.Param, ...)
        if foreign := [".".join(map(str, path)) for path, _ in nnx.to_flat_state(others)]:
            raise expected(
                "net_from_nnx",
                "a module whose variables are nnx.Param alone",
                got=f"others at {', '.join(foreign[:3])}",
                advice="leave batch norms and dropouts out of a coupling's net",
            )
        return graph, params

    def init(key: Key, x: Event, channels_out: int) -> Params:
        return nnx.to_pure_dict(split(key, x, channels_out)[1])

    def apply(params: Params, x: Event, channels_out: int) -> Event:
        graph, state = nnx.eval_shape(lambda: split(jax.random.key(0), x, channels_out))
        nnx.replace_by_pure_dict(state, params)
        return nnx.merge(graph, state)(x)

    return NetFunctions(init, apply)


@functools.cache
def net_from_equinox(build: Build) -> NetFunctions:
    """A net of Equinox: ``build(key, channels_in, channels_out)`` makes the module.

    The module takes one example, as Equinox's own layers do, and is mapped over the batch: a vector
    `(channels_in,)` gives `(channels_out,)`. An event of several axes keeps its channels last, so
    a convolution of Equinox, which wants them first, has to be wrapped. Parameters are the arrays
    of the module, in a dict by their names.

    As in ``net_from_equinox(lambda key, n_in, n_out: eqx.nn.MLP(n_in, n_out, 64, 2, key=key))``.

    Raises:
        ImportError: if Equinox is missing, with the command that installs it.
    """
    eqx = needed("equinox")

    def module_of(key: Key, x: Event, channels_out: int) -> Any:
        return build(key, x.shape[-1], channels_out)

    def init(key: Key, x: Event, channels_out: int) -> Params:
        arrays = eqx.filter(module_of(key, x, channels_out), eqx.is_array)
        return {_name(path): leaf for path, leaf in jax.tree.leaves_with_path(arrays)}

    def apply(params: Params, x: Event, channels_out: int) -> Event:
        # with placeholders for its arrays, which come from params
        module = eqx.filter_eval_shape(module_of, jax.random.key(0), x, channels_out)
        arrays, rest = eqx.partition(module, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))
        filled = jax.tree.map_with_path(lambda path, _: params[_name(path)], arrays)
        return jax.vmap(eqx.combine(filled, rest))(x)

    return NetFunctions(init, apply)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
