"""Gradients under `jax.shard_map` with replicated parameters are those without it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

import flowjax_glow as fg
from flowjax_glow.testing import perturbed
from tests.library.cases import STEP, coupling, small_glow

SPLIT = PartitionSpec("data")
FLOWS = {
    "coupling": coupling(fg.Sigmoid()),
    "split": fg.Split("read", "learned"),
    "repeat-invert": fg.Repeat(STEP, 2, "invert"),
    "glow": small_glow(split_prior="learned", top_prior="learned"),
    "context-invert": fg.with_context(fg.Repeat(STEP, 2, "invert"), (3,)),
}


@pytest.mark.parametrize("name", FLOWS)
def test_gradients_are_those_of_one_device(name):
    flow = FLOWS[name]
    x = jnp.asarray(np.random.default_rng(0).uniform(-0.5, 0.5, (4, 4, 4, 4)), jnp.float32)
    params = perturbed(jax.jit(flow.init)(jax.random.key(1), x))
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])

    context = None if flow.context_shape is None else jnp.array([0, 1, 2, 1])

    def loss(params, x, context):
        return -fg.log_prob(flow, params, x, context).sum()

    def on_each(params, x, context):
        value, gradient = jax.value_and_grad(loss)(params, x, context)  # summed: params do not vary
        return jax.lax.psum(value, "data"), gradient

    replicated = PartitionSpec()
    each = jax.shard_map(
        on_each, mesh=mesh, in_specs=(replicated, SPLIT, SPLIT), out_specs=(replicated, replicated)
    )
    value, gradient = jax.jit(jax.value_and_grad(loss))(params, x, context)
    same_value, same_gradient = jax.jit(each)(params, x, context)
    np.testing.assert_allclose(same_value, value, rtol=1e-5)
    for leaf, same in zip(jax.tree.leaves(gradient), jax.tree.leaves(same_gradient), strict=True):
        scale = np.abs(leaf).max() + 1e-6
        np.testing.assert_allclose(same / scale, leaf / scale, atol=2e-5)


def test_gradients_through_shard_map():
    flow = FLOWS["coupling"]
    x = jnp.asarray(np.random.default_rng(0).uniform(-0.5, 0.5, (4, 4, 4, 4)), jnp.float32)
    params = perturbed(jax.jit(flow.init)(jax.random.key(1), x))
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])

    def loss(params, x):
        return fg.log_prob(flow, params, x).sum()

    def total(params, x):
        return jax.lax.psum(loss(params, x), "data")

    whole = jax.shard_map(
        total, mesh=mesh, in_specs=(PartitionSpec(), SPLIT), out_specs=PartitionSpec()
    )
    wanted, found = (jax.jit(jax.grad(f, argnums=(0, 1)))(params, x) for f in (loss, whole))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), wanted, found)
