"""The photographs: natural crops, offline, and no pixel in both splits."""

import socket
import time

import numpy as np
import pytest

from flowjax_glow import data
from flowjax_glow.data import errors, photos

SIZES = [8, 16, 32, 64]


def index_picture(height: int, width: int) -> np.ndarray:
    """A picture of 4 x 4 blocks, each of a color of its own, so its means are its colors too."""
    rows, columns = np.mgrid[:height, :width] // photos.FACTORS[-1]
    number = rows * (width // photos.FACTORS[-1] + 1) + columns
    return np.stack([number >> 16, number >> 8, number], axis=-1).astype(np.uint8)


def block_numbers(images: np.ndarray) -> set[int]:
    red, green, blue = np.moveaxis(images.astype(np.int64), -1, 0)
    return set(np.unique(red << 16 | green << 8 | blue).tolist())


@pytest.mark.parametrize("side", SIZES)
@pytest.mark.parametrize("photo", range(len(photos.PHOTOS)), ids=lambda i: photos.PHOTOS[i].title)
def test_no_block_of_pixels_reaches_both_splits(photo, side):
    picture = index_picture(*photos.photographs()[photo].shape[:2])
    source = photos.photos_source("index", side, [picture], [photos.PHOTOS[photo].test_side])
    drawn = {split: block_numbers(source.examples(split, 500)) for split in ("train", "test")}
    assert min(map(len, drawn.values())) > 100
    assert drawn["train"].isdisjoint(drawn["test"])


@pytest.mark.parametrize("width", [300, 451, 512, 600, 640, 1000])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_gap_lies_between_the_regions_on_bounds_that_every_factor_divides(width, side):
    regions = photos.split_regions(width, side)
    first, second = sorted(regions.values(), key=lambda region: region.start)
    assert first is regions["test" if side == "left" else "train"]
    assert (first.start, second.stop) == (0, width)
    assert second.start - first.stop == photos.GAP
    assert first.stop % photos.FACTORS[-1] == second.start % photos.FACTORS[-1] == 0
    test = regions["test"]
    assert 0.22 < (test.stop - test.start) / width <= 0.25


@pytest.mark.parametrize("side", SIZES)
def test_every_photo_has_a_scale_in_both_splits(side):
    source = data.load("photos", size=side)
    for split in ("train", "test"):
        assert len(source.scales[split]) == len(photos.PHOTOS)
        for scales in source.scales[split]:
            assert all(min(picture.shape[:2]) >= side for picture in scales)


def test_a_scale_or_photo_too_small_drops_out():
    pictures = [index_picture(40, 400), index_picture(20, 400)]
    scales = photos.photos_source("two", 16, pictures, ["left", "left"]).scales["train"]
    assert [[picture.shape[0] for picture in photo] for photo in scales] == [[40, 20], [20]]
    scales = photos.photos_source("two", 32, pictures, ["left", "left"]).scales["train"]
    assert [[picture.shape[0] for picture in photo] for photo in scales] == [[40]]


def test_train_is_mirrored_half_of_the_time_and_test_never():
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None], (64, 256, 3))
    source = photos.photos_source("ramp", 8, [ramp], ["right"])
    falling = {
        split: (np.diff(source.examples(split, 400)[:, 0, :, 0].astype(int)) < 0).all(axis=1).mean()
        for split in ("train", "test")
    }
    assert falling["test"] == 0
    assert 0.4 < falling["train"] < 0.6


def test_splits_of_one_step_use_other_random_numbers():
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None], (256, 256, 3))
    source = photos.photos_source("ramp", 8, [ramp, ramp], ["right", "left"])
    train, test = (source.batch(split, seed=0, step=0, size=64) for split in ("train", "test"))
    tops = [batch.min(axis=(1, 2, 3)) for batch in (train, test)]
    assert abs(np.corrcoef(*tops)[0, 1]) < 0.5


def test_the_size_of_photos_is_16_or_given():
    assert data.load("photos").shape == (16, 16, 3)
    assert data.load("photos", size=20).shape == (20, 20, 3)


@pytest.mark.parametrize("size", [7, 65, 0])
def test_a_size_out_of_range_is_refused(size):
    message = f"photos: expected a size of 8 to 64, got {size}; larger images can be read from"
    with pytest.raises(data.DataError, match=message):
        data.load("photos", size=size)


def test_no_network_is_asked(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    photos.photographs.cache_clear()
    assert len(photos.photographs()) == 6
    assert photos.photographs() is photos.photographs()


def test_a_batch_takes_about_a_tenth_of_a_millisecond():
    source = data.load("photos", size=16)
    best = np.inf
    for step in range(50):
        start = time.perf_counter()
        source.batch("train", seed=0, step=step, size=16)
        best = min(best, time.perf_counter() - start)
    assert best < 1e-3


def test_a_missing_package_names_the_command(monkeypatch):
    monkeypatch.setattr(errors.importlib.util, "find_spec", lambda _: None)
    message = r"photos: expected the package skimage, got none installed; install it: in a "
    with pytest.raises(data.DataError, match=message):
        photos.photographs.__wrapped__()


def test_a_missing_photograph_names_the_version(monkeypatch):
    lost = photos.Photo("lost", "skimage", "data/lost.png", "left")
    monkeypatch.setattr(photos, "PHOTOS", (lost,))
    message = r"photos: expected data/lost.png inside skimage, got version \d.*; reinstall it: pip"
    with pytest.raises(data.DataError, match=message):
        photos.photographs.__wrapped__()


def test_a_missing_pillow_names_the_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    message = r"photos: expected the package PIL.Image, got .*; install it: in a clone"
    with pytest.raises(data.DataError, match=message):
        photos.photographs.__wrapped__()
