"""Every variant is a row: what it changes in the control's `GlowConfig`.

A row may set fields of `GlowIPConfig`, too; its model is then one, and what else the row does not
set is as in the control.
"""

import dataclasses
import difflib
import math
from typing import Any

from flowjax_glow.config import DAMPED, GlowConfig
from flowjax_glow.errors import expected
from flowjax_glow.glowip import AS_CONTROL, GlowIPConfig
from flowjax_glow.scales import (
    Additive,
    AsymmetricClamp,
    Biased,
    Bounded,
    DepthScaled,
    Exponential,
    Scale,
    Sigmoid,
    SoftClamp,
    TanhExponential,
    TanhSoftplus,
)

Row = tuple[dict[str, Any], str]

#: Name, what it changes, and one line about it.
VARIANTS: dict[str, Row] = {
    "control": ({}, "GLOW as it is: s = sigmoid(h + 2)"),
    "additive": ({"scale": Additive()}, "paper: s = 1"),
    "biased": ({"scale": Biased(0.1)}, "paper: s = sigmoid(h + 2) + 0.1"),
    "bounded": ({"scale": Bounded(0.5, 1.0)}, "paper: s in (0.5, 1)"),
    "randomized": ({"permutation": "every_step"}, "paper: a random permutation after every step"),
    "depth-scaled": ({"scale": DepthScaled(4.0)}, "ours: |log s| < 4 / depth"),
    "damped": (DAMPED, "ours: the same, with net outputs divided by the depth"),
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

#: At depth 32, where 4 / depth is 0.125.
_SCALES: dict[str, Scale] = {
    **{f"biased-{b}": Biased(b) for b in (0.001, 0.01, 0.03, 0.3, 0.5)},
    **{f"bounded-{a}": Bounded(a, 1.0) for a in (0.1, 0.25, 0.75)},
    "bounded-0.88": Bounded(math.exp(-4 / 32), 1.0),
    "two-sided-0.5": DepthScaled(math.log(2), steps=1),
    "soft-clamp-0.125": SoftClamp(4 / 32),
    "soft-clamp-0.5": SoftClamp(0.5),
    "tanh-0.125": TanhExponential(4 / 32),
    "one-sided": DepthScaled(4.0, one_sided=True),
    **{f"depth-scaled-{alpha}": DepthScaled(float(alpha)) for alpha in (1, 2, 8, 16)},
}

SCALE_ROWS: dict[str, Row] = {
    **{name: ({"scale": scale}, f"scales: {scale}") for name, scale in _SCALES.items()},
    "control-damped": ({"damped": True}, "scales: the control with damped nets"),
    **{
        f"damped-{alpha}": (
            {**DAMPED, "scale": DepthScaled(float(alpha))},
            f"scales: damped, |log s| < {alpha} / depth",
        )
        for alpha in (1, 2, 8)
    },
}

#: What our remedies are compared with (docs/protocol.md): another pace, and bounds of others at
#: their own constants, which do not know the depth. A shift that is limited to 4 and s = exp(4
#: tanh(h / 4)) are STARFlow's `get_proj_out`; its released models make s by a softplus.
ALTERNATIVE_ROWS: dict[str, Row] = {
    "damped-sqrt": (
        DAMPED | {"damped": "sqrt"},
        "alternatives: damped, net outputs divided by the root of the depth",
    ),
    "asymmetric": (
        {"scale": AsymmetricClamp(0.1, 2.0)},
        "alternatives: Andrade's clamp, log s in (-0.1, 2) at any depth",
    ),
    "tanh-clip": (
        {"scale": DepthScaled(4.0, steps=1), "shift_limit": 4.0},
        "alternatives: STARFlow's clip, |shift| < 4 and |log s| < 4 at any depth",
    ),
    "tanh-clip-softplus": (
        {"scale": TanhSoftplus(4.0), "shift_limit": 4.0},
        "alternatives: the same with the softplus of its released models",
    ),
}

DEPTH_ROWS: dict[str, Row] = {
    f"{name}-depth{depth}": ({**changes, "depth": depth}, f"{name}, {depth} steps")
    for depth in (8, 64)
    for name, changes in {
        **{name: VARIANTS[name][0] for name in ("control", "bounded", "depth-scaled", "damped")},
        "damped-sqrt": ALTERNATIVE_ROWS["damped-sqrt"][0],
    }.items()
}

#: The clamp that equals 4 / depth at depth 32, unchanged at every depth, and what is beside it.
FIXED_CLAMP_ROWS: dict[str, Row] = {
    **{
        f"soft-clamp-0.125-depth{depth}": (
            {"scale": SoftClamp(4 / 32), "depth": depth},
            f"fixed clamp: |log s| < 0.125, {depth} steps",
        )
        for depth in (8, 64, 128)
    },
    **{
        f"{name}-depth128": ({**VARIANTS[name][0], "depth": 128}, f"fixed clamp: {name}, 128 steps")
        for name in ("control", "depth-scaled", "damped")
    },
}

#: Our remedy with one of its parts taken away. Where priors are standard, the last two are `damped`
#: and `depth-scaled`: this is for the preset `no-warmup`.
PART_ROWS: dict[str, Row] = {
    "damped-sigmoid": (DAMPED | {"scale": Sigmoid()}, "parts: damped, with the control's s"),
    "damped-bounded": (DAMPED | {"scale": Bounded(0.5, 1.0)}, "parts: damped, s in (0.5, 1)"),
    "damped-free-prior": (
        DAMPED | {"prior_scale": Exponential()},
        "parts: damped, with an unbounded learned prior",
    ),
    "undamped": (DAMPED | {"damped": False}, "parts: damped's two bounds, nets not damped"),
}

_BOUNDED = {"scale": Bounded(0.5, 1.0)}
_LEARNED = {"split_prior": "learned"}
_SIGNAL = {"reads": "signal"}
_LEVEL_END = {"permutation": "level_end"}

#: What the noise path laboratory has beside the variants above. After a random permutation at a
#: level's end a net reads noise and signal alike, so `reads` is varied only without one.
NOISE_PATH_ROWS: dict[str, Row] = {
    "signal": (_SIGNAL, "noise path: the net reads the signal"),
    "signal-bounded": (_SIGNAL | _BOUNDED, "noise path: the same, s in (0.5, 1)"),
    "learned": (_LEARNED, "noise path: a learned prior"),
    "learned-bounded": (_LEARNED | _BOUNDED, "noise path: the same, s in (0.5, 1)"),
    "openai-bounded": (_SIGNAL | _LEARNED | _BOUNDED, "noise path: openai, s in (0.5, 1)"),
    "openai-damped": (_SIGNAL | _LEARNED | DAMPED, "noise path: openai with our remedy"),
    "level-end-bounded": (_LEVEL_END | _BOUNDED, "noise path: permuted level ends, s in (0.5, 1)"),
    "level-end-learned": (_LEVEL_END | _LEARNED, "noise path: permuted level ends, learned prior"),
    "level-end-learned-bounded": (
        _LEVEL_END | _LEARNED | _BOUNDED,
        "noise path: the same, s in (0.5, 1)",
    ),
    "level-end-signal": (
        _LEVEL_END | _SIGNAL,
        "noise path, negative control: in distribution the same as randomized-level-end",
    ),
    "realnvp-shuffle": (
        {"mixing": "shuffle", "scale": TanhExponential(1.0)},
        "noise path: realnvp with fixed random permutations",
    ),
}

#: The three readings of the paper's Figure 5: permutations kept, lost by a reload (measured on the
#: same runs), or drawn anew for every batch.
FIGURE5_ROWS: dict[str, Row] = {
    "randomized-bounded": (
        {"permutation": "every_step"} | _BOUNDED,
        "figure 5: randomized, s in (0.5, 1)",
    ),
    "randomized-damped": (
        {"permutation": "every_step"} | DAMPED,
        "figure 5: randomized with our remedy",
    ),
    "per-batch": (
        {"permutation": "every_batch"},
        "figure 5: random permutations drawn anew for every batch",
    ),
    "per-batch-bounded": (
        {"permutation": "every_batch"} | _BOUNDED,
        "figure 5: the same, s in (0.5, 1)",
    ),
    "per-batch-damped": (
        {"permutation": "every_batch"} | DAMPED,
        "figure 5: the same with our remedy",
    ),
}

#: What GlowIP, the public code of the paper's author, does differently, at its values.
_AUTHOR = {
    "author-form": ({"form": "scale-first"}, "s x + t instead of (x + t) s"),
    "author-last-level": (
        {"last_depth": 1, "last_slip": True},
        "a last level of one step, with s in (1, 2) and a net that does not start at zero",
    ),
    "author-actnorm": ({"actnorm_factor": 1.0}, "log-scales of actnorms without the factor 3"),
    "author-net": ({"net_deviation": 0.01}, "nets that start at N(0, 0.01^2)"),
}

AUTHOR_ROWS: dict[str, Row] = {
    "author": (
        {name: value for change, _ in _AUTHOR.values() for name, value in change.items()},
        "author: the model of the author's public code, GlowIP",
    ),
    **{name: (change, f"author: {about}") for name, (change, about) in _AUTHOR.items()},
    "edge-channel": (
        {"edge": True},
        "author: nets read an edge channel (openai/glow's, not GlowIP's)",
    ),
}

#: Rows of a study alone; its own figure shows them, the paper's figures do not.
STUDY_ROWS: dict[str, Row] = {
    **SCALE_ROWS,
    **DEPTH_ROWS,
    **ALTERNATIVE_ROWS,
    **FIXED_CLAMP_ROWS,
    **PART_ROWS,
    **NOISE_PATH_ROWS,
    **FIGURE5_ROWS,
    **AUTHOR_ROWS,
}

VARIANTS |= STUDY_ROWS

GROUPS: dict[str, tuple[str, ...]] = {
    "paper": PAPER,
    "all": (*PAPER, "depth-scaled", "damped"),
    "wiring": ("openai", "randomized-level-end", "realnvp", "soft-clamp"),
    "scales": (
        *("control", "additive", "biased", "bounded", "depth-scaled", "damped", "soft-clamp"),
        *SCALE_ROWS,
    ),
    "depth": ("control", "bounded", "depth-scaled", "damped", "damped-sqrt", *DEPTH_ROWS),
    "alternatives": (
        *("control", "bounded", "depth-scaled", "damped", "soft-clamp", "soft-clamp-0.125"),
        *ALTERNATIVE_ROWS,
    ),
    "fixed-clamp": tuple(
        f"{name}{depth}"
        for depth in ("-depth8", "", "-depth64", "-depth128")
        for name in ("control", "depth-scaled", "damped", "soft-clamp-0.125")
    ),
    "parts": ("control", "bounded", "depth-scaled", "damped", *PART_ROWS),
    "noise-path": (
        *("control", "bounded", "openai", "randomized", "randomized-level-end", "realnvp"),
        *NOISE_PATH_ROWS,
    ),
    "figure5": ("randomized", *FIGURE5_ROWS),
    "author": ("control", *AUTHOR_ROWS),
}


def described_variants() -> dict[str, dict[str, str]]:
    """The variants and their groups, each with a line about it."""
    return {
        "Variants": {name: about for name, (_, about) in VARIANTS.items()},
        "Groups": {name: ", ".join(members) for name, members in GROUPS.items()},
    }


def resolve(names: str) -> list[str]:
    """Variants of a comma-separated list of names and groups, each once, in order."""
    found: dict[str, None] = {}
    for name in (part.strip() for part in names.split(",")):
        if name not in VARIANTS and name not in GROUPS:
            close = difflib.get_close_matches(name, [*VARIANTS, *GROUPS], n=1)
            raise expected(
                "--variant",
                "names of variants or groups",
                got=repr(name),
                advice=f"did you mean {close[0]}?" if close else "--list describes them",
            )
        found.update(dict.fromkeys(GROUPS.get(name, (name,))))
    return list(found)


def apply_variant(name: str, model: GlowConfig) -> GlowConfig:
    """The control's `model` as variant `name` changes it."""
    changes = VARIANTS[name][0]
    if changes.keys() & AS_CONTROL.keys() and not isinstance(model, GlowIPConfig):
        model = GlowIPConfig(**vars(model), **AS_CONTROL)
    return dataclasses.replace(model, **changes)
