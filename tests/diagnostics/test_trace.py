"""The inverse with its extremes, where it is not a number, and round trips of odd bijectors."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow import (
    AffineCoupling,
    Bounded,
    Chain,
    CouplingNet,
    GlowConfig,
    Squeeze,
    flatten_records,
    sample_latents,
    walk_inverse,
)
from flowjax_glow.diagnostics import (
    clip_and_observe,
    decode_observed,
    latent_round_trips,
    median_slope,
    mixed_images,
    reconstruction,
    stack,
)
from flowjax_glow.diagnostics.linear import flatten, sizes
from flowjax_glow.diagnostics.trace import inverse_with_extremes, only_observe
from tests.diagnostics.models import model, pictures


def test_a_scale_that_is_not_a_number_is_the_worst():
    """In arrays of this size a minimum passes NaN over on some machines."""
    flow = Chain(AffineCoupling(CouplingNet(4), Bounded()))
    z = jnp.zeros((4, 16, 16, 12))
    params = flow.init(jax.random.key(0), z)
    z = z.at[1].set(jnp.nan)
    _, _, seen = jax.jit(lambda p, z: inverse_with_extremes(flow, p, z))(params, z)
    assert seen.lowest[0, 1] == -jnp.inf
    assert np.isfinite(np.delete(seen.lowest[0], 1)).all()
    assert seen.largest[0, 1] == jnp.inf
    observed = stack(decode_observed(flow, params, z).layers, "min_log_scale")
    np.testing.assert_array_equal(observed, seen.lowest)


class Wrong(Chain):
    """A combinator whose own inverse is not that of its parts."""

    def inverse(self, params, z):
        x, log_det = super().inverse(params, z)
        return x + 1.0, log_det


def test_round_trips_are_those_of_the_inverse_that_users_run():
    flow = Wrong(Squeeze())
    params = flow.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    assert reconstruction(flow, params, pictures(2)).same_bins[0] == 0
    assert latent_round_trips(flow, params, (8, 8, 3), samples=2).worst.min() > 0.1


@pytest.mark.parametrize("taus", [(), (-1.0,), (float("inf"),), (0.5, float("nan"))])
def test_impossible_noise_levels_are_refused(taus):
    flow, params = model()
    with pytest.raises(ValueError, match=r"latent_round_trips\.taus: expected noise levels of 0"):
        latent_round_trips(flow, params, (8, 8, 3), taus=taus)


@pytest.mark.parametrize("latent", [-1, 2])
def test_a_latent_that_is_not_there_is_refused(latent):
    flow, params = model()
    z = sample_latents(flow, params, jax.random.key(0), (2, 8, 8, 3))
    with pytest.raises(ValueError, match=r"mixed_images\.latent: expected 0 \.\. 1, got"):
        mixed_images(flow, params, z, latent)


def test_the_median_slope_is_not_led_by_one_point():
    assert median_slope([0, 1, 2, 3, 4], [0, 2, 4, 60, 8]) == pytest.approx(2)
    assert np.isnan(median_slope([0, 1], [np.inf, np.inf]))
    assert median_slope([0, 1, 2], [np.inf, np.inf, 1]) == -np.inf


def test_what_is_not_used_of_an_observation_costs_a_gradient_nothing():
    flow, params = model(GlowConfig(levels=1, depth=4, width=8, scale="bounded"))
    z = sample_latents(flow, params, jax.random.key(0), (4, 8, 8, 3))

    def largest(bijector, own, z, x, log_det):
        return x, sizes(flatten(x)).max(1)

    def memory(visit, of):
        def objective(z):
            records = walk_inverse(flow, params, z, visit)[2]
            seen = [of(record) for _, _, record in flatten_records(flow, records)]
            return jnp.stack(seen).max(0).sum()

        compiled = jax.jit(jax.grad(objective)).lower(z).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    alone = memory(largest, lambda seen: seen)
    assert memory(only_observe, lambda seen: seen.largest) == alone
    assert memory(clip_and_observe(math.inf), lambda seen: seen.largest) > alone
