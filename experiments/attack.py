"""Searches for points where the inverse of a trained model fails, and shows it unusual images.

    python -m experiments.attack RUN

For a trained run, or every run of a sweep: what searches find within the bins of held-out images
and around samples, beside as many random points (D11), and round trips of images of other kinds
(D12). Prints both tables and writes them as attack/STEP.json into the run folder; options other
than the defaults join the name, as attack/STEP-temperature-0.7.json.
"""

from pathlib import Path

import click


@click.command(context_settings={"max_content_width": 100})
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--images", default=64, show_default=True, help="Held-out images to start from.")
@click.option(
    "--objective", "objectives", multiple=True, help="What a search climbs; default all four."
)
@click.option("--steps", default=20, show_default=True, help="Of every search.")
@click.option("--temperature", default=1.0, show_default=True, help="Of the samples.")
@click.option("--seed", default=0, show_default=True, help="Of samples and searches.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(
    folder: Path,
    images: int,
    objectives: tuple[str, ...],
    steps: int,
    temperature: float,
    seed: int,
    debug: bool,
) -> None:
    """Attack the model of RUN, a run folder, or of every run of a sweep folder."""
    from experiments.exit_codes import one_line_errors

    with one_line_errors(debug):
        from experiments.options import name_with_options
        from flowjax_glow.diagnostics import attack, out_of_distribution
        from flowjax_glow.errors import check_count
        from flowjax_glow.files import write_json
        from flowjax_glow.runs import compilation
        from flowjax_glow.runs.load import trained_runs

        check_count("--images", images)
        check_count("--steps", steps)
        compilation.keep_compiled_programs()
        for trained in trained_runs(folder):
            run = trained.folder
            flow, params, n_bits = trained.flow, trained.state.params, trained.experiment.n_bits
            pixels = trained.source.examples("test", images)
            found = attack(
                flow,
                params,
                pixels,
                n_bits=n_bits,
                objectives=objectives or None,
                steps=steps,
                temperature=temperature,
                seed=seed,
            )
            unusual = out_of_distribution(flow, params, pixels, n_bits=n_bits, seed=seed)
            name = name_with_options(f"{int(trained.state.step):06}")
            file = run / "attack" / f"{name}.json"
            file.parent.mkdir(exist_ok=True)
            about = {"images": images, "steps": steps, "temperature": temperature, "seed": seed}
            tables = {"searches": found.to_json(), "other_images": unusual.to_json()}
            write_json(file, {**about, **tables})
            click.echo(f"{run.name}: {found}\n\n{unusual}\n  {file}\n")


if __name__ == "__main__":
    main()
