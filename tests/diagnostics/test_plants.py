"""Faults hidden at random are named by layer and kind; `benchmarks.plants` has trained models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.faults import Planting, prepared
from flowjax_glow import bin_midpoints
from flowjax_glow.diagnostics import conditions, stability_report
from flowjax_glow.diagnostics.lost_state import OnTheWay, lost
from tests.diagnostics.models import CONFIG, model, pictures, with_step

SHAPE = (8, 8, 3)


@pytest.fixture(scope="module")
def ready():
    """One flow for all plants, so that it is compiled once."""
    return prepared(*model(CONFIG), SHAPE)


def report(flow, params):
    return stability_report(flow, params, pictures(), tier="fast", samples=64, taus=(1.0,))


def test_a_flow_that_is_ready_for_faults_has_none(ready):
    flow, params = ready
    x = bin_midpoints(jnp.asarray(pictures()), n_bits=8)
    plain, own = model(CONFIG)
    z, same = jax.jit(flow.forward)(params, x)
    other, log_det = jax.jit(plain.forward)(own, x)
    for one, two in zip(z, other, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    np.testing.assert_allclose(same, log_det, rtol=1e-5)


@pytest.mark.parametrize(
    ("seed", "kinds"),
    [
        (0, ["scale near zero"]),
        (1, ["matrix near singular"]),
        (2, ["prior without bound"]),
        (3, ["parameters not finite", "wrong log-det"]),
        (4, ["scale near zero", "matrix near singular"]),
    ],
)
def test_planted_faults_are_named(ready, seed, kinds):
    """The second of two must be seen although the first hides what is behind it."""
    planting = Planting(*ready, SHAPE, np.random.default_rng(seed))
    plants = [planting.plant(kind) for kind in kinds]
    found = report(planting.flow, planting.params)
    named = {(suspect.kind, suspect.layer) for suspect in found.suspects}
    assert named >= set(plants), str(found)
    assert found.verdict in ("at risk", "broken")
    assert all(plant.layer in str(found) for plant in plants)


def test_conditions_are_those_of_any_units():
    """An actnorm and a matrix in other units, channel by channel, are as good as before."""
    flow, params = model(CONFIG)

    def in_other_units(actnorm, conv, coupling):
        units = jnp.asarray(2.0 ** np.arange(-6, 6), jnp.float32)
        return actnorm, {"weight": conv["weight"] * units[:, None]}, coupling

    x = bin_midpoints(jnp.asarray(pictures()), n_bits=8)
    found, other = (
        conditions(flow, own, x) for own in (params, with_step(params, 0, in_other_units))
    )
    matrices = [name.endswith("InvertibleConv") for name in found.layer]
    assert found.condition[matrices].max() < 10
    np.testing.assert_allclose(other.condition[matrices], found.condition[matrices], rtol=1e-2)


def way(steps, off=None, foreseen=None, last="Permutation", moved=None):
    """What images are to the couplings of one level, each with a sub-layer called `last` behind."""
    names, offs, given, correlations = [], [], [], []
    for step in range(steps):
        kinds = ("ActNorm", "InvertibleConv", "AffineCoupling", last)
        names += [f"level0/step{step}/{kind}" for kind in kinds]
        offs += [np.nan, np.nan, (off or {}).get(step, 1.4), np.nan]
        given += [np.nan, np.nan, (moved or {}).get(step, 1.3), np.nan]
        correlations += [np.nan, np.nan, (foreseen or {}).get(step, 0.4), np.nan]
    return OnTheWay(*map(np.array, (names, offs, given, correlations)))


def test_nothing_is_lost_where_layers_go_on_as_before():
    assert not list(lost(way(12)))
    assert not list(lost(way(12, {5: 1.9}, {6: 0.05})))  # one alone is chance
    assert not list(lost(way(12, foreseen=dict.fromkeys(range(12), 0.02))))  # never trained


def test_a_lost_permutation_is_the_last_before_nets_know_nothing():
    (only,) = lost(way(12, foreseen=dict.fromkeys(range(5, 12), 0.02)))
    assert only.layer == "level0/step4/Permutation"
    assert only.reason.startswith("from level0/step5/AffineCoupling on nets do not foresee ")


def test_nets_may_foresee_less_where_nothing_can_be_lost():
    assert not list(lost(way(12, foreseen=dict.fromkeys(range(5, 12), 0.02), last="Reverse")))


def test_an_actnorm_has_started_anew_where_images_jump():
    (only,) = lost(way(12, {5: 2.9}))
    assert not list(lost(way(12, {5: 2.9}, moved={4: 2.8})))  # the coupling before did it
    assert only.layer == "level0/step5/ActNorm"
    assert "are off 1 by 2.071 times as much" in only.reason
