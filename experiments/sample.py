"""Draws images from trained models.

    python -m experiments.sample RUN --count=1000 --temperature=0.7

Writes RUN/samples/temperature-0.7-seed-0.npz with the array `images`, uint8 of shape
`(count, height, width, channels)`, and a picture of the first ones beside it. More images of the
same seed begin with the same ones.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import numpy as np

COLUMNS, ROWS = 10, 6  # of the picture
SIDE = 64  # pixels of an image in it, at least


@click.command(context_settings={"max_content_width": 100})
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--count", default=COLUMNS * ROWS, show_default=True, help="Images per run.")
@click.option("--temperature", default=1.0, show_default=True, help="Scale of the latents.")
@click.option("--seed", default=0, show_default=True, help="Of the latents.")
@click.option("--averaged", is_flag=True, help="Use the moving average of the parameters.")
@click.option("--chunk", default=64, show_default=True, help="Images per compiled call.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(
    folder: Path,
    count: int,
    temperature: float,
    seed: int,
    averaged: bool,
    chunk: int,
    debug: bool,
) -> None:
    """Draw images from the model of RUN, a run folder, or of every run of a sweep folder."""
    from experiments.exit_codes import one_line_errors

    with one_line_errors(debug):
        import jax
        import numpy as np

        from flowjax_glow import sample_pixels
        from flowjax_glow.errors import check_count, expected
        from flowjax_glow.files import write_arrays
        from flowjax_glow.runs.load import run_folders, trained_runs
        from flowjax_glow.training import averaged_params

        check_count("--count", count)
        check_count("--chunk", chunk)
        name = f"samples/temperature-{temperature:g}-seed-{seed}{'-averaged' * averaged}.npz"
        for run in run_folders(folder):
            if (run / name).exists():
                raise expected(
                    f"{run / name}",
                    "no such file yet",
                    got="one",
                    advice="move it away, or use a seed",
                )
        for trained in trained_runs(folder):
            file = trained.folder / name
            with click.progressbar(length=count, label=trained.folder.name, file=sys.stderr) as bar:
                drawn = sample_pixels(
                    trained.flow,
                    averaged_params(trained.state) if averaged else trained.state.params,
                    jax.random.key(seed),
                    count,
                    trained.source.shape,
                    temperature=temperature,
                    n_bits=trained.experiment.n_bits,
                    chunk=min(chunk, count),
                    on_chunk=lambda done, bar=bar: bar.update(done - bar.pos),
                )
            images = np.asarray(drawn)
            file.parent.mkdir(exist_ok=True)
            write_arrays(file, {"images": images})
            save_picture(file.with_suffix(".png"), images[: COLUMNS * ROWS])
            click.echo(file)


def save_picture(file: Path, images: "np.ndarray") -> None:
    """Writes images (count, height, width, channels) as one, enlarged to be seen."""
    import matplotlib.image
    import numpy as np

    from flowjax_glow.plotting import block

    times = -(-SIDE // images.shape[1])
    tiles = np.full((ROWS * COLUMNS, *images.shape[1:3], 3), 255, np.uint8)
    tiles[: len(images)] = images  # one channel fills all three
    tiles = tiles[: -(-len(images) // COLUMNS) * COLUMNS]
    edge = ((0, 0), (0, 2), (0, 2), (0, 0))
    enlarged = np.pad(tiles.repeat(times, 1).repeat(times, 2), edge, constant_values=255)
    matplotlib.image.imsave(file, block(enlarged, COLUMNS))


if __name__ == "__main__":
    main()
