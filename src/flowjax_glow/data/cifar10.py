"""`cifar10:PATH`: the archive from the CIFAR-10 page, binary or python version, packed or not."""

import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from flowjax_glow.data.errors import DataError
from flowjax_glow.data.indexed import ArraySource, array_source
from flowjax_glow.data.plain_pickle import load_plain
from flowjax_glow.data.resize import square
from flowjax_glow.data.source import Images

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
SIDE = 32
PIXELS = 3 * SIDE * SIDE  # stored channel by channel, row by row
NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
CLASSES = len(NAMES)
PARTS = (*(f"data_batch_{part}" for part in range(1, 6)), "test_batch")
Files = Mapping[str, bytes]
Part = tuple[Images, npt.NDArray[np.integer]]  # images and labels


def load_cifar10(name: str, path: str, size: int | None) -> ArraySource:
    """The source `cifar10:PATH`, 32 x 32 x 3 or smaller squares; 50,000 train, 10,000 test images.

    PATH is the downloaded `.tar.gz`, the folder it unpacks to, or the folder around that.

    Raises:
        DataError: for missing or broken files, or a size above 32.
    """
    files = read_files(name, Path(path).expanduser())
    suffix, parse = version_of(name, files)
    parts = [parse(f"{name}/{part}{suffix}", files[part + suffix]) for part in PARTS]
    images, labels = (list(column) for column in zip(*parts, strict=True))
    joined = {"train": slice(-1), "test": slice(-1, None)}
    squares = {
        split: square(np.concatenate(images[own]), size, name) for split, own in joined.items()
    }
    known = {split: np.concatenate(labels[own]) for split, own in joined.items()}
    return array_source(name, squares, known, NAMES)


def version_of(name: str, files: Files) -> tuple[str, Callable[[str, bytes], Part]]:
    """The file suffix and the parser of the version that is complete; binary wins over pickles."""
    versions = {".bin": parse_binary, "": parse_python}
    missing = {
        suffix: [part + suffix for part in PARTS if part + suffix not in files]
        for suffix in versions
    }
    for suffix, parse in versions.items():
        if not missing[suffix]:
            return suffix, parse
    fewest = min(missing.values(), key=len)
    raise DataError(
        f"{name}: expected data_batch_1 to data_batch_5 and test_batch, got no "
        f"{', '.join(fewest)}; download the python or binary version from {PAGE}"
    )


def read_files(name: str, path: Path) -> dict[str, bytes]:
    """The contents of the image files in a folder or an archive, by file name."""
    if path.is_dir():
        files = [*path.glob("cifar-10-batches-*/*"), *path.iterdir()]
        return {
            file.name: file.read_bytes() for file in files if is_part(file.name) and file.is_file()
        }
    if not path.is_file():
        raise DataError(
            f"{name}: expected the CIFAR-10 folder or archive, got nothing at {path}; "
            f"download it from {PAGE}"
        )
    try:
        with tarfile.open(path, "r:gz") as archive:
            members = [member for member in archive if is_part(member.name)]
            return {Path(member.name).name: extract(archive, member) for member in members}
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{name}: expected a complete .tar.gz archive, got {type(error).__name__}: {error}; "
            "download it again"
        ) from error


def is_part(file: str) -> bool:
    """Whether a path names one of the files that hold images."""
    return Path(file).name.removesuffix(".bin") in PARTS


def extract(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """The contents of one member, nothing being written to disk; empty if it is not a file."""
    stream: BinaryIO | None = archive.extractfile(member)  # type: ignore[assignment]
    return stream.read() if stream else b""


def parse_binary(where: str, contents: bytes) -> Part:
    """Records of one label byte and 3072 pixel bytes: uint8 (count, 32, 32, 3) and labels."""
    record = 1 + PIXELS
    if not contents or len(contents) % record:
        raise DataError(
            f"{where}: expected records of {record} bytes, got {len(contents)} bytes; "
            "download the archive again"
        )
    records = np.frombuffer(contents, np.uint8).reshape(-1, record)
    return channels_last(records[:, 1:]), check_labels(where, records[:, 0])


def check_labels(where: str, labels: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """The labels, or `DataError` if one is out of range."""
    wrong = np.flatnonzero((labels < 0) | (labels >= CLASSES))
    if wrong.size:
        raise DataError(
            f"{where}: expected labels 0 to {CLASSES - 1}, got {labels[wrong[0]]} in record "
            f"{wrong[0]}; download the archive again"
        )
    return labels


def parse_python(where: str, contents: bytes) -> Part:
    """A pickled dictionary with `data`, uint8 (count, 3072), and `labels`, a list of numbers."""
    table = load_plain(where, contents)
    table = table if isinstance(table, dict) else {}
    pixels, labels = table.get(b"data"), table.get(b"labels")
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.shape[1:] != (PIXELS,)
    ):
        raise DataError(
            f"{where}: expected `data` of uint8 (count, {PIXELS}), got {describe(pixels)}; "
            "download the archive again"
        )
    if (
        not isinstance(labels, list)
        or len(labels) != len(pixels)
        or not all(type(label) is int for label in labels)
    ):
        raise DataError(
            f"{where}: expected `labels`, a list of {len(pixels)} whole numbers, got "
            f"{describe(labels)}; download the archive again"
        )
    return channels_last(pixels), check_labels(where, np.array(labels, np.int64))


def describe(value: object) -> str:
    """An array by dtype and shape, anything else by its type."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def channels_last(pixels: np.ndarray) -> Images:
    """(count, 3072) as stored to a contiguous (count, 32, 32, 3)."""
    return np.ascontiguousarray(pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
