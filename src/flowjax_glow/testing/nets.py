"""The laws of a coupling's net."""

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.context import Context, as_rows, give
from flowjax_glow.nets import Net, apply_net, context_shape_of, init_net
from flowjax_glow.numerics import TOLERANCES
from flowjax_glow.testing.laws import equal, hold, perturbed, relative_error
from flowjax_glow.trainable import merge, trainable
from flowjax_glow.types import Event, Params


def check_net(net: Net, x: Event, channels_out: int, *, context: Context | None = None) -> None:
    """Holds a net to what `AffineCoupling` asks of it.

    Its output has the axes and the dtype of `x`, with ``channels_out`` channels, no example
    influences another, it is the same under `jax.jit`, and gradients are finite. Such a net may be
    any function besides: only the scale is inverted.

    >>> import jax
    >>> from flowjax_glow import MLP
    >>> check_net(MLP(width=8), jax.random.normal(jax.random.key(0), (3, 5)), 4)

    Args:
        x: a batch of two examples or more.
        context: of a net that reads one.

    Raises:
        LawError: naming the first law that does not hold, and by how much.
    """
    params = perturbed(init_net(net, jax.random.key(1), x, channels_out))
    if context is not None:
        params = give(params, as_rows("check_net.context", context_shape_of(net), context))
    apply = jax.jit(lambda params, x: apply_net(net, params, x, channels_out))
    y = apply(params, x)
    equal("shape of the net's output", y.shape, (*x.shape[:-1], channels_out))
    equal("dtype of the net's output", y.dtype, x.dtype)

    others = [np.asarray(apply(params, x.at[0].set(value)))[1:] for value in (0.25, -0.25)]
    same = np.array_equal(others[0], others[1])
    told = "the same" if same else "not the same"
    equal("other examples when the first one changes", told, "the same")

    off = relative_error(apply_net(net, params, x, channels_out), y)
    hold("the net without jax.jit against it", off, TOLERANCES[str(x.dtype)].relative)

    def total(values: Params, x: Event) -> jax.Array:
        return apply(merge(params, values), x).sum()

    gradients = jax.grad(total, argnums=(0, 1))(trainable(params), x)
    finite = all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(gradients))
    equal("gradients of the net", "finite" if finite else "not finite", "finite")
