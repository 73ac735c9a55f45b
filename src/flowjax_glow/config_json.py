"""Configurations of models as plain JSON, in run folders and in model files alike.

A configuration and each scale in it is ``{"type": class name, ...its fields}``. The name chooses
among the classes of the tables below and nothing else.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeAlias

from flowjax_glow.bijector import Bijector
from flowjax_glow.config import GlowConfig, glow
from flowjax_glow.errors import expected
from flowjax_glow.fields import build
from flowjax_glow.glowip import GlowIPConfig
from flowjax_glow.ported import PortedGlowConfig
from flowjax_glow.real_nvp import RealNVPConfig, realnvp
from flowjax_glow.scales import SCALES, Exponential, OnePlusExponential

#: What a flow of this library is built from.
Config: TypeAlias = GlowConfig | RealNVPConfig

#: Configurations by the name in their `type`; one without is a `GlowConfig`.
CONFIGS: dict[str, type[Config]] = {
    kind.__name__: kind for kind in (GlowConfig, GlowIPConfig, PortedGlowConfig, RealNVPConfig)
}

#: Scales by the name in their `type`.
SCALE_TYPES = {
    type(scale).__name__: type(scale)
    for scale in (*SCALES.values(), Exponential(), OnePlusExponential())
}

#: Fields of configurations that hold a scale.
_SCALES = ("scale", "prior_scale")


def flow_of(config: Config) -> Bijector:
    """The flow that a configuration says."""
    return realnvp(config) if isinstance(config, RealNVPConfig) else glow(config)


def config_to_json(config: Config) -> dict[str, Any]:
    """Plain JSON of a configuration, which `config_from_json` reads if its classes are ours."""
    fields = {"type": type(config).__name__, **dataclasses.asdict(config)}
    for name, scale in _scales(config).items():
        fields[name] = {"type": type(scale).__name__, **fields[name]}
    return fields


def config_from_json(fields: Mapping[str, Any], where: str = "model") -> Config:
    """The configuration that `config_to_json` wrote, perhaps before a field with a default came.

    Args:
        fields: of the JSON object.
        where: what an error calls it.

    Raises:
        ValueError: if a field is unknown, or has a value that it cannot have.
    """
    fields = dict(fields)
    name = fields.pop("type", GlowConfig.__name__)
    check_known(f"{where}.type", name, CONFIGS)
    for place in _SCALES:
        if place in fields:
            constants = dict(object_in(fields, place, f"{where}."))
            kind = constants.pop("type", None)
            check_known(f"{where}.{place}.type", kind, SCALE_TYPES)
            fields[place] = build(SCALE_TYPES[kind], constants, f"{where}.{place}.")
    return build(CONFIGS[name], fields, f"{where}.")


def check_ours(where: str, config: Config) -> None:
    """Raises unless a configuration and its scales are of the classes that a file may name."""
    parts = {"": (config, CONFIGS)} | {
        f".{name}": (scale, SCALE_TYPES) for name, scale in _scales(config).items()
    }
    for place, (part, known) in parts.items():
        if known.get(type(part).__name__) is not type(part):
            raise expected(
                f"{where}{place}",
                f"one of {', '.join(known)}",
                got=type(part).__name__,
                advice="a file names classes of this library alone; keep the parameters yourself",
            )


def _scales(config: Config) -> dict[str, Any]:
    """The scales of a configuration by field."""
    return {name: getattr(config, name) for name in _SCALES if hasattr(config, name)}


def object_in(fields: Mapping[str, Any], name: str, where: str = "") -> Mapping[str, Any]:
    """The JSON object under a name; raises ValueError if there is none."""
    part = fields.get(name)
    if not isinstance(part, Mapping):
        raise expected(
            f"{where}{name}", "a JSON object", got=repr(part)[:80], advice="restore the file"
        )
    return part


def check_known(where: str, name: object, known: Mapping[str, Any]) -> None:
    """Raises unless `name` is one of a table that this version knows."""
    if not isinstance(name, str) or name not in known:
        raise expected(
            where,
            f"one of {', '.join(known)}",
            got=repr(name)[:80],
            advice="read it with the version that wrote it",
        )
