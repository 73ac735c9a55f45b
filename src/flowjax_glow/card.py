"""A model card in Markdown, with the front matter that the Hugging Face hub reads."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from flowjax_glow.config import GlowConfig
from flowjax_glow.model_file import Header
from flowjax_glow.real_nvp import RealNVPConfig

_FRONT = """---
library_name: flowjax_glow
{task}tags:
- flowjax_glow
- normalizing-flow
- {family}
- jax
---
"""

_TASK = "pipeline_tag: unconditional-image-generation\n"

_LOAD = """## How to load it

With the Python package `flowjax-glow`, version {version} or later:

```python
from flowjax_glow import Model

model = Model.load("{file}")
{uses}
```

The file is in safetensors, without pickles; loading it runs no code of its author's.
"""

_IMAGES = """images = model.sample(16, key=0, temperature=0.7{label})  # uint8, (16, {sides})
latents = model.encode(images{label})                     # and back: model.decode(latents{label})
bits = model.bits_per_dim(images{label})                  # one number per image"""

_EVENTS = """events = model.sample(16, key=0{label})   # floats, (16, {sides})
latents = model.encode(events{label})     # and back: model.decode(latents{label})
nats = model.log_prob(events{label})      # one number per event"""


def card(header: Header, parameters: int, file: str) -> str:
    """The card of a model.

    Args:
        header: of the model.
        parameters: how many numbers it has.
        file: what the model's file is called.
    """
    config, verdict = header.config, header.verdict
    shape = "x".join(map(str, header.event_shape))
    sides = ", ".join(map(str, header.event_shape))
    dataset = _code(_told_of_training(header).get("dataset", "?"))
    family = "RealNVP" if isinstance(config, RealNVPConfig) else "GLOW"
    kind, uses = ("images", _IMAGES) if header.n_bits else ("events", _EVENTS)
    uses = uses.format(sides=sides, label=", context=0" if config.classes else "")
    lines = [
        f"# {family} for {shape} {kind} of {dataset}",
        "",
        f"A normalizing flow: it gives {kind}, exact likelihoods of {kind}, and codes that decode "
        f"to the same {kind}.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in _facts(header, parameters)),
        "",
        "## Can its inverse be trusted?",
        "",
        *(_told(verdict) if verdict else ["Nobody has asked: `flowjax-glow diagnose` does."]),
        "",
        _LOAD.format(version=version("flowjax-glow"), file=file, uses=uses),
        "## Configuration",
        "",
        "```",
        repr(config),
        "```",
        "",
    ]
    front = _FRONT.format(
        task=_TASK if header.n_bits and not config.classes else "", family=family.lower()
    )
    return front + "\n" + "\n".join(lines)


def _facts(header: Header, parameters: int) -> Iterator[tuple[str, str]]:
    """Rows of the table, as far as the record has them."""
    config, record = header.config, _told_of_training(header)
    shape = "x".join(map(str, header.event_shape))
    yield ("images", f"{shape}, {header.n_bits} bits") if header.n_bits else ("events", shape)
    plural = "" if getattr(config, "levels", 0) == 1 else "s"
    levels = f"{config.levels} level{plural} of " if isinstance(config, GlowConfig) else ""
    yield "flow", f"{levels}{config.depth} steps, width {config.width}"
    yield "numbers in it", f"{parameters:,}"
    for name, title in _TITLES.items():
        if record.get(name) is not None:
            yield title, _code(record[name])
    if config.classes:
        names = record.get("classes")
        told = f": {_code(', '.join(map(str, names)))}" if isinstance(names, list) else ""
        yield "classes", f"{config.classes}{told}"
    if isinstance(bits := record.get("bits_per_dim"), int | float):
        count = record.get("held_out_images")
        yield "bits/dim", f"{bits:.3f}" + (f", on {count} held-out images" if count else "")
    if isinstance(nats := record.get("nats_per_dim"), int | float):
        count = record.get("held_out_events")
        yield "nats/dim", f"{nats:.3f}" + (f", on {count} held-out events" if count else "")


def _told_of_training(header: Header) -> dict[str, Any]:
    """The record, flat."""
    experiment = header.record.get("experiment")
    return {**(experiment if isinstance(experiment, Mapping) else {}), **header.record}


#: What the record may tell, and what the card calls it.
_TITLES = {
    "dataset": "trained on",
    "step": "steps",
    "batch": "images per step",
    "seed": "seed",
    "averaged": "averaged over the last steps",
}


def _told(verdict: Mapping[str, Any]) -> list[str]:
    """The verdict, and what it rests on."""
    statement = f": {_plain(verdict['statement'])}" if verdict.get("statement") else ""
    lines = [f"**{_plain(verdict.get('verdict', '?'))}**{statement}."]
    if verdict.get("reason"):
        lines += ["", f"To blame: {_code(verdict.get('layer'))}: {_plain(verdict['reason'])}."]
    if verdict.get("images"):
        lines += ["", f"Measured on {verdict.get('count')} images of {_code(verdict['images'])}."]
    measurements = [each for each in verdict.get("measurements") or () if isinstance(each, Mapping)]
    if measurements:
        lines += ["", "| measured | value | says |", "|---|---|---|"]
        lines += [
            f"| {_plain(each.get('name'))} | {_number(each.get('value'))} "
            f"| {_plain(each.get('grade'))} |"
            for each in measurements
        ]
    return lines


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else _plain(value)


def _code(value: Any) -> str:
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    """Text that stays within its cell and within its code span; a file may come from a stranger."""
    text = " ".join(str(value).split())
    return "".join(c for c in text if c.isprintable() and c not in "`|<>")[:500]
