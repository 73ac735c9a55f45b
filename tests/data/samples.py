"""Small files of every format that the data sets read."""

import io
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PARTS = [*(f"data_batch_{part}" for part in range(1, 6)), "test_batch"]


def random_images(count: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def write_npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def write_folder(folder: Path, count: int, side: int = 12) -> Path:
    """Flat images, each of one random color, spread over two folders."""
    for index, color in enumerate(random_images(count, 3)):
        file = folder / f"part {index % 2}" / f"bild-ä {index:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (side, side + 4), tuple(color.tolist())).save(file)
    return folder


def write_cifar10(folder: Path, version: str, images: np.ndarray) -> Path:
    """Six files of equal parts of the images (count, 32, 32, 3), in the version's format."""
    suffix, pack = {"binary": (".bin", pack_binary), "python": ("", pack_python)}[version]
    folder.mkdir(parents=True, exist_ok=True)
    for part, pixels in zip(PARTS, np.split(images, len(PARTS)), strict=True):
        (folder / (part + suffix)).write_bytes(pack(pixels.transpose(0, 3, 1, 2).reshape(-1, 3072)))
    return folder


def pack_binary(rows: np.ndarray) -> bytes:
    labels = np.arange(len(rows), dtype=np.uint8)[:, None] % 10
    return np.concatenate([labels, rows], axis=1).tobytes()


def pack_python(rows: np.ndarray) -> bytes:
    """A pickle as Python 2 wrote it, whose strings Python 3 can no longer write."""

    def text(word: bytes) -> bytes:
        return b"U" + bytes([len(word)]) + word

    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + text(b"b") + b"tR"
    )
    kind = b"cnumpy\ndtype\n(" + text(b"u1") + b"K\x00K\x01tR"
    kind += b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape = (
        b"J" + struct.pack("<i", rows.shape[0]) + b"J" + struct.pack("<i", rows.shape[1]) + b"\x86"
    )
    pixels = b"T" + struct.pack("<i", rows.size) + rows.tobytes()
    state = b"(K\x01" + shape + kind + b"\x89" + pixels + b"tb"
    labels = (
        text(b"labels") + b"]" + b"".join(b"K" + bytes([i % 10]) + b"a" for i in range(len(rows)))
    )
    return b"\x80\x02}" + labels + b"s" + text(b"data") + array + state + b"s."


def pack_archive(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, arcname=folder.name)
    return archive


def png(image: np.ndarray) -> io.BytesIO:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    stream.seek(0)
    return stream


def prepare_tfds(
    folder: Path, name: str, splits: dict[str, np.ndarray], shape: tuple, classes: Any = None
) -> str:
    """Prepare a data set of PNG images as array_record, without TensorFlow; returns its name.

    With classes, names or how many, the images are labelled by their numbers, in turn.
    """
    import tensorflow_datasets as tfds

    named = {"num_classes": classes} if isinstance(classes, int) else {"names": classes}
    label = {} if classes is None else {"label": tfds.features.ClassLabel(**named)}

    def info(builder):
        features = {"image": tfds.features.Image(shape=shape), **label}
        return tfds.core.DatasetInfo(builder=builder, features=tfds.features.FeaturesDict(features))

    def record(number, image):
        own = {"label": number % label["label"].num_classes} if label else {}
        return number, {"image": png(image), **own}

    methods = {
        "VERSION": tfds.core.Version("1.0.0"),
        "name": name,
        "_info": info,
        "_generate_examples": lambda _, images: (record(*each) for each in enumerate(images)),
        "_split_generators": lambda builder, _: {
            split: builder._generate_examples(images) for split, images in splits.items()
        },
    }
    kind = type(name, (tfds.core.GeneratorBasedBuilder,), methods, skip_registration=True)
    builder = kind(data_dir=str(folder), file_format="array_record")
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )
    return name
