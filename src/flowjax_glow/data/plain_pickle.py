"""Pickles of containers and numpy arrays, read without running any code they name."""

import io
import pickle
from typing import Any

import numpy as np

from flowjax_glow.data.errors import DataError


def load_plain(where: str, contents: bytes) -> Any:
    """Read a pickle of plain containers and numpy arrays, also one written by Python 2.

    Strings of Python 2 come as bytes.

    Raises:
        DataError: when the pickle names anything else, or is broken.
    """
    try:
        return PlainUnpickler(io.BytesIO(contents), encoding="bytes").load()
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    except Exception as error:  # a broken pickle fails in any way it likes
        raise DataError(
            f"{where}: expected a pickle, got {type(error).__name__}: {error}; download it again"
        ) from error


class PlainUnpickler(pickle.Unpickler):
    """Admits the three names that rebuild a numpy array and refuses every other."""

    def find_class(self, module: str, name: str) -> Any:
        admitted = {
            ("numpy.core.multiarray", "_reconstruct"): empty_array,
            ("numpy._core.multiarray", "_reconstruct"): empty_array,
            ("numpy", "ndarray"): None,  # only ever an argument of _reconstruct
            ("numpy", "dtype"): plain_dtype,
        }
        if (module, name) not in admitted:
            raise DataError(
                f"expected containers and numpy arrays only, got {module}.{name}; "
                "do not trust this file"
            )
        return admitted[module, name]


def empty_array(_kind: None, _shape: tuple[int, ...], _code: bytes) -> np.ndarray:
    """The array that a pickle then fills."""
    return np.empty(0, np.uint8)


def plain_dtype(code: bytes | str, align: int, copy: int) -> np.dtype[Any]:
    """A numpy dtype from its code; pickles of Python 2 write booleans as numbers."""
    text = code.decode() if isinstance(code, bytes) else code
    return np.dtype(text, align=bool(align), copy=bool(copy))
