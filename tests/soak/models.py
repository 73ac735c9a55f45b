"""Model files with faults, and forged ones, for the machinery of `tests.soak.files`."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy

from flowjax_glow.config import RECOMMENDED, GlowConfig, glow
from flowjax_glow.glowip import GlowIPConfig
from flowjax_glow.model_file import (
    CHECKSUM,
    HEADER,
    Header,
    abstract_params,
    checksum,
    write_model_file,
)
from flowjax_glow.runs.load import load_trained
from tests.soak.files import Subject, damaged, odd_json


def models(place: Path) -> list[Subject]:
    """Writes healthy model files below `place`."""
    small: dict[str, Any] = {"levels": 2, "depth": 2, "width": 4}
    configs = {
        "damped": GlowConfig(**{**RECOMMENDED, **small}),
        "author": GlowIPConfig(**small, permutation="every_step", conv1x1="lu"),
    }
    found = []
    for name, config in configs.items():
        shapes = abstract_params(glow(config), (8, 8, 3), "float32")
        params = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes)
        record = {"experiment": {"dataset": "digits", "batch": 8}, "step": 400, "averaged": True}
        file = place / f"{name}.safetensors"
        write_model_file(file, Header(config, (8, 8, 3), 5, record, {"verdict": "broken"}), params)
        found.append(Subject(file, partial(load_trained, file), file.read_bytes(), forged))
    return found


def forged(content: bytes, rng: np.random.Generator) -> bytes:
    """A model file with a fault, or a forged one: with another value in one of its headers.

    Half of those in our own header have the checksum that goes with it.
    """
    choice = rng.random()
    if choice < 0.4:
        return damaged(content, rng)
    size = int.from_bytes(content[:8], "little")
    outer, numbers = content[8 : 8 + size], content[8 + size :]
    if choice < 0.6:
        changed = odd_json(outer.rstrip(), rng)
    else:
        names = json.loads(outer)
        text = odd_json(names["__metadata__"][HEADER].encode(), rng).decode()
        names["__metadata__"][HEADER] = text
        if choice < 0.8:
            names["__metadata__"][CHECKSUM] = checksum(text, safetensors.numpy.load(content))
        changed = json.dumps(names).encode()
    return len(changed).to_bytes(8, "little") + changed + numbers
