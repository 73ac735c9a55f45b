"""The monitor during training: what it measures, and when it speaks."""

import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow import GlowConfig, bin_midpoints, sample_latents
from flowjax_glow.diagnostics import (
    Monitor,
    decode_observed,
    image_round_trip,
    latent_round_trip,
    stack,
)
from tests.diagnostics.models import model, pictures, with_step

SAMPLES = 8

#: One level, so that it compiles fast; a walk unrolls levels.
CONFIG = GlowConfig(levels=1, depth=2, width=8, scale="bounded")


@pytest.fixture(scope="module")
def monitor():
    """One for all tests, so that it compiles once; each brings its own history."""
    return Monitor(model(CONFIG)[0], pictures(4), samples=SAMPLES, seed=5)


@pytest.fixture(autouse=True)
def forgotten(monitor):
    monitor.resume(())
    monitor._warned.clear()


def grown(factor: float):
    """The model with its latents stretched on the way to the image."""
    _, params = model(CONFIG)

    def stretch(actnorm, conv, coupling):
        return {**actnorm, "log_scale": actnorm["log_scale"] - jnp.log(factor) / 6}, conv, coupling

    return with_step(params, 0, stretch)


def row(step, latent_error, largest=2.0):
    return {
        "step": step,
        "image_error": 1e-6,
        "latent_error": latent_error,
        "largest_activation": largest,
    }


def test_it_measures_what_the_diagnostics_do(monitor):
    flow, params = model(CONFIG)
    found = monitor.look(1, params)
    x = bin_midpoints(jnp.asarray(pictures(4)))
    noise = sample_latents(flow, params, jax.random.key(5), (SAMPLES, *x.shape[1:]))
    forward = jax.jit(flow.forward)
    codes = forward(params, x)[0]
    both = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), codes, noise)
    seen = decode_observed(flow, params, both)
    trip = image_round_trip(x, seen.x[:4])
    back = forward(params, seen.x[4:])[0]
    lowest = stack(seen.layers, "min_log_scale")
    assert found["bit_exact"] == trip.same_bins.mean() == 1
    assert found["image_error"] == pytest.approx(trip.relative.max(), rel=0.5)  # of rounding
    assert found["latent_error"] == pytest.approx(latent_round_trip(noise, back).max(), rel=0.5)
    assert found["largest_activation"] == pytest.approx(stack(seen.layers, "largest").max(), 1e-4)
    assert found["smallest_scale"] == pytest.approx(np.exp(lowest.min()), 1e-4)
    assert found["chain_gain"] == pytest.approx(-lowest.sum(0).min(), 1e-3)


def warned(monitor, *looks):
    """What was said at ``(step, params)``, in order."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for step, params in looks:
            monitor.look(step, params)
    return [str(warning.message) for warning in told]


def test_a_sound_inverse_is_passed_over_in_silence(monitor):
    assert warned(monitor, *((step, model(CONFIG)[1]) for step in range(0, 60, 10))) == []


def test_an_inverse_that_is_gone_is_told_once_for_each_measurement(monitor):
    broken = grown(1e6)
    told = warned(monitor, (10, broken), (20, broken))
    (first,) = [message for message in told if "largest_activation" in message]
    assert first.startswith("step 10: largest_activation is ")
    assert "above 10000; the inverse" in first


def test_what_is_not_a_number_is_gone(monitor):
    _, params = model(CONFIG)
    told = warned(monitor, (10, jax.tree.map(lambda leaf: leaf * jnp.nan, params)))
    assert len(told) == 3
    assert all("above" in message for message in told)


def test_a_trend_is_told_before_the_inverse_is_gone(monitor):
    factors = (1, 3, 9, 27, 81, 243)
    told = warned(monitor, *((10 * i, grown(factor)) for i, factor in enumerate(factors)))
    (message,) = [message for message in told if "largest_activation" in message]
    assert message.startswith("step 50: ")
    assert "growing; at this rate it passes 10000 by step " in message


def test_a_run_that_goes_on_keeps_its_trend(monitor):
    history = [row(step, 1e-6 * 4 ** (step / 10)) for step in range(0, 50, 10)]
    monitor.resume([*history, {"step": 40, "loss": 1.0}])
    assert len(monitor._seen) == len(history)
    told = warned(monitor, (50, grown(1.0)))  # sound again
    assert not any("latent_error" in message for message in told)


def test_a_resumed_history_makes_the_next_look_speak(monitor):
    history = [row(step, 1e-6, largest=5.0 * 3 ** (step / 10)) for step in range(0, 50, 10)]
    monitor.resume(history)
    (message,) = warned(monitor, (50, grown(243.0)))
    assert "step 50: largest_activation is" in message
    monitor.resume(history[:3])
    monitor._warned.clear()
    assert warned(monitor, (50, grown(243.0))) == []


def test_a_start_that_is_looked_at_twice_is_no_trend(monitor):
    monitor.resume([row(0, 1e-9), row(0, 1e-9), *(row(step, 1e-4) for step in (10, 20, 30))])
    assert warned(monitor, (40, model(CONFIG)[1])) == []


def test_an_inverse_that_comes_back_from_infinity_has_no_trend(monitor):
    monitor.resume([row(step, math.inf) for step in range(0, 50, 10)])
    assert warned(monitor, (50, model(CONFIG)[1])) == []


def test_slow_growth_and_a_late_limit_say_nothing(monitor):
    monitor.resume([row(step, 1e-6 * 1.01 ** (step / 10)) for step in range(0, 400, 10)])
    assert warned(monitor, (400, model(CONFIG)[1])) == []


def test_impossible_numbers_of_samples_are_refused():
    with pytest.raises(ValueError, match=r"Monitor\.samples: expected a whole number"):
        Monitor(model(CONFIG)[0], pictures(2), samples=0)
