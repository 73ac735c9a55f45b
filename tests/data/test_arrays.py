"""`digits` and `npz:PATH`."""

import os

import numpy as np
import pytest

from flowjax_glow import data
from flowjax_glow.data import indexed
from flowjax_glow.data.digits import _table, digits
from tests.data.samples import random_images, write_npz


def test_digits_spread_their_16_gray_levels_over_all_of_uint8():
    assert digits().shape == (1797, 8, 8, 1)
    levels = np.arange(17) * (255 / 16)
    np.testing.assert_array_equal(np.unique(digits()), np.rint(levels))
    first = np.array([0, 0, 5, 13, 9, 1, 0, 0])  # the first row of the first digit, a zero
    np.testing.assert_array_equal(digits()[0, 0, :, 0], np.rint(first * (255 / 16)))


def test_digits_are_split_once_and_for_all():
    source = data.load("digits")
    assert (source.count("train"), source.count("test")) == (1618, 179)
    assert data.load("digits", size=4).shape == (4, 4, 1)


def test_a_missing_scikit_learn_names_the_command(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    message = r"digits: expected the package sklearn, got none installed; install it: in a "
    with pytest.raises(data.DataError, match=message):
        _table.__wrapped__()


def test_gray_arrays_get_a_channel(tmp_path):
    images = random_images(20, 6, 10)
    source = data.load(f"npz:{write_npz(tmp_path / 'gray.npz', images=images)}")
    assert source.shape == (6, 10, 1)
    assert data.load(source.name, size=3).shape == (3, 3, 1)


def test_test_images_are_the_test_split_where_the_file_has_them(tmp_path):
    images, held_out = random_images(5, 4, 4, 3), random_images(3, 4, 4, 3, seed=1)
    labels = np.array([{"any": "object"}], dtype=object)
    path = write_npz(tmp_path / "a b.npz", images=images, test_images=held_out, labels=labels)
    source = data.load(f"npz:{path}")
    assert (source.count("train"), source.count("test")) == (5, 3)
    drawn = source.examples("test", 3)
    np.testing.assert_array_equal(np.sort(drawn, axis=0), np.sort(held_out, axis=0))


SMALL = np.zeros((2, 4, 4, 3))
OUTSIDE = np.where(np.arange(96).reshape(SMALL.shape) == 50, 300, 0)
NOT_A_NUMBER = np.where(OUTSIDE > 0, np.nan, 0.5).astype(np.float32)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            SMALL,
            r"uint8 or uint16, got float64 from 0 to 0; scale to 0..255, then np.rint",
        ),
        (
            OUTSIDE,
            r"uint8 or uint16, got int64 with 300 at index \(1, 0, 0, 2\); scale",
        ),
        (
            NOT_A_NUMBER,
            r"expected dtype uint8 or uint16, got float32 with nan at index \(1, 0, 0, 2\); scale",
        ),
        (SMALL + 0.5, r"got float64 from 0.5 to 0.5; scale to 0..255"),
        (
            SMALL.astype(np.uint16) + 255,
            r"uint16 levels of 0 to 65535, got none above 255",
        ),
        (-NOT_A_NUMBER, r"got float32 with -0.5 at index \(0, 0, 0, 0\); scale"),
        (np.array(["a"]), r"expected dtype uint8 or uint16, got <U1; scale"),
        (random_images(2, 3, 8, 8), r"expected shape .*, got \(2, 3, 8, 8\); transpose channels"),
        (random_images(2, 3), r"expected shape .*, got \(2, 3\); transpose channels"),
        (random_images(0, 8, 8, 3), r"expected shape .*, got \(0, 8, 8, 3\); transpose channels"),
    ],
)
def test_a_wrong_array_says_what_is_wrong_and_where(tmp_path, images, message):
    path = write_npz(tmp_path / "wrong.npz", images=images)
    with pytest.raises(data.DataError, match=rf"npz:.*wrong.npz\[images\]: .*{message}"):
        data.load(f"npz:{path}")


def test_sixteen_bits_are_scaled(tmp_path):
    images = random_images(20, 4, 4, 3)
    path = write_npz(tmp_path / "deep.npz", images=images.astype(np.uint16) * 257)
    same = data.load(f"npz:{write_npz(tmp_path / 'same.npz', images=images)}")
    np.testing.assert_array_equal(
        data.load(f"npz:{path}").examples("train", 18), same.examples("train", 18)
    )


@pytest.mark.parametrize("kind", ["npz", "folder", "mnist", "cifar10"])
@pytest.mark.parametrize("path", ["~nobody-of-that-name/x", "x" * 5000, "a\0b"])
def test_a_path_that_cannot_be_is_an_error(kind, path):
    with pytest.raises(data.DataError, match=f"^{kind}:.*: expected "):
        data.load(f"{kind}:{path}", size=8)


def test_a_pipe_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(data.DataError, match="expected a regular file, got a folder, a pipe or a"):
        data.load(f"npz:{tmp_path / 'pipe.npz'}")


def test_a_file_without_images_names_what_it_has(tmp_path):
    path = write_npz(tmp_path / "other.npz", faces=random_images(2, 4, 4), b=np.zeros(1))
    with pytest.raises(
        data.DataError, match=r"expected an array `images`, got \['b', 'faces'\]; w"
    ):
        data.load(f"npz:{path}")


def test_test_images_of_another_shape_are_refused(tmp_path):
    arrays = {"images": random_images(2, 4, 4), "test_images": random_images(2, 5, 4)}
    path = write_npz(tmp_path / "two.npz", **arrays)
    message = r"shape of images, got \(5, 4, 1\) for \(4, 4, 1\); store both alike"
    with pytest.raises(data.DataError, match=message):
        data.load(f"npz:{path}")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        data.DataError, match=r"expected an .npz file, got no file at .*; check the"
    ):
        data.load(f"npz:{tmp_path / 'none.npz'}")


def test_broken_files_and_pickles_are_refused(tmp_path):
    whole = write_npz(tmp_path / "whole.npz", images=random_images(9, 8, 8)).read_bytes()
    (tmp_path / "torn.npz").write_bytes(whole[:-60])
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.save(tmp_path / "array.npy", random_images(2, 4, 4))
    write_npz(tmp_path / "pickle.npz", images=np.array([{1: 2}], dtype=object))
    for file in ("torn.npz", "text.npz", "empty.npz", "array.npy", "pickle.npz"):
        with pytest.raises(
            data.DataError, match=r"expected an .npz file of plain arrays, got .*; wr"
        ):
            data.load(f"npz:{tmp_path / file}")


def test_an_empty_split_says_so(tmp_path):
    source = data.load(f"npz:{write_npz(tmp_path / 'one.npz', images=random_images(1, 4, 4))}")
    assert source.examples("test", 1).shape == (1, 4, 4, 1)
    with pytest.raises(data.DataError, match="expected at least 1 images in train, got 0; ask for"):
        source.batch("train", seed=0, step=0, size=2)


@pytest.mark.parametrize("start", [0, 3, 9, 10, 25])
@pytest.mark.parametrize("count", [1, 5, 10, 33])
def test_epochs_follow_each_other_wherever_one_starts(start, count):
    endless = np.concatenate([indexed.permutation(10, 7, epoch) for epoch in range(6)])
    wanted = endless[start : start + count]
    np.testing.assert_array_equal(indexed.epoch_indices(10, 7, start, count), wanted)
