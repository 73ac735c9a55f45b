"""What a coupling asks of its net, whichever library it is of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowjax_glow.context import Rows, check_context_shape, held_by, without, zeros
from flowjax_glow.types import Event, Key, Params


@dataclass(frozen=True)
class NetFunctions:
    """A net as a pair of pure functions, for nets that are no Flax linen modules.

    Attributes:
        init: ``(key, x, channels_out) -> params``, a pytree; `x` is a real batch.
        apply: ``(params, x, channels_out) -> y`` with the axes of `x` but for ``channels_out``
            channels. What depends on one example must come from that example alone.
        context_shape: of one context, if `apply` reads one; it is called as
            ``apply(params, x, channels_out, context)`` then. None for a net that reads none.

    Raises:
        ValueError: if `context_shape` is neither None nor a tuple of whole numbers above 0.

    >>> import jax, jax.numpy as jnp
    >>> linear = NetFunctions(
    ...     init=lambda key, x, n: 0.1 * jax.random.normal(key, (x.shape[-1], n)),
    ...     apply=lambda weight, x, n: x @ weight,
    ... )
    >>> from flowjax_glow import AffineCoupling
    >>> coupling = AffineCoupling(net=linear)
    >>> coupling.init(jax.random.key(0), jnp.ones((5, 4))).shape
    (2, 4)
    """

    init: Callable[[Key, Event, int], Params]
    apply: Callable[..., Event]
    context_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_context_shape("NetFunctions.context_shape", self.context_shape)


#: A Flax linen module called as ``net(x, channels_out)``, with no collection but ``params``; or a
#: pair of functions. A module whose attribute `context_shape` is not None is called as
#: ``net(x, channels_out, context)``, with floats `(rows, *context_shape)` of as many rows as `x`
#: or one.
Net: TypeAlias = nn.Module | NetFunctions


def context_shape_of(net: Net) -> tuple[int, ...] | None:
    """The shape of one context that a net reads; None if it reads none."""
    return getattr(net, "context_shape", None)


def init_net(net: Net, key: Key, x: Event, channels_out: int) -> Params:
    """The net's parameters, started on the values of `x`, and on zeros in place of a context."""
    if isinstance(net, NetFunctions):
        return net.init(key, x, channels_out)
    shape = context_shape_of(net)
    context = () if shape is None else (zeros(shape),)
    return net.init(key, x, channels_out, *context)["params"]


def apply_net(net: Net, params: Params, x: Event, channels_out: int) -> Event:
    """The net's output at `x`, `(batch, ..., channels_out)`, and at the context in `params`.

    Raises:
        ValueError: if the net reads a context, and `params` hold none, or one with other rows.
    """
    context: tuple[Rows, ...] = ()
    if context_shape_of(net) is not None:
        context = (held_by(type(net).__name__, params, x),)
    params = without(params)
    if isinstance(net, NetFunctions):
        return net.apply(params, x, channels_out, *context)
    return cast(Event, net.apply({"params": params}, x, channels_out, *context))


@jax.custom_jvp
def relu(x: Event) -> Event:
    """``max(x, 0)``, whose derivative is read off its value: the next layer keeps that anyway."""
    return jax.lax.optimization_barrier(jnp.maximum(x, 0))  # or a GPU keeps x as well


@relu.defjvp
def _(primals: tuple[Event], tangents: tuple[Event]) -> tuple[Event, Event]:
    value = relu(*primals)
    return value, _where_positive(value, *tangents)


@jax.checkpoint  # or the mask would be kept beside the value
def _where_positive(value: Event, tangent: Event) -> Event:
    return jnp.where(value > 0, tangent, 0)
