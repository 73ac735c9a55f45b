"""Can the inverse of a trained model be trusted?

    python -m experiments.diagnose RUN

prints a verdict, what it rests on, and the layer to blame, and writes the whole report as
diagnosis/TIER-STEP.json and a figure beside it into the run folder; options other than the defaults
join the name, as diagnosis/fast-000400-samples-10000.json. It exits with 0 if the inverse of every
run is trustworthy, with 10 if one is at risk, with 11 if one is broken.
"""

import math
import sys
from pathlib import Path
from typing import Literal

import click

#: Exit codes by verdict.
EXIT_CODES: dict[str, int] = {"trustworthy": 0, "at risk": 10, "broken": 11}

#: Noise levels of a report, as `stability_report` has them.
TAUS = "0,0.1,0.25,0.5,0.7,1"


@click.command(context_settings={"max_content_width": 100})
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--images", metavar="DATA", help="A data set, as of the sweep; the run's own if none."
)
@click.option("--count", default=256, show_default=True, help="Held-out images to measure on.")
@click.option("--samples", default=256, show_default=True, help="Samples at every noise level.")
@click.option("--taus", default=TAUS, show_default=True, help="Noise levels.")
@click.option("--tier", type=click.Choice(["fast", "full"]), default="full", show_default=True)
@click.option("--averaged", is_flag=True, help="Use the moving average of the parameters.")
@click.option("--tables", is_flag=True, help="Print every table, not the measurements alone.")
@click.option("--seed", default=0, show_default=True, help="Of the samples.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(
    folder: Path,
    images: str | None,
    count: int,
    samples: int,
    taus: str,
    tier: Literal["fast", "full"],
    averaged: bool,
    tables: bool,
    seed: int,
    debug: bool,
) -> None:
    """Judge the model of RUN, a run folder, or of every run of a sweep folder."""
    from experiments.exit_codes import one_line_errors

    with one_line_errors(debug):
        from experiments.options import name_with_options
        from flowjax_glow import data
        from flowjax_glow.diagnostics import stability_report
        from flowjax_glow.errors import check_count
        from flowjax_glow.files import write_json
        from flowjax_glow.runs import compilation
        from flowjax_glow.runs.load import trained_runs
        from flowjax_glow.training import averaged_params, keep_freed_memory

        check_count("--count", count)
        check_count("--samples", samples)
        levels = parse_taus(taus)
        compilation.keep_compiled_programs()
        keep_freed_memory()
        code = 0
        for trained in trained_runs(folder):
            run = trained.folder
            experiment, source = trained.experiment, trained.source
            if images is not None:
                source = data.load(images, size=experiment.image_size)
            report = stability_report(
                trained.flow,
                averaged_params(trained.state) if averaged else trained.state.params,
                source.examples("test", count),
                n_bits=experiment.n_bits,
                tier=tier,
                samples=samples,
                taus=levels,
                seed=seed,
                on_part=lambda part: click.echo(f"  {part} ...", err=True),
            )
            name = name_with_options(f"{tier}-{int(trained.state.step):06}", but=("--tier",))
            file = run / "diagnosis" / f"{name}.json"
            file.parent.mkdir(exist_ok=True)
            about = {
                "images": images or experiment.dataset,
                "count": count,
                "samples": samples,
                "taus": levels,
                "seed": seed,
            }
            write_json(file, {**about, **report.to_json()})
            report.plot().savefig(file.with_suffix(".png"), dpi=100)
            click.echo(f"{run.name}: {report}")
            if tables:
                click.echo("\n" + "\n\n".join(str(table) for table in report.tables.values()))
            click.echo(f"  {file}\n")
            code = max(code, EXIT_CODES[report.verdict])
    sys.exit(code)


def parse_taus(text: str) -> list[float]:
    """`0,0.5,1` as numbers."""
    from flowjax_glow.errors import expected

    try:
        levels = [float(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if not levels or not all(0 <= tau < math.inf for tau in levels):
        raise expected("--taus", "noise levels with commas", got=repr(text), advice="write 0,0.5,1")
    return levels


if __name__ == "__main__":
    main()
