"""The drift of a level: rounding where the inverse is good, and at its place where it is not."""

import jax
import jax.numpy as jnp
import pytest

import flowjax_glow as fg
from flowjax_glow.diagnostics import drift
from flowjax_glow.numerics import TOLERANCES
from flowjax_glow.testing import perturbed
from tests.library.cases import images, small_glow

compiled_drift = jax.jit(drift, static_argnums=0)


@pytest.fixture(scope="module")
def started():
    flow = small_glow(memory="invert")
    x = images((3, 8, 8, 1), "float32")
    return flow, perturbed(jax.jit(flow.init)(jax.random.key(0), x)), x


def test_a_sound_flow_drifts_by_rounding(started):
    flow, params, x = started
    errors = compiled_drift(flow, params, x)
    assert errors.shape == (2,)
    assert (errors > 0).all()
    assert (errors < TOLERANCES["float32"].relative).all()


@pytest.mark.parametrize("broken", [0, 1])
def test_the_level_that_drifts_is_told(started, broken):
    """A raw scale of -20 in one level: s = sigma(-18) is 1e-8, the inverse divides by it."""
    flow, params, x = started
    levels = list(params["levels"])
    squeeze, (actnorm, conv, net) = levels[broken]
    last = net["last"]
    half = last["shift"].shape[-1] // 2
    scaled = jnp.zeros_like(last["log_scale"])
    shift = last["shift"].at[:, half:].set(-20.0)
    levels[broken] = (
        squeeze,
        (actnorm, conv, {**net, "last": {**last, "log_scale": scaled, "shift": shift}}),
    )
    errors = compiled_drift(flow, {**params, "levels": tuple(levels)}, x)
    assert errors[broken] > 1e-3
    if broken == 1:
        assert errors[0] < TOLERANCES["float32"].relative


def test_what_is_not_finite_is_not_hidden(started):
    flow, params, x = started
    spoiled = jax.tree.map(lambda leaf: leaf * jnp.nan, params["levels"][0])
    spoiled = {**params, "levels": (spoiled, params["levels"][1])}
    assert jnp.isnan(compiled_drift(flow, spoiled, x)[0])


def test_the_gradients_of_inverted_steps_are_those_of_stored_ones(started):
    """As long as the drift is rounding: the gradient of the likelihood, over a whole GLOW."""
    flow, params, x = started
    stored = small_glow(memory="store")

    def gradient(flow):
        return jax.jit(jax.grad(lambda params: -fg.log_prob(flow, params, x).mean()))(params)

    for got, wanted in zip(
        jax.tree.leaves(gradient(flow)), jax.tree.leaves(gradient(stored)), strict=True
    ):
        assert jnp.linalg.norm(got - wanted) <= 1e-4 * jnp.linalg.norm(wanted)
