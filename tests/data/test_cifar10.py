"""`cifar10:PATH`: both versions, packed and unpacked, and files that are not what they seem."""

import os
import pickle
import tarfile

import numpy as np
import pytest

from flowjax_glow import data
from flowjax_glow.data.plain_pickle import load_plain
from tests.data import samples

IMAGES = samples.random_images(12, 32, 32, 3)
FOLDERS = {"binary": "cifar-10-batches-bin", "python": "cifar-10-batches-py"}


def sorted_rows(images: np.ndarray) -> np.ndarray:
    return np.sort(images.reshape(len(images), -1), axis=0)


@pytest.fixture(params=["binary", "python"])
def version(request):
    return request.param


@pytest.mark.parametrize("form", ["folder", "around", "archive"])
def test_both_versions_are_read_in_every_form(tmp_path, version, form):
    folder = samples.write_cifar10(tmp_path / FOLDERS[version], version, IMAGES)
    archive = samples.pack_archive(folder, tmp_path / "cifar.tar.gz")
    path = {"folder": folder, "around": tmp_path, "archive": archive}[form]
    source = data.load(f"cifar10:{path}")
    assert source.shape == (32, 32, 3)
    assert (source.count("train"), source.count("test")) == (10, 2)
    for split, wanted in (("train", IMAGES[:10]), ("test", IMAGES[10:])):
        drawn = source.examples(split, len(wanted))
        np.testing.assert_array_equal(sorted_rows(drawn), sorted_rows(wanted))


def test_images_can_be_shrunk_but_not_enlarged(tmp_path):
    name = f"cifar10:{samples.write_cifar10(tmp_path, 'binary', IMAGES)}"
    assert data.load(name, size=16).examples("test", 1).shape == (1, 16, 16, 3)
    with pytest.raises(data.DataError, match="expected a size of 1 to 32, got 64; images are made"):
        data.load(name, size=64)


def test_missing_files_are_listed(tmp_path):
    samples.write_cifar10(tmp_path, "binary", IMAGES)
    (tmp_path / "data_batch_2.bin").unlink()
    (tmp_path / "test_batch.bin").unlink()
    message = "test_batch, got no data_batch_2.bin, test_batch.bin; download the python or binary"
    with pytest.raises(data.DataError, match=message):
        data.load(f"cifar10:{tmp_path}")


def test_a_missing_path_says_where_to_download(tmp_path):
    message = "expected the CIFAR-10 folder or archive, got nothing at .*; download it from https:"
    with pytest.raises(data.DataError, match=message):
        data.load(f"cifar10:{tmp_path / 'none'}")


def test_a_torn_or_wrong_archive_is_refused(tmp_path):
    folder = samples.write_cifar10(tmp_path / "c", "binary", IMAGES)
    archive = samples.pack_archive(folder, tmp_path / "cifar.tar.gz")
    for contents in (archive.read_bytes()[:5000], b"no archive"):
        archive.write_bytes(contents)
        with pytest.raises(
            data.DataError, match=r"expected a complete .tar.gz archive, got .*; down"
        ):
            data.load(f"cifar10:{archive}")


def test_an_archive_writes_no_file_and_follows_no_path(tmp_path):
    folder = samples.write_cifar10(tmp_path / "c", "binary", IMAGES)
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as packed:
        for file in folder.iterdir():
            packed.add(file, arcname=f"../../{file.name}")
    before = sorted(tmp_path.rglob("*"))
    data.load(f"cifar10:{tmp_path / 'evil.tar.gz'}")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "expected records of 3073 bytes, got 0 bytes; download the archive again"),
        (bytes(3072), "expected records of 3073 bytes, got 3072 bytes; download the archive again"),
        (bytes(3073) + b"\x0a" + bytes(3072), "expected labels 0 to 9, got 10 in record 1; downl"),
    ],
)
def test_wrong_binary_files_say_what_is_wrong(tmp_path, contents, message):
    samples.write_cifar10(tmp_path, "binary", IMAGES)
    (tmp_path / "data_batch_3.bin").write_bytes(contents)
    with pytest.raises(data.DataError, match=f"/data_batch_3.bin: {message}"):
        data.load(f"cifar10:{tmp_path}")


class Intruder:
    def __reduce__(self):
        return os.mkdir, ("intruded",)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "expected a pickle, got EOFError: .*; download it again"),
        (pickle.dumps(Intruder()), r"numpy arrays only, got posix.mkdir; do not trust this file"),
        (pickle.dumps({b"data": Intruder()}), "numpy arrays only, got posix.mkdir; do not trust"),
        (pickle.dumps([1]), "expected `data` of uint8 .*, got NoneType; download the archive"),
        (pickle.dumps({b"data": [1]}, 3), "expected `data` of uint8 .*, got list; download the"),
        (
            pickle.dumps({b"data": np.zeros((2, 5), np.uint8)}, 3),
            r"expected `data` of uint8 \(count, 3072\), got uint8 \(2, 5\); download the archive",
        ),
    ],
)
def test_wrong_pickles_are_refused_and_run_nothing(tmp_path, monkeypatch, contents, message):
    monkeypatch.chdir(tmp_path)
    samples.write_cifar10(tmp_path, "python", IMAGES)
    (tmp_path / "data_batch_4").write_bytes(contents)
    with pytest.raises(data.DataError, match=f"/data_batch_4: .*{message}"):
        data.load(f"cifar10:{tmp_path}")
    assert not (tmp_path / "intruded").exists()


@pytest.mark.parametrize("code", [b"cnumpy\nndarray\n(J\xff\xff\xff\x7ftR.", b"cbuiltins\neval\n."])
def test_names_in_a_pickle_are_not_called(code):
    with pytest.raises(data.DataError, match=r"here: .*expected"):
        load_plain("here", code)


def test_plain_pickles_of_today_are_read():
    table = {"rows": [1, (2.5, None)], "data": IMAGES[0, 0]}
    read = load_plain("here", pickle.dumps(table, 4))
    assert read["rows"] == table["rows"]
    np.testing.assert_array_equal(read["data"], table["data"])
