"""`folder:PATH`: image files of any size and kind, decoded in threads when a batch needs them."""

import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flowjax_glow.data.decode import SUFFIXES, decode
from flowjax_glow.data.errors import DataError, optional_module
from flowjax_glow.data.indexed import HELD_OUT, IndexedSource, Indices
from flowjax_glow.data.source import SPLITS, Images
from flowjax_glow.data.threads import in_threads

NAMED = 5  # how many skipped files a warning names


class SkippedFiles(UserWarning):
    """Files of a folder could not be used and others took their places."""


@dataclass(frozen=True)
class FolderSource(IndexedSource):
    """Files of a folder, listed once; a batch opens its own files and no others.

    A file that cannot be used is replaced by the next usable one of its split, so that a batch
    stays a function of (seed, step) and the files. Each such file is warned of once.
    """

    root: Path
    files: Mapping[str, Sequence[str]] = field(repr=False, compare=False)
    skipped: dict[str, str] = field(repr=False, compare=False, default_factory=dict)

    def count(self, split: str) -> int:
        return len(self.files[split])

    def read(self, split: str, indices: Indices) -> Images:
        load_formats(self.name)
        known = len(self.skipped)
        images = in_threads(partial(self._first_usable, split), indices.tolist())
        self._warn(sorted(list(self.skipped.items())[known:]))  # threads found them in any order
        return np.stack(images)

    def _first_usable(self, split: str, index: int) -> npt.NDArray[np.uint8]:
        files = self.files[split]
        for ahead in range(len(files)):
            image = self._image(files[(index + ahead) % len(files)])
            if image is not None:
                return image
        file = files[index]
        raise DataError(
            f"{self.name}: expected a usable image in {split}, got {len(files)} files without one; "
            f"repair them, {file} first: {self.skipped[file]}"
        )

    def _image(self, file: str) -> npt.NDArray[np.uint8] | None:
        if file not in self.skipped:
            try:
                return decode(f"{self.root}/{file}", self.shape[0])
            except DataError as error:
                self.skipped[file] = str(error)
        return None

    def _warn(self, skipped: list[tuple[str, str]]) -> None:
        if skipped:
            names = " | ".join(f"{file}: {reason}" for file, reason in skipped[:NAMED])
            more = f" | and {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
            message = f"{self.name}: skipped {len(skipped)} unusable files: {names}{more}"
            warnings.warn(message, SkippedFiles, stacklevel=2)


def load_folder(name: str, path: str, size: int | None) -> FolderSource:
    """The source `folder:PATH`, RGB images of `size` x `size` x 3.

    All image files below the folder count, hidden ones aside. About one in ten, chosen by a hash
    of the path inside the folder, is a test image, so files added later move no other file.

    Raises:
      DataError: without a size, without the folder, without an image in it, or without Pillow.
    """
    optional_module("PIL", name)
    if size is None or size < 1:
        raise DataError(
            f"{name}: expected a size in pixels, got {size}; give one, for example size=32"
        )
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DataError(f"{name}: expected a folder, got no folder at {root}; check the path")
    files = list_images(root)
    if not files:
        raise DataError(
            f"{name}: expected images ({', '.join(sorted(SUFFIXES))}), got a folder without any; "
            "check the path"
        )
    return FolderSource(name, (size, size, 3), root, split_files(files))


def load_formats(name: str) -> None:
    """Makes Pillow load all of its formats, the common ones first.

    It would do so when it meets an uncommon one, and a thread that came by meanwhile would take its
    own file for one of no known format. Those loaded first are tried first.
    """
    image = optional_module("PIL.Image", name)
    image.preinit()
    image.init()


def list_images(root: Path) -> list[str]:
    """Sorted paths of all images below `root`, relative to it, with forward slashes."""
    return sorted(
        Path(folder, file).relative_to(root).as_posix()
        for folder, _, files in os.walk(root)
        for file in files
        if Path(file).suffix.lower() in SUFFIXES and not file.startswith(".")
    )


def split_files(files: Sequence[str]) -> dict[str, list[str]]:
    """The files of each split."""
    split: dict[str, list[str]] = {key: [] for key in SPLITS}
    for file in files:
        split["test" if is_test(file) else "train"].append(file)
    return split


def is_test(file: str) -> bool:
    """Whether a hash of its path sends a file to the test split: about one in ten."""
    digest = hashlib.sha256(os.fsencode(file)).digest()
    return int.from_bytes(digest[:8], "big") % HELD_OUT == 0
