"""Corrected inverses and the ladder of precisions."""

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow import bin_midpoints, with_net_dtype
from flowjax_glow.config import glow
from flowjax_glow.diagnostics import precision_ladder, refine
from tests.diagnostics.models import CONFIG, model, pictures


def test_a_correction_squares_the_error():
    flow, params = model()
    x = bin_midpoints(jnp.asarray(pictures(4)))
    z, _ = jax.jit(flow.forward)(params, x)
    corrected = jax.jit(refine, static_argnums=0, static_argnames="steps")
    noise = jax.random.normal(jax.random.key(3), x.shape)
    errors = [
        float(jnp.abs(corrected(flow, params, z, x + size * noise, steps=steps) - x).max())
        for size, steps in ((1e-3, 0), (1e-3, 1), (1e-4, 1), (1e-3, 3))
    ]
    assert errors[0] > 1e-3
    assert errors[1] < errors[0] / 10
    assert errors[2] < errors[1] / 30  # a tenth of the error, a hundredth of what is left
    assert errors[3] < 1e-6


def test_the_ladder_orders_precisions():
    ladder = precision_ladder(*model(), (8, 8, 3), samples=4)
    worst = dict(zip(ladder.inverse, ladder.worst, strict=True))
    assert worst["float64"] == 0
    assert worst["float32"] < 1e-5 < worst["nets in bfloat16"] < 0.1
    assert worst["float32, 1 corrections"] < 1e-5
    trips = dict(zip(ladder.inverse, ladder.round_trip, strict=True))
    assert trips["float64"] < 1e-12
    assert np.isfinite(ladder.round_trip).all()


def test_nets_change_their_precision_wherever_they_are():
    config = CONFIG.__class__(levels=2, depth=3, width=8, scale="bounded", net_dtype="bfloat16")
    assert with_net_dtype(glow(CONFIG), "bfloat16") == glow(config)
    assert with_net_dtype(glow(config), None) == glow(CONFIG)
