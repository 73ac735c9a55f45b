"""Experiments as JSON and back, and what differs between two of them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from experiments.presets import Experiment
from flowjax_glow import scales
from flowjax_glow.glow import GlowConfig
from flowjax_glow.training import OptimizerConfig

#: A run goes on under these changes: more steps train on, and the rest says only how often or how
#: much is looked at and saved.
FREE_TO_CHANGE = (
    "steps",
    "look_every",
    "look_samples",
    "final_samples",
    "clip_samples",
    "chunk",
    "save_every",
    "watch_every",
)

#: Fields of a model that hold a scale.
_SCALES = frozenset({"scale", "prior_scale"})


def to_json(experiment: Experiment) -> dict[str, Any]:
    """Plain JSON of an experiment; a scale is `{"type": class name, ...its constants}`."""
    fields = dataclasses.asdict(experiment)
    for name in _SCALES:
        kind = type(getattr(experiment.model, name)).__name__
        fields["model"][name] = {"type": kind, **fields["model"][name]}
    return fields


def from_json(fields: dict[str, Any]) -> Experiment:
    """The experiment that `to_json` wrote, perhaps before a field was added that has a default."""
    model = dict(fields["model"])
    for name in _SCALES & model.keys():
        constants = dict(model[name])
        model[name] = getattr(scales, constants.pop("type"))(**constants)
    return Experiment(
        **{
            **fields,
            "model": GlowConfig(**model),
            "optimizer": OptimizerConfig(**fields["optimizer"]),
        }
    )


def read_config(folder: Path) -> Experiment:
    """The experiment of a run folder."""
    return from_json(json.loads((folder / "config.json").read_text()))


def differences(old: Experiment, new: Experiment) -> list[str]:
    """`field: old -> new` for every field that a run cannot go on with."""
    before, after = _flat(to_json(old)), _flat(to_json(new))
    return [
        f"{name}: {before.get(name)} -> {after.get(name)}"
        for name in sorted({*before, *after})
        if name not in FREE_TO_CHANGE and before.get(name) != after.get(name)
    ]


def _flat(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
