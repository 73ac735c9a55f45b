"""`flowjax-glow repair`: leads a trained model whose inverse is broken to a bounded scale."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from jaxtyping import Array, Float

from flowjax_glow import data
from flowjax_glow.combinators import Memory
from flowjax_glow.commands.command import Command
from flowjax_glow.commands.errors import SOME_RUNS_FAILED
from flowjax_glow.config import glow
from flowjax_glow.density import bits_per_dim
from flowjax_glow.diagnostics import stability_report
from flowjax_glow.diagnostics.stability import Tier
from flowjax_glow.errors import expected
from flowjax_glow.files import read_json, write_json
from flowjax_glow.runs.compilation import keep_compiled_programs
from flowjax_glow.runs.experiment import Experiment
from flowjax_glow.runs.folder import check_same, claimed
from flowjax_glow.runs.images import examples
from flowjax_glow.runs.load import Trained, load_trained
from flowjax_glow.runs.loss import HELD_OUT_KEY, BitsPerDim
from flowjax_glow.runs.run import Training, run
from flowjax_glow.scales import Blend, Scale, scale_from
from flowjax_glow.training import (
    LossFn,
    OptimizerConfig,
    TrainState,
    data_mesh,
    evaluate,
    initial_state,
    keep_freed_memory,
    make_optimizer,
)
from flowjax_glow.types import Key, Params


@dataclass(frozen=True, kw_only=True)
class Repair(Command):
    """Lead a trained model whose inverse is broken to a bounded scale, and say what it costs.

    The log-scale of every coupling moves from the one the model was trained with to the new one,
    in equal parts per step over the first half of a short training; the second half is the new
    model's alone. What comes out is a whole run folder, which every command takes; its repair.json
    has the stability report and the held-out bits/dim before and after. RUN stays as it is.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder."""

    scale: str = "depth-scaled"
    """The new one, as bounded:0.5,1."""

    output: Path | None = None
    """Folder of the new run; RUN-SCALE by default."""

    steps: int = 200
    """Of training; half of them to move."""

    learning_rate: float = 5e-4
    """Of this training, which has a warm-up of ten steps."""

    count: int | None = None
    """Held-out images to measure on; 256, or all of a data set that has fewer."""

    tier: Tier = "fast"
    """Of the stability reports."""

    def __call__(self) -> int:
        new = scale_from(self.scale)
        name = f"{self.run.name}-{self.scale.replace(':', '-')}"
        output = self.output or self.run.with_name(name)
        _check_output(output, self.run)
        keep_compiled_programs()
        keep_freed_memory()
        trained = load_trained(self.run)
        after = repaired(trained.experiment, new, self.scale, self.steps, self.learning_rate)
        before_report = judge(trained, self.count, self.tier)
        print(f"before: {before_report['bits_per_dim']:.3f} bits/dim, {before_report['text']}")
        with claimed(output):
            _check_start(output, self.run, trained, after)
            summary = run(after, output, training=Repairing(after, trained))
        if summary["status"] != "done":
            print(f"{output}: the training diverged at step {summary['steps']}", file=sys.stderr)
            return SOME_RUNS_FAILED
        after_report = judge(load_trained(output), self.count, self.tier)
        print(f"after: {after_report['bits_per_dim']:.3f} bits/dim, {after_report['text']}")
        print(f"  {output}")
        write_json(
            output / "repair.json",
            {
                "run": str(self.run),
                "scale": self.scale,
                "before": before_report,
                "after": after_report,
            },
        )
        return 0


#: Says what a repair started from, so that one that was interrupted goes on from the same.
START = "repaired_from.json"


def _check_output(output: Path, run: Path) -> None:
    """A repair that was interrupted goes on; nothing else is written over."""
    interrupted = (output / START).exists() and not (output / "repair.json").exists()
    if (output.exists() and not interrupted) or output.resolve() == run.resolve():
        raise expected(f"{output}", "no such folder yet", got="one", advice="choose --output")


def _check_start(output: Path, run: Path, trained: Trained, after: Experiment) -> None:
    """Notes what the repair starts from; raises if an earlier attempt started from another."""
    start = {"run": str(run.resolve()), "step": int(trained.state.step), "steps": after.steps}
    earlier = read_json(output / START)
    if earlier not in (None, start):
        raise expected(
            f"{output}", f"a repair of {earlier}", got=str(start), advice="choose another --output"
        )
    check_same(output, after)
    write_json(output / START, start)


def repaired(
    experiment: Experiment, scale: Scale, name: str, steps: int, learning_rate: float
) -> Experiment:
    """The experiment of the fine-tuning: the model with its new scale, a gentle start."""
    return replace(
        experiment,
        variant=f"{experiment.variant}-{name}",
        model=replace(experiment.model, scale=scale),
        optimizer=OptimizerConfig(
            experiment.optimizer.name, learning_rate, warmup_steps=min(10, steps - 1)
        ),
        steps=steps,
        penalty=0.0,  # the fine-tuning has none
    )


@dataclass(frozen=True)
class BlendedBitsPerDim:
    """The mean loss of a batch ``{"images": ..., "weight": ...}`` on the way to the new scale."""

    before: Experiment
    after: Experiment

    def __call__(self, params: Params, key: Key, batch: dict[str, Array]) -> Float[Array, ""]:
        start, end = self.before.model.scale, self.after.model.scale
        assert isinstance(start, Scale)
        assert isinstance(end, Scale)
        scale = Blend(start, end, batch["weight"].mean())
        # "invert" keeps its flow as a static value, which a traced weight is not
        flow = glow(replace(self.after.model, scale=scale, memory="remat"))
        return bits_per_dim(flow, params, key, batch["images"], n_bits=self.after.n_bits).mean()


@dataclass(frozen=True)
class Repairing(Training):
    """From the parameters of a trained model, on the images that it would have seen next."""

    trained: Trained

    def start(self, source: data.Source) -> TrainState:
        del source
        optimizer = make_optimizer(self.experiment.optimizer, self.experiment.steps)
        key = jax.random.fold_in(jax.random.key(self.experiment.seed), 3)
        return initial_state(self.trained.state.params, optimizer, key)

    def loss(self, memory: Memory) -> LossFn:
        del memory
        return BlendedBitsPerDim(self.trained.experiment, self.experiment)

    def batch(self, source: data.Source, step: int) -> dict[str, Any]:
        """Images, and how far the scale has moved."""
        images = super().batch(source, int(self.trained.state.step) + step)
        weight = min(1.0, 2 * (step + 1) / self.experiment.steps)
        return {"images": images, "weight": np.full(len(images), weight, np.float32)}


def judge(trained: Trained, count: int | None, tier: Tier) -> dict[str, Any]:
    """The stability report of a model and its held-out bits/dim."""
    experiment = trained.experiment
    held_out = examples(trained.source, count)
    whole = len(held_out) // experiment.chunk * experiment.chunk  # in batches of one size
    batches = [held_out[i : i + experiment.chunk] for i in range(0, whole, experiment.chunk)]
    bits = evaluate(
        BitsPerDim(trained.flow, experiment.n_bits),
        trained.state.params,
        jax.random.key(HELD_OUT_KEY),
        batches,
        mesh=data_mesh(),
    )
    report = stability_report(
        trained.flow, trained.state.params, held_out, n_bits=experiment.n_bits, tier=tier
    )
    return {"bits_per_dim": bits, "text": str(report), **report.to_json()}
