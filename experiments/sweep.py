"""Trains every variant on every seed and redraws the paper.

    python -m experiments.sweep --variant=all

The default, preset `laptop` on the bundled photographs, takes under 30 minutes on 2 cores; the
first figures of all variants stand after the first seed. The same command again resumes what was
interrupted and does nothing where all is done.
"""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import click


@click.command(context_settings={"max_content_width": 100})
@click.option("--variant", default="all", show_default=True, help="Names or groups, with commas.")
@click.option("--preset", default="laptop", show_default=True, help="Sizes and recipe.")
@click.option("--dataset", help="photos, digits, KIND:PATH, tfds:NAME; see --list.")
@click.option("--size", type=int, help="Side of the images in pixels.")
@click.option("--steps", type=int, help="Training steps; more than before train on.")
@click.option("--seeds", help="How many (3: seeds 0, 1, 2), or which (5,6,7; 5, for one alone).")
@click.option("--batch", type=int, help="Images per step.")
@click.option("--penalty", type=float, help="Weight of a term against stretches; default 0.")
@click.option("--jobs", type=int, help="Runs at a time; default one per core, or one on GPU, TPU.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder; default runs/PRESET-DATA.")
@click.option("--restart", is_flag=True, help="Set old runs of this sweep aside and start over.")
@click.option("--list", "show", is_flag=True, help="Describe variants, presets and data sets.")
@click.option("--dry-run", is_flag=True, help="Print the runs with estimates of time and disk.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(
    show: bool, dry_run: bool, debug: bool, restart: bool, jobs: int | None, **choices: Any
) -> None:
    """Train GLOW with every coupling remedy and redraw the paper's figures."""
    # they import jax; --help does not need it
    import jax

    from experiments import command
    from experiments.exit_codes import one_line_errors

    with one_line_errors(debug):
        if show:
            click.echo(command.describe())
            return
        sweep = command.choose(**choices)
        if dry_run:
            click.echo(sweep.describe(jobs))
            return
        jax.config.update("jax_platforms", "cpu")  # accelerators belong to the runs' processes
        signal.signal(signal.SIGTERM, _stop)
        sys.exit(sweep.run(restart=restart, jobs=jobs))


def _stop(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)  # unwinds, and so ends the runs' processes


if __name__ == "__main__":
    main()
