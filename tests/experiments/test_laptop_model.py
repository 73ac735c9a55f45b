"""The whole GLOW of the laptop preset keeps its promise: images and latents come back."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax_glow as fg
from flowjax_glow.numerics import TOLERANCES, event_size
from flowjax_glow.runs.presets import LAPTOP
from flowjax_glow.testing import perturbed, relative_error


@pytest.mark.parametrize(
    ("scale", "dtype"), [("bounded", "float32"), ("depth-scaled", "float64")], indirect=["dtype"]
)
def test_the_laptop_model_inverts(scale, dtype):
    flow = fg.glow(dataclasses.replace(LAPTOP.model, scale=scale))
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    x = fg.dequantize(jax.random.key(0), images, n_bits=5, dtype=jnp.dtype(dtype))
    # Kernels of N(0, 0.05^2) moved by 0.01, and last layers that were zero: s varies everywhere.
    params = perturbed(jax.jit(flow.init)(jax.random.key(1), x), amount=0.01)
    z, log_det = jax.jit(flow.forward)(params, x)
    back, inverse_log_det = jax.jit(flow.inverse)(params, z)
    assert relative_error(back, x) < TOLERANCES[dtype].relative
    assert jnp.abs(log_det + inverse_log_det).max() / event_size(x) < TOLERANCES[dtype].log_det
    assert log_det.std() > 1  # a constant s would give every image the same
