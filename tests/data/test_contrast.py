"""Crops without their local mean: the formula pixel by pixel, and what it does to contrast."""

import numpy as np
import pytest

from flowjax_glow import data
from flowjax_glow.data.contrast import MIDDLE, SPREAD, TYPICAL, centered, local_contrast
from tests.data.samples import random_images

NAMES = {"photos-contrast": True, "photos-centered": False}


def one_pixel(image: np.ndarray, row: int, column: int, equalized: bool) -> np.ndarray:
    """The formula at one pixel, by numpy's own mean and variance."""
    padded = np.pad(image.astype(float), ((3, 3), (3, 3), (0, 0)), mode="reflect")
    window = padded[row : row + 7, column : column + 7].reshape(49, -1)
    sigma = max(np.sqrt(window.var(0).mean()), 1.0) if equalized else TYPICAL
    value = MIDDLE + SPREAD * (image[row, column] - window.mean(0)) / sigma
    return np.clip(np.rint(value), 0, 255)


@pytest.mark.parametrize("equalized", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_is_that_of_the_formula(equalized, channels):
    images = random_images(2, 9, 8, channels)
    images[1] = images[1] // 64 + 100  # low contrast
    found = centered(images, equalized)
    for image, result in zip(images, found, strict=True):
        for row, column in ((0, 0), (4, 4), (8, 7), (2, 7)):
            wanted = one_pixel(image, row, column, equalized)
            np.testing.assert_array_equal(result[row, column], wanted)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_crops_are_those_of_photos(name, split):
    plain, source = (data.load(each, size=10) for each in ("photos", name))
    request = {"seed": 1, "step": 5, "size": 4}
    wanted = centered(plain.batch(split, **request), NAMES[name])
    np.testing.assert_array_equal(source.batch(split, **request), wanted)
    wanted = centered(plain.examples(split, 3), NAMES[name])
    np.testing.assert_array_equal(source.examples(split, 3), wanted)


def test_contrast_is_about_the_same_everywhere_only_where_it_is_equalized():
    spread = {}
    for name in ("photos", *NAMES):
        _, sigma = local_contrast(data.load(name, size=16).examples("test", 300))
        low, high = np.quantile(sigma, [0.05, 0.95])
        spread[name] = high / low
    assert spread["photos-contrast"] < 4
    assert min(spread["photos"], spread["photos-centered"]) > 20


def test_a_flat_image_becomes_mid_gray():
    flat = np.full((1, 8, 8, 3), 200, np.uint8)
    for equalized in (True, False):
        assert (centered(flat, equalized) == 128).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_size_out_of_range_is_refused_under_its_own_name(name):
    with pytest.raises(data.DataError, match=f"{name}: expected a size of 8 to 64, got 7"):
        data.load(name, size=7)
