"""`tfds:NAME`: prepared data is read from disk, anything else is answered at once."""

import socket
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from flowjax_glow import data
from flowjax_glow.data import prepared
from tests.data.samples import prepare_tfds, random_images

IMAGES = random_images(20, 12, 12, 3)


@pytest.fixture
def place(tmp_path, monkeypatch):
    folder = tmp_path / "my data"
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))
    return folder


def first_pixels(images: np.ndarray) -> set:
    return {tuple(image[0, 0].tolist()) for image in images}


def assert_labelled(source, count):
    """By the numbers of the images in turn, whatever draws both."""
    wanted = {image.tobytes(): number % 3 for number, image in enumerate(IMAGES)}
    images, labels = source.labelled_examples("train", count)
    assert [wanted[image.tobytes()] for image in images] == labels.tolist()
    images, labels = source.labelled_batch("test", seed=1, step=2, size=4)
    assert [wanted[image.tobytes()] for image in images] == labels.tolist()


def test_array_records_are_read_without_tensorflow(place):
    parts, names = {"train": IMAGES, "test": IMAGES[:4]}, ("ape", "bee", "cat")
    prepare_tfds(place, "pair", parts, (12, 12, 3), classes=list(names))
    source = data.load("tfds:pair")
    assert source.shape == (12, 12, 3)
    assert source.classes == names
    assert_labelled(source, 20)
    assert first_pixels(source.examples("train", 20)) == first_pixels(IMAGES)
    assert first_pixels(source.examples("test", 4)) == first_pixels(IMAGES[:4])
    assert data.load("tfds:pair:1.0.0", size=6).examples("test", 2).shape == (2, 6, 6, 3)
    assert "tensorflow" not in sys.modules


def test_celeb_a_is_cut_as_the_literature_does(place):
    faces = random_images(4, 218, 178, 3)
    prepare_tfds(place, "celeb_a", {"train": faces, "validation": faces[:2]}, (218, 178, 3))
    source = data.load("tfds:celeb_a")
    assert source.shape == (64, 64, 3)
    middle = faces[:, 35:183, 15:163]
    means = middle.mean(axis=(1, 2))
    drawn = source.examples("train", 4).mean(axis=(1, 2))
    assert np.abs(np.sort(drawn, axis=0) - np.sort(means, axis=0)).max() < 0.5
    assert data.load("tfds:celeb_a", size=148).shape == (148, 148, 3)
    with pytest.raises(
        data.DataError, match="expected a size of 1 to 148, got 149; images are mad"
    ):
        data.load("tfds:celeb_a", size=149)


def test_without_a_test_split_the_last_tenth_is_held_out(place):
    prepare_tfds(place, "single", {"train": IMAGES}, (12, 12, 3), classes=3)
    source = data.load("tfds:single")
    assert source.classes == ("0", "1", "2")
    assert_labelled(source, 18)
    assert (source.count("train"), source.count("test")) == (18, 2)
    splits = [first_pixels(source.examples(*part)) for part in (("train", 18), ("test", 2))]
    assert splits[0].isdisjoint(splits[1])


def test_images_that_are_not_square_are_kept_or_cropped(place):
    prepare_tfds(place, "wide", {"train": IMAGES[:, :8], "test": IMAGES[:2, :8]}, (8, 12, 3))
    assert data.load("tfds:wide").examples("test", 2).shape == (2, 8, 12, 3)
    assert data.load("tfds:wide", size=8).examples("test", 2).shape == (2, 8, 8, 3)


def test_images_of_many_sizes_need_a_size(place):
    mixed = [random_images(1, 10 + number, 16, 3)[0] for number in range(6)]
    prepare_tfds(place, "mixed", {"train": mixed, "test": mixed}, (None, None, 3))
    assert data.load("tfds:mixed", size=8).examples("test", 6).shape == (6, 8, 8, 3)
    message = "tfds:mixed: expected a size in pixels, got none for images of many sizes; give one"
    with pytest.raises(data.DataError, match=message):
        data.load("tfds:mixed")
    with pytest.raises(data.DataError, match="expected a size of 1 to 1, got 0; images are made"):
        data.load("tfds:mixed", size=0)


@pytest.mark.parametrize("name", ["cifar10", "celeb_a", "no_such_data_set"])
def test_a_set_that_is_not_prepared_is_answered_at_once(place, monkeypatch, name):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    start = time.perf_counter()
    with pytest.raises(data.DataError) as caught:
        data.load(f"tfds:{name}")
    assert time.perf_counter() - start < 5
    assert str(caught.value) == (
        f"tfds:{name}: expected a prepared data set, got none in {place}; prepare it once, online: "
        "in a clone pip install '.[experiments,tensorflow]', from a file pip install "
        "'FILE.whl[experiments,tensorflow]', then "
        f"tfds build {name} --file_format=array_record --data_dir='{place}'; "
        "offline there are photos, digits, folder:PATH, npz:PATH and cifar10:PATH"
    )


@pytest.mark.parametrize("name", ["two words", "../cifar10", "cifar10:9"])
def test_a_name_that_cannot_be_is_refused(name):
    message = (
        "expected NAME, NAME/config or NAME:1.0.0, got Parsing builder .* failed.; look the name"
    )
    with pytest.raises(data.DataError, match=message):
        data.load(f"tfds:{name}")


def builder(**changes):
    """A stand-in for data prepared in a format that only TensorFlow reads."""
    feature = SimpleNamespace(shape=(12, 12, 3), np_dtype=np.uint8)
    tfrecord = SimpleNamespace(value="tfrecord")
    info = {
        "features": {"image": feature},
        "splits": {"train": 18, "test": 2},
        "file_format": tfrecord,
        "available_file_formats": lambda: [tfrecord],
    }
    rows = [{"image": image, "label": number % 3} for number, image in enumerate(IMAGES)]
    parts = {"train": rows[:18], "test": rows[18:]}
    return SimpleNamespace(
        name="records",
        info=SimpleNamespace(**info | changes),
        as_dataset=lambda split, shuffle_files: parts[split],
    )


def load(monkeypatch, size=None, **changes):
    monkeypatch.setattr(prepared, "find_builder", lambda *_: builder(**changes))
    return data.load("tfds:records", size=size)


def test_other_formats_are_read_whole_with_tensorflow(monkeypatch):
    monkeypatch.setattr(prepared.importlib.util, "find_spec", lambda _: True)
    monkeypatch.setattr("tensorflow_datasets.as_numpy", iter)
    source = load(monkeypatch, size=6)
    assert source.shape == (6, 6, 3)
    assert (source.count("train"), source.count("test")) == (18, 2)
    assert source.classes == ()
    features = {**builder().info.features, "label": SimpleNamespace(names=["ape", "bee", "cat"])}
    source = load(monkeypatch, features=features)
    assert source.classes == ("ape", "bee", "cat")
    assert_labelled(source, 18)


def test_other_formats_name_tensorflow(monkeypatch):
    monkeypatch.setattr(prepared.importlib.util, "find_spec", lambda _: None)
    message = (
        "expected array_record files, got tfrecord files, which only TensorFlow reads; install it: "
    )
    with pytest.raises(data.DataError, match=message):
        load(monkeypatch)


@pytest.mark.parametrize("shape", [(12, 12), (12, 12, 3)])
def test_sixteen_bits_and_gray_images_without_channels_are_read(monkeypatch, shape):
    deep = random_images(20, *shape).astype(np.uint16) * 257
    parts = {"train": deep[:18], "test": deep[18:]}
    monkeypatch.setattr(prepared.importlib.util, "find_spec", lambda _: True)
    monkeypatch.setattr("tensorflow_datasets.as_numpy", iter)
    feature = SimpleNamespace(shape=shape, np_dtype=np.uint16)
    monkeypatch.setattr(
        prepared,
        "find_builder",
        lambda *_: SimpleNamespace(
            **{
                **vars(builder(features={"image": feature})),
                "as_dataset": lambda split, shuffle_files: [{"image": i} for i in parts[split]],
            }
        ),
    )
    source = data.load("tfds:records")
    assert source.shape == (*shape, 1)[:3]
    assert first_pixels(source.examples("train", 18)[..., :1]) == {
        (int(image[0, 0].flat[0]) // 257,) for image in deep[:18]
    }


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((12, 12, 3), np.float32, "expected images of uint8 or uint16, got float32; write them"),
        ((12, 12, 3), np.int64, "expected images of uint8 or uint16, got int64; write them"),
        ((12,), np.uint8, r"expected images \(height, width, 1 or 3\) or .*, got \(12,\); choose"),
        ((5, 12, 12, 3), np.uint8, r"got \(5, 12, 12, 3\); choose another"),
        ((12, 12, 4), np.uint8, r"got \(12, 12, 4\); choose another"),
        ((12, 12, None), np.uint8, r"got \(12, 12, None\); choose another"),
    ],
)
def test_images_of_other_kinds_are_refused(monkeypatch, shape, dtype, message):
    with pytest.raises(data.DataError, match=message):
        load(monkeypatch, features={"image": SimpleNamespace(shape=shape, np_dtype=dtype)})


def test_a_set_without_images_or_train_is_refused(monkeypatch):
    with pytest.raises(data.DataError, match=r"expected a feature `image`, got \['text'\]; choose"):
        load(monkeypatch, features={"text": None})
    with pytest.raises(data.DataError, match=r"expected a split `train`, got \['all'\]; choose"):
        load(monkeypatch, splits={"all": 20})


def test_a_missing_package_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(
        data.DataError, match=r"expected the package tensorflow_datasets, got .*; install it"
    ):
        data.load("tfds:cifar10")


def test_the_default_folder_is_that_of_tensorflow_datasets(monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    assert prepared.data_dir().endswith("/tensorflow_datasets")
