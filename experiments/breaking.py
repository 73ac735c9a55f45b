"""Looks for the cheapest settings in which a trained control breaks and its remedies do not.

    python -m experiments.breaking --seeds=3

Every row of `SETTINGS` changes a small, deep model or its recipe; control, bounded and damped are
trained with it, and looked at with 1,024 samples per noise level and 256 held-out images (128 of
the digits). Printed and added to table.json: what fails of samples at tau = 1, of z = 0 and of real
images, and the gain: the logarithm of the product of 1 / s_min along the chain, at the end, and its
growth per 100 steps. The same command again trains only what is missing.
"""

import dataclasses
import itertools
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from experiments.sweeps import parse_seeds
from experiments.variants import apply_variant
from flowjax_glow.commands.children import Job, machine, run_in_children
from flowjax_glow.commands.command import Command, run_command
from flowjax_glow.diagnostics import median_slope
from flowjax_glow.errors import expected
from flowjax_glow.files import read_json, write_json
from flowjax_glow.runs.folder import summary_of
from flowjax_glow.runs.images import fit_to_data, source_of
from flowjax_glow.runs.presets import BREAKING
from flowjax_glow.runs.settings import with_settings
from flowjax_glow.runs.summary import share_lost
from flowjax_glow.training import read_metrics

VARIANTS = ("control", "bounded", "damped")

#: What is changed, as `with_settings` takes it.
SETTINGS: dict[str, list[str]] = {
    "as it is": [],
    "rate 1.5e-3": ["optimizer.learning_rate=0.0015"],
    "rate 2e-3": ["optimizer.learning_rate=0.002"],
    "rate 3e-3": ["optimizer.learning_rate=0.003"],
    "rate 3e-3, 1 step": ["optimizer.learning_rate=0.003", "steps=1"],
    "rate 1e-2": ["optimizer.learning_rate=0.01"],
    "rate 3e-4": ["optimizer.learning_rate=0.0003"],
    "warm-up over 10 steps": ["optimizer.warmup_steps=10"],
    "warm-up over 20 steps": ["optimizer.warmup_steps=20"],
    "warm-up over 30 steps": ["optimizer.warmup_steps=30"],
    "gradients clipped at 1": ["optimizer.clip_norm=1"],
    "openai/glow's wiring": ["model.reads=signal", "model.split_prior=learned"],
    "openai/glow's wiring, rate 2e-3": [
        "model.reads=signal",
        "model.split_prior=learned",
        "optimizer.learning_rate=0.002",
    ],
    "openai/glow's wiring, rate 3e-3": [
        "model.reads=signal",
        "model.split_prior=learned",
        "optimizer.learning_rate=0.003",
    ],
    "randomized splits": ["model.permutation=every_step"],
    "randomized splits, rate 1.5e-3": [
        "model.permutation=every_step",
        "optimizer.learning_rate=0.0015",
    ],
    "randomized splits, rate 2e-3": [
        "model.permutation=every_step",
        "optimizer.learning_rate=0.002",
    ],
    "randomized splits, rate 3e-3": [
        "model.permutation=every_step",
        "optimizer.learning_rate=0.003",
    ],
    "randomized splits, rate 2e-3, 1 step": [
        "model.permutation=every_step",
        "optimizer.learning_rate=0.002",
        "steps=1",
    ],
    "randomized splits, rate 3e-3, 1 step": [
        "model.permutation=every_step",
        "optimizer.learning_rate=0.003",
        "steps=1",
    ],
    "randomized splits, rate 3e-3, 2 steps": [
        "model.permutation=every_step",
        "optimizer.learning_rate=0.003",
        "steps=2",
    ],
    "nets without actnorms": ["model.net_actnorm=False"],
    "nets without actnorms, rate 3e-3": [
        "model.net_actnorm=False",
        "optimizer.learning_rate=0.003",
    ],
    "depth 16": ["model.depth=16"],
    "depth 48": ["model.depth=48"],
    "depth 64": ["model.depth=64"],
    "8 bits": ["n_bits=8"],
    "smooth images (digits)": ["dataset=digits", "image_size=8"],
    "240 steps": ["steps=240"],
}

HEAD = "  seed  variant   bits/dim   samples   z = 0  images lost  gain, nats   growth"


@dataclass(frozen=True, kw_only=True)
class Breaking(Command):
    """Train control, bounded and damped with every setting and print what broke."""

    output: Path = Path("runs/breaking")
    """Folder of the runs."""

    seeds: str = "1"
    """A count, or seeds with commas."""

    only: str | None = None
    """A part of the names of the settings to try; all."""

    jobs: int | None = None
    """Runs at a time; one per core, or one on a GPU or TPU, if not given."""

    def __call__(self) -> None:
        settings = {k: v for k, v in SETTINGS.items() if self.only is None or self.only in k}
        if not settings:
            raise expected(
                "--only",
                "a part of a setting's name",
                got=repr(self.only),
                advice=f"of {', '.join(SETTINGS)}",
            )
        search(self.output, settings, parse_seeds(self.seeds, 1), self.jobs)


def search(
    output: Path, settings: dict[str, list[str]], seeds: list[int], jobs: int | None = None
) -> None:
    """Trains and prints, row by row; `jobs` as of `run_in_children`."""
    table = output / "table.json"
    rows = {_key(row): row for row in (read_json(table) or {"rows": []})["rows"]}
    named: dict[Job, dict[str, Any]] = {}
    for (name, changes), seed, variant in itertools.product(settings.items(), seeds, VARIANTS):
        setting = with_settings(dataclasses.replace(BREAKING, seed=seed), changes)
        setting = fit_to_data(setting, source_of(setting))
        model = apply_variant(variant, setting.model)
        experiment = dataclasses.replace(setting, variant=variant, model=model)
        folder = output / name.replace("/", "-").replace(" ", "-") / experiment.name
        named[Job(experiment, folder)] = {"setting": name, "seed": seed, "variant": variant}
    print(HEAD)
    with closing(run_in_children(list(named), machine(), jobs)) as children:
        for job, status in children:
            if status == "failed":
                print(f"{job.folder}: failed", file=sys.stderr)
                continue
            row = named[job] | broken(summary_of(job.folder), job.folder)
            rows[_key(row)] = row
            print(line(row))
            write_json(table, {"rows": list(rows.values())})


def _key(row: dict[str, Any]) -> tuple[str, int, str]:
    return row["setting"], row.get("seed", 0), row["variant"]


def broken(summary: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What fails after training; nothing is known of a run that diverged."""
    row = {"status": summary["status"], "steps": summary["steps"]}
    if summary["status"] != "done":
        return row
    return row | {
        "bits_per_dim": summary["bits_per_dim"],
        "samples": share_lost(summary),
        "zero": share_lost(summary, 0.0),
        "images": 1 - summary["bit_exact"],
        **chain_gain(folder),
    }


def chain_gain(folder: Path) -> dict[str, float]:
    """The chain gain in nats: the last one, and the median of its slopes per 100 steps."""
    rows = [row for row in read_metrics(folder / "metrics.jsonl") if "chain_gain" in row]
    gains = [float(row["chain_gain"]) for row in rows]
    growth = 100 * median_slope([row["step"] for row in rows], gains)
    return {"chain_gain": gains[-1], "chain_gain_per_100_steps": growth}


def line(row: dict[str, Any]) -> str:
    """A row of the printed table, below its setting."""
    start = f"{row['setting']}\n  {row['seed']:>4}  {row['variant']:<8}"
    if row["status"] != "done":
        return f"{start}  {row['status']} after {row['steps']} steps"
    samples, zero, images = (100 * float(row[name]) for name in ("samples", "zero", "images"))
    return (
        f"{start}{float(row['bits_per_dim']):>10.3f}{samples:>9.1f}%{zero:>7.1f}%{images:>7.1f}%"
        f"{row['chain_gain']:>17.1f}{row['chain_gain_per_100_steps']:>+9.1f}"
    )


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command and exits; by default with the arguments of this process."""
    run_command(Breaking, arguments, prog="python -m experiments.breaking")


if __name__ == "__main__":
    main()
