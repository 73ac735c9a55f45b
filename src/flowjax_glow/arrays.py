"""The arrays of an .npz file, which may be a stranger's: sizes are checked before any allocation.

`numpy.load` believes what a header says, so a kilobyte may ask for a petabyte.
"""

import math
import os
import zipfile
from collections.abc import Container
from typing import cast

import numpy as np
from numpy.lib import format as npy

from flowjax_glow.files import open_regular

SUFFIX = ".npy"
PIECE = 2**20  # bytes that are unpacked at a time
BEST_RATIO = 1100  # deflate makes nothing smaller than by 1032, but for a few bytes
ENCRYPTED = 0x1  # a flag of a zip file's member


class ArraysError(ValueError):
    """A file that is no .npz file of plain arrays; the message is the reason alone."""


def read_npz(
    path: str | os.PathLike[str], names: Container[str] | None = None
) -> dict[str, np.ndarray]:
    """The arrays of an .npz file of plain numbers and text, or those of them called `names`.

    Raises:
        ArraysError: if it is none: it is damaged, packed in another way than numpy's, asks for more
            memory than it can fill, or holds objects.
        OSError: if it cannot be opened.
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        try:
            with zipfile.ZipFile(stream) as archive:
                return {
                    name: _array(archive, member, size)
                    for name, member in _members(archive).items()
                    if names is None or name in names
                }
        except ArraysError as error:
            raise ArraysError(str(error)) from None
        except Exception as error:  # zip files and headers break in many ways
            raise ArraysError(f"{type(error).__name__}: {error}") from error


def array_names(path: str | os.PathLike[str]) -> list[str]:
    """The names of the arrays of an .npz file.

    Raises:
        ArraysError: if it is no zip file.
        OSError: if it cannot be opened.
    """
    with open_regular(path) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                return sorted(_members(archive))
        except Exception as error:
            raise ArraysError(f"{type(error).__name__}: {error}") from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """By the names of their arrays."""
    return {
        member.filename.removesuffix(SUFFIX): member
        for member in archive.infolist()
        if member.filename.endswith(SUFFIX)
    }


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int) -> np.ndarray:
    """One array of an archive of `size` bytes."""
    name = member.filename
    if member.flag_bits & ENCRYPTED:
        raise ArraysError(f"{name}, which is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArraysError(f"{name}, which is packed by method {member.compress_type}")
    ratio = BEST_RATIO if member.compress_type == zipfile.ZIP_DEFLATED else 1
    if member.compress_size > size or member.file_size > ratio * member.compress_size:
        raise ArraysError(f"{name} of {member.file_size} bytes, more than the file can hold")
    with cast(zipfile.ZipExtFile, archive.open(member)) as stream:
        dtype, shape, is_fortran = _header(name, stream)
        wanted, there = math.prod(shape) * dtype.itemsize, member.file_size - stream.tell()
        if wanted != there:
            raise ArraysError(f"{name} of {wanted} bytes by its header, {there} by the file")
        array = np.empty(shape[::-1] if is_fortran else shape, dtype)
        _fill(array.reshape(-1).view(np.uint8), stream)
    return array.T if is_fortran else array


def _header(name: str, stream: zipfile.ZipExtFile) -> tuple[np.dtype, tuple[int, ...], bool]:
    """The dtype, the shape, and whether the first axis varies fastest."""
    version = npy.read_magic(stream)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ArraysError(f"{name} of version {version} of the format")
    shape, is_fortran, dtype = read(stream)
    if dtype.kind not in "?biufcSU" or dtype.itemsize == 0:
        raise ArraysError(f"{name} of dtype {dtype}, which is not plain numbers or text")
    if any(side < 0 for side in shape):
        raise ArraysError(f"{name} of shape {shape}")
    return dtype, shape, is_fortran


def _fill(content: np.ndarray, stream: zipfile.ZipExtFile) -> None:
    """Reads exactly so many bytes; the last read checks their checksum."""
    done = 0
    while piece := stream.read(min(PIECE, len(content) - done) or 1):
        if done + len(piece) > len(content):
            raise ArraysError("more bytes than its header says")
        content[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done += len(piece)
    if done != len(content):
        raise EOFError(f"{done} bytes in place of {len(content)}")
