"""FlowJAX's coupling flow with its defaults, trained as the others and judged as ours."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from flowjax.distributions import StandardNormal, Transformed
from flowjax.flows import coupling_flow

from benchmarks.vectors.datasets import Vectors
from benchmarks.vectors.ours import judge
from benchmarks.vectors.setting import BATCH, WARM_UP, Measured, Setting
from flowjax_glow.interop import from_flowjax

#: By the name in the table.
METHODS = ("FlowJAX, coupling_flow",)


def measure(
    method: str, setting: Setting, data: Vectors, rates: Sequence[float], seeds: Sequence[int]
) -> list[Measured]:
    """One training after the other; `from_flowjax` makes a flow of ours of what was trained."""
    assert method in METHODS
    rows = jnp.asarray(data.train)
    found = []
    for rate, seed in zip(rates, seeds, strict=True):
        trained = _trained(setting, rows, jnp.float32(rate), jax.random.key(seed))
        found.append(judge(*from_flowjax(trained), data, setting.samples))
    return found


def _trained(setting: Setting, rows: jax.Array, rate: jax.Array, key: jax.Array) -> Transformed:
    start, order = jax.random.split(key)
    flow = coupling_flow(
        start,
        base_dist=StandardNormal((rows.shape[1],)),
        flow_layers=setting.depth,
        nn_width=setting.width,
        nn_depth=2,  # hidden layers, as the others have
    )
    arrays, fixed = eqx.partition(flow, eqx.is_inexact_array)
    return eqx.combine(_steps(arrays, fixed, setting, rows, rate, order), fixed)


@eqx.filter_jit
def _steps(
    arrays: Any, fixed: Any, setting: Setting, rows: jax.Array, rate: jax.Array, key: jax.Array
) -> Any:
    adam = optax.scale_by_adam()

    def loss(arrays: Any, batch: jax.Array) -> jax.Array:
        return -eqx.combine(arrays, fixed).log_prob(batch).mean()

    def step(carry: tuple, number: jax.Array) -> tuple[tuple, None]:
        arrays, state = carry
        picked = jax.random.randint(jax.random.fold_in(key, number), (BATCH,), 0, len(rows))
        updates, state = adam.update(eqx.filter_grad(loss)(arrays, rows[picked]), state)
        ramp = jnp.minimum(1.0, (number + 1) / (WARM_UP * setting.steps))
        move = -rate * (ramp if setting.warm_up else 1.0)
        return (eqx.apply_updates(arrays, jax.tree.map(lambda u: move * u, updates)), state), None

    (arrays, _), _ = jax.lax.scan(step, (arrays, adam.init(arrays)), jnp.arange(setting.steps))
    return arrays
