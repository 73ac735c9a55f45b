"""What a verdict says of rare failures: how many, and which sub-layer was seen to fail."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow import ActNorm, Bijector, Chain, GlowConfig, InvertibleConv, Repeat
from flowjax_glow.diagnostics import LatentRoundTrips, stability_report
from flowjax_glow.diagnostics.noise_trips import Noise
from flowjax_glow.numerics import LOG_SCALE_FACTOR
from tests.diagnostics.models import model, pictures, with_step


@dataclass(frozen=True)
class Cliff(Bijector):
    """Scales the second channel by e^-25 wherever the first exceeds `edge`."""

    edge: float

    def init(self, key, x):
        return ()

    def log_scale(self, params, z):
        return jnp.where(z[..., :1] > self.edge, -25.0, 0.0)

    def forward(self, params, x):
        log_s = self.log_scale(params, x)
        z = jnp.concatenate([x[..., :1], x[..., 1:] * jnp.exp(log_s)], -1)
        return z, log_s.sum((1, 2, 3))

    def inverse(self, params, z):
        log_s = self.log_scale(params, z)
        x = jnp.concatenate([z[..., :1], z[..., 1:] * jnp.exp(-log_s)], -1)
        return x, -log_s.sum((1, 2, 3))


IMAGES = pictures(64, size=2, channels=2)


def cliff(rate: float):
    """A flow that loses a share `rate` of its samples, behind an actnorm that stretches by 2.1.

    A sample has four places, each over the edge with a fourth of the probability. What is over it
    is turned, so that float32 cannot undo it.
    """
    flow = Chain(InvertibleConv(), Cliff(edge=2.1 * _quantile(rate / 4)), ActNorm())
    turn = 10.5 * jnp.array([[0.6, 0.8], [-0.8, 0.6]])  # with the actnorm it makes latents of 1
    stretch = jnp.full(2, -math.log(2.1) / LOG_SCALE_FACTOR)
    return flow, ({"weight": turn}, (), {"shift": jnp.zeros(2), "log_scale": stretch})


def _quantile(tail: float) -> float:
    return float(-jax.scipy.special.ndtri(jnp.float32(tail)))


@pytest.fixture(scope="module")
def rare():
    """The report on a flow that loses a few of a hundred samples."""
    return stability_report(*cliff(0.03), IMAGES, tier="fast", samples=1024, taus=(0.0, 0.5, 1.0))


def test_the_sub_layer_that_failed_on_lost_samples_is_blamed(rare):
    """The first ordinary samples do not fail, and there the actnorm stretches most."""
    assert rare.verdict == "broken"
    assert rare.layer == "Cliff"
    lost = int(rare.rates.lost[-1])
    assert 15 <= lost <= 50
    assert rare.statement.startswith(f"{lost} of 1024 samples lost at tau = 1 (")
    seen = 16  # half of those that the fast tier examines
    assert f"on the way of {seen} of {seen} that failed" in rare.reason
    assert "1 / s" not in rare.reason  # no coupling
    first = rare.tables["first failures"]
    assert (first.layer == "Cliff").all()
    assert (np.diff(first.error) <= 0).all()


def test_failed_samples_can_be_drawn_again(rare):
    name = str(rare.tables["first failures"].example[0])
    number = int(name.removeprefix("tau = 1, sample "))
    flow, params = cliff(0.03)
    z = Noise(flow, params, IMAGES.shape[1:]).picked([(1.0, number)])
    assert (2.1 * z[..., 0] > flow.bijectors[1].edge).any()


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [(64, "not enough samples"), (512, "trustworthy"), (4000, "trustworthy")],
)
def test_few_losses_are_a_rate_and_no_scandal(samples, verdict):
    """As 8 of 4000 of a trained model once were: trustworthy, and broken with more samples."""
    flow, params = cliff(0.001)
    found = stability_report(flow, params, IMAGES, tier="fast", samples=samples, taus=(1.0,))
    assert found.verdict == verdict, str(found)
    assert found.layer is None
    assert found.rates.samples.tolist() == [samples]
    lost = int(found.rates.lost[0])
    assert str(found).startswith(f"verdict: {verdict}: {lost} of {samples} samples lost at tau = 1")


def test_another_bound_draws_what_it_takes():
    flow, params = cliff(0.03)
    found = stability_report(flow, params, IMAGES, tier="fast", lost_below=0.1, taus=(1.0,))
    assert found.rates.samples.tolist() == [64]
    assert found.lost_below == 0.1
    assert found.verdict == "trustworthy"
    assert found.to_json()["lost_below"] == 0.1


def test_many_small_stretches_have_no_cause():
    """Forty steps of a matrix with singular values of 1.5 and 2 / 3; each alone is harmless."""
    flow = Repeat(InvertibleConv(), 40)
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    weight = turn @ np.diag([1.5, 1 / 1.5]) @ turn.T
    params = {"weight": jnp.broadcast_to(jnp.float32(weight), (40, 2, 2))}
    found = stability_report(flow, params, IMAGES, tier="fast", taus=(1.0,))
    assert found.verdict == "broken"
    assert found.layer is None
    assert found.reason.startswith("no cause found: no sub-layer was seen to fail on the way of ")
    assert "\nto blame: no cause found: " in str(found)


def scaled_inside(params, power: int):
    """An actnorm times 2^power, and the matrix behind it divided by that."""

    def scale(actnorm, conv, coupling):
        more = power * math.log(2) / LOG_SCALE_FACTOR
        actnorm = {**actnorm, "log_scale": actnorm["log_scale"].at[0].add(more)}
        return actnorm, {"weight": conv["weight"].at[0].multiply(2.0**-power)}, coupling

    return with_step(params, 0, scale)


@pytest.mark.parametrize("sound", [True, False])
def test_a_rescaling_inside_changes_no_verdict(sound):
    flow, params = model(GlowConfig(levels=1, depth=2, width=4))
    if not sound:

        def plant(actnorm, conv, coupling):
            last = coupling["last"]
            shift = last["shift"].at[1, -1].set(-18.0)  # the raw scale of one channel
            return actnorm, conv, {**coupling, "last": {**last, "shift": shift}}

        params = with_step(params, 0, plant)
    found = {
        power: stability_report(
            flow, scaled_inside(params, power), pictures(8), tier="fast", samples=512, taus=(1.0,)
        )
        for power in (0, -12, 12)
    }
    for power, report in found.items():
        assert report.verdict == ("trustworthy" if sound else "broken")
        assert report.layer == (None if sound else "level0/step1/AffineCoupling")
        assert report.rates.lost == pytest.approx(found[0].rates.lost, abs=25)  # rounding decides
        assert report.rates.relative == pytest.approx(found[0].rates.relative, rel=1e-2)
        if power:  # as one number for all sub-layers would not see
            trips = report.tables["samples"]
            assert isinstance(trips, LatentRoundTrips)
            assert power < 0 or trips.activation.max() > 1000
