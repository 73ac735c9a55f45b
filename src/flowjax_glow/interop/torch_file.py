"""The tensors in a file of `torch.save`, read without PyTorch, and without running what it names.

Such a file is a pickle beside the bytes of its tensors: members of a zip file since PyTorch 1.6,
one after another in a plain file before. The pickle may name what rebuilds tensors, and nothing
else. Sizes are held against the file before any array is made.
"""

import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

#: Storage classes by the dtype of their numbers; NumPy has no bfloat16.
_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}

#: What files of before PyTorch 1.6 begin with, and the version of that format.
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class TorchFileError(ValueError):
    """A file that is none of plain tensors; the message is what it is instead."""


def read_torch(stream: BinaryIO | io.BytesIO) -> Any:
    """What `torch.save` has written: containers of plain values, and of tensors as NumPy arrays.

    Raises:
        TorchFileError: if it holds anything else, or is damaged.
    """
    try:
        if zipfile.is_zipfile(stream):
            with zipfile.ZipFile(stream) as archive:
                return _of_archive(archive)
        stream.seek(0)
        return _of_plain_file(io.BytesIO(stream.read()))  # a pickle must not be read ahead
    except TorchFileError:
        raise
    except Exception as error:  # files break in many ways
        raise TorchFileError(f"a damaged one: {type(error).__name__}: {error}") from error


class _Storage:
    """Numbers that tensors are views of; the bytes may come later."""

    __slots__ = ("content", "count", "kind")

    def __init__(self, kind: str, count: int) -> None:
        self.kind, self.count, self.content = kind, count, b""

    @property
    def itemsize(self) -> int:
        return 2 if self.kind == "bfloat16" else np.dtype(self.kind).itemsize

    def numbers(self) -> np.ndarray:
        """All of them, in one row; bfloat16 as float32."""
        if len(self.content) != self.count * self.itemsize:
            raise TorchFileError(f"one with {len(self.content)} bytes for {self.count} numbers")
        if self.kind != "bfloat16":
            return np.frombuffer(self.content, self.kind)
        return (np.frombuffer(self.content, "<u2").astype("<u4") << 16).view("<f4")


class _Tensor:
    """A view of a storage. It has no attributes that a pickle could set beside its own."""

    __slots__ = ("offset", "shape", "storage", "strides")

    def __init__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> None:
        numbers = (offset, *shape, *strides)
        whole = all(type(number) is int and number >= 0 for number in numbers)
        if not isinstance(storage, _Storage) or not whole or len(shape) != len(strides):
            raise TorchFileError("a tensor of something else than numbers")
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides))
        if math.prod(shape) and (last >= storage.count or math.prod(shape) > storage.count):
            raise TorchFileError(f"a tensor of shape {tuple(shape)} in {storage.count} numbers")
        self.storage, self.offset = storage, offset
        self.shape, self.strides = tuple(shape), tuple(strides)

    def array(self) -> np.ndarray:
        """A copy of its numbers."""
        numbers = self.storage.numbers()
        if not math.prod(self.shape):
            return np.zeros(self.shape, numbers.dtype)
        steps = tuple(step * numbers.itemsize for step in self.strides)
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps)
        return np.array(view)


def _parameter(tensor: Any, *_: Any) -> Any:
    """A trained tensor is a tensor."""
    return tensor


class _Unpickler(pickle.Unpickler):
    """Admits tensors and ordered dictionaries."""

    _ADMITTED: Mapping[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch", "Size"): tuple,
        ("torch._utils", "_rebuild_tensor"): _Tensor,
        ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
        ("torch._utils", "_rebuild_parameter"): _parameter,
    }

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) not in self._ADMITTED:
            raise TorchFileError(
                f"one that names {module}.{name}; save the state alone: "
                "torch.save(model.state_dict(), FILE)"
            )
        return self._ADMITTED[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        word, kind, key, _, count, *view = pid
        known = kind in _DTYPES.values() and type(count) is int and count >= 0
        if word != "storage" or not known or (view and view[0] is not None):
            raise TorchFileError(f"one with {pid!r:.80} in place of a storage")
        return self.storages.setdefault(str(key), _Storage(kind, count))


def _of_archive(archive: zipfile.ZipFile) -> Any:
    members = {member.filename: member for member in archive.infolist()}
    (pickled,) = (name for name in members if name.split("/")[1:] == ["data.pkl"])
    folder = pickled.removesuffix("data.pkl")
    order = members.get(f"{folder}byteorder")
    if order is not None and _content(archive, order) != b"little":
        raise TorchFileError("one of a machine that writes the highest byte first")
    unpickler = _Unpickler(io.BytesIO(_content(archive, members[pickled])))
    found = unpickler.load()
    for key, storage in unpickler.storages.items():
        storage.content = _content(archive, members[f"{folder}data/{key}"])
    return _arrays(found)


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.compress_type != zipfile.ZIP_STORED:  # torch packs nothing
        raise TorchFileError(f"one with {member.filename} compressed")
    return archive.read(member)


def _of_plain_file(stream: io.BytesIO) -> Any:
    if [_Unpickler(stream).load() for _ in range(2)] != [_MAGIC, _PROTOCOL]:
        raise TorchFileError("a pickle of something else than torch.save")
    system = _Unpickler(stream).load()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise TorchFileError("one of a machine that writes the highest byte first")
    unpickler = _Unpickler(stream)
    found = unpickler.load()
    for key in _Unpickler(stream).load():
        storage = unpickler.storages[str(key)]
        (count,) = struct.unpack("<q", stream.read(8))
        if count != storage.count:
            raise TorchFileError(f"one with {count} numbers in place of {storage.count}")
        storage.content = stream.read(count * storage.itemsize)
    return _arrays(found)


def _arrays(found: Any) -> Any:
    """With arrays in place of tensors."""
    if isinstance(found, _Tensor):
        return found.array()
    if isinstance(found, Mapping):
        return {key: _arrays(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_arrays(value) for value in found]
    return found
