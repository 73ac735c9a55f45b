"""Options of actnorms and nets, against NumPy and `jax.lax`, in both precisions."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax_glow as fg
from flowjax_glow.nets import apply_net, edge_map, init_net
from flowjax_glow.numerics import TOLERANCES
from flowjax_glow.testing import perturbed, relative_error
from tests.library.cases import images

SHAPE = (4, 5, 6, 3)


def padded_convolution(x, kernel):
    """A convolution of `x` with an edge channel behind its own, padded by hand."""
    radius = kernel.shape[0] // 2
    around = ((0, 0), (radius, radius), (radius, radius), (0, 0))
    channel = np.ones((x.shape[0], x.shape[1] + 2 * radius, x.shape[2] + 2 * radius, 1))
    channel[:, radius:-radius, radius:-radius] = 0
    padded = jnp.concatenate([jnp.pad(x, around), jnp.asarray(channel, x.dtype)], axis=-1)
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(padded, kernel, (1, 1), "VALID", dimension_numbers=layout)


def whole_kernel(layer):
    return jnp.concatenate([layer["kernel"], layer["edge"]], axis=2)


@pytest.mark.parametrize("factor", [1.0, 3.0, 0.5])
def test_the_factor_of_an_actnorm_is_that_of_its_log_scale(factor, dtype):
    actnorm = fg.ActNorm(factor)
    x = 3 + 2 * images(SHAPE, dtype)
    start = actnorm.init(jax.random.key(0), x)
    z, _ = actnorm.forward(start, x)
    np.testing.assert_allclose(z.std((0, 1, 2)), 1, rtol=1e-5)
    params = perturbed(start, 0.1)
    z, log_det = actnorm.forward(params, x)
    scale = np.exp(factor * np.asarray(params["log_scale"], np.float64))
    expected = (np.asarray(x, np.float64) + np.asarray(params["shift"], np.float64)) * scale
    assert relative_error(z, expected) < TOLERANCES[dtype].relative
    np.testing.assert_allclose(log_det, 30 * np.log(scale).sum(), rtol=1e-5)


@pytest.mark.parametrize("size", [3, 5])
def test_an_edge_channel_is_one_in_the_padding_and_zero_inside(size, dtype):
    kernel = jnp.asarray(np.random.default_rng(0).standard_normal((size, size, 4, 2)), dtype)
    x = images(SHAPE, dtype)
    got = padded_convolution(x, kernel) - padded_convolution(x, kernel.at[:, :, 3].set(0))
    edges = edge_map(x, kernel[:, :, 3:])
    assert edges.shape == (5, 6, 2)
    np.testing.assert_allclose(jnp.broadcast_to(edges, got.shape), got, atol=1e-5)
    radius = size // 2
    assert not jnp.any(edges[radius:-radius, radius:-radius])  # to the bit
    assert jnp.all(edges[0] != 0)


@pytest.mark.parametrize("actnorm", [True, False])
def test_a_net_with_edges_is_the_net_on_padded_inputs(actnorm, dtype):
    net = fg.CouplingNet(8, edge=True, actnorm=actnorm, gain=0.5)
    x = images(SHAPE, dtype)
    params = perturbed(init_net(net, jax.random.key(0), x, 6), 0.1)
    assert params["first"]["edge"].shape == (3, 3, 1, 8)
    assert "edge" not in params["second"]  # 1x1: nothing is padded
    first, second, last = (params[name] for name in ("first", "second", "last"))

    def ended(layer, z):
        if not actnorm:
            return z + layer["bias"]
        return (z + layer["shift"]) * jnp.exp(3 * layer["log_scale"])

    h = jax.nn.relu(ended(first, padded_convolution(x, whole_kernel(first))))
    h = jax.nn.relu(ended(second, h @ second["kernel"][0, 0]))
    z = padded_convolution(h, whole_kernel(last)) + last["shift"]
    expected = 0.5 * z * jnp.exp(3 * last["log_scale"])
    assert relative_error(apply_net(net, params, x, 6), expected) < TOLERANCES[dtype].relative
    half = net.clone(dtype="bfloat16")
    assert relative_error(apply_net(half, params, x, 6), expected) < 0.05


def test_hidden_layers_with_edges_start_normalized():
    net = fg.CouplingNet(16, edge=True)
    x = images((64, 4, 4, 3), "float32")
    layer = init_net(net, jax.random.key(0), x, 6)["first"]
    z = padded_convolution(x, whole_kernel(layer)) + layer["shift"]
    z *= jnp.exp(3 * layer["log_scale"])
    np.testing.assert_allclose(z.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(z.std((0, 1, 2)), 1, rtol=1e-4)


def test_kernels_start_with_the_deviation_asked_for():
    x = images(SHAPE, "float32")
    net = fg.CouplingNet(64, deviation=0.01, edge=True)
    params = init_net(net, jax.random.key(0), x, 6)
    for layer in (params["first"], params["second"]):
        assert float(layer["kernel"].std()) == pytest.approx(0.01, rel=0.05)
    assert float(params["first"]["edge"].std()) == pytest.approx(0.01, rel=0.1)
    assert not any(leaf.any() for leaf in jax.tree.leaves(params["last"]))
    usual = init_net(fg.CouplingNet(64), jax.random.key(0), x, 6)
    narrow = init_net(fg.CouplingNet(64, deviation=0.01), jax.random.key(0), x, 6)
    np.testing.assert_allclose(  # the same draw, five times smaller
        5 * narrow["first"]["kernel"], usual["first"]["kernel"], rtol=1e-5
    )
    started = init_net(fg.CouplingNet(64, last_deviation=0.02), jax.random.key(0), x, 6)["last"]
    assert float(started["kernel"].std()) == pytest.approx(0.02, rel=0.05)


def test_the_factor_of_a_net_s_actnorms(dtype):
    x = images(SHAPE, dtype)
    usual = fg.CouplingNet(8)
    params = perturbed(init_net(usual, jax.random.key(0), x, 6), 0.1)
    tripled = {
        name: {**layer, "log_scale": 3 * layer["log_scale"]}
        for name, layer in params.items()
        if name != "last"
    }
    got = apply_net(fg.CouplingNet(8, actnorm_factor=1.0), {**params, **tripled}, x, 6)
    assert relative_error(got, apply_net(usual, params, x, 6)) < TOLERANCES[dtype].relative


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: fg.ActNorm(0.0), "ActNorm.factor: expected a number above 0, got 0.0; choose"),
        (
            lambda: fg.CouplingNet(deviation=-1.0),
            "CouplingNet.deviation: expected a number above 0, got -1.0; choose",
        ),
        (
            lambda: fg.CouplingNet(last_deviation=0.0),
            "CouplingNet.last_deviation: expected a number above 0, got 0.0; choose",
        ),
        (
            lambda: fg.CouplingNet(actnorm_factor=0.0),
            "CouplingNet.actnorm_factor: expected a number above 0, got 0.0; choose",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(build, message, unchecked):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        build()
