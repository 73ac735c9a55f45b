"""A step applied layer by layer as one `jax.lax.scan`, and what its backward pass remembers."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from flowjax_glow.bijector import Bijector
from flowjax_glow.combinator import PLAIN, Apply
from flowjax_glow.context import Given, Rows
from flowjax_glow.numerics import vary_alike, zero_log_det
from flowjax_glow.trainable import merge, trainable
from flowjax_glow.types import Event, Latents, LogDet, Params, Tree

Memory = Literal["store", "remat", "invert"]


def scan_maps(
    apply: Callable[[Params, Event], tuple[Event, LogDet, Any]],
    params: Params,
    start: Event,
    *,
    depth: int,
    reverse: bool = False,
) -> tuple[Event, LogDet, Any]:
    """Applies one map per layer of stacked `params`; returns value, log-det and stacked records."""

    def body(carry: tuple[Event, LogDet], layer: Params) -> tuple[tuple[Event, LogDet], Any]:
        x, total = carry
        x, log_det, record = apply(layer, x)
        return (x, total + log_det), record

    (end, log_det), records = jax.lax.scan(
        body, (start, zero_log_det(start)), params, length=depth, reverse=reverse
    )
    return end, log_det, records


def layers_of(step: Bijector, params: Params) -> tuple[Params, Callable[[Params], Params]]:
    """Stacked parameters of steps, and what makes those of one step of a layer of them."""
    if isinstance(params, Given):
        return params.params, lambda layer: step.condition(layer, params.context)
    return params, lambda layer: layer


def scan_steps(
    step: Bijector,
    depth: int,
    apply: Apply,
    params: Params,
    start: Latents,
    *,
    reverse: bool = False,
) -> tuple[Latents, LogDet, Tree]:
    layers, own = layers_of(step, params)

    def one(layer: Params, x: Latents) -> tuple[Latents, LogDet, Any]:
        return apply(step, own(layer), x)

    return scan_maps(one, layers, start, depth=depth, reverse=reverse)


def _scan_forward(step: Bijector, depth: int, params: Params, x: Event) -> tuple[Event, LogDet]:
    return scan_steps(step, depth, PLAIN.forward, params, x)[:2]


def _keep_the_result(
    step: Bijector, depth: int, params: Params, x: Event
) -> tuple[tuple[Event, LogDet], tuple[Params, Event]]:
    z, log_det = _scan_forward(step, depth, params, x)
    return (z, log_det), (params, z)


def _walk_back(
    step: Bijector, depth: int, kept: tuple[Params, Event], bars: tuple[Event, LogDet]
) -> tuple[Params, Event]:
    (params, z), (z_bar, log_det_bar) = kept, bars
    if isinstance(params, Given):
        return _walk_back_given(step, depth, params, z, z_bar, log_det_bar)

    def body(carry: tuple[Event, Event], layer: Params) -> tuple[tuple[Event, Event], Params]:
        x, layer_bar, x_bar = step.pull_back(layer, *carry, log_det_bar)
        return (x, x_bar), layer_bar

    carry, params_bar = jax.lax.scan(body, (z, z_bar), params, length=depth, reverse=True)
    return params_bar, carry[1]


def _walk_back_given(
    step: Bijector, depth: int, params: Given, z: Event, z_bar: Event, log_det_bar: LogDet
) -> tuple[Given, Event]:
    """`_walk_back` with a context, whose gradient is the sum of what the steps say."""

    def body(
        carry: tuple[Event, Event, Rows], layer: Params
    ) -> tuple[tuple[Event, Event, Rows], Params]:
        z, z_bar, context_bar = carry

        def own(values: Params, context: Rows) -> Params:
            return trainable(step.condition(merge(layer, values), context))

        _, pull = jax.vjp(own, trainable(layer), params.context)
        given = step.condition(layer, params.context)
        x, given_bar, x_bar = step.pull_back(given, z, z_bar, log_det_bar)
        layer_bar, more = pull(given_bar)
        return (x, x_bar, context_bar + more), layer_bar

    start = (z, z_bar, vary_alike(jnp.zeros_like(params.context), z))
    (_, x_bar, context_bar), layers_bar = jax.lax.scan(
        body, start, params.params, length=depth, reverse=True
    )
    return Given(layers_bar, context_bar), x_bar


#: A scan of ``step.forward`` whose backward pass starts from nothing but its result.
forgetful_scan = jax.custom_vjp(_scan_forward, nondiff_argnums=(0, 1))
forgetful_scan.defvjp(_keep_the_result, _walk_back)
