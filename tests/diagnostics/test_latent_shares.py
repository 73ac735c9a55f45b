"""What each latent does: shares of variance against closed forms, exchanged latents by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow import Chain, Invert, MultiScale, Split, Squeeze, sample_latents
from flowjax_glow.diagnostics import latent_shares, mixed_images
from tests.diagnostics.models import model

IMAGE = (8, 8, 3)


def identity() -> MultiScale:
    """Latents are the image's own numbers, rearranged: they add up, and each is worth as much."""
    level = Chain(Squeeze())
    return MultiScale((level, level), (Split(),))


def test_latents_that_add_up_explain_their_numbers():
    flow = identity()
    params = flow.init(jax.random.key(0), jnp.zeros((1, *IMAGE)))
    found = latent_shares(flow, params, IMAGE, samples=1000, chunk=300, temperature=0.5)
    assert found.size.tolist() == [96, 96]
    np.testing.assert_allclose(found.alone, 0.5, atol=0.02)
    np.testing.assert_allclose(found.in_all, 0.5, atol=0.02)
    assert found.not_finite.tolist() == [0, 0]


def test_of_a_glow_what_latents_do_alone_is_part_of_what_they_do_in_all():
    flow, params = model()
    found = latent_shares(flow, params, IMAGE, samples=400)
    assert (found.alone <= found.in_all + 0.03).all()
    assert found.alone.sum() <= 1.03
    assert found.in_all.sum() >= 0.97
    assert "alone" in str(found)


def test_draws_that_are_not_finite_are_counted_and_left_out():
    flow = Chain(Invert(Squeeze()), Squeeze())
    params = flow.init(jax.random.key(0), jnp.zeros((1, 4, 4, 4)))
    found = latent_shares(flow, params, (4, 4, 4), samples=8, temperature=1e30)
    assert found.not_finite.tolist() == [1]
    assert np.isnan(found.alone).all()


@pytest.mark.parametrize("latent", [0, 1])
def test_mixed_images_have_one_latent_of_another(latent):
    flow, params = model()
    z = sample_latents(flow, params, jax.random.key(3), (3, *IMAGE))
    mixed = mixed_images(flow, params, z, latent)
    assert mixed.shape == (3, 3, *IMAGE)
    inverse = jax.jit(flow.inverse)
    plain, _ = inverse(params, z)
    np.testing.assert_allclose(mixed[np.arange(3), np.arange(3)], plain, atol=1e-5)
    exchanged = list(z)
    exchanged[latent] = z[latent][jnp.array([2, 0, 1])]
    wanted, _ = inverse(params, tuple(exchanged))
    np.testing.assert_allclose(mixed[np.arange(3), [2, 0, 1]], wanted, atol=1e-5)
