"""How far rounding alone moves a run: the same run from starts that differ by rounding.

    python -m experiments.rounding --variant=control,bounded,damped --seeds=0,1 --nudges=4

trains every variant and seed `--nudges` times: as it is, and with its initial parameters nudged by
1e-6 of their size (`Experiment.nudge`), which stands for another processor, another number of
threads, another version of a library. Printed per variant, and written to table.json: standard
deviations of held-out bits/dim, of the late training loss (both as docs/claims.md defines them) and
of the share of samples lost at tau = 1,

- over nudges: within a seed, variances averaged over seeds. This is the noise of rounding;
- over seeds: at one nudge, variances averaged over nudges. This is the spread that tables over
  seeds show; the noise of rounding is part of it.

Rounding moves the difference of two variants over n seeds by about ``sqrt((a^2 + b^2) / n)``, with
their standard deviations a and b over nudges, if it moves every run independently.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from experiments.claims.statistics import mean
from experiments.sweeps import parse_seeds, plan
from experiments.variants import resolve
from flowjax_glow.commands.children import Job, machine, run_in_children
from flowjax_glow.commands.command import Command, run_command
from flowjax_glow.errors import check_choice, expected
from flowjax_glow.files import write_json
from flowjax_glow.runs.experiment import Experiment
from flowjax_glow.runs.folder import summary_of
from flowjax_glow.runs.presets import PRESETS
from flowjax_glow.runs.results import load_run
from flowjax_glow.runs.summary import share_lost

#: What is measured of a run, by its name in the table.
MEASURES = ("bits_per_dim", "late_loss", "lost")

#: Values of a measure by seed, in each by nudge.
Values = Mapping[int, Mapping[int, float]]


@dataclass(frozen=True, kw_only=True)
class Rounding(Command):
    """Train runs that differ by rounding alone and print how far they end from each other."""

    variant: str = "control,bounded,damped"
    """Names or groups, with commas."""

    seeds: str = "0,1"
    """A count, or seeds with commas."""

    nudges: int = 4
    """Runs per seed, the run itself first."""

    preset: str = "laptop"
    """Sizes and recipe."""

    output: Path | None = None
    """Folder; runs/rounding-PRESET."""

    jobs: int | None = None
    """Runs at a time; one per core, or one on a GPU or TPU, if not given."""

    def __call__(self) -> None:
        check_choice("--preset", self.preset, tuple(PRESETS))
        if self.nudges < 2:
            raise expected("--nudges", "at least 2", got=self.nudges, advice="one has no spread")
        preset = PRESETS[self.preset]
        runs = plan(preset.control, resolve(self.variant), parse_seeds(self.seeds, 2))
        nudged = [
            dataclasses.replace(run, nudge=nudge) for run in runs for nudge in range(self.nudges)
        ]
        output = self.output or Path(f"runs/rounding-{self.preset}")
        measure(output, nudged, self.jobs, preset.brief)


def measure(
    output: Path, experiments: Sequence[Experiment], jobs: int | None = None, brief: bool = False
) -> None:
    """Trains what is missing, prints and writes table.json; `jobs` as of `run_in_children`."""
    todo = [Job(experiment, output / experiment.name) for experiment in experiments]
    rows = []
    with closing(run_in_children(todo, machine(), jobs, brief=brief)) as children:
        for job, status in children:
            names = {name: getattr(job.experiment, name) for name in ("variant", "seed", "nudge")}
            found = {"status": status}
            if status == "done":
                found |= measured(job.folder, summary_of(job.folder))
            rows.append(names | found)
    rows.sort(key=lambda row: (row["variant"], row["seed"], row["nudge"]))
    variants = dict.fromkeys(experiment.variant for experiment in experiments)
    spreads = [spread(variant, rows) for variant in variants]
    print("\n".join(table(spreads)))
    write_json(output / "table.json", {"rows": rows, "spreads": spreads})


def measured(folder: Path, summary: Mapping[str, Any]) -> dict[str, float]:
    """The measures of a run."""
    windows = list(load_run(folder).window_losses().values())
    return {
        "bits_per_dim": float(summary["bits_per_dim"]),
        "late_loss": mean(windows[-max(1, len(windows) // 3) :]),
        "lost": share_lost(summary),
    }


def spread(variant: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means and standard deviations of a variant, over the seeds all of whose runs are done."""
    own = [row for row in rows if row["variant"] == variant]
    unfinished = {row["seed"] for row in own if row["status"] != "done"}
    whole = [row for row in own if row["seed"] not in unfinished]
    found: dict[str, Any] = {
        "variant": variant,
        "seeds": sorted({row["seed"] for row in whole}),
        "nudges": len({row["nudge"] for row in own}),
        "left_out": sorted(unfinished),
    }
    for name in MEASURES:
        values: dict[int, dict[int, float]] = {}
        for row in whole:
            values.setdefault(row["seed"], {})[row["nudge"]] = row[name]
        found[name] = {
            "mean": mean(row[name] for row in whole),
            "over_nudges": deviation(values),
            "over_seeds": deviation(transposed(values)),
        }
    return found


def deviation(groups: Values) -> float:
    """The standard deviation within groups: their variances averaged. NaN of groups of one."""
    variances = []
    for group in groups.values():
        values = list(group.values())
        if len(values) < 2:
            return math.nan
        center = sum(values) / len(values)
        variances.append(sum((value - center) ** 2 for value in values) / (len(values) - 1))
    return math.sqrt(sum(variances) / len(variances)) if variances else math.nan


def transposed(values: Values) -> dict[int, dict[int, float]]:
    """The same by nudge, in each by seed."""
    found: dict[int, dict[int, float]] = {}
    for seed, group in values.items():
        for nudge, value in group.items():
            found.setdefault(nudge, {})[seed] = value
    return found


def table(spreads: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of a variant: mean, and standard deviations over nudges and over seeds."""
    lines = [
        f"{'standard deviations beside means':<40}{'mean':>8}{'over nudges':>14}{'over seeds':>14}"
    ]
    names = ("held-out bits/dim", "late loss, bits/dim", "lost at tau = 1, %")
    for row in spreads:
        for name, shown, factor, digits in zip(MEASURES, names, (1, 1, 100), (3, 3, 1)):
            center, *deviations = (
                factor * row[name][key] for key in ("mean", "over_nudges", "over_seeds")
            )
            spread = "".join(f"{value:>14.{digits + 1}f}" for value in deviations)
            lines.append(f"{row['variant']:<20}{shown:<20}{center:>8.{digits}f}{spread}")
        if seeds := ", ".join(map(str, row["left_out"])):
            lines.append(f"  without seeds {seeds}, which did not end well")
    return lines


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command and exits; by default with the arguments of this process."""
    run_command(Rounding, arguments, prog="python -m experiments.rounding")


if __name__ == "__main__":
    main()
