"""Are gradients by inversion good enough? Asks trained models.

    python -m experiments.gradients RUN

For every run of a sweep folder, or the run of a run folder: how well each level gives back its
input (drift), and how far gradients with `memory="invert"` are from exact ones on held-out images.
"""

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--images", default=64, show_default=True, help="Held-out images to measure on.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(folder: Path, images: int, debug: bool) -> None:
    """Print drift per level, and angle and relative error of inverted gradients, for RUN."""
    from experiments.exit_codes import one_line_errors

    with one_line_errors(debug):
        import jax

        from flowjax_glow.diagnostics import drift, gradient_fidelity
        from flowjax_glow.pixels import bin_midpoints
        from flowjax_glow.runs.load import trained_runs

        measure = jax.jit(drift, static_argnums=0)
        click.echo("run                    step  relative error  angle, degrees  drift per level")
        for trained in trained_runs(folder):
            run = trained.folder
            pixels = trained.source.examples("test", images)
            x = bin_midpoints(pixels, n_bits=trained.experiment.n_bits)
            params = trained.state.params
            fidelity = gradient_fidelity(trained.flow, params, x)
            levels = "  ".join(f"{value:.1e}" for value in measure(trained.flow, params, x))
            click.echo(
                f"{run.name:<20} {int(trained.state.step):6d}  {fidelity.relative_error[0]:14.1e}  "
                f"{fidelity.angle[0]:14.1e}  {levels}"
            )


if __name__ == "__main__":
    main()
