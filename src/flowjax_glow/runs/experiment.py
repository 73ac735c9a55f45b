"""An experiment: a run's whole configuration, as a frozen dataclass and as JSON."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowjax_glow.config import GlowConfig
from flowjax_glow.config_json import config_from_json, config_to_json, object_in
from flowjax_glow.diagnostics import thresholds
from flowjax_glow.errors import (
    check_choice,
    check_count,
    check_positive,
    check_seed,
    expected,
)
from flowjax_glow.fields import build
from flowjax_glow.files import read_json
from flowjax_glow.training import OptimizerConfig, make_optimizer

#: Noise levels tau at which the inverse is looked at; latents are tau * N(0, I).
TAUS = thresholds.TAUS[::-1]

#: The paper's limits of the activations, and none.
CLIPS = (10.0, 20.0, 30.0, 40.0, 50.0, 100.0, 500.0, 1000.0, float("inf"))

#: Temperatures of the sample figure (openai/glow's).
TEMPERATURES = (0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

#: Deviation of a nudge, relative to each parameter: about ten roundings of float32.
NUDGE = 1e-6

#: A run goes on under these changes: more steps train on, but under a cosine schedule, which ends
#: at the last planned one; and the rest says only how often or how much is looked at and saved.
FREE_TO_CHANGE = (
    "steps",
    "look_every",
    "look_samples",
    "final_samples",
    "clip_samples",
    "chunk",
    "save_every",
    "monitor_every",
)

#: Fields of older files by the names that they have now.
_RENAMED = {"watch_every": "monitor_every"}


@dataclass(frozen=True)
class Experiment:
    """One run, whole: the same experiment gives the same bits on the same machine.

    Attributes:
        variant: its name; `model` already has what it changes.
        model: a `GlowConfig`, or a configuration that builds on it, as `GlowIPConfig`.
        seed: of the initial parameters, the data order and the dequantization.
        dataset: as `flowjax_glow.data.load` takes it.
        image_size: side in pixels, None for the data set's own.
        n_bits: of the images.
        batch: images per step, over all devices.
        accumulate: micro-batches per step.
        steps: how long to train; more trains on.
        init_images: in the batch of the data-dependent init.
        held_out: test images for bits/dim and round trips.
        look_every: steps between looks at the inverse; also at the start and the end.
        look_samples: per tau and look.
        final_samples: per tau at the end, since the failure is heavy-tailed.
        clip_samples: samples and images decoded under each clip.
        chunk: images per compiled call of the measurements.
        save_every: steps between checkpoints.
        guard_every: steps between measurements of the drift, under ``memory="invert"``; more often
            at the start.
        monitor_every: steps between cheap looks at the inverse, which go into the metrics and warn;
            more often at the start.
        penalty: the weight of `finite_difference_penalty`, of both directions, in the loss.
        nudge: 0, or which of many perturbations at the size of rounding the run starts with: every
            initial float parameter is multiplied by ``1 + NUDGE N(0, 1)``, drawn from that key.
            What starts at zero stays there.
    """

    variant: str = "control"
    seed: int = 0
    model: GlowConfig = field(default_factory=GlowConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    dataset: str = "photos"
    image_size: int | None = 16
    n_bits: int = 5
    batch: int = 16
    accumulate: int = 1
    steps: int = 400
    init_images: int = 256
    held_out: int = 256
    look_every: int = 100
    look_samples: int = 128
    final_samples: int = 512
    clip_samples: int = 128
    chunk: int = 64
    save_every: int = 100
    guard_every: int = 100
    monitor_every: int = 50
    penalty: float = 0.0
    nudge: int = 0

    def __post_init__(self) -> None:
        for name in (
            "batch",
            "accumulate",
            "steps",
            "init_images",
            "held_out",
            "look_every",
            "look_samples",
            "final_samples",
            "clip_samples",
            "chunk",
            "save_every",
            "guard_every",
            "monitor_every",
        ):
            check_count(f"Experiment.{name}", getattr(self, name))
        check_seed("Experiment.seed", self.seed)
        if self.batch % self.accumulate:
            raise expected(
                "Experiment.accumulate",
                f"a number that divides the batch of {self.batch}",
                got=self.accumulate,
                advice="change one of the two",
            )
        check_choice("Experiment.n_bits", self.n_bits, tuple(range(1, 9)))
        if self.penalty:
            check_positive("Experiment.penalty", self.penalty)
        if self.nudge:
            check_count("Experiment.nudge", self.nudge)
        for name in ("held_out", "look_samples", "final_samples", "clip_samples"):
            if getattr(self, name) % self.chunk:
                raise expected(
                    f"Experiment.{name}",
                    f"a multiple of the chunk of {self.chunk}",
                    got=getattr(self, name),
                    advice="change one of the two",
                )

        make_optimizer(self.optimizer, self.steps)  # complains of a warm-up longer than the run

    @property
    def name(self) -> str:
        """The name of its run folder."""
        return f"{self.variant}-seed{self.seed}" + (f"-nudge{self.nudge}" if self.nudge else "")

    @property
    def look_steps(self) -> tuple[int, ...]:
        """The steps after which the inverse is looked at."""
        return (*range(0, self.steps, self.look_every), self.steps)

    @property
    def monitor_steps(self) -> tuple[int, ...]:
        """The steps after which the inverse is monitored."""
        return (*_often_at_first(self.monitor_every, self.steps), self.steps)

    @property
    def guard_steps(self) -> tuple[int, ...]:
        """The steps after which the drift is measured: none unless gradients rest on it."""
        if self.model.memory != "invert":
            return ()
        return _often_at_first(self.guard_every, self.steps)


def _often_at_first(every: int, steps: int) -> tuple[int, ...]:
    """0, powers of two up to `every` and then its multiples, below `steps`.

    An inverse may break at the very first step.
    """
    early = [2**power for power in range(every.bit_length())]
    return tuple(sorted({0, *early, *range(every, steps, every)} & set(range(steps))))


def to_json(experiment: Experiment) -> dict[str, Any]:
    """Plain JSON of an experiment; the model is as in `config_json`."""
    return {**dataclasses.asdict(experiment), "model": config_to_json(experiment.model)}


def from_json(fields: Mapping[str, Any]) -> Experiment:
    """The experiment that `to_json` wrote, perhaps before a field was added that has a default.

    Raises:
        ValueError: if a field is missing, unknown, or has a value that it cannot have.
    """
    model = config_from_json(object_in(fields, "model"))
    if not isinstance(model, GlowConfig):
        raise expected(
            "model.type",
            "a flow on images",
            got=type(model).__name__,
            advice="flows on vectors are judged and sampled in Python (docs/models.md)",
        )
    parts = {
        "model": model,
        "optimizer": build(OptimizerConfig, object_in(fields, "optimizer"), "optimizer."),
    }
    present = {_RENAMED.get(name, name): value for name, value in fields.items()}
    return build(Experiment, present | parts, "")


def read_config(folder: Path) -> Experiment:
    """The experiment of a run folder.

    Raises:
        ValueError: if its config.json is missing, damaged, foreign or newer.
    """
    file = folder / "config.json"
    fields = read_json(file)
    if fields is None:
        raise expected(f"{folder}", "a run folder", got="no config.json", advice="check the path")
    try:
        return from_json(fields)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{file}: {error}") from error


def differences(old: Experiment, new: Experiment) -> list[str]:
    """`field: old -> new` for every field that a run cannot go on with."""
    before, after = _flat(to_json(old)), _flat(to_json(new))
    changed = [
        f"{name}: {before.get(name)} -> {after.get(name)}"
        for name in sorted({*before, *after})
        if name not in FREE_TO_CHANGE and before.get(name) != after.get(name)
    ]
    if old.steps != new.steps and "cosine" in (old.optimizer.schedule, new.optimizer.schedule):
        changed.append(
            f"steps: {old.steps} -> {new.steps} (a cosine schedule ends at the last planned step, "
            "so more steps are another schedule from the first on)"
        )
    return changed


def _flat(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
