"""The state of a model as arrays by name, from whatever file it is in."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from flowjax_glow.arrays import ArraysError, read_npz
from flowjax_glow.errors import expected
from flowjax_glow.files import open_regular
from flowjax_glow.interop.torch_file import TorchFileError, read_torch

#: Arrays by name.
State = dict[str, np.ndarray]

#: How deep a state may lie in a checkpoint that also has an optimizer's.
_DEPTH = 3


def read_states(path: str | os.PathLike[str]) -> list[State]:
    """All states in a file of PyTorch, safetensors or .npz; a checkpoint may have more than one.

    None of these runs code: pickles of PyTorch are read for their tensors alone.

    Raises:
        ValueError: if it is none of these, holds anything else, or is damaged.
        OSError: if it cannot be opened, or is no regular file.
    """
    with open_regular(path) as stream:
        start = stream.read(9)
        try:
            if start.startswith(b"PK") and not _has_pickle(path):
                return [read_npz(path)]
            if start.startswith((b"PK", b"\x80")):
                return list(_states(read_torch(stream), _DEPTH))
        except (ArraysError, TorchFileError) as error:
            got = str(error)
        else:
            got = "something else"
    if start.endswith(b"{"):  # after the length of a header of JSON
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return [load_file(path)]
        except (SafetensorError, TypeError, AttributeError) as error:  # a dtype NumPy has not
            got = f"{error}"
    raise expected(
        f"{os.fspath(path)}",
        "a state of PyTorch, safetensors or .npz",
        got=" ".join(got.split())[:300],
        advice="write it anew where it came from",
    )


def _has_pickle(path: str | os.PathLike[str]) -> bool:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return False


def _states(found: Any, depth: int) -> Iterator[State]:
    """Every mapping that has arrays, outermost first."""
    if not isinstance(found, Mapping) or not depth:
        return
    state = {str(name): part for name, part in found.items() if isinstance(part, np.ndarray)}
    if state:
        yield state
    for part in found.values():
        yield from _states(part, depth - 1)
