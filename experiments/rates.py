"""Our remedies against the alternatives, each at a learning rate of its own.

    python -m experiments.rates

Stage 1 trains every candidate at every rate of `RATES` on two seeds, for twice the steps of the
preset (laptop: 800). Stage 2 trains it at its best rate on five seeds that took no part, for four
times the steps (1,600). All runs have the preset's warm-up, then a cosine decay to zero.

The rule, stated before any run: the best rate of a candidate is the one with the lowest mean
held-out bits/dim of the averaged weights over the two seeds. A rate is out if one of its runs
diverged or has bits/dim that are not finite. A best rate at an end of the grid is marked: a better
one may lie beyond.

Stage 2 compares held-out bits/dim of the averaged weights, a candidate minus the control (or
another, `--than`) of the same seed, each at its own rate: mean and Student's 95 % interval, not
corrected for the number of candidates. Lost samples, largest activations and the raw bits/dim
beside them are of the raw weights, since the inverse of the averaged ones is not looked at.

Everything is also written to table.json. The same command again trains only what is missing;
docs/protocol.md has the cost.
"""

import dataclasses
import itertools
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

from experiments.claims.statistics import clopper_pearson, mean, mean_interval
from experiments.variants import apply_variant
from flowjax_glow.commands.children import Job, machine, run_in_children
from flowjax_glow.commands.command import Command, run_command
from flowjax_glow.errors import check_choice
from flowjax_glow.files import write_json
from flowjax_glow.runs.experiment import Experiment
from flowjax_glow.runs.folder import is_complete, summary_of
from flowjax_glow.runs.presets import PRESETS
from flowjax_glow.runs.summary import share_lost

RATES = (3e-4, 1e-3, 3e-3)


class Stage(NamedTuple):
    """How long a stage trains, in steps of the preset, and on which seeds."""

    times: int
    seeds: tuple[int, ...]


#: No seed is one that a claim, a table or the choice of the preset's recipe rests on.
STAGES = {1: Stage(2, (110, 111)), 2: Stage(4, (120, 121, 122, 123, 124))}
RUNS_OF_STAGE_1 = len(RATES) * len(STAGES[1].seeds)  # of a candidate

#: The variant of a candidate and what it changes in the experiment. The penalty is Behrmann et
#: al.'s (2021) on the control; its weights were set before any run and are not chosen by the rule,
#: which would always take the smaller.
CANDIDATES: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        name: (name, {})
        for name in (
            *("control", "bounded", "depth-scaled", "damped", "damped-sqrt", "soft-clamp-0.125"),
            *("tanh-clip", "tanh-clip-softplus", "asymmetric"),
        )
    },
    **{f"penalty-{weight:g}": ("control", {"penalty": weight}) for weight in (1e-4, 1e-3)},
}


class Place(NamedTuple):
    """A run of this study."""

    stage: int
    candidate: str
    rate: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class Rates(Command):
    """Find the best learning rate of every candidate, and compare them at it."""

    preset: str = "laptop"
    """Sizes and recipe."""

    output: Path | None = None
    """Folder; runs/rates-PRESET."""

    only: str | None = None
    """Names of candidates, with commas; all."""

    stage: Literal["1", "2"] | None = None
    """Train this stage alone."""

    than: str = "control"
    """What is subtracted."""

    jobs: int | None = None
    """Runs at a time; one per core, or one on a GPU or TPU, if not given."""

    def __call__(self) -> None:
        check_choice("--preset", self.preset, tuple(PRESETS))
        only = self.only.split(",") if self.only else list(CANDIDATES)
        names = [name.strip() for name in only]
        for name in names:
            check_choice("--only", name, tuple(CANDIDATES))
        check_choice("--than", self.than, tuple(CANDIDATES))
        chosen = PRESETS[self.preset]
        folder = self.output or Path(f"runs/rates-{self.preset}")
        study = Study(folder, chosen.control, chosen.brief)
        for number in [int(self.stage)] if self.stage else STAGES:
            study.train(number, names, self.jobs)
        study.report(self.than)


@dataclass(frozen=True)
class Study:
    """The runs of this study in a folder; what is known is read from their summaries."""

    folder: Path
    base: Experiment
    brief: bool = False

    def job(self, place: Place) -> Job:
        """The run of a place."""
        variant, changes = CANDIDATES[place.candidate]
        steps = STAGES[place.stage].times * self.base.steps
        experiment = dataclasses.replace(
            self.base,
            variant=variant,
            seed=place.seed,
            steps=steps,
            look_every=steps,  # at the start and the end
            model=apply_variant(variant, self.base.model),
            optimizer=dataclasses.replace(
                self.base.optimizer, learning_rate=place.rate, schedule="cosine"
            ),
            **changes,
        )
        parts = f"stage{place.stage}", place.candidate, f"rate-{place.rate:g}", experiment.name
        return Job(experiment, self.folder.joinpath(*parts))

    def places(self, stage: int, names: Iterable[str]) -> list[Place]:
        """Those of a stage; of the second, those at rates that the first has found."""
        names = list(names)
        rates: Mapping[str, Sequence[float]] = dict.fromkeys(names, RATES)
        if stage == 2:
            found = self.best_rates(names)
            rates = {name: () if rate is None else (rate,) for name, rate in found.items()}
        return [
            Place(stage, name, rate, seed)
            for seed in STAGES[stage].seeds
            for name in rates
            for rate in rates[name]
        ]

    def best_rates(self, names: Iterable[str]) -> dict[str, float | None]:
        """Of the candidates with all runs of stage 1."""
        rows = {name: self.rows(self.places(1, [name])) for name in names}
        return {name: best_rate(own) for name, own in rows.items() if len(own) == RUNS_OF_STAGE_1}

    def train(self, stage: int, names: Sequence[str], jobs: int | None) -> None:
        """Runs what is missing of a stage."""
        if stage == 2:
            missing = [name for name in names if name not in self.best_rates(names)]
            for name in missing:
                print(f"left out: {name}, whose stage 1 has not ended well", file=sys.stderr)
        todo = [self.job(place) for place in self.places(stage, names)]
        with closing(run_in_children(todo, machine(), jobs, brief=self.brief)) as children:
            for job, status in children:
                if status == "failed":
                    print(f"{job.folder}: failed", file=sys.stderr)

    def rows(self, places: Iterable[Place]) -> list[dict[str, Any]]:
        """What is known of the finished runs among `places`."""
        rows = []
        for place in places:
            experiment, folder = self.job(place)
            if is_complete(folder, experiment):
                summary = summary_of(folder)
                rows.append(place._asdict() | measured(summary, experiment.final_samples))
        return rows

    def report(self, than: str = "control") -> None:
        """Prints both stages as far as they are known, and writes table.json."""
        first = {name: self.rows(self.places(1, [name])) for name in CANDIDATES}
        best = self.best_rates(CANDIDATES)
        second = {name: self.rows(self.places(2, [name])) for name in best}
        compared = [compare(name, rows, second.get(than, [])) for name, rows in second.items()]
        print("\n".join([*first_table(first, best), "", *second_table(compared, than)]))
        write_json(
            self.folder / "table.json",
            {
                "stage1": list(itertools.chain(*first.values())),
                "best_rates": best,
                "stage2": list(itertools.chain(*second.values())),
                "than": than,
                "compared": compared,
            },
        )


def measured(summary: dict[str, Any], samples: int) -> dict[str, Any]:
    """The numbers of a run's summary that this study is about; of a diverged one, none is finite.

    `lost` of `samples` did not come back at tau = 1.
    """
    row = {"status": summary["status"], "steps": summary["steps"], "samples": samples}
    if summary["status"] != "done":
        return row | {"averaged": math.inf, "raw": math.inf, "lost": None, "largest": math.inf}
    return row | {
        "averaged": float(summary["bits_per_dim_averaged"]),
        "raw": float(summary["bits_per_dim"]),
        "lost": round(share_lost(summary) * samples),
        "largest": float(summary["max_activation"]["1"]),
    }


def best_rate(rows: Iterable[dict[str, Any]]) -> float | None:
    """The rate of the lowest mean `averaged`; None if every rate has a run that is not finite."""
    rates: dict[float, list[float]] = {}
    for row in rows:
        rates.setdefault(row["rate"], []).append(row["averaged"])
    finite = {
        rate: mean(values) for rate, values in rates.items() if all(map(math.isfinite, values))
    }
    return min(finite, key=lambda rate: finite[rate]) if finite else None


def compare(
    name: str, rows: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """A candidate in stage 2: over its seeds, and minus another over those that both have."""
    theirs = {row["seed"]: row["averaged"] for row in others}
    pairs = {
        row["seed"]: row["averaged"] - theirs[row["seed"]] for row in rows if row["seed"] in theirs
    }
    decoded = [row for row in rows if row["lost"] is not None]
    lost, samples = (sum(row[key] for row in decoded) for key in ("lost", "samples"))
    return {
        "candidate": name,
        "rate": rows[0]["rate"] if rows else None,
        "seeds": [row["seed"] for row in rows],
        "diverged": sum(row["status"] != "done" for row in rows),
        "averaged": mean(row["averaged"] for row in rows),
        "raw": mean(row["raw"] for row in rows),
        "differences": pairs,
        "mean": mean(pairs.values()),
        "interval": mean_interval(list(pairs.values())),
        "lost": [lost, samples],
        "lost_interval": clopper_pearson(lost, samples),
        "largest": max((row["largest"] for row in rows), default=math.nan),
    }


def first_table(rows: dict[str, list[dict[str, Any]]], best: dict[str, float | None]) -> list[str]:
    """Held-out bits/dim of the averaged weights by rate, seed by seed, and the best rate."""
    lines = [f"{'stage 1':<20}" + "".join(f"{rate:>12g}" for rate in RATES) + "   best"]
    for name, runs in rows.items():
        if not runs:
            continue
        cells = (
            " ".join(f"{run['averaged']:.3f}" for run in runs if run["rate"] == rate)
            for rate in RATES
        )
        rate = best.get(name)
        found = "unfinished" if name not in best else "none" if rate is None else f"{rate:g}"
        end = ", end of grid" if rate in (RATES[0], RATES[-1]) else ""
        lines.append(f"{name:<20}" + "".join(f"{cell:>12}" for cell in cells) + f"   {found}{end}")
    return lines


def second_table(compared: Iterable[dict[str, Any]], than: str) -> list[str]:
    """Two lines per candidate that has runs in stage 2: what it learned, and what it lost."""
    lines = [f"{'stage 2':<20}   rate  seeds  bits/dim     raw  minus {than} [95 %]"]
    for row in compared:
        if not row["seeds"]:
            continue
        low, high = row["interval"]
        lost, samples = row["lost"]
        below, above = row["lost_interval"]
        difference = f"{row['mean']:+.3f} [{low:+.3f}, {high:+.3f}]"
        share = f"{lost} of {samples} [{below:.1%}, {above:.1%}]"
        lines.append(
            f"{row['candidate']:<20}{row['rate']:>7g}  {len(row['seeds']):>5}  "
            f"{row['averaged']:>8.3f}{row['raw']:>8.3f}  {difference}"
        )
        ended = f"; {row['diverged']} diverged" if row["diverged"] else ""
        lines.append(f"    lost {share}, all seeds; largest activation {row['largest']:.3g}{ended}")
    return lines


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command and exits; by default with the arguments of this process."""
    run_command(Rates, arguments, prog="python -m experiments.rates")


if __name__ == "__main__":
    main()
