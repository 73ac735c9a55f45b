"""The two forms of an affine coupling, against NumPy and against automatic differentiation."""

import dataclasses
from functools import partial
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax_glow as fg
from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors.coupling import Form
from flowjax_glow.nets import apply_net
from flowjax_glow.numerics import TOLERANCES
from flowjax_glow.testing import perturbed, relative_error
from tests.library.cases import coupling, images

FORMS = get_args(Form)
every_form = pytest.mark.parametrize("form", FORMS)


def prepared(form, scale, dtype="float32"):
    """A coupling away from its start, its parameters, a batch, and its shift and scale there."""
    bijector = coupling(scale, form=form)
    x = images((3, 4, 6, 4), dtype)
    params = perturbed(jax.jit(bijector.init)(jax.random.key(1), x), 0.08)
    output = np.asarray(apply_net(bijector.net, params, x[..., :2], 4), np.float64)
    return bijector, params, x, output[..., :2], output[..., 2:]


@every_form
def test_both_directions_are_those_of_the_formula(form, dtype):
    bijector, params, x, t, h = prepared(form, fg.Sigmoid(), dtype)
    s = 1 / (1 + np.exp(-(h + 2)))
    assert np.ptp(s) > 0.1  # far from constant
    moved = np.asarray(x[..., 2:], np.float64)
    z, log_det = bijector.forward(params, x)
    back, inverse_log_det = bijector.inverse(params, x)  # of x, as if it were a latent
    forward = s * moved + t if form == "scale-first" else (moved + t) * s
    inverse = (moved - t) / s if form == "scale-first" else moved / s - t
    tolerance = TOLERANCES[dtype].relative
    assert relative_error(z[..., 2:], forward) < tolerance
    assert relative_error(back[..., 2:], inverse) < tolerance
    total = np.log(s).sum((1, 2, 3))
    np.testing.assert_allclose(log_det, total, rtol=tolerance)
    np.testing.assert_allclose(inverse_log_det, -total, rtol=tolerance)
    np.testing.assert_array_equal(z[..., :2], x[..., :2])


@every_form
@pytest.mark.parametrize("scale", ["additive", "sigmoid"])
def test_pulling_back_is_automatic_differentiation(form, scale):
    """In float64; a law says it in float32."""
    with jax.enable_x64(True):
        bijector = coupling(fg.SCALES[scale], form=form)
        x = images((3, 4, 6, 4), "float64")
        params = perturbed(jax.jit(bijector.init)(jax.random.key(1), x), 0.08)
        bars = images(x.shape, "float64", seed=1), jnp.asarray([0.5, -1.0, 2.0], jnp.float64)
        found = jax.jit(bijector.pull_back)(params, x, *bars)
        expected = jax.jit(partial(Bijector.pull_back, bijector))(params, x, *bars)
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert relative_error(a, b) < 10 * TOLERANCES["float64"].relative


def test_an_error_of_the_shift_is_divided_by_s_only_where_the_scale_comes_first():
    for form in FORMS:
        bijector, params, z, _, h = prepared(form, fg.Sigmoid())
        last = params["last"]
        wrong = {**params, "last": {**last, "shift": last["shift"].at[:2].add(0.01)}}
        error = 0.01 * np.exp(3 * np.asarray(last["log_scale"][:2]))
        s = 1 / (1 + np.exp(-(h + 2)))
        expected = -error / s if form == "scale-first" else -error * np.ones_like(s)
        moved = bijector.inverse(wrong, z)[0] - bijector.inverse(params, z)[0]
        np.testing.assert_allclose(moved[..., 2:], expected, rtol=1e-3, atol=1e-5)


@every_form
def test_a_limited_shift_is_that_of_the_formula_and_pulls_back(form, dtype):
    bijector, params, x, t, h = prepared(form, fg.Exponential(), dtype)
    limited = dataclasses.replace(bijector, shift_limit=0.05)
    assert np.abs(t).max() > 0.1  # far beyond the limit
    shift, log_scale = limited.shift_and_log_scale(params, x)
    tolerance = TOLERANCES[dtype].relative
    assert relative_error(shift, 0.05 * np.tanh(t / 0.05)) < 10 * tolerance
    assert relative_error(log_scale, h) < 10 * tolerance
    z_bar, log_det_bar = images(x.shape, dtype, seed=1), jnp.asarray([0.5, -1.0, 2.0], dtype)
    found = limited.pull_back(params, x, z_bar, log_det_bar)
    expected = Bijector.pull_back(limited, params, x, z_bar, log_det_bar)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert relative_error(a, b) < 10 * tolerance


@pytest.mark.parametrize("limit", [0.0, -1.0, float("inf")])
def test_an_impossible_shift_limit_is_refused(limit):
    with pytest.raises(ValueError, match=r"^AffineCoupling.shift_limit: expected a number above 0"):
        fg.AffineCoupling(shift_limit=limit)


def test_an_unknown_form_is_refused(unchecked):
    message = "^AffineCoupling.form: expected one of shift-first, scale-first, got 'both'; choose"
    with pytest.raises(ValueError, match=message):
        fg.AffineCoupling(form="both")
