"""Every variant is a row: what it changes in the control's `GlowConfig`."""

import dataclasses
from typing import Any

from flowjax_glow.errors import expected
from flowjax_glow.glow import GlowConfig
from flowjax_glow.scales import (
    Additive,
    Biased,
    Bounded,
    DepthScaled,
    SoftClamp,
    TanhExponential,
)

#: Name, what it changes, and one line about it.
VARIANTS: dict[str, tuple[dict[str, Any], str]] = {
    "control": ({}, "GLOW as it is: s = sigmoid(h + 2)"),
    "additive": ({"scale": Additive()}, "paper: s = 1"),
    "biased": ({"scale": Biased(0.1)}, "paper: s = sigmoid(h + 2) + 0.1"),
    "bounded": ({"scale": Bounded(0.5, 1.0)}, "paper: s in (0.5, 1)"),
    "randomized": ({"permutation": "every_step"}, "paper: a random permutation after every step"),
    "depth-scaled": ({"scale": DepthScaled(4.0)}, "ours: |log s| < 4 / depth"),
    "openai": (
        {"reads": "signal", "split_prior": "learned"},
        "openai/glow's wiring: the net reads the signal, learned split prior",
    ),
    "randomized-level-end": (
        {"permutation": "level_end"},
        "one random permutation at the end of each level",
    ),
    "realnvp": (
        {"mixing": "reverse", "scale": TanhExponential(1.0)},
        "RealNVP: reversed channels instead of the 1x1 convolution, log s = tanh(h)",
    ),
    "soft-clamp": ({"scale": SoftClamp(1.9)}, "FrEIA's clamp: |log s| < 1.9"),
}

PAPER = ("control", "additive", "biased", "bounded", "randomized")
GROUPS: dict[str, tuple[str, ...]] = {
    "paper": PAPER,
    "all": (*PAPER, "depth-scaled"),
    "wiring": ("openai", "randomized-level-end", "realnvp", "soft-clamp"),
}


def resolve(names: str) -> list[str]:
    """Variants of a comma-separated list of names and groups, each once, in order."""
    found: dict[str, None] = {}
    for name in (part.strip() for part in names.split(",")):
        if name not in VARIANTS and name not in GROUPS:
            raise expected(
                "--variant",
                f"names or groups of {', '.join([*VARIANTS, *GROUPS])}",
                got=repr(name),
                advice="--list describes them",
            )
        found.update(dict.fromkeys(GROUPS.get(name, (name,))))
    return list(found)


def apply_variant(name: str, model: GlowConfig) -> GlowConfig:
    """The control's `model` as variant `name` changes it."""
    return dataclasses.replace(model, **VARIANTS[name][0])
