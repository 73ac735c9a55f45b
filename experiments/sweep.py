"""Trains every variant on every seed and redraws the paper.

    python -m experiments.sweep --variant=all

The default, preset `laptop` on the bundled photographs, takes under 30 minutes on 2 cores; the
first figures of all variants stand after the first seed. The same command again resumes what was
interrupted and does nothing where all is done.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import jax

from experiments.sweeps import Sweep, parse_seeds
from experiments.variants import described_variants, resolve
from flowjax_glow.commands.command import run_command
from flowjax_glow.commands.configure import OnExperiment, listing
from flowjax_glow.commands.errors import end_on_sigterm
from flowjax_glow.commands.shard import parse_shard
from flowjax_glow.errors import expected
from flowjax_glow.runs.presets import PRESETS

ADVICE = "use --variant and --seeds"


@dataclass(frozen=True, kw_only=True)
class SweepCommand(OnExperiment):
    """Train GLOW with every coupling remedy and redraw the paper's figures.

    The same command again resumes what was interrupted and does nothing where all is done.
    """

    variant: str = "all"
    """Names or groups, with commas."""

    seeds: str | None = None
    """How many (3: seeds 0, 1, 2), or which (5,6,7; 5, for one alone)."""

    penalty: float | None = None
    """Weight of a term against stretches."""

    jobs: int | None = None
    """Runs at a time; one per core, or one on a GPU or TPU, if not given."""

    shard: str | None = None
    """I/N: every N-th run from the I-th on; other machines do the others (docs/run-folder.md)."""

    output: Path | None = None
    """Folder; runs/PRESET-DATA."""

    restart: bool = False
    """Set old runs of this sweep aside and start over."""

    dry_run: bool = False
    """Print the runs with estimates of time and disk."""

    def __call__(self) -> int | None:
        if self.list:
            print(listing({**described_variants(), **self.choices()}))
            return None
        sweep = self.sweep()
        if self.dry_run:
            print(sweep.describe(self.jobs))
            return None
        jax.config.update("jax_platforms", "cpu")  # accelerators belong to the runs' processes
        end_on_sigterm()
        return sweep.run(restart=self.restart, jobs=self.jobs)

    def sweep(self) -> Sweep:
        """What the options ask for."""
        for setting in self.set:
            if setting.partition("=")[0].strip() in ("variant", "seed", "nudge"):
                raise expected("--set", "a field that all runs share", got=setting, advice=ADVICE)
        control = self.experiment()
        if self.penalty is not None:
            control = dataclasses.replace(control, penalty=self.penalty)
        return Sweep(
            self.preset,
            control,
            resolve(self.variant),
            parse_seeds(self.seeds, PRESETS[self.preset].seeds),
            self.output or self.place(control),
            parse_shard(self.shard),
        )


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command and exits; by default with the arguments of this process."""
    run_command(SweepCommand, arguments, prog="python -m experiments.sweep")


if __name__ == "__main__":
    main()
