"""Nets in bfloat16 inside float32 flows: what is inverted, or trained, stays float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax_glow as fg
from flowjax_glow.numerics import TOLERANCES, event_size
from flowjax_glow.testing import perturbed, relative_error
from tests.library.cases import IMAGE, images

TOLERANCE = TOLERANCES["bfloat16-net"]


def prepared(flow: fg.Bijector, shape=(3, 8, 8, 3)):
    x = images(shape, "float32")
    return perturbed(jax.jit(flow.init)(jax.random.key(1), x)), x


def half_glow(**changes) -> fg.Bijector:
    config = {"levels": 2, "depth": 3, "width": 8, "net_dtype": "bfloat16", **changes}
    return fg.glow(fg.GlowConfig(**config))


def test_one_coupling_inverts_as_well_as_with_a_float32_net():
    flow = fg.AffineCoupling(fg.CouplingNet(8, "bfloat16"), fg.Bounded())
    params, x = prepared(flow, IMAGE)
    z, log_det = jax.jit(flow.forward)(params, x)
    back, inverse_log_det = jax.jit(flow.inverse)(params, z)
    assert relative_error(back, x) < TOLERANCES["float32"].relative
    np.testing.assert_array_equal(log_det, -inverse_log_det)


@pytest.mark.parametrize("scale", ["sigmoid", "bounded", "depth-scaled"])
def test_a_flow_keeps_the_round_trip_to_its_own_tolerance(scale):
    flow = half_glow(scale=scale)
    params, x = prepared(flow)
    z, log_det = jax.jit(flow.forward)(params, x)
    back, inverse_log_det = jax.jit(flow.inverse)(params, z)
    assert relative_error(back, x) < TOLERANCE.relative
    assert jnp.abs(log_det + inverse_log_det).max() / event_size(x) < TOLERANCE.log_det


def test_everything_but_hidden_activations_is_float32():
    flow = half_glow()
    params, x = prepared(flow)
    outputs = jax.eval_shape(flow.forward, params, x)
    gradients = jax.eval_shape(jax.grad(lambda p: flow.log_det(p, x).sum()), params)
    for leaf in jax.tree.leaves((params, outputs, gradients)):
        assert leaf.dtype == jnp.float32


def test_the_net_differs_from_its_float32_self_by_bfloat16_rounding_alone():
    net, half = fg.CouplingNet(16), fg.CouplingNet(16, "bfloat16")
    x = images((2, 8, 8, 6), "float32")
    params = perturbed(net.init(jax.random.key(0), x, 6))
    wanted, got = net.apply(params, x, 6), half.apply(params, x, 6)
    assert 1e-5 < relative_error(got, wanted) < 5 * 2**-8


@pytest.mark.parametrize("memory", ["remat", "invert"])
def test_gradients_agree_between_memory_policies(memory):
    params, x = prepared(half_glow(scale="bounded"))

    def gradient(policy: str):
        flow = half_glow(scale="bounded", memory=policy)
        return jax.jit(jax.grad(lambda p: fg.log_prob(flow, p, x).mean()))(params)

    assert relative_error(gradient(memory), gradient("store")) < 4 * TOLERANCE.relative
