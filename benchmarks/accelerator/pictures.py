"""The pictures of both calls, out of zip files, decoded once and in memory."""

import io
import threading
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from flowjax_glow.data import Images
from flowjax_glow.data.decode import SUFFIXES, center_square, upright
from flowjax_glow.data.indexed import ArraySource, array_source
from flowjax_glow.errors import expected

#: Names of the zip files in the folder that `--data` names.
FACES, CIFAR10 = "celeba-128.zip", "cifar10-jpeg.zip"

#: Faces that are held out, the last by name.
TEST_FACES = 100


class Once:
    """What a function gives, made at its first call, however many threads call."""

    def __init__(self, make: Callable[[], ArraySource]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: ArraySource | None = None

    def __call__(self) -> ArraySource:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made


def faces(folder: Path, side: int) -> ArraySource:
    """Faces, shrunk to `side` pixels: all but the last hundred, each mirrored too, to train on."""
    images = unpack(folder / FACES, side)
    held_out = min(TEST_FACES, len(images) // 2)
    train, test = images[:-held_out], images[-held_out:]
    both = np.concatenate([train, train[:, :, ::-1]])
    return array_source("faces", {"train": both, "test": test})


def cifar10(folder: Path, side: int) -> ArraySource:
    """CIFAR-10 in its own two splits: names begin with ``train/`` and ``test/``."""
    splits = {split: unpack(folder / CIFAR10, side, f"{split}/") for split in ("train", "test")}
    return array_source("cifar10", splits)


def unpack(path: Path, side: int, prefix: str = "") -> Images:
    """All pictures of a zip file whose names begin so, by name, uint8 (count, side, side, 3).

    Raises:
      ValueError: if the file is not there or holds no such pictures.
    """
    if not path.exists():
        raise expected(
            "accelerator", f"the pictures in {path.name}", got="no such file", advice="see --data"
        )
    with zipfile.ZipFile(path) as archive:
        names = sorted(
            name
            for name in archive.namelist()
            if name.startswith(prefix) and Path(name).suffix.lower() in SUFFIXES
        )
        if not names:
            raise expected(
                "accelerator",
                f"pictures named {prefix or 'anything'}",
                got=f"none in {path.name}",
                advice="see --data",
            )
        files = [archive.read(name) for name in names]
    return _decoded(files, side)


def _decoded(files: Sequence[bytes], side: int) -> Images:
    def decode(content: bytes) -> Images:
        with Image.open(io.BytesIO(content)) as picture:
            return center_square(upright(picture), side)

    with ThreadPoolExecutor() as pool:  # Pillow lets go of the interpreter while it decodes
        return np.stack(list(pool.map(decode, files, chunksize=64)))
