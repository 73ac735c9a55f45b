"""Neighbors that fold into one product keep the digits that they have one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax_glow as fg
from flowjax_glow.channels import Folded

RUNS = {
    "a step of GLOW": (fg.ActNorm(), fg.InvertibleConv()),
    "LU": (fg.ActNorm(), fg.InvertibleConvLU()),
    "mixed first": (fg.InvertibleConv(), fg.ActNorm(), fg.InvertibleConv()),
    "four": (fg.ActNorm(), fg.InvertibleConv(), fg.ActNorm(), fg.InvertibleConvLU()),
}


def nearly_constant(deviation: float) -> jax.Array:
    """Images one channel of which is nearly constant, but not near zero."""
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 6, 6, 4)).astype(np.float32)
    x[..., 1] = 0.4 + deviation * x[..., 1]
    return jnp.asarray(x)


def exact(bijectors, params, x) -> np.ndarray:
    """One after the other, in float64."""
    with jax.enable_x64(True):
        z = jnp.asarray(x, jnp.float64)
        for bijector, own in zip(bijectors, jax.tree.map(widened, params), strict=True):
            z, _ = bijector.forward(own, z)
        return np.asarray(z)


def widened(leaf):
    """Floats as float64; indices and signs as they are."""
    return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


@pytest.mark.parametrize("name", ["a step of GLOW", "LU"])
@pytest.mark.parametrize("deviation", [1.0, 1e-2, 1e-4, 1e-5])
def test_a_nearly_constant_channel_keeps_its_digits(name, deviation):
    """The product of all of x with a large scale would cancel: an error of 1e-2 at 1e-5."""
    bijectors, x = RUNS[name], nearly_constant(deviation)
    chain = fg.Chain(*bijectors)
    params = jax.jit(chain.init)(jax.random.key(0), x)
    z, _ = jax.jit(chain.forward)(params, x)
    wanted = exact(bijectors, params, x)
    assert np.linalg.norm(z - wanted) / np.linalg.norm(wanted) < 1e-6
    back, _ = jax.jit(chain.inverse)(params, z)
    assert np.linalg.norm(back - x) / np.linalg.norm(x) < 1e-6


@pytest.mark.parametrize("name", RUNS)
def test_one_product_is_as_exact_as_one_by_one(name):
    bijectors, x = RUNS[name], nearly_constant(1e-3)
    folded = Folded(bijectors)
    params = jax.jit(folded.init)(jax.random.key(0), x)
    wanted = exact(bijectors, params, x)
    one_by_one, log_det = x, 0.0
    for bijector, own in zip(bijectors, params, strict=True):
        one_by_one, term = bijector.forward(own, one_by_one)
        log_det += term
    at_once, whole = folded.forward(params, x)
    error, floor = (np.abs(z - wanted).max() for z in (at_once, one_by_one))
    assert error < 4 * floor + 1e-6
    np.testing.assert_allclose(whole, log_det, rtol=1e-5)
