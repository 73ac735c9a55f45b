"""Two variants of a sweep against each other, seed by seed.

    python -m experiments.compare RUN one-sided depth-scaled

prints the first minus the second: late training loss, loss over the run, held-out bits/dim (all as
docs/claims.md defines them) and the share of samples at tau = 1 that do not come back; the mean
over the seeds that both have, and Student's 95 % interval.
"""

from collections.abc import Callable
from pathlib import Path

import click

from experiments.claims import measures
from experiments.claims.statistics import mean, mean_interval
from experiments.claims.verdicts import Evidence, compare
from flowjax_glow.errors import expected
from flowjax_glow.runs.results import Run, load_sweep

MEASURES: dict[str, Callable[[Run, Run], float | None]] = {
    "late loss": measures.late_loss_difference,
    "loss over the run": measures.run_loss_difference,
    "held-out bits/dim": measures.held_out_difference,
    "share of broken samples": measures.broken_samples_difference,
}


@click.command(context_settings={"max_content_width": 100})
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("variant")
@click.argument("than")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(folder: Path, variant: str, than: str, debug: bool) -> None:
    """Print VARIANT minus THAN of the sweep folder RUN."""
    from experiments.exit_codes import one_line_errors

    with one_line_errors(debug):
        evidence = Evidence(load_sweep(folder))
        ours, theirs = (evidence.finished(name) for name in (variant, than))
        if not ours.keys() & theirs.keys():
            raise expected(
                f"{folder}",
                f"a seed that {variant} and {than} have both finished",
                got="none",
                advice="train both with python -m experiments.sweep --variant=...",
            )
        click.echo(f"{variant} minus {than}, mean over seeds [95 % interval]")
        for name, measure in MEASURES.items():
            values = compare(ours, theirs, measure)
            low, high = mean_interval(list(values.values()))
            shown = f"{mean(values.values()):+.3f} [{low:+.3f}, {high:+.3f}]"
            each = ", ".join(f"{seed}: {value:+.3f}" for seed, value in values.items())
            click.echo(f"  {name:<24} {shown}   {each}")


if __name__ == "__main__":
    main()
