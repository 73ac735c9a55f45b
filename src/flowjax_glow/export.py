"""A model as compiled programs in one file, which runs wherever jax does, without this library.

Needs the extra `export`. docs/models.md has the ten lines that use such a file.
"""

import importlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.combinator import started
from flowjax_glow.density import decode, encode, freeze, images_dtype, log_prob
from flowjax_glow.errors import expected, how_to_install
from flowjax_glow.files import write_atomically
from flowjax_glow.model import Model
from flowjax_glow.model_file import taken
from flowjax_glow.rebuild import with_memory
from flowjax_glow.trainable import named_leaves

__all__ = ["PLATFORMS", "export_programs"]

#: What the programs run on; which of these is decided when they are called.
PLATFORMS = ("cpu", "cuda", "tpu")

#: What names of programs in the file begin with; their bytes are arrays of uint8.
PROGRAM = "program."


def export_programs(model: Model, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Writes the programs `encode`, `decode` and `log_prob` of a model, and its numbers, in a file.

    Each takes the numbers, a mapping of all arrays of the file but the programs, and then what the
    method of that name takes, in batches of any size. Of a flow that depends on a context, that is
    last: floats with a row per example, one-hot vectors in place of labels. The file is one of
    safetensors. Programs are those of `jax.export`, which promises to read them for half a year or
    longer.

    Raises:
        ValueError: if there is a file and it must not be overwritten, or flatbuffers is missing.
        OSError: if the file cannot be written.
    """
    from safetensors.numpy import save

    path = Path(path)
    if path.exists() and not overwrite:
        raise taken(path)
    check_can_export()
    frozen = jax.device_get(freeze(model.flow, model.params))
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in named_leaves(frozen).items()}
    programs = {
        f"{PROGRAM}{name}": np.frombuffer(_serialized(function, arrays, *given), np.uint8)
        for name, (function, *given) in _functions(model, jax.tree.structure(frozen)).items()
    }
    about = {"event_shape": model.event_shape, "n_bits": model.n_bits, "platforms": PLATFORMS}
    metadata = {"flowjax_glow_programs": json.dumps(about)}
    write_atomically(path, save({**arrays, **programs}, metadata=metadata))


def _functions(model: Model, structure: Any) -> dict[str, tuple[Any, ...]]:
    """Functions of named arrays and a batch, and the shapes of that batch, whose size is open.

    The context of a flow that depends on one comes last.
    """
    flow, n_bits = with_memory(model.flow, "store"), model.n_bits
    (batch,) = jax.export.symbolic_shape("batch")
    shape, dtype = (batch, *model.event_shape), images_dtype(model.params)
    x = jax.ShapeDtypeStruct(shape, dtype)
    latents = jax.eval_shape(flow.forward, started(flow, model.params), x)[0]
    rows = flow.context_shape
    last = () if rows is None else (jax.ShapeDtypeStruct((batch, *rows), dtype),)

    def tree(arrays: Mapping[str, Any], names: tuple[str, ...], *context: Any) -> Any:
        params = jax.tree.unflatten(structure, [arrays[name] for name in names])
        return flow.given(params, *context) if context else params

    names = tuple(named_leaves(jax.tree.unflatten(structure, range(structure.num_leaves))))
    return {
        "encode": (
            lambda arrays, x, *given: encode(
                flow, tree(arrays, names, *given), x, n_bits=n_bits or 8
            ),
            x if n_bits is None else jax.ShapeDtypeStruct(shape, jnp.uint8),
            *last,
        ),
        "decode": (
            lambda arrays, z, *given: decode(flow, tree(arrays, names, *given), z, n_bits=n_bits),
            latents,
            *last,
        ),
        "log_prob": (
            lambda arrays, x, *given: log_prob(flow, tree(arrays, names, *given), x),
            x,
            *last,
        ),
    }


def _serialized(
    function: Callable[..., Any], arrays: Mapping[str, np.ndarray], *given: Any
) -> bytes:
    shapes = {
        name: jax.ShapeDtypeStruct(array.shape, array.dtype) for name, array in arrays.items()
    }
    program = jax.export.export(jax.jit(function), platforms=PLATFORMS)(shapes, *given)
    return bytes(program.serialize())


def check_can_export() -> None:
    """Raises unless the package that serializes programs is there.

    Raises:
        ValueError: with the command that installs it.
    """
    try:
        importlib.import_module("flatbuffers")
    except ImportError as error:
        raise expected(
            "export_programs",
            "the package flatbuffers",
            got=f"{error}",
            advice=f"install it: {how_to_install('export')}",
        ) from error
