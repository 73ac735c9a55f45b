"""Ways between latents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow import interpolate, latent_direction

RANDOM = np.random.default_rng(0)


@pytest.fixture
def pair(dtype):
    """Two batches of latents on two levels; the last example is 0 in the first of them."""
    first, second = (
        tuple(jnp.asarray(RANDOM.standard_normal(shape), dtype) for shape in ((3, 2, 2, 5), (3, 7)))
        for _ in range(2)
    )
    return jax.tree.map(lambda leaf: leaf.at[2].set(0), first), second


def flat(latents):
    return np.concatenate([np.asarray(leaf).reshape(3, -1) for leaf in latents], axis=1)


@pytest.mark.parametrize("spherical", [False, True])
def test_a_way_leads_from_one_end_to_the_other(pair, spherical):
    first, second = pair
    close = {"rtol": 1e-5, "atol": 1e-6}
    for share, end in ((0.0, first), (1.0, second)):
        found = interpolate(first, second, share, spherical=spherical)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **close), found, end)
        jax.tree.map(lambda a, b: np.testing.assert_equal(a.dtype, b.dtype), found, end)


def test_a_spherical_way_turns_evenly_and_keeps_lengths(pair):
    first, second = (jax.tree.map(lambda leaf: leaf[:2], side) for side in pair)
    a, b = (np.concatenate([leaf.reshape(2, -1) for leaf in side], 1) for side in (first, second))
    a, b = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (a, b))
    angle = np.arccos((a * b).sum(1))
    split = 20
    unit = lambda side: (jnp.asarray(side[:, :split]), jnp.asarray(side[:, split:]))  # noqa: E731
    found = interpolate(unit(a), unit(b), 0.3, spherical=True)
    found = np.concatenate([np.asarray(part) for part in found], axis=1)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.arccos((a * found).sum(1)), 0.3 * angle, rtol=1e-4)


def test_where_there_is_no_angle_the_way_is_straight(pair):
    first, second = pair
    bent, straight = (interpolate(first, second, 0.25, spherical=s) for s in (True, False))
    np.testing.assert_allclose(flat(bent)[2], flat(straight)[2])  # from 0
    assert not np.allclose(flat(bent)[:2], flat(straight)[:2], rtol=1e-2)
    again = interpolate(second, second, 0.25, spherical=True)
    np.testing.assert_allclose(flat(again), flat(second), rtol=1e-5)


def test_a_direction_leads_from_one_mean_to_the_other(pair):
    having, lacking = pair
    direction = latent_direction(having, lacking)
    moved = jax.tree.map(lambda z, step: z + step, lacking, direction)
    np.testing.assert_allclose(flat(moved).mean(0), flat(having).mean(0), atol=1e-6)
    nothing = jax.tree.map(lambda leaf: leaf[:0], lacking)
    with pytest.raises(ValueError, match=r"latent_direction\.lacking: expected an example"):
        latent_direction(having, nothing)
