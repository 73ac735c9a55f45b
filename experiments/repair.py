"""Leads a trained model whose inverse is broken to a bounded scale.

    python -m experiments.repair RUN --scale=depth-scaled --output=REPAIRED

The log-scale of every coupling moves from the one the model was trained with to the new one, in
equal parts per step over the first half of a short training; the second half is the new model's
alone. REPAIRED is a run folder of that model, which every command takes; its repair.json holds the
stability report and the held-out bits/dim before and after. RUN stays as it is.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from flowjax_glow import data
    from flowjax_glow.runs.experiment import Experiment
    from flowjax_glow.runs.load import Trained
    from flowjax_glow.scales import Scale
    from flowjax_glow.training import TrainState
    from flowjax_glow.types import Key, Params


@click.command(context_settings={"max_content_width": 100})
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--scale", default="depth-scaled", show_default=True, help="As bounded:0.5,1.")
@click.option("--output", type=click.Path(path_type=Path), help="Default: RUN-SCALE.")
@click.option("--steps", default=200, show_default=True, help="Of training; half of them to move.")
@click.option("--learning-rate", default=5e-4, show_default=True)
@click.option("--count", default=256, show_default=True, help="Held-out images to measure on.")
@click.option("--tier", type=click.Choice(["fast", "full"]), default="fast", show_default=True)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(
    folder: Path,
    scale: str,
    output: Path | None,
    steps: int,
    learning_rate: float,
    count: int,
    tier: Literal["fast", "full"],
    debug: bool,
) -> None:
    """Give the model of RUN, a run folder, a bounded scale, and say what it costs."""
    from experiments.exit_codes import one_line_errors

    with one_line_errors(debug):
        from flowjax_glow.errors import expected
        from flowjax_glow.files import write_json
        from flowjax_glow.runs import compilation
        from flowjax_glow.runs.load import load_trained
        from flowjax_glow.scales import scale_from
        from flowjax_glow.training import keep_freed_memory

        new = scale_from(scale)
        output = output or folder.with_name(f"{folder.name}-{scale.replace(':', '-')}")
        if output.exists():
            raise expected(f"{output}", "no such folder yet", got="one", advice="choose --output")
        compilation.keep_compiled_programs()
        keep_freed_memory()
        trained = load_trained(folder)
        after = repaired(trained.experiment, new, scale, steps, learning_rate)
        before_report = judge(trained, count, tier)
        click.echo(f"before: {before_report['bits_per_dim']:.3f} bits/dim, {before_report['text']}")
        fine_tune(trained, after, output)
        after_report = judge(load_trained(output), count, tier)
        click.echo(f"after: {after_report['bits_per_dim']:.3f} bits/dim, {after_report['text']}")
        click.echo(f"  {output}")
        write_json(
            output / "repair.json",
            {"run": str(folder), "scale": scale, "before": before_report, "after": after_report},
        )


def repaired(
    experiment: "Experiment", scale: "Scale", name: str, steps: int, learning_rate: float
) -> "Experiment":
    """The experiment of the fine-tuning: the model with its new scale, a gentle start."""
    from flowjax_glow.training import OptimizerConfig

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

    before: "Experiment"
    after: "Experiment"

    def __call__(
        self, params: "Params", key: "Key", batch: dict[str, "Array"]
    ) -> "Float[Array, '']":
        from flowjax_glow import bits_per_dim, glow
        from flowjax_glow.scales import Blend, Scale

        start, end = self.before.model.scale, self.after.model.scale
        assert isinstance(start, Scale)
        assert isinstance(end, Scale)
        scale = Blend(start, end, batch["weight"].mean())
        # "invert" keeps its flow as a static value, which a traced weight is not
        flow = glow(replace(self.after.model, scale=scale, memory="remat"))
        return bits_per_dim(flow, params, key, batch["images"], n_bits=self.after.n_bits).mean()


def fine_tune(trained: "Trained", after: "Experiment", output: Path) -> None:
    """Trains from the checkpoint of `trained` into the run folder `output`."""
    import jax

    from flowjax_glow.files import write_json
    from flowjax_glow.runs.folder import open_run
    from flowjax_glow.training import (
        Checkpoints,
        MetricsLog,
        data_mesh,
        fitting_decay,
        initial_state,
        make_optimizer,
        make_train_step,
        progress,
        train,
    )

    mesh, optimizer = data_mesh(), make_optimizer(after.optimizer, after.steps)
    step = make_train_step(
        BlendedBitsPerDim(trained.experiment, after),
        optimizer,
        mesh,
        ema_decay=fitting_decay(after.steps),
        accumulate=after.accumulate,
    )
    open_run(output, after)
    state: TrainState = initial_state(
        trained.state.params, optimizer, jax.random.fold_in(jax.random.key(after.seed), 3)
    )
    done = int(trained.state.step)
    with (
        MetricsLog(output / "metrics.jsonl") as log,
        Checkpoints(output / "checkpoints") as checkpoints,
        progress(after.steps, output.name) as display,
    ):
        train(
            state,
            step,
            lambda index: blended_batch(trained.source, after, done, index),
            steps=after.steps,
            mesh=mesh,
            log=log,
            checkpoints=checkpoints,
            progress=display,
        )
    write_json(output / "status.json", {"status": "done", "step": after.steps})


def blended_batch(
    source: "data.Source", after: "Experiment", done: int, index: int
) -> dict[str, Any]:
    """The images that the run would have seen next, and how far the scale has moved."""
    import numpy as np

    images = source.batch("train", seed=after.seed, step=done + index, size=after.batch)
    weight = min(1.0, 2 * (index + 1) / after.steps)
    return {"images": images, "weight": np.full(after.batch, weight, np.float32)}


def judge(trained: "Trained", count: int, tier: Literal["fast", "full"]) -> dict[str, Any]:
    """The stability report of a model and its held-out bits/dim."""
    import jax

    from flowjax_glow.diagnostics import stability_report
    from flowjax_glow.runs.loss import HELD_OUT_KEY, BitsPerDim
    from flowjax_glow.training import data_mesh, evaluate

    experiment = trained.experiment
    held_out = trained.source.examples("test", count)
    batches = [held_out[i : i + experiment.chunk] for i in range(0, count, experiment.chunk)]
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


if __name__ == "__main__":
    main()
