"""RealNVP of this library: all seeds and rates of a method train side by side in one program."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.vectors.datasets import Vectors
from benchmarks.vectors.setting import BATCH, CHUNK, WARM_UP, Measured, Setting
from flowjax_glow import (
    Bijector,
    Bounded,
    DepthScaled,
    Exponential,
    RealNVPConfig,
    Sigmoid,
    SoftClamp,
    TanhExponential,
    log_prob,
    realnvp,
    sample_latents,
)
from flowjax_glow.diagnostics.round_trips import latent_round_trip

#: Fields of `RealNVPConfig` by method. What a library's default clamp is stands with its name.
METHODS: dict[str, dict[str, Any]] = {
    "exp(h)": {"scale": Exponential()},  # normflows
    "soft clamp 1.9": {"scale": SoftClamp(1.9)},  # FrEIA
    "tanh": {"scale": TanhExponential()},  # RealNVP
    "sigmoid(h + 2)": {"scale": Sigmoid()},  # GLOW, the control
    "bounded": {"scale": Bounded()},
    "depth-scaled": {"scale": DepthScaled(4.0)},
    "damped": {"scale": DepthScaled(4.0), "damped": True},
    "damped-sqrt": {"scale": DepthScaled(4.0), "damped": "sqrt"},
}


def flow_of(method: str, setting: Setting) -> Bijector:
    """The flow of a method: actnorm, linear layer and coupling at every step, for all alike."""
    return realnvp(
        RealNVPConfig(depth=setting.depth, width=setting.width, mixing="linear", **METHODS[method])
    )


def measure(
    method: str, setting: Setting, data: Vectors, rates: Sequence[float], seeds: Sequence[int]
) -> list[Measured]:
    """One training for each pair of a rate and a seed, in one program."""
    flow = flow_of(method, setting)
    trained = _train(flow, setting, data.train, rates, seeds)
    found = []
    for index in range(len(seeds)):
        params = jax.tree.map(lambda leaf, index=index: leaf[index], trained)
        found.append(judge(flow, params, data, setting.samples))
    return found


def _train(
    flow: Bijector,
    setting: Setting,
    rows: np.ndarray,
    rates: Sequence[float],
    seeds: Sequence[int],
) -> Any:
    x = jnp.asarray(rows)

    def schedule(rate: jax.Array, step: jax.Array) -> jax.Array:
        ramp = (step + 1) / (WARM_UP * setting.steps)
        return rate * jnp.minimum(1.0, ramp) if setting.warm_up else rate

    adam = optax.scale_by_adam()

    @partial(jax.jit)
    @jax.vmap
    def train(rate: jax.Array, seed: jax.Array) -> Any:
        start, order = jax.random.split(jax.random.key(seed))
        params = flow.init(start, x[:512])

        def loss(params: Any, batch: jax.Array) -> jax.Array:
            return -log_prob(flow, params, batch).mean()

        def step(carry: tuple, number: jax.Array) -> tuple[tuple, None]:
            params, state = carry
            picked = jax.random.randint(jax.random.fold_in(order, number), (BATCH,), 0, len(x))
            gradients = jax.grad(loss)(params, x[picked])
            updates, state = adam.update(gradients, state)
            move = -schedule(rate, number)
            params = jax.tree.map(lambda p, u: p + move * u, params, updates)
            return (params, state), None

        carry = (params, adam.init(params))
        (params, _), _ = jax.lax.scan(step, carry, jnp.arange(setting.steps))
        return params

    return train(jnp.asarray(rates, jnp.float32), jnp.asarray(seeds))


def judge(flow: Bijector, params: Any, data: Vectors, samples: int) -> Measured:
    key = jax.random.key(1000)
    lost, largest = [], []
    for number in range(samples // CHUNK):
        shape = (CHUNK, data.test.shape[1])
        z = sample_latents(flow, params, jax.random.fold_in(key, number), shape)
        x, error = _and_again(flow, params, z)
        lost.append(np.asarray(~(error <= 0.01)))
        # a maximum over NaN alone may be anything
        finite = jnp.isfinite(x).all(1)
        largest.append(np.asarray(jnp.where(finite, jnp.abs(x).max(1), jnp.inf)))
    x, back = _there_and_back(flow, params, data.test)
    off = np.linalg.norm(x - back, axis=1) / np.linalg.norm(x, axis=1)
    return Measured(
        validation=_nats(flow, params, data.validation),
        test=_nats(flow, params, data.test),
        returned=float(np.mean(off <= 0.01)),
        lost=float(np.mean(np.concatenate(lost))),
        largest=float(np.concatenate(largest).max()),
    )


def _nats(flow: Bijector, params: Any, rows: np.ndarray) -> float:
    """Negative log-likelihood, the mean over examples, in nats per dimension."""
    return float(-_log_prob(flow, params, rows).mean()) / rows.shape[1]


_log_prob = jax.jit(log_prob, static_argnums=0)


@partial(jax.jit, static_argnums=0)
def _there_and_back(flow: Bijector, params: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x, flow.inverse(params, flow.forward(params, x)[0])[0]


@partial(jax.jit, static_argnums=0)
def _and_again(flow: Bijector, params: Any, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, _ = flow.inverse(params, z)
    return x, latent_round_trip(z, flow.forward(params, x)[0])
