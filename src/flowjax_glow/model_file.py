"""A model in one file: safetensors with a header of JSON (docs/models.md is the format).

A file may be a stranger's. Nothing in it chooses what code runs, and its sizes are held against
those of the configuration, and against the file itself, before any array is made.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.config import GlowConfig
from flowjax_glow.config_json import (
    Config,
    check_ours,
    config_from_json,
    config_to_json,
    flow_of,
)
from flowjax_glow.errors import expected
from flowjax_glow.files import from_strict, open_regular, strict, write_atomically
from flowjax_glow.trainable import named_leaves
from flowjax_glow.types import Params

#: The number of the format. A file of a higher one is refused.
FORMAT = 1

#: Entries of the file's metadata: all but the numbers as JSON, and the checksum of both.
HEADER, CHECKSUM = "flowjax_glow", "sha256"

#: The most axes of an event: beyond are no data, but files that want to be slow.
MAX_AXES = 8

#: Files of models are called so.
SUFFIX = ".safetensors"

#: Names of dtypes in the file.
_DTYPES = {
    np.dtype(name): code
    for name, code in {
        "float64": "F64",
        "float32": "F32",
        "float16": "F16",
        "int64": "I64",
        "int32": "I32",
        "int16": "I16",
        "int8": "I8",
        "uint8": "U8",
        "bool": "BOOL",
    }.items()
}


@dataclass(frozen=True)
class Header:
    """All of a model but its parameters.

    Attributes:
        config: what the flow is built from.
        event_shape: of one image, (height, width, channels), or of one float event.
        n_bits: of the images; None of float events.
        record: what is known of the training, as JSON.
        verdict: what `flowjax-glow diagnose` said of it, as JSON; None if nobody asked.
        library: the version of this library that wrote the file.
    """

    config: Config
    event_shape: tuple[int, ...]
    n_bits: int | None
    record: Mapping[str, Any]
    verdict: Mapping[str, Any] | None
    library: str = ""


@lru_cache(maxsize=64)
def abstract_params(flow: Bijector, event_shape: tuple[int, ...], dtype: str) -> Params:
    """The shapes of a flow's parameters for events of a shape and dtype; nothing is computed."""
    events = jax.ShapeDtypeStruct((2, *event_shape), jnp.dtype(dtype))
    return jax.eval_shape(lambda x: flow.init(jax.random.key(0), x), events)


def write_model_file(
    path: str | os.PathLike[str], header: Header, params: Params, *, overwrite: bool = False
) -> None:
    """Writes a model as a whole or not at all.

    Raises:
        ValueError: if there is a file and it must not be overwritten; if the configuration or a
            scale in it is of a class of one's own; if the parameters are not those of the flow.
        OSError: if the file cannot be written; one that was there is intact.
    """
    from safetensors.numpy import save  # for those who read or write files alone

    path = Path(path)
    if path.exists() and not overwrite:
        raise taken(path)
    check_ours("Model.save", header.config)
    leaves = named_leaves(jax.device_get(params))
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in leaves.items()}
    found = {name: _form(array.shape, array.dtype) for name, array in arrays.items()}
    _, wanted = _wanted(header, "float64" if "F64" in _codes(found) else "float32")
    if difference := _difference(wanted, found):
        raise expected(
            "Model.save",
            f"the parameters of the configuration for events of {header.event_shape}",
            got=difference,
            advice="save those that flow.init gives, trained or not, but not frozen ones",
        )
    text = json.dumps(strict(_to_json(header)), allow_nan=False)
    metadata = {HEADER: text, CHECKSUM: checksum(text, arrays)}
    write_atomically(path, save(arrays, metadata=metadata))


def taken(path: Path) -> ValueError:
    """What is raised in place of replacing a file that nobody said to replace."""
    return expected(
        f"{path}",
        "no such file yet",
        got="one",
        advice="choose another, or replace it by overwrite=True, on the command line --overwrite",
    )


def read_model_file(path: str | os.PathLike[str]) -> tuple[Header, Params]:
    """What `write_model_file` wrote; the parameters are NumPy arrays.

    Raises:
        ValueError: if it is no such file, or a damaged one, or of a newer version.
        OSError: if it cannot be opened, or is no regular file.
    """
    from safetensors import safe_open  # for those who read or write files alone

    open_regular(path).close()
    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            return _read(file)
    except ValueError as error:
        got = str(error)
    except Exception as error:  # files break in many ways, of which the reader tells a few
        got = f"{type(error).__name__}: {error}"
    raise expected(
        f"{os.fspath(path)}",
        "a model file of flowjax_glow",
        got=" ".join(got.split())[:300],
        advice="copy it again, or write it anew with Model.save or flowjax-glow export",
    )


def _read(file: Any) -> tuple[Header, Params]:
    metadata = file.metadata() or {}
    if HEADER not in metadata:
        raise ValueError("a safetensors file of something else, without our header")
    header = _header(metadata[HEADER])
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    found = {
        name: f"{piece.get_dtype()}{list(piece.get_shape())}" for name, piece in slices.items()
    }
    dtype = "float64" if "F64" in _codes(found) else "float32"
    if dtype == "float64" and not jax.config.values["jax_enable_x64"]:
        raise ValueError("one of float64; set the option jax_enable_x64 first")
    shapes, wanted = _wanted(header, dtype)
    if difference := _difference(wanted, found):
        raise ValueError(f"one whose configuration and numbers do not agree: {difference}")
    arrays = {name: file.get_tensor(name) for name in wanted}
    if metadata.get(CHECKSUM) != checksum(metadata[HEADER], arrays):
        raise ValueError("a damaged one, whose checksum is another")
    params = jax.tree.unflatten(jax.tree.structure(shapes), [arrays[name] for name in wanted])
    return header, params


def _to_json(header: Header) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "library": version("flowjax-glow"),
        "model": config_to_json(header.config),
        "event_shape": list(header.event_shape),
        "n_bits": header.n_bits,
        "record": header.record,
        "verdict": header.verdict,
    }


def _header(text: str) -> Header:
    fields: Any = json.loads(text)
    if not isinstance(fields, dict):
        raise ValueError("a header that is no JSON object")
    number, library = fields.get("format"), fields.get("library")
    if number != FORMAT or not isinstance(number, int):
        raise ValueError(
            f"one of format {number!r:.20}, where this version reads {FORMAT}; read it with the "
            f"version that wrote it, {library!r:.40}"
        )
    shape: Any = fields.get("event_shape")
    n_bits: Any = fields.get("n_bits")
    for name, kinds in _KINDS.items():
        if not isinstance(fields.get(name), kinds):
            raise ValueError(f"a header with {name} {fields.get(name)!r:.40}")
    if n_bits is not None and (type(n_bits) is not int or not 1 <= n_bits <= 8):
        raise ValueError(f"a header with n_bits {n_bits!r:.40}")
    axes = (3,) if n_bits is not None else range(1, MAX_AXES + 1)
    if len(shape) not in axes or not all(type(s) is int and 0 < s < 2**31 for s in shape):
        raise ValueError(f"a header with event_shape {shape!r:.80}")
    return Header(
        config=config_from_json(fields["model"]),
        event_shape=tuple(shape),
        n_bits=n_bits,
        record=from_strict(fields["record"]),
        verdict=from_strict(fields["verdict"]),
        library=fields["library"],
    )


#: What fields of the header are, beside those that are looked at more closely.
_KINDS: dict[str, Any] = {
    "library": str,
    "model": dict,
    "event_shape": list,
    "record": dict,
    "verdict": dict | None,
}


def _wanted(header: Header, dtype: str) -> tuple[Params, dict[str, str]]:
    """The shapes of the parameters that a header describes, as a tree and by name."""
    if isinstance(header.config, GlowConfig):
        levels, sides = header.config.levels, header.event_shape[:-1]
        if len(sides) != 2 or levels >= min(sides).bit_length():  # before so many are built
            raise ValueError(f"a flow of {levels} levels for images of {sides}")
    shapes = abstract_params(flow_of(header.config), tuple(header.event_shape), dtype)
    named = named_leaves(shapes)
    return shapes, {name: _form(leaf.shape, leaf.dtype) for name, leaf in named.items()}


def _form(shape: Sequence[int], dtype: Any) -> str:
    return f"{_DTYPES.get(np.dtype(dtype), str(dtype))}{list(shape)}"


def _codes(forms: Mapping[str, str]) -> set[str]:
    """The dtypes that occur."""
    return {form.partition("[")[0] for form in forms.values()}


def _difference(wanted: Mapping[str, str], found: Mapping[str, str]) -> str:
    """The first leaf that is not as it should be; nothing if all are."""
    for name in sorted({*wanted, *found}):
        mine, other = wanted.get(name, "no such array"), found.get(name, "no such array")
        if mine != other:
            return f"{name:.80} is {other:.80} in place of {mine:.80}"
    return ""


def checksum(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """The checksum of the header and of every array, its name, dtype and shape."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"\n{name} {_form(array.shape, array.dtype)}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
