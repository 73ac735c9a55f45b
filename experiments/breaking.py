"""Looks for the cheapest settings in which a trained control breaks and its remedies do not.

    python -m experiments.breaking --seeds=3

Every row of `SETTINGS` changes a small, deep model or its recipe; control, bounded and damped are
trained with it, and looked at with 1,024 samples per noise level and 256 held-out images (128 of
the digits). Printed and added to table.json: what fails of samples at tau = 1, of z = 0 and of real
images, and the logarithm of the product of 1 / s_min along the chain, at the end and how much it
grew per 100 steps. The same command again trains only what is missing.
"""

import dataclasses
import itertools
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from flowjax_glow.runs.experiment import Experiment

VARIANTS = ("control", "bounded", "damped")

#: What is changed, in the experiment, its model or its optimizer.
SETTINGS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "rate 1.5e-3": {"learning_rate": 1.5e-3},
    "rate 2e-3": {"learning_rate": 2e-3},
    "rate 3e-3": {"learning_rate": 3e-3},
    "rate 3e-3, 1 step": {"learning_rate": 3e-3, "steps": 1},
    "rate 1e-2": {"learning_rate": 1e-2},
    "rate 3e-4": {"learning_rate": 3e-4},
    "warm-up over 10 steps": {"warmup_steps": 10},
    "warm-up over 20 steps": {"warmup_steps": 20},
    "warm-up over 30 steps": {"warmup_steps": 30},
    "gradients clipped at 1": {"clip_norm": 1.0},
    "openai/glow's wiring": {"reads": "signal", "split_prior": "learned"},
    "openai/glow's wiring, rate 2e-3": {
        "reads": "signal",
        "split_prior": "learned",
        "learning_rate": 2e-3,
    },
    "openai/glow's wiring, rate 3e-3": {
        "reads": "signal",
        "split_prior": "learned",
        "learning_rate": 3e-3,
    },
    "randomized splits": {"permutation": "every_step"},
    "randomized splits, rate 1.5e-3": {"permutation": "every_step", "learning_rate": 1.5e-3},
    "randomized splits, rate 2e-3": {"permutation": "every_step", "learning_rate": 2e-3},
    "randomized splits, rate 3e-3": {"permutation": "every_step", "learning_rate": 3e-3},
    "randomized splits, rate 2e-3, 1 step": {
        "permutation": "every_step",
        "learning_rate": 2e-3,
        "steps": 1,
    },
    "randomized splits, rate 3e-3, 1 step": {
        "permutation": "every_step",
        "learning_rate": 3e-3,
        "steps": 1,
    },
    "randomized splits, rate 3e-3, 2 steps": {
        "permutation": "every_step",
        "learning_rate": 3e-3,
        "steps": 2,
    },
    "nets without actnorms": {"net_actnorm": False},
    "nets without actnorms, rate 3e-3": {"net_actnorm": False, "learning_rate": 3e-3},
    "depth 16": {"depth": 16},
    "depth 48": {"depth": 48},
    "depth 64": {"depth": 64},
    "8 bits": {"n_bits": 8},
    "smooth images (digits)": {"dataset": "digits", "image_size": 8},
    "240 steps": {"steps": 240},
}

HEAD = f"{'setting':<37}  seed  variant  bits/dim  samples   z=0  images     gain, growth"


@click.command(context_settings={"max_content_width": 100})
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("runs/breaking"), show_default=True
)
@click.option("--seeds", default="1", show_default=True, help="A count, or seeds with commas.")
@click.option("--only", help="A part of the names of the settings to try; default all.")
@click.option("--jobs", type=int, help="Runs at a time; default one per core, or one on GPU, TPU.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(output: Path, seeds: str, only: str | None, jobs: int | None, debug: bool) -> None:
    """Train control, bounded and damped with every setting and print what broke."""
    from experiments.command import parse_seeds
    from experiments.exit_codes import one_line_errors
    from flowjax_glow.errors import expected

    with one_line_errors(debug):
        settings = {k: v for k, v in SETTINGS.items() if only is None or only in k}
        if not settings:
            raise expected(
                "--only",
                "a part of a setting's name",
                got=repr(only),
                advice=f"of {', '.join(SETTINGS)}",
            )
        search(output, settings, parse_seeds(seeds, 1), jobs)


def search(
    output: Path, settings: dict[str, dict[str, Any]], seeds: list[int], jobs: int | None = None
) -> None:
    """Trains and prints, row by row; `jobs` as of `run_in_children`."""
    from experiments.children import Job, machine, run_in_children
    from experiments.command import fit_to_data
    from experiments.variants import apply_variant
    from flowjax_glow import data
    from flowjax_glow.files import read_json, write_json
    from flowjax_glow.runs.presets import BREAKING

    table = output / "table.json"
    rows = {_key(row): row for row in (read_json(table) or {"rows": []})["rows"]}
    named: dict[Job, dict[str, Any]] = {}
    for (name, changes), seed, variant in itertools.product(settings.items(), seeds, VARIANTS):
        setting = changed(BREAKING, changes | {"seed": seed})
        setting = fit_to_data(setting, data.load(setting.dataset, size=setting.image_size))
        model = apply_variant(variant, setting.model)
        experiment = dataclasses.replace(setting, variant=variant, model=model)
        folder = output / name.replace("/", "-").replace(" ", "-") / experiment.name
        named[Job(experiment, folder)] = {"setting": name, "seed": seed, "variant": variant}
    click.echo(HEAD)
    with closing(run_in_children(list(named), machine(), jobs)) as children:
        for job, status in children:
            if status == "failed":
                click.echo(f"{job.folder}: failed", err=True)
                continue
            row = named[job] | broken(read_json(job.folder / "summary.json"), job.folder)
            rows[_key(row)] = row
            click.echo(line(row))
            write_json(table, {"rows": list(rows.values())})


def _key(row: dict[str, Any]) -> tuple[str, int, str]:
    return row["setting"], row.get("seed", 0), row["variant"]


def changed(experiment: "Experiment", changes: dict[str, Any]) -> "Experiment":
    """`experiment` with every change in the part that has a field of its name."""
    from flowjax_glow.glow import GlowConfig
    from flowjax_glow.training import OptimizerConfig

    def of(kind: type) -> dict[str, Any]:
        names = {field.name for field in dataclasses.fields(kind)}
        return {name: value for name, value in changes.items() if name in names}

    model, optimizer = of(GlowConfig), of(OptimizerConfig)
    own = {k: v for k, v in changes.items() if k not in model and k not in optimizer}
    return dataclasses.replace(
        experiment,
        model=dataclasses.replace(experiment.model, **model),
        optimizer=dataclasses.replace(experiment.optimizer, **optimizer),
        **own,
    )


def broken(summary: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What fails after training; nothing is known of a run that diverged."""
    row = {"status": summary["status"], "steps": summary["steps"]}
    if summary["status"] != "done":
        return row
    return row | {
        "bits_per_dim": summary["bits_per_dim"],
        "samples": summary["broken"]["1"],
        "zero": summary["broken"]["0"],
        "images": 1 - summary["bit_exact"],
        **chain_gain(folder),
    }


def chain_gain(folder: Path) -> dict[str, float]:
    """The watched chain gain in nats: the last one, and the median of its slopes per 100 steps."""
    from flowjax_glow.diagnostics import median_slope
    from flowjax_glow.training import read_metrics

    rows = [row for row in read_metrics(folder / "metrics.jsonl") if "chain_gain" in row]
    gains = [float(row["chain_gain"]) for row in rows]
    growth = 100 * median_slope([row["step"] for row in rows], gains)
    return {"chain_gain": gains[-1], "chain_gain_per_100_steps": growth}


def line(row: dict[str, Any]) -> str:
    """A row of the printed table."""
    start = f"{row['setting']:<37}  {row['seed']:>4}  {row['variant']:<8}"
    if row["status"] != "done":
        return f"{start}  {row['status']} after {row['steps']} steps"
    shares = "  ".join(f"{100 * float(row[name]):5.1f}%" for name in ("samples", "zero", "images"))
    gains = f"{row['chain_gain']:7.1f} {row['chain_gain_per_100_steps']:+7.1f}"
    return f"{start} {float(row['bits_per_dim']):8.3f}  {shares}  {gains}"


if __name__ == "__main__":
    main()
