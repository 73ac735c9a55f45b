"""`cifar10:PATH`: the archive from the CIFAR-10 page, binary or python version, packed or not."""

import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from flowjax_glow.data.errors import DataError
from flowjax_glow.data.indexed import ArraySource, array_source
from flowjax_glow.data.plain_pickle import load_plain
from flowjax_glow.data.resize import square
from flowjax_glow.data.source import Images

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
SIDE = 32
PIXELS = 3 * SIDE * SIDE  # stored channel by channel, row by row
CLASSES = 10
PARTS = (*(f"data_batch_{part}" for part in range(1, 6)), "test_batch")
Files = Mapping[str, bytes]


def load_cifar10(name: str, path: str, size: int | None) -> ArraySource:
    """The source `cifar10:PATH`, 32 x 32 x 3 or smaller squares; 50,000 train, 10,000 test images.

    PATH is the downloaded `.tar.gz`, the folder it unpacks to, or the folder around that.

    Raises:
      DataError: for missing or broken files, or a size above 32.
    """
    files = read_files(name, Path(path).expanduser())
    suffix, parse = version_of(name, files)
    parts = [parse(f"{name}/{part}{suffix}", files[part + suffix]) for part in PARTS]
    images = {"train": np.concatenate(parts[:-1]), "test": parts[-1]}
    return array_source(name, {split: square(array, size, name) for split, array in images.items()})


def version_of(name: str, files: Files) -> tuple[str, Callable[[str, bytes], Images]]:
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


def parse_binary(where: str, contents: bytes) -> Images:
    """Records of one label byte and 3072 pixel bytes, as uint8 (count, 32, 32, 3)."""
    record = 1 + PIXELS
    if not contents or len(contents) % record:
        raise DataError(
            f"{where}: expected records of {record} bytes, got {len(contents)} bytes; "
            "download the archive again"
        )
    records = np.frombuffer(contents, np.uint8).reshape(-1, record)
    wrong = np.flatnonzero(records[:, 0] >= CLASSES)
    if wrong.size:
        raise DataError(
            f"{where}: expected labels 0 to {CLASSES - 1}, got {records[wrong[0], 0]} in record "
            f"{wrong[0]}; download the archive again"
        )
    return channels_last(records[:, 1:])


def parse_python(where: str, contents: bytes) -> Images:
    """A pickled dictionary with `data`, uint8 (count, 3072), as uint8 (count, 32, 32, 3)."""
    table = load_plain(where, contents)
    pixels = table.get(b"data") if isinstance(table, dict) else None
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.shape[1:] != (PIXELS,)
    ):
        raise DataError(
            f"{where}: expected `data` of uint8 (count, {PIXELS}), got {describe(pixels)}; "
            "download the archive again"
        )
    return channels_last(pixels)


def describe(value: object) -> str:
    """An array by dtype and shape, anything else by its type."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def channels_last(pixels: np.ndarray) -> Images:
    """(count, 3072) as stored to a contiguous (count, 32, 32, 3)."""
    return np.ascontiguousarray(pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
