"""Odd inputs that are right all the same: no images, no compiling, other keys, other dtypes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax_glow as fg
from tests.library.cases import CASES, build

FLOW = "multiscale"
bits_per_dim = jax.jit(fg.bits_per_dim, static_argnums=0)


def pixels(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 4, 6, 4), np.uint8)


@pytest.mark.parametrize("name", ["coupling-sigmoid", "split-read-learned", FLOW])
def test_without_compiling(name):
    case = build(name, "float32")
    bijector, params, x, forward = case.bijector, case.params, case.x, case.forward
    with jax.disable_jit():
        _, log_det = bijector.forward(params, x)
        gradient = jax.grad(lambda x: bijector.forward(params, x)[1].sum())(x)
    np.testing.assert_allclose(log_det, forward(params, x)[1], rtol=1e-4, atol=1e-4)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", ["actnorm", "conv1x1-lu", "permutation", "coupling-sigmoid", FLOW])
def test_no_images(name):
    case = build(name, "float32")
    bijector, params, x = case.bijector, case.params, case.x
    z, log_det = bijector.forward(params, x[:0])
    back, _ = bijector.inverse(params, z)
    assert back.shape == (0, *x.shape[1:])
    assert log_det.shape == (0,)


def test_no_images_have_no_bits():
    case = build(FLOW, "float32")
    key = jax.random.key(0)
    assert bits_per_dim(case.bijector, case.params, key, pixels(0)).shape == (0,)
    coupling = build("coupling-sigmoid", "float32")
    gradient = jax.grad(
        lambda params: fg.log_prob(coupling.bijector, params, coupling.x[:0]).sum()
    )(coupling.params)
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("kind", ["rbg", "unsafe_rbg"])
def test_keys_of_other_kinds(kind):
    case, key = build(FLOW, "float32"), jax.random.key(0, impl=kind)
    assert np.isfinite(bits_per_dim(case.bijector, case.params, key, pixels(2))).all()
    latents = fg.sample_latents(case.bijector, case.params, key, (2, 4, 6, 4))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(latents))
    bijector, _ = CASES["conv1x1-dense"]
    assert bijector.init(key, jnp.ones((1, 2, 2, 3)))["weight"].shape == (3, 3)


@pytest.mark.parametrize("memory", ["store", "remat", "invert"])
def test_a_repeat_without_parameters(memory):
    repeat, x = fg.Repeat(fg.Reverse(), 3, memory), build("reverse", "float32").x
    params = repeat.init(jax.random.key(0), x)
    z, log_det = repeat.forward(repeat.freeze(params), x)
    np.testing.assert_array_equal(z, x[..., ::-1])
    np.testing.assert_array_equal(repeat.inverse(params, z)[0], x)
    assert (log_det == 0).all()
    gradient = jax.grad(lambda x: jnp.square(repeat.forward(params, x)[0]).sum())(x)
    np.testing.assert_allclose(gradient, 2 * x)


def test_parameters_of_float64_measure_and_draw_in_float64():
    with jax.enable_x64(True):
        case, key = build(FLOW, "float64"), jax.random.key(0)
        bits = bits_per_dim(case.bijector, case.params, key, pixels(2))
        assert bits.dtype == jnp.float64
        narrow = jax.tree.map(
            lambda leaf: leaf.astype(jnp.float32) if leaf.dtype == jnp.float64 else leaf,
            case.params,
        )
        alike = bits_per_dim(case.bijector, narrow, key, pixels(2))
        np.testing.assert_allclose(alike, bits, rtol=1e-4)
        sample = jax.jit(fg.sample, static_argnums=(0, 3))
        assert sample(case.bijector, case.params, key, (2, 4, 6, 4)).dtype == jnp.float64
        assert fg.sample_pixels(case.bijector, case.params, key, 2, (4, 6, 4)).shape[0] == 2
        encode, decode = (jax.jit(code, static_argnums=0) for code in (fg.encode, fg.decode))
        latents = encode(case.bijector, case.params, pixels(2))
        np.testing.assert_array_equal(decode(case.bijector, case.params, latents), pixels(2))


def test_pixels_are_no_images_yet():
    """0 to 255 is a plausible float, and its likelihood a plausible number."""
    case = build(FLOW, "float32")
    x = jnp.asarray(pixels(2), jnp.float32)
    message = (
        r"log_prob: expected images within \[-0.5, 0.5\), got values from \d+ to \d+; make uint8"
    )
    with pytest.raises(ValueError, match=message):
        fg.log_prob(case.bijector, case.params, x)
    assert np.isfinite(fg.log_prob(case.bijector, case.params, 9 * case.x)).all()  # far, not pixels
