"""Flows on vectors are judged as flows on images are, without bins and colors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax_glow as fg
from flowjax_glow.diagnostics import (
    bi_lipschitz,
    decode_with_error,
    image_round_trip,
    stability_report,
)
from flowjax_glow.diagnostics.precision import relative_gap
from flowjax_glow.testing import perturbed

BROKEN = "step1/AffineCoupling"


@pytest.fixture(scope="module")
def vectors():
    """A flow, parameters off their start, and events from its own samples: a perfect model."""
    flow = fg.realnvp(fg.RealNVPConfig(depth=2, width=8, scale="sigmoid", mixing="linear"))
    start = jax.random.normal(jax.random.key(0), (256, 5)) * jnp.arange(1.0, 6.0)
    params = perturbed(jax.jit(flow.init)(jax.random.key(1), start))
    draw = jax.jit(lambda params, key: fg.sample(flow, params, key, (256, 5)))
    return flow, params, np.asarray(draw(params, jax.random.key(2)))


@pytest.fixture(scope="module")
def sound(vectors):
    return stability_report(*vectors, tier="fast")


def test_a_sound_flow_on_vectors_is_trustworthy(sound):
    assert sound.verdict == "trustworthy", str(sound)
    assert not [m.name for m in sound.measurements if "bins" in m.name]
    assert "of the examples" in str(sound)
    assert "colors" not in str(sound)
    assert np.isnan(sound.tables["images"].bins[0])


def test_range_is_that_of_the_examples(sound, vectors):
    """Samples come from the same distribution, and spread over ten where images span one."""
    assert np.abs(vectors[2]).max() > 5
    assert sound.rates.out_of_range.max() == 0


def test_the_layer_that_breaks_is_named(vectors):
    flow, params, x = vectors
    steep = jax.tree.map(lambda leaf: leaf, params)
    shift = steep[2]["ZeroDense_0"]["shift"]
    steep[2]["ZeroDense_0"]["shift"] = shift.at[1, -1].set(-30.0)  # s = sigmoid(-28)
    report = stability_report(flow, steep, x, tier="fast")
    assert report.verdict == "broken"
    assert report.layer == BROKEN


def test_samples_of_vectors_have_error_bars(vectors):
    flow, params, _ = vectors
    told = decode_with_error(flow, params, jax.random.normal(jax.random.key(3), (7, 5)))
    assert told.x.shape == (7, 5)
    assert np.isfinite(told.error).all()


def test_an_event_of_zeros_breaks_nothing():
    """A silent frame, or an empty row of counts, has no norm to divide by."""
    x = jnp.zeros((3, 5)).at[0].set(1.0)
    assert (image_round_trip(x, x, n_bits=None).relative == 0).all()
    off = image_round_trip(x, x + 1e-6, n_bits=None).relative
    assert (off < 1e-4).all()
    assert (image_round_trip(x[1:], x[1:], n_bits=None).relative == 0).all()
    exact = np.zeros((2, 5))
    assert (relative_gap(exact, exact) == 0).all()
    assert (relative_gap(exact + 1e-6, exact) == np.inf).all()


def test_an_event_beside_its_copy_bounds_no_constant(vectors):
    flow, params, x = vectors
    found = bi_lipschitz(flow, params, jnp.asarray(x[[0, 1, 1]]))
    assert np.isfinite([*found.forward, *found.inverse]).all()
    assert found.forward[0] * found.inverse[0] == pytest.approx(1, abs=1e-5)
