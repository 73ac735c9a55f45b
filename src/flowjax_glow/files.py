"""Files that are the old one or the new one, whatever happens, and strict JSON."""

import errno
import io
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from flowjax_glow.errors import expected

#: What stands for a number that is not finite; `float` reads all three, too.
NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def strict(value: Any) -> Any:
    """`value` with strings in place of NaN and infinities, also within lists and mappings."""
    if isinstance(value, Mapping):
        return {str(name): strict(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [strict(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def from_strict(value: Any) -> Any:
    """`value` with the numbers that `strict` replaced."""
    if isinstance(value, Mapping):
        return {name: from_strict(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [from_strict(inner) for inner in value]
    return NON_FINITE.get(value, value) if isinstance(value, str) else value


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Adds the path to an error of the system that names no file, as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A file opened for reading; never a named pipe or a device, whose bytes may never come.

    Raises:
        OSError: if it cannot be opened, or is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | _NEVER_WAIT)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise OSError(errno.EINVAL, "expected a regular file, got a folder, a pipe or a device", path)


#: Opening a named pipe would wait for whoever writes into it; Windows has none and opens text.
_NEVER_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Replaces the file at `path` as a whole; text is written as UTF-8.

    The content goes to a temporary file beside it, onto the disk, and under its name in one move.
    After a crash the file holds what it held before, or all of `content`.

    Raises:
        OSError: with the path, if the folder is missing, read-only or full; the old file is intact.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with naming(path), temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Puts the new name itself onto the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: Any) -> None:
    """Writes strict JSON as a whole or not at all; what is not finite becomes a string."""
    write_atomically(path, json.dumps(strict(content), indent=2, allow_nan=False) + "\n")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a compressed .npz as a whole or not at all."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    write_atomically(path, content.getvalue())


def read_json(
    path: Path,
    fields: Mapping[str, type] | None = None,
    perhaps: Mapping[str, type] | None = None,
) -> dict[str, Any] | None:
    """The object in a JSON file, None if there is none.

    Args:
        path: of the file.
        fields: what must be in it, of which types; a float may be written as an int.
        perhaps: what may be missing, but must otherwise be of these types.

    Raises:
        ValueError: if the file is damaged, holds anything else, or lacks a field.
        OSError: if it cannot be read, or is no regular file.
    """
    try:
        with open_regular(path) as file:
            content = json.loads(file.read().decode())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "a JSON object", f"{type(error).__name__}: {error}") from error
    if not isinstance(content, dict):
        raise _damaged(path, "a JSON object", repr(content)[:80])
    present = {name: kind for name, kind in (perhaps or {}).items() if name in content}
    for name, kind in {**(fields or {}), **present}.items():
        value = content.get(name)
        wanted = (int, float) if kind is float else kind
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
            raise _damaged(path, f"`{name}` of type {kind.__name__}", repr(value)[:80])
    return content


def _damaged(path: Path, what: str, got: str) -> ValueError:
    return expected(f"{path}", what, got=got, advice="restore the file")
