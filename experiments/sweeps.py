"""Sweeps: variants of one control, run on the same seeds in one folder."""

import dataclasses
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from experiments.claims.report import claims_text, write_claims
from experiments.claims.rules import judge
from experiments.figures.drawing import draw_all
from experiments.table import summary_table
from experiments.variants import apply_variant
from flowjax_glow.commands.children import Job, Machine, machine, run_in_children
from flowjax_glow.commands.errors import SOME_RUNS_FAILED
from flowjax_glow.commands.shard import Shard
from flowjax_glow.errors import check_count, expected
from flowjax_glow.files import write_json
from flowjax_glow.runs.cost.estimate import estimate
from flowjax_glow.runs.cost.time import ON_A_CORE, Devices, matmul_peak
from flowjax_glow.runs.experiment import Experiment, read_config
from flowjax_glow.runs.folder import check_same, claimed, is_complete, set_aside
from flowjax_glow.runs.images import check_builds, check_size, fit_to_data, image_shape, source_of
from flowjax_glow.runs.presets import PRESETS
from flowjax_glow.runs.results import load_sweep, run_names


def plan(control: Experiment, variants: list[str], seeds: list[int]) -> list[Experiment]:
    """One experiment per variant and seed, seed by seed: all variants stand after the first."""
    return [
        dataclasses.replace(
            control, variant=variant, seed=seed, model=apply_variant(variant, control.model)
        )
        for seed in seeds
        for variant in variants
    ]


def parse_seeds(text: str | None, default: int) -> list[int]:
    """`3` is seeds 0, 1, 2; `5,6` and `5,` are those seeds; None is the preset's number."""
    parts = [part.strip() for part in (text or str(default)).split(",")]
    try:
        numbers = [int(part) for part in parts if part]
    except ValueError:
        numbers = []
    seeds = numbers if len(parts) > 1 else list(range(sum(numbers)))
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise expected(
            "--seeds",
            "a count, or different seeds with commas",
            got=repr(text),
            advice="3 means 0,1,2; write 5, for seed 5 alone",
        )
    return seeds


@dataclass(frozen=True)
class Sweep:
    """Variants of one control, run on the same seeds in one folder; perhaps a share of them."""

    preset: str
    control: Experiment
    variants: list[str]
    seeds: list[int]
    folder: Path
    shard: Shard | None = None

    @property
    def planned(self) -> list[Experiment]:
        """One per variant and seed, seed by seed."""
        return plan(self.control, self.variants, self.seeds)

    @property
    def experiments(self) -> list[Experiment]:
        """Those that are this shard's."""
        return self.planned if self.shard is None else self.shard.of(self.planned)

    def describe(self, jobs: int | None = None) -> str:
        """One line per run, and the sum; needs no data if the images' size is known."""
        shape = image_shape(self.control)
        check_size(self.control, shape, self.control.model.levels)
        jobs = jobs or machine().jobs
        peak = matmul_peak() / jobs  # a run has one core of several, or all accelerators
        own = Devices(1, peak, ON_A_CORE)
        rows = [(e.name, estimate(e, shape, own)) for e in self.experiments]
        lines = [f"{'run':<32}{'parameters':>13}{'FLOPs':>11}{'min':>9}{'MB':>9}"]
        lines += [
            f"{name:<32}{e.parameters:>13,}{e.train_flops:>11.2e}{e.seconds / 60:>9.1f}"
            f"{e.megabytes:>9.1f}"
            for name, e in rows
        ]
        minutes = sum(e.seconds for _, e in rows) / 60 / max(1, min(jobs, len(rows)))
        megabytes = sum(e.megabytes for _, e in rows)
        return "\n".join(
            [
                f"{self.folder}: {shape} images, {jobs} runs at a time, matmul peak of each "
                f"{peak / 1e9:.0f} GFLOP/s",
                *lines,
                f"in all about {minutes:.0f} min on this machine and {megabytes:.0f} MB",
            ]
        )

    def run(self, *, restart: bool = False, jobs: int | None = None) -> int:
        """Runs what is not finished, redraws after runs, judges; returns the exit code.

        A shard shares the folder with others, and leaves figures and verdicts to whoever runs the
        whole sweep afterwards.

        Args:
            restart: whether to set old runs aside and start over.
            jobs: runs at a time; by default one per core, or one on accelerators.
        """
        if jobs is not None:
            check_count("--jobs", jobs)
        sweep = dataclasses.replace(
            self, control=fit_to_data(self.control, source_of(self.control))
        )
        on = machine()
        sweep._check_shapes(on.devices)  # complains before anything is written
        with claimed(self.folder, shared=self.shard is not None):
            return sweep._run_all(restart, on, jobs or on.jobs)

    def _run_all(self, restart: bool, on: Machine, jobs: int) -> int:
        ours = {experiment.name for experiment in self.experiments}
        self._check_comparable(but=ours if restart else set())
        if restart:
            for name in ours:
                set_aside(self.folder / name)
        self._write_index()
        draw, failed = Sparingly(self._draw), set()
        todo = [Job(e, self.folder / e.name) for e in self.experiments]
        new = {job for job in todo if not is_complete(job.folder, job.experiment)}
        print(self._what_runs(len(new), jobs), file=sys.stderr)
        with closing(
            run_in_children(todo, on, jobs, brief=PRESETS[self.preset].brief)
        ) as children:  # closed here, so that an interruption ends them
            for job, status in children:
                if status != "done":
                    failed.add(job.experiment.name)
                if job in new and self.shard is None:
                    draw()
        bad = [e.name for e in self.experiments if e.name in failed]
        if self.shard is not None:
            print(f"{self.folder}: shard {self.shard} is done; the same without --shard judges")
            return _code(bad)
        if draw.pending or not (self.folder / "figures").exists():
            self._draw()
        self._report()
        return _code(bad)

    def _what_runs(self, new: int, jobs: int) -> str:
        """In a line, so that a count of seeds that was meant as a seed is seen at once."""
        seeds = ", ".join(map(str, self.seeds))
        plural = "s" if len(self.seeds) > 1 else ""
        return (
            f"{self.folder}: {', '.join(self.variants)}; seed{plural} {seeds}; "
            f"{new} of {len(self.experiments)} runs to do, {jobs} at a time"
        )

    def _check_shapes(self, devices: int) -> None:
        """Builds every variant on shapes alone, before anything is trained."""
        shape = source_of(self.control).shape
        for experiment in self.experiments:
            check_builds(experiment, shape, devices)

    def _check_comparable(self, but: set[str]) -> None:
        """Every run in the folder, `but` those, must differ from ours in variant and seed alone."""
        for name in self._earlier_runs():
            folder = self.folder / name
            if name not in but and (folder / "config.json").exists():
                earlier = read_config(folder)
                (same,) = plan(self.control, [earlier.variant], [earlier.seed])
                check_same(folder, same)

    def _earlier_runs(self) -> list[str]:
        return run_names(self.folder / "sweep.json")

    def _write_index(self) -> None:
        """Lists the runs of the folder, those of earlier sweeps included."""
        ours = [experiment.name for experiment in self.planned]
        write_json(
            self.folder / "sweep.json",
            {
                "preset": self.preset,
                "dataset": self.control.dataset,
                "runs": list(dict.fromkeys([*self._earlier_runs(), *ours])),
            },
        )

    def _draw(self) -> None:
        """A figure that cannot be drawn is a fault of the figure's, not of the runs'."""
        try:
            draw_all(self.folder)
        except Exception:
            traceback.print_exc()

    def _report(self) -> None:
        runs = load_sweep(self.folder)
        verdicts = judge(runs)
        write_claims(self.folder / "claims.json", verdicts)
        print(summary_table([run for run in runs if run.variant in self.variants]))
        print(claims_text(verdicts))
        print(f"figures: {self.folder / 'figures'}")


def _code(failed: list[str]) -> int:
    """The exit code, after naming the runs that did not end well."""
    if failed:
        print(f"did not end well: {', '.join(failed)}", file=sys.stderr)
    return SOME_RUNS_FAILED if failed else 0


class Sparingly:
    """Calls `action` at once the first time, and later where it took less than `share` of the time.

    `pending` tells that it was asked for and has not been done since.
    """

    def __init__(
        self,
        action: Callable[[], None],
        share: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pending = False
        self._action = action
        self._share = share
        self._clock = clock
        self._start = clock()
        self._spent = 0.0

    def __call__(self) -> None:
        begin = self._clock()
        self.pending = self._spent > self._share * (begin - self._start)
        if not self.pending:
            self._action()
            self._spent += self._clock() - begin
