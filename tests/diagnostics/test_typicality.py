"""Scores of strange examples, against closed forms and the definition."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax_glow as fg
from flowjax_glow.diagnostics import area_under_curve, typicality

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def usual():
    """Of 8-dimensional noise of deviation 2, whose best flow divides by 2."""
    data = 2 * RANDOM.standard_normal((400, 8)).astype(np.float32)
    flow = fg.ActNorm()
    return data, typicality(flow, flow.init(jax.random.key(0), jnp.asarray(data)), data)


def test_numbers_are_those_of_the_definition(usual):
    data, reference = usual
    center, deviation = data.mean(0), data.std(0)
    z = (data - center) / deviation
    nats = (0.5 * (z**2).sum(1) + 4 * np.log(2 * np.pi) + np.log(deviation).sum()) / 8
    logs = np.log((z**2).mean(1))
    found = reference.strangeness(data[:50])
    np.testing.assert_allclose(found.bits_per_dim, nats[:50], rtol=1e-5)
    np.testing.assert_allclose(
        found.typicality, np.abs(nats - nats.mean())[:50] / nats.std(), rtol=1e-3, atol=1e-4
    )
    in_deviations = np.abs(logs - logs.mean())[:50] / logs.std(ddof=1)
    np.testing.assert_allclose(found.latents, in_deviations, rtol=1e-3, atol=1e-3)
    # the log-det of an actnorm is the same everywhere, so nothing is left of it
    assert found.log_det.max() < 1
    np.testing.assert_allclose(found.distance, in_deviations, rtol=1e-2, atol=0.1)


def test_what_is_likelier_than_the_data_is_strange(usual):
    data, reference = usual
    flat = np.full((100, 8), data.mean(), np.float32)
    inside, outside = reference.strangeness(data), reference.strangeness(flat)
    assert area_under_curve(inside.bits_per_dim, outside.bits_per_dim) == 0
    assert area_under_curve(inside.distance, outside.distance) == 1


def test_what_has_no_likelihood_is_infinitely_strange(usual):
    data, reference = usual
    found = reference.strangeness(np.stack([data[0], np.full(8, np.nan, np.float32)]))
    assert np.isfinite(found.distance[0])
    for score in (found.typicality, found.latents, found.distance):
        assert score[1] == np.inf


def test_images_have_bits_and_a_number_for_each_level():
    flow = fg.glow(fg.GlowConfig(levels=2, depth=1, width=4))
    images = RANDOM.integers(0, 256, (40, 8, 8, 3), np.uint8)
    params = jax.jit(flow.init)(jax.random.key(0), fg.pixels.bin_midpoints(images))
    reference = typicality(flow, params, images)
    assert reference.mean.shape == (3,)
    found = reference.strangeness(images[:4])
    bits = -fg.log_prob(flow, params, fg.pixels.bin_midpoints(images[:4])) / 192 / np.log(2) + 8
    np.testing.assert_allclose(found.bits_per_dim, bits, rtol=1e-5)


def test_a_reference_wants_enough_data_with_likelihoods(usual):
    data, reference = usual
    with pytest.raises(ValueError, match="typicality: expected at least 20 examples, got 19;"):
        typicality(reference.flow, reference.params, data[:19])
    broken = replace(reference).params | {"shift": jnp.full(8, jnp.nan)}
    with pytest.raises(ValueError, match="finite, got 400 of 400 that are not; diagnose"):
        typicality(reference.flow, broken, data)


def test_the_area_is_the_chance_to_be_larger():
    inside, outside = RANDOM.integers(0, 9, 30), RANDOM.integers(2, 12, 40)
    larger = outside[:, None] > inside
    ties = outside[:, None] == inside
    expected = (larger + 0.5 * ties).mean()
    assert area_under_curve(inside * 1.0, outside * 1.0) == pytest.approx(expected)
