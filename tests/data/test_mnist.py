"""`mnist:PATH`, on files of its format made here."""

import gzip
import struct

import pytest

from flowjax_glow import data
from flowjax_glow.data.mnist import FILES
from tests.data.samples import random_images


def write(folder, *, compressed=True, header=None, cut=0):
    """Both files, of 6 and 4 images; `header` and `cut` spoil the first."""
    images = {"train": random_images(6, 8, 8), "test": random_images(4, 8, 8, seed=1)}
    for split, file in FILES.items():
        spoiled = split == "train"
        start = header if header is not None and spoiled else (0x803, *images[split].shape)
        content = struct.pack(">IIII", *start) + images[split].tobytes()
        content = content[: len(content) - cut] if spoiled else content
        if compressed:
            (folder / f"{file}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / file).write_bytes(content)
    return images


@pytest.mark.parametrize("compressed", [True, False])
def test_both_splits_are_read(tmp_path, compressed):
    images = write(tmp_path, compressed=compressed)
    source = data.load(f"mnist:{tmp_path}")
    assert source.shape == (8, 8, 1)
    assert (source.count("train"), source.count("test")) == (6, 4)
    drawn = source.examples("test", 4)[..., 0]
    wanted = images["test"]
    assert sorted(map(bytes, drawn)) == sorted(map(bytes, wanted))
    assert data.load(source.name, size=4).shape == (4, 4, 1)


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        ({"header": (0x801, 6, 8, 8)}, r"expected a file of uint8 images .* got the header 0x00"),
        ({"header": (0x803, 2**31, 2**31, 2)}, r"got the header .* fetch the file again"),
        ({"header": (0x803, 0, 8, 8)}, r"got the header .* \(0, 8, 8\)"),
        ({"cut": 5}, r"expected 384 pixels, got 379 in .*; fetch the file again"),
        ({"cut": 390}, r"expected a whole file, got error: unpack requires"),
    ],
)
def test_broken_files_are_told(tmp_path, spoiled, message):
    write(tmp_path, **spoiled)
    with pytest.raises(data.DataError, match=message):
        data.load(f"mnist:{tmp_path}")


def test_a_torn_archive_is_told(tmp_path):
    write(tmp_path)
    file = tmp_path / f"{FILES['train']}.gz"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(data.DataError, match="expected a whole file, got EOFError"):
        data.load(f"mnist:{tmp_path}")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(data.DataError, match=r"expected train-images-idx3-ubyte or .*got neither"):
        data.load(f"mnist:{tmp_path}")
