"""Area downsampling against its definition and against Pillow."""

import numpy as np
import pytest
from PIL import Image

from flowjax_glow.data import DataError, resize
from tests.data.samples import random_images


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_a_whole_factor_gives_block_means_rounded_half_up(factor):
    images = random_images(3, 8, 12, 3)
    blocks = images.reshape(3, 8 // factor, factor, 12 // factor, factor, 3).astype(int)
    total, pixels = blocks.sum(axis=(2, 4)), factor**2
    resized = resize.area_resize(images, 8 // factor, 12 // factor)
    np.testing.assert_array_equal(resized, (2 * total + pixels) // (2 * pixels))


@pytest.mark.parametrize(("height", "width"), [(5, 7), (8, 5), (13, 10)])
def test_any_smaller_size_agrees_with_the_box_filter_of_pillow(height, width):
    images = random_images(2, 17, 13, 3)
    resized = resize.area_resize(images, height, width)
    for image, small in zip(images, resized, strict=True):
        box = Image.fromarray(image).resize((width, height), Image.Resampling.BOX)
        # Pillow weighs whole pixels by their centers, so it may differ where edges cut pixels
        assert np.abs(np.asarray(box).mean() - small.mean()) < 3


@pytest.mark.parametrize(("old", "new"), [(17, 5), (148, 64), (8, 8), (9, 3)])
def test_every_new_pixel_covers_the_same_area_and_no_old_one_is_lost(old, new):
    weights = resize.area_weights(old, new)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=0), new / old, rtol=1e-5)


@pytest.mark.parametrize("level", [0, 1, 127, 255])
def test_flat_images_stay_flat(level):
    flat = np.full((1, 23, 19, 1), level, np.uint8)
    assert (resize.area_resize(flat, 7, 11) == level).all()


def test_squares_are_cut_from_the_middle():
    images = np.zeros((1, 4, 8, 1), np.uint8)
    images[:, :, 2:6] = 200
    assert (resize.square(images, 2, "here") == 200).all()
    assert resize.square(images, None, "here") is images


def test_many_images_are_resized_in_chunks(monkeypatch):
    monkeypatch.setattr(resize, "CHUNK", 3)
    images = random_images(8, 9, 9, 1)
    np.testing.assert_array_equal(
        resize.square(images, 4, "here"), resize.area_resize(images, 4, 4)
    )


@pytest.mark.parametrize("side", [0, 9])
def test_nothing_is_enlarged(side):
    message = f"here: expected a size of 1 to 8, got {side}; images are made smaller, never larger"
    with pytest.raises(DataError, match=message):
        resize.square(random_images(1, 8, 9, 1), side, "here")
