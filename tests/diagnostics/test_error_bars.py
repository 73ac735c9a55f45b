"""Error bars of decoded latents, against the inverse in float64."""

import dataclasses

import jax
import numpy as np
import pytest

from flowjax_glow.config import DAMPED
from flowjax_glow.density import sample_latents
from flowjax_glow.diagnostics import decode_with_error
from flowjax_glow.diagnostics.precision import inverse_in_float64
from tests.diagnostics.models import CONFIG, model

SHAPE = (8, 8, 3)

#: Of a chunk, so that one program serves all.
COUNT = 16


@pytest.mark.parametrize("changes", [{}, {**DAMPED, "split_prior": "learned"}])
def test_bars_hold_the_error_and_are_no_wider_than_told(changes):
    flow, params = model(dataclasses.replace(CONFIG, **changes))
    z = sample_latents(flow, params, jax.random.key(4), (40, *SHAPE))
    decoded = decode_with_error(flow, params, z, chunk=COUNT)
    exact = inverse_in_float64(flow, params, z).x
    true = np.sqrt(np.mean(np.square(decoded.x - exact), axis=(1, 2, 3)))
    assert np.all(true <= decoded.error)
    assert np.all(decoded.error <= 2.2 * true)  # twice the error, to first order
    assert not decoded.overflows.any()
    np.testing.assert_array_equal(decoded.out_of_range, np.mean(np.abs(decoded.x) > 0.5, (1, 2, 3)))


def test_a_factor_widens_every_bar():
    flow, params = model()
    z = sample_latents(flow, params, jax.random.key(4), (COUNT, *SHAPE))
    narrow, wide = (decode_with_error(flow, params, z, factor=factor) for factor in (1.0, 3.0))
    np.testing.assert_allclose(wide.error, 3 * narrow.error, rtol=1e-6)


def test_what_overflows_is_told_apart_from_what_float32_loses():
    flow, params = model()
    z = sample_latents(flow, params, jax.random.key(4), (COUNT, *SHAPE))
    first, *rest = z
    for size, overflows in ((1e38, False), (np.inf, True)):
        far = (first.at[1].multiply(size), *rest)
        decoded = decode_with_error(flow, params, far)
        lost = np.arange(COUNT) == 1
        np.testing.assert_array_equal(np.isinf(decoded.error), lost)
        np.testing.assert_array_equal(decoded.overflows, lost & overflows)
        assert decoded.out_of_range[1] > 0.5
