"""Nets of NNX and Equinox inside couplings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import flowjax_glow as fg
from flowjax_glow.interop import net_from_equinox, net_from_nnx
from flowjax_glow.testing import check_bijector, check_net
from flowjax_glow.trainable import merge, trainable

X = np.random.default_rng(0).standard_normal((6, 5))


class Perceptron(nnx.Module):
    """One hidden layer."""

    def __init__(self, channels_in, channels_out, *, rngs):
        kept = {"param_dtype": jnp.float64, "rngs": rngs}
        self.hidden = nnx.Linear(channels_in, 8, **kept)
        self.out = nnx.Linear(8, channels_out, **kept)

    def __call__(self, x):
        return self.out(jnp.tanh(self.hidden(x)))


def perceptron(rngs, channels_in, channels_out):
    return Perceptron(channels_in, channels_out, rngs=rngs)


def of_equinox(key, channels_in, channels_out):
    eqx = pytest.importorskip("equinox")
    return eqx.nn.MLP(channels_in, channels_out, 8, 1, dtype=jnp.float64, key=key)


@pytest.fixture
def x():
    """In float64, which is on once a test runs."""
    return jnp.asarray(X)


@pytest.fixture(params=["nnx", "equinox"])
def net(request):
    if request.param == "nnx":
        return net_from_nnx(perceptron)
    pytest.importorskip("equinox")
    return net_from_equinox(of_equinox)


def test_a_net_keeps_the_laws_in_a_coupling(net, x):
    check_net(net, x, 4)
    check_bijector(fg.AffineCoupling(net=net), x)


def test_every_parameter_of_a_repeated_coupling_trains(net, x):
    flow = fg.Repeat(fg.Chain(fg.Reverse(), fg.AffineCoupling(net=net)), 3)
    params = flow.init(jax.random.key(0), x)

    def loss(values):
        return -fg.log_prob(flow, merge(params, values), x).mean()

    gradient = jax.jit(jax.grad(loss))(trainable(params))
    assert len(jax.tree.leaves(gradient)) == 4
    assert all(leaf.shape[0] == 3 and jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))


def test_a_module_of_nnx_gives_the_same(x):
    net, key = net_from_nnx(perceptron), jax.random.key(3)
    module = perceptron(nnx.Rngs(key), 5, 4)
    np.testing.assert_array_equal(net.apply(net.init(key, x, 4), x, 4), module(x))


def test_a_module_of_equinox_gives_the_same(x):
    pytest.importorskip("equinox")
    net, key = net_from_equinox(of_equinox), jax.random.key(3)
    module = jax.vmap(of_equinox(key, 5, 4))
    np.testing.assert_array_equal(net.apply(net.init(key, x, 4), x, 4), module(x))


def test_the_same_function_gives_the_same_net():
    """Or every flow would compile anew."""
    assert net_from_nnx(perceptron) == net_from_nnx(perceptron)


def test_state_that_is_no_parameter_is_refused(x):
    def normed(rngs, channels_in, channels_out):
        return nnx.Sequential(
            nnx.BatchNorm(channels_in, rngs=rngs), nnx.Linear(channels_in, channels_out, rngs=rngs)
        )

    with pytest.raises(ValueError, match=r"net_from_nnx: .* nnx.Param alone, got .*layers.0.mean"):
        net_from_nnx(normed).init(jax.random.key(0), x, 4)
