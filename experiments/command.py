"""What the sweep command does once its options are read."""

import contextlib
import dataclasses
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.claims import claims_table, judge, write_claims
from experiments.config import read_config
from experiments.estimate import estimate, matmul_peak
from experiments.figures import draw_all
from experiments.folders import (
    FolderInUseError,
    check_same,
    claimed,
    read_json,
    set_aside,
    write_json,
)
from experiments.presets import PRESETS, Experiment, plan
from experiments.results import load_sweep
from experiments.run import is_finished, run
from experiments.table import summary_table
from experiments.variants import GROUPS, VARIANTS, resolve
from flowjax_glow import data
from flowjax_glow.data import DataError
from flowjax_glow.errors import expected
from flowjax_glow.training import CheckpointError

#: Exit codes beside 0; docs/run-folder.md explains them.
SOME_RUNS_FAILED, USAGE, DATA, CHECKPOINT, IN_USE = 1, 2, 3, 5, 6


@contextlib.contextmanager
def one_line_errors(debug: bool) -> Iterator[None]:
    """Turns complaints into one line on stderr and an exit code; tracebacks are for `debug`."""
    try:
        yield
    except (DataError, CheckpointError, FolderInUseError, ValueError, OSError) as error:
        if debug:
            traceback.print_exc()
        print(" ".join(f"error: {error}".split()), file=sys.stderr)
        sys.exit(_exit_code(error))


def _exit_code(error: Exception) -> int:
    codes = {DataError: DATA, CheckpointError: CHECKPOINT, FolderInUseError: IN_USE}
    return next((code for kind, code in codes.items() if isinstance(error, kind)), USAGE)


def describe() -> str:
    """The text of --list."""
    groups = {name: ", ".join(members) for name, members in GROUPS.items()}
    return "\n\n".join(
        f"{title}:\n" + "\n".join(f"  {name:<22} {about}" for name, about in rows.items())
        for title, rows in {
            "Variants": {name: about for name, (_, about) in VARIANTS.items()},
            "Groups": groups,
            "Presets": {name: preset.about for name, preset in PRESETS.items()},
            "Data sets": data.names(),
        }.items()
    )


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


def choose(
    *,
    variant: str,
    preset: str,
    dataset: str | None = None,
    size: int | None = None,
    steps: int | None = None,
    seeds: str | None = None,
    batch: int | None = None,
    output: Path | None = None,
) -> "Sweep":
    """The sweep that the options ask for."""
    if preset not in PRESETS:
        raise expected(
            "--preset",
            f"one of {', '.join(PRESETS)}",
            got=repr(preset),
            advice="--list describes them",
        )
    control = PRESETS[preset].control
    changes: dict[str, Any] = {
        "dataset": dataset,
        "image_size": size,
        "steps": steps,
        "batch": batch,
    }
    control = dataclasses.replace(
        control, **{name: value for name, value in changes.items() if value is not None}
    )
    place = "".join(c if c.isalnum() or c in "-_." else "-" for c in control.dataset)
    return Sweep(
        preset,
        control,
        resolve(variant),
        parse_seeds(seeds, PRESETS[preset].seeds),
        output or Path("runs") / f"{preset}-{place}",
    )


@dataclass(frozen=True)
class Sweep:
    """Variants of one control, run on the same seeds in one folder."""

    preset: str
    control: Experiment
    variants: list[str]
    seeds: list[int]
    folder: Path

    @property
    def experiments(self) -> list[Experiment]:
        """One per variant and seed, seed by seed."""
        return plan(self.control, self.variants, self.seeds)

    def describe(self) -> str:
        """One line per run, and the sum."""
        shape = self._source().shape
        peak = matmul_peak()
        rows = [(e.name, estimate(e, shape, peak)) for e in self.experiments]
        lines = [
            f"{name:<28} {e.parameters:>12,} parameters  {e.train_flops:9.2e} FLOPs  "
            f"{e.seconds / 60:8.1f} min  {e.megabytes:8.1f} MB"
            for name, e in rows
        ]
        minutes = sum(e.seconds for _, e in rows) / 60
        megabytes = sum(e.megabytes for _, e in rows)
        return "\n".join(
            [
                f"{self.folder}: {shape} images, matmul peak here {peak / 1e9:.0f} GFLOP/s",
                *lines,
                f"in all about {minutes:.0f} min on this machine and {megabytes:.0f} MB",
            ]
        )

    def run(self, *, restart: bool = False) -> int:
        """Runs what is not finished, redraws after every run, judges; returns the exit code."""
        self._source()  # complains before anything is written
        with claimed(self.folder):
            if restart:
                for experiment in self.experiments:
                    set_aside(self.folder / experiment.name)
            self._check_comparable()
            self._write_index()
            failed = [name for name in map(self._run_one, self.experiments) if name]
            return self._report(failed)

    def _check_comparable(self) -> None:
        """Every run in the folder must differ from ours in variant and seed alone."""
        for name in self._earlier_runs():
            folder = self.folder / name
            if (folder / "config.json").exists():
                earlier = read_config(folder)
                (same,) = plan(self.control, [earlier.variant], [earlier.seed])
                check_same(folder, same)

    def _earlier_runs(self) -> list[str]:
        index = read_json(self.folder / "sweep.json")
        return index["runs"] if index else []

    def _source(self) -> data.Source:
        return data.load(self.control.dataset, size=self.control.image_size)

    def _write_index(self) -> None:
        """Lists the runs of the folder, those of earlier sweeps included."""
        ours = [experiment.name for experiment in self.experiments]
        write_json(
            self.folder / "sweep.json",
            {
                "preset": self.preset,
                "dataset": self.control.dataset,
                "runs": list(dict.fromkeys([*self._earlier_runs(), *ours])),
            },
        )

    def _run_one(self, experiment: Experiment) -> str | None:
        """Its name if it did not end well."""
        folder = self.folder / experiment.name
        done = is_finished(folder, experiment)
        try:
            status = run(experiment, folder)["status"]
        except DataError:
            raise  # it would meet every run
        except Exception as error:  # one run must not take the others down
            traceback.print_exc()
            status = f"failed: {error}"
        if not done:
            draw_all(self.folder)
        return None if status == "done" else experiment.name

    def _report(self, failed: list[str]) -> int:
        runs = load_sweep(self.folder)
        verdicts = judge(runs)
        write_claims(self.folder / "claims.json", verdicts)
        print(summary_table(runs))
        print(claims_table(verdicts))
        print(f"figures: {self.folder / 'figures'}")
        if failed:
            print(f"did not end well: {', '.join(failed)}", file=sys.stderr)
        return SOME_RUNS_FAILED if failed else 0
