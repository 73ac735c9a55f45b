"""A linear model with an integer leaf, small enough that a whole run takes a blink."""

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.training import (
    OptimizerConfig,
    data_mesh,
    initial_state,
    make_optimizer,
    make_train_step,
    replicate,
)

STEPS = 12
BATCH = 16


def params():
    """Weights, a bias, and indices that never train."""
    return {
        "weights": jnp.linspace(-1.0, 1.0, 4),
        "bias": jnp.zeros(()),
        "order": jnp.array([2, 0, 3, 1], jnp.int32),
    }


def batch(index: int, size: int = BATCH):
    """Rows of uint8, a pure function of the step."""
    return np.random.default_rng(index).integers(0, 256, (size, 4), dtype=np.uint8)


def losses(params, key, batch):
    """The loss per example, (batch,): how far a weighted sum of the columns is from 1."""
    columns = batch.astype(jnp.float32)[:, params["order"]] / 256
    return (columns @ params["weights"] + params["bias"] - 1) ** 2


def loss(params, key, batch):
    return jnp.mean(losses(params, key, batch))


def noisy_loss(params, key, batch):
    """Draws noise, as dequantization does."""
    noise = jax.random.uniform(key, batch.shape[:1])
    return jnp.mean(losses(params, key, batch) + noise * params["bias"])


def optimizer(**changes):
    return make_optimizer(OptimizerConfig(**{"learning_rate": 0.05, **changes}), STEPS)


def start(mesh=None):
    state = initial_state(params(), optimizer(), jax.random.key(3))
    return state if mesh is None else replicate(mesh, state)


def make_step(mesh, loss=loss, learning_rate=0.05, **changes):
    chosen = optimizer(learning_rate=learning_rate)
    return make_train_step(loss, chosen, mesh, **{"ema_decay": 0.9, **changes})


def mesh_of(devices: int):
    return data_mesh(jax.devices()[:devices])


def host(tree):
    """Copies on the host, which no donation can take away."""
    return jax.tree.map(np.array, tree)


def assert_equal(left, right):
    """The same leaves, to the bit."""
    jax.tree.map(np.testing.assert_array_equal, host(left), host(right))
