"""Labels are those of their images, whatever draws both."""

import struct

import numpy as np
import pytest

from flowjax_glow import data
from flowjax_glow.data import mnist
from flowjax_glow.data.digits import digit_labels, digits
from flowjax_glow.data.folder import SkippedFiles
from flowjax_glow.data.indexed import ArraySource, IndexedSource
from tests.data import samples

SQUARES = samples.random_images(18, 8, 8)
OF_SQUARES = np.arange(18) % 3


def write_idx(file, values):
    header = struct.pack(f">{1 + values.ndim}I", 0x800 + values.ndim, *values.shape)
    file.write_bytes(header + values.astype(np.uint8).tobytes())


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A small source of each kind, all of its images and their labels."""
    folder = tmp_path_factory.mktemp("labels")
    arrays = {"images": SQUARES, "labels": OF_SQUARES}
    held_out = {"test_images": SQUARES, "test_labels": OF_SQUARES.astype(np.uint8)}
    for split in ("train", "test"):
        write_idx(folder / mnist.FILES[split], SQUARES)
        write_idx(folder / mnist.LABELS[split], OF_SQUARES)
    pictures = samples.random_images(18, 32, 32, 3)
    binary, python = (
        samples.write_cifar10(folder / version, version, pictures)
        for version in ("binary", "python")
    )
    own = np.arange(18) % 3  # three images a file, numbered anew in each
    gray = SQUARES[..., None], OF_SQUARES
    return {
        "digits": ("digits", digits(), digit_labels()),
        "npz": (f"npz:{samples.write_npz(folder / 'a.npz', **arrays)}", *gray),
        "npz-split": (f"npz:{samples.write_npz(folder / 'b.npz', **arrays, **held_out)}", *gray),
        "mnist": (f"mnist:{folder}", *gray),
        "cifar10-binary": (f"cifar10:{binary}", pictures, own),
        "cifar10-python": (f"cifar10:{python}", pictures, own),
    }


KINDS = ("digits", "npz", "npz-split", "mnist", "cifar10-binary", "cifar10-python")


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_those_of_their_images(known, kind):
    name, images, labels = known[kind]
    source = data.load(name)
    assert source.classes[: labels.max() + 1][-1] in (str(labels.max()), "bird")
    wanted = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    arguments = {"seed": 3, "step": 5, "size": 6}
    for split in ("train", "test"):
        found, own = source.labelled_batch(split, **arguments)
        np.testing.assert_array_equal(found, source.batch(split, **arguments))
        assert (own.dtype, own.shape) == (np.int32, (6,))
        assert [wanted[image.tobytes()] for image in found] == own.tolist()
        parts = [source.labelled_batch(split, **arguments, hosts=2, host=i)[1] for i in (0, 1)]
        np.testing.assert_array_equal(np.concatenate(parts), own)
    found, own = source.labelled_examples("train", 4)
    np.testing.assert_array_equal(found, source.examples("train", 4))
    assert [wanted[image.tobytes()] for image in found] == own.tolist()


@pytest.mark.parametrize("parts", ["", "train/"])
def test_folders_are_classes_and_a_replaced_image_brings_its_own_label(tmp_path, parts):
    """Of gray images whose level tells the folder; the first file of each is spoiled."""
    for split in (parts, parts.replace("train", "test")):
        for number, name in enumerate(("ape", "bee", "cat")):
            folder = tmp_path / split / name / "inside"
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(8):
                image = np.full((8, 8, 3), 80 * number, np.uint8)
                (folder / f"{index}.png").write_bytes(samples.png(image).read())
            (folder / "0.png").write_bytes(b"no image")
    source = data.load(f"folder:{tmp_path}", size=8)
    assert source.classes == ("ape", "bee", "cat")
    with pytest.warns(SkippedFiles, match="unusable files"):
        images, labels = source.labelled_batch("train", seed=0, step=0, size=24)
    np.testing.assert_array_equal(images[:, 0, 0, 0], 80 * labels)
    assert set(labels.tolist()) == {0, 1, 2}


def test_a_folder_beside_images_is_no_class(tmp_path):
    samples.write_folder(tmp_path, 6)
    assert data.load(f"folder:{tmp_path}", size=8).classes == ("part 0", "part 1")
    (tmp_path / "alone.png").write_bytes(samples.png(SQUARES[0]).read())
    source = data.load(f"folder:{tmp_path}", size=8)
    assert source.classes == ()
    with pytest.raises(data.DataError, match="expected images with labels, got images alone"):
        source.labelled_batch("train", seed=0, step=0, size=2)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.arange(17), r"expected \d+ labels of 0 or more in t.* got int64 of shape \(17,\)"),
        (np.arange(18) - 1, "expected 17 labels of 0 or more in t"),
    ],
)
def test_labels_that_do_not_fit_are_told(tmp_path, labels, message):
    file = samples.write_npz(tmp_path / "a.npz", images=SQUARES, labels=labels)
    with pytest.raises(data.DataError, match=message):
        data.load(f"npz:{file}")


def test_labels_that_are_no_whole_numbers_are_left_alone(tmp_path):
    file = samples.write_npz(tmp_path / "a.npz", images=SQUARES, labels=np.zeros(18))
    assert data.load(f"npz:{file}").classes == ()


def test_classes_without_labels_are_told():
    """Of a source of one's own that is half done."""

    class HalfDone(ArraySource):
        def read_labelled(self, split, indices):
            return IndexedSource.read_labelled(self, split, indices)

    source = HalfDone("own", (8, 8, 3), {"train": SQUARES, "test": SQUARES}, classes=("a", "b"))
    with pytest.raises(data.DataError, match="own: expected labels beside its classes, got a Half"):
        source.labelled_examples("test", 2)
