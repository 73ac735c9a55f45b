"""Samples in bulk are those of `sample`, whatever their number, from one compiled program."""

import jax
import numpy as np
import pytest

import flowjax_glow as fg
from flowjax_glow import density
from flowjax_glow.testing import perturbed
from tests.library.cases import images, small_glow

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def started():
    flow = small_glow(scale="bounded")
    params = perturbed(jax.jit(flow.init)(jax.random.key(0), images((4, *SHAPE), "float32")))
    return flow, params


def test_every_chunk_is_a_sample(started):
    flow, params = started
    key = jax.random.key(1)
    got = fg.sample_pixels(flow, params, key, 7, SHAPE, temperature=0.7, n_bits=5, chunk=4)
    assert got.shape == (7, *SHAPE)
    assert got.dtype == np.uint8

    @jax.jit
    def chunk(index):
        x = fg.sample(flow, params, jax.random.fold_in(key, index), (4, *SHAPE), temperature=0.7)
        return fg.to_pixels(x, n_bits=5)

    wanted = np.concatenate([chunk(0), chunk(1)])[:7]
    # a value on the edge of its bin may fall on either side: frozen parameters round differently
    assert (got != wanted).mean() < 0.01


def test_any_number_from_one_program_and_more_begin_with_the_same(started):
    flow, params = started
    key, told = jax.random.key(2), []
    few = fg.sample_pixels(flow, params, key, 3, SHAPE, chunk=4)
    programs = density._chunk._cache_size()
    many = fg.sample_pixels(
        flow, params, key, 9, SHAPE, temperature=1.0, chunk=4, on_chunk=told.append
    )
    fg.sample_pixels(flow, params, key, 2, SHAPE, temperature=0.5, chunk=4)
    assert density._chunk._cache_size() == programs
    np.testing.assert_array_equal(many[:3], few)
    assert told == [4, 8, 9]


@pytest.mark.parametrize("change", [{"count": 0}, {"chunk": 0}])
def test_numbers_must_be_positive(started, change):
    flow, params = started
    options = {"count": 4, "chunk": 4, **change}
    count = options.pop("count")
    with pytest.raises(ValueError, match=r"^sample_pixels\.\w+: expected a whole number above 0"):
        fg.sample_pixels(flow, params, jax.random.key(0), count, SHAPE, **options)


def test_what_is_not_finite_is_counted(started):
    flow, params = started
    spoiled = jax.tree.map(lambda leaf: leaf * np.nan, params)
    with pytest.warns(UserWarning, match="sample_pixels: 6 of 6 samples hold values that are not"):
        got = fg.sample_pixels(flow, spoiled, jax.random.key(0), 6, SHAPE, chunk=4)
    assert not got.any()
    images, finite = density.sample_pixels_and_finite(
        flow, spoiled, jax.random.key(0), 6, SHAPE, chunk=4
    )
    assert (images.shape, finite.shape, finite.any()) == ((6, *SHAPE), (6, 8, 8), False)
    images, finite = density.sample_pixels_and_finite(
        flow, params, jax.random.key(0), 6, SHAPE, chunk=4
    )
    assert images.any()
    assert finite.all()
