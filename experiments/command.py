"""What the sweep command does once its options are read."""

import contextlib
import dataclasses
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from experiments.claims import claims_table, judge, write_claims
from experiments.config import read_config
from experiments.estimate import estimate, matmul_peak
from experiments.figures import draw_all
from experiments.folders import (
    ConfigChangedError,
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
from experiments.sparingly import Sparingly
from experiments.table import summary_table
from experiments.variants import GROUPS, VARIANTS, resolve
from flowjax_glow import data
from flowjax_glow.data import DataError
from flowjax_glow.data.indexed import IndexedSource
from flowjax_glow.errors import expected
from flowjax_glow.glow import glow
from flowjax_glow.training import CheckpointError

#: Exit codes beside 0; docs/run-folder.md explains them.
SOME_RUNS_FAILED, USAGE, DATA, CHECKPOINT, IN_USE = 1, 2, 3, 5, 6


@contextlib.contextmanager
def one_line_errors(debug: bool) -> Iterator[None]:
    """Turns complaints into one line on stderr and an exit code; tracebacks are for `debug`."""
    try:
        with warnings.catch_warnings():
            if not debug:
                warnings.showwarning = _show_warning
            yield
    except (DataError, CheckpointError, FolderInUseError, ValueError, OSError) as error:
        if debug:
            traceback.print_exc()
        print(" ".join(f"error: {error}".split()), file=sys.stderr)
        sys.exit(_exit_code(error))


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(" ".join(f"warning: {message}".split()), file=sys.stderr)


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
    penalty: float | None = None,
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
        "penalty": penalty,
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


def fit_to_data(control: Experiment, source: data.Source) -> Experiment:
    """`control` with no more held-out images than a small data set has, in whole chunks."""
    available = source.count("test") if isinstance(source, IndexedSource) else control.held_out
    held_out = min(control.held_out, available) // control.chunk * control.chunk
    if not held_out:
        raise DataError(
            f"{source.name}: expected at least {control.chunk} test images, got {available}; "
            "add images or choose another data set"
        )
    clip_samples = min(control.clip_samples, held_out)
    return dataclasses.replace(control, held_out=held_out, clip_samples=clip_samples)


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
        """One line per run, and the sum; needs no data if the images' size is known."""
        shape = self.shape()
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
        if PRESETS[self.preset].brief:
            jax.config.update("jax_disable_most_optimizations", True)
        sweep = dataclasses.replace(self, control=fit_to_data(self.control, self._source()))
        sweep._check_shapes()  # complains before anything is written
        with claimed(self.folder):
            return sweep._run_all(restart)

    def _run_all(self, restart: bool) -> int:
        ours = {experiment.name for experiment in self.experiments}
        self._check_comparable(but=ours if restart else set())
        if restart:
            for name in ours:
                set_aside(self.folder / name)
        self._write_index()
        draw = Sparingly(self._draw)
        failed = [e.name for e in self.experiments if not self._run_one(e, draw)]
        if draw.pending or not (self.folder / "figures").exists():
            self._draw()
        return self._report(failed)

    def _check_shapes(self) -> None:
        """Builds every variant on shapes alone, so that a size that cannot work is told at once."""
        devices = jax.device_count()
        for name in ("batch", "chunk"):
            if getattr(self.control, name) % devices:
                raise expected(
                    f"Experiment.{name}",
                    f"a multiple of the {devices} devices",
                    got=getattr(self.control, name),
                    advice="change --batch, or use fewer devices",
                )
        images = jax.ShapeDtypeStruct((2, *self._source().shape), jnp.float32)
        for experiment in self.experiments:
            jax.eval_shape(glow(experiment.model).init, jax.random.key(0), images)

    def _check_comparable(self, but: set[str]) -> None:
        """Every run in the folder, `but` those, must differ from ours in variant and seed alone."""
        for name in self._earlier_runs():
            folder = self.folder / name
            if name not in but and (folder / "config.json").exists():
                earlier = read_config(folder)
                (same,) = plan(self.control, [earlier.variant], [earlier.seed])
                check_same(folder, same)

    def _earlier_runs(self) -> list[str]:
        index = read_json(self.folder / "sweep.json")
        return index["runs"] if index else []

    def shape(self) -> tuple[int, int, int]:
        """Of an image: the data set's, or where it is not here the experiment's, in color."""
        try:
            return self._source().shape
        except DataError:
            if self.control.image_size is None:
                raise
            return (self.control.image_size, self.control.image_size, 3)

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

    def _run_one(self, experiment: Experiment, draw: Callable[[], None]) -> bool:
        """Whether it ended well."""
        folder = self.folder / experiment.name
        done = is_finished(folder, experiment)
        try:
            status = run(experiment, folder)["status"]
        except (DataError, CheckpointError, ConfigChangedError):
            raise  # for the user to decide, and the first would meet every run
        except Exception:  # one run must not take the others down
            traceback.print_exc()
            status = "failed"
        if not done:
            draw()
        return status == "done"

    def _draw(self) -> None:
        """A figure that cannot be drawn is a fault of the figure's, not of the runs'."""
        try:
            draw_all(self.folder)
        except Exception:
            traceback.print_exc()

    def _report(self, failed: list[str]) -> int:
        runs = load_sweep(self.folder)
        verdicts = judge(runs)
        write_claims(self.folder / "claims.json", verdicts)
        print(summary_table([run for run in runs if run.variant in self.variants]))
        print(claims_table(verdicts))
        print(f"figures: {self.folder / 'figures'}")
        if failed:
            print(f"did not end well: {', '.join(failed)}", file=sys.stderr)
        return SOME_RUNS_FAILED if failed else 0
