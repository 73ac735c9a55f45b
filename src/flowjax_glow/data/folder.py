"""`folder:PATH`: image files of any size and kind, decoded in threads when a batch needs them."""

import functools
import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flowjax_glow.data.decode import SUFFIXES, Mode, decode, load_formats
from flowjax_glow.data.errors import DataError, optional_module
from flowjax_glow.data.indexed import HELD_OUT, IndexedSource, Indices
from flowjax_glow.data.listing import NAMED, list_images, some
from flowjax_glow.data.source import SPLITS, Images, Labels
from flowjax_glow.data.threads import in_threads

BY_NAME = "their names"
MODES: dict[int, Mode] = {1: "L", 3: "RGB"}  # by the number of channels
TEST_FOLDERS = ("test", "validation", "val", "valid")  # beside train/, the first that is there


class SkippedFiles(UserWarning):
    """Files of a folder are not used: they are no images, or others took their places."""


@dataclass(frozen=True)
class FolderSource(IndexedSource):
    """Files of a folder, listed once; a batch opens its own files and no others.

    A file that cannot be used is replaced by the next usable one of its split, so that a batch
    stays a function of (seed, step) and the files. Each such file is warned of once; a `strict`
    source raises instead. `rule` says what parts train from test.
    """

    root: Path
    files: Mapping[str, Sequence[str]] = field(repr=False, compare=False)
    rule: str = BY_NAME
    strict: bool = False
    skipped: dict[str, str] = field(repr=False, compare=False, default_factory=dict)

    def facts(self) -> dict[str, int | str]:
        listing = "\n".join(f"{split} {file}" for split in SPLITS for file in self.files[split])
        digest = hashlib.sha256(os.fsencode(listing)).hexdigest()
        return {**super().facts(), "split": self.rule, "files": digest[:16]}

    def count(self, split: str) -> int:
        return len(self.files[split])

    def read(self, split: str, indices: Indices) -> Images:
        return np.stack([image for image, _ in self._usable(split, indices)])

    def read_labelled(self, split: str, indices: Indices) -> tuple[Images, Labels]:
        images, files = zip(*self._usable(split, indices), strict=True)
        classes = [self.classes.index(class_of(file, self.rule)) for file in files]
        return np.stack(images), np.array(classes, np.int32)

    def _usable(self, split: str, indices: Indices) -> list[tuple[npt.NDArray[np.uint8], str]]:
        """Images and the files that they are from."""
        load_formats()  # before threads need them
        known = len(self.skipped)
        found = in_threads(partial(self._first_usable, split), indices.tolist())
        self._warn(sorted(list(self.skipped.items())[known:]))  # threads found them in any order
        return found

    def _first_usable(self, split: str, index: int) -> tuple[npt.NDArray[np.uint8], str]:
        files = self.files[split]
        for ahead in range(len(files)):
            chosen = files[(index + ahead) % len(files)]
            image = self._image(chosen)
            if image is not None:
                return image, chosen
        file = files[index]
        raise DataError(
            f"{self.name}: expected a usable image in {split}, got {len(files)} files without one; "
            f"repair them, {file} first: {self.skipped[file]}"
        )

    def _image(self, file: str) -> npt.NDArray[np.uint8] | None:
        if file not in self.skipped:
            try:
                return decode(f"{self.root}/{file}", self.shape[0], MODES[self.shape[2]])
            except DataError as error:
                if self.strict:
                    raise DataError(f"{self.name}: {file}: {error}") from error
                self.skipped[file] = str(error)
        return None

    def _warn(self, skipped: list[tuple[str, str]]) -> None:
        if skipped:
            names = " | ".join(f"{file}: {reason}" for file, reason in skipped[:NAMED])
            more = f" | and {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
            message = f"{self.name}: skipped {len(skipped)} unusable files: {names}{more}"
            warnings.warn(message, SkippedFiles, stacklevel=2)


def load_folder(
    name: str, path: str, size: int | None, *, strict: bool = False, gray: bool = False
) -> FolderSource:
    """The source `folder:PATH`, RGB images of `size` x `size` x 3.

    All image files below the folder count, hidden files and folders aside; links are followed. A
    folder with images in `train/` and in `test/` (or `validation/`, `val/`, `valid/`) has its own
    split, and what lies outside of the two is left out. Where every image lies in a folder, and
    there are two or more at the top (of `train/` and of `test/` each), these are the classes, in
    the order of their names. Elsewhere about one file in ten, chosen by
    a hash of its path inside the folder, is a test image, so files added later move no other file.

    With `strict`, the source `strict-folder:PATH`, a file that cannot be used is an error when a
    batch meets it. With `gray`, the source `gray-folder:PATH`, images have one channel.

    Raises:
        DataError: without a size, without the folder, without an image in it, or without Pillow.
    """
    optional_module("PIL", name)
    if size is None or size < 1:
        raise DataError(
            f"{name}: expected a size in pixels, got {size}; give one, for example size=32, or "
            "--size=32 in a command"
        )
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DataError(f"{name}: expected a folder, got no folder at {root}; check the path")
    try:
        listing = list_images(root)
    except OSError as error:
        raise DataError(
            f"{name}: expected a folder that can be listed, got {error}; change its permissions"
        ) from error
    if strict and listing.unreadable:
        raise DataError(
            f"{name}: expected regular files, got {some(listing.unreadable)}; take them away"
        )
    if not listing.pictures:
        found = listing.passed_over() or "an empty folder"
        raise DataError(
            f"{name}: expected images ({', '.join(sorted(SUFFIXES))}), got {found}; check the path"
        )
    files, rule, left_out = split_files(listing.pictures)
    if told := " and ".join(filter(None, [listing.passed_over(), left_out])):
        tell(f"{name}: passed over {told}")
    classes = classes_of([file for split in SPLITS for file in files[split]], rule)
    shape = (size, size, 1 if gray else 3)
    return FolderSource(name, shape, root, files, rule, strict, classes=classes)


def classes_of(files: Sequence[str], rule: str) -> tuple[str, ...]:
    """The names of the folders that hold the files, none if one is in no folder or all in one."""
    found = {class_of(file, rule) for file in files}
    return () if "" in found or len(found) < 2 else tuple(sorted(found))


def class_of(file: str, rule: str) -> str:
    """The folder at the top that a file lies in, below that of its split if there is one."""
    inside = file if rule == BY_NAME else file.partition("/")[2]
    top, slash, _ = inside.partition("/")
    return top if slash else ""


@functools.cache  # a command may open its data several times
def tell(message: str) -> None:
    """Warns of what was passed over, once."""
    warnings.warn(message, SkippedFiles, stacklevel=3)


def split_files(files: Sequence[str]) -> tuple[dict[str, list[str]], str, str]:
    """The files of each split, the rule that parts them, and what is in neither, in a line."""
    inside: dict[str, list[str]] = {}
    for file in files:
        top, slash, _ = file.partition("/")
        inside.setdefault(top.lower() if slash else "", []).append(file)
    for held_out in TEST_FOLDERS:
        if "train" in inside and held_out in inside:
            split = {"train": inside.pop("train"), "test": inside.pop(held_out)}
            rest = sum(map(len, inside.values()))
            left_out = f"{rest} images outside of train/ and {held_out}/" if rest else ""
            return split, f"train/ and {held_out}/", left_out
    return split_by_hash(files), BY_NAME, ""


def split_by_hash(files: Sequence[str]) -> dict[str, list[str]]:
    """About one file in ten is a test file; of a folder so small that none is, the likeliest."""
    split: dict[str, list[str]] = {key: [] for key in SPLITS}
    for file in files:
        split["test" if is_test(file) else "train"].append(file)
    if not split["test"] and len(files) > 1:
        split["test"] = [min(files, key=path_hash)]
        split["train"].remove(split["test"][0])
    return split


def is_test(file: str) -> bool:
    """Whether a hash of its path sends a file to the test split: about one in ten."""
    return path_hash(file) % HELD_OUT == 0


def path_hash(file: str) -> int:
    """64 bits that depend on the path alone."""
    return int.from_bytes(hashlib.sha256(os.fsencode(file)).digest()[:8], "big")
