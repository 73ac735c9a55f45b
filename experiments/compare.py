"""Two variants of a sweep against each other, seed by seed.

    python -m experiments.compare RUN one-sided depth-scaled

prints the first minus the second: late training loss, loss over the run, held-out bits/dim (all as
docs/claims.md defines them) and the share of samples at tau = 1 that do not come back; the mean
over the seeds that both have, and Student's 95 % interval.
"""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import tyro

from experiments.claims import measures
from experiments.claims.statistics import mean, mean_interval
from experiments.claims.verdicts import Evidence, compare
from flowjax_glow.commands.command import OnRuns, run_command
from flowjax_glow.errors import expected
from flowjax_glow.runs.results import Run, load_sweep

MEASURES: dict[str, Callable[[Run, Run], float | None]] = {
    "late loss, bits/dim": measures.late_loss_difference,
    "loss of all steps, bits/dim": measures.run_loss_difference,
    "held-out bits/dim": measures.held_out_difference,
    "share of samples lost": measures.broken_samples_difference,
}


@dataclass(frozen=True, kw_only=True)
class Compare(OnRuns):
    """Print one variant minus another of a sweep folder, over the seeds that both have."""

    variant: tyro.conf.Positional[str]
    """A variant."""

    than: tyro.conf.Positional[str]
    """The other, which is subtracted."""

    def __call__(self) -> None:
        evidence = Evidence(load_sweep(self.run))
        ours, theirs = (evidence.finished(name) for name in (self.variant, self.than))
        if not ours.keys() & theirs.keys():
            raise expected(
                f"{self.run}",
                f"a seed that {self.variant} and {self.than} have both finished",
                got="none",
                advice="train both with python -m experiments.sweep --variant=...",
            )
        print(f"{self.variant} minus {self.than}, mean over seeds [95 % interval]")
        for name, measure in MEASURES.items():
            values = compare(ours, theirs, measure)
            low, high = mean_interval(list(values.values()))
            shown = f"{mean(values.values()):+.3f} [{low:+.3f}, {high:+.3f}]"
            each = ", ".join(f"{seed}: {value:+.3f}" for seed, value in values.items())
            print(f"  {name:<28}{shown}")
            print(
                textwrap.fill(
                    f"by seed {each}", 80, initial_indent=" " * 4, subsequent_indent=" " * 6
                )
            )


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command and exits; by default with the arguments of this process."""
    run_command(Compare, arguments, prog="python -m experiments.compare")


if __name__ == "__main__":
    main()
