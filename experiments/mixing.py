"""What the latents of each level do to an image, as in StyleGAN's style mixing.

    python -m experiments.mixing RUN

For a trained run, or every run of a sweep: pictures of held-out images that have got one level's
latents from another image, the share of the samples' variance that each level explains, and how
many of the channels that the last net of a level reads leave at its split. Writes
mixing/STEP.json and mixing/STEP.png into the run folder; options other than the defaults join the
name.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowjax_glow import plotting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from flowjax_glow.combinators import MultiScale
    from flowjax_glow.types import Image, Params


@click.command(context_settings={"max_content_width": 100})
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--images", default=5, show_default=True, help="Held-out images to mix.")
@click.option("--samples", default=512, show_default=True, help="For the shares of variance.")
@click.option("--temperature", default=0.7, show_default=True, help="Of these samples.")
@click.option("--seed", default=0, show_default=True, help="Of these samples.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(
    folder: Path, images: int, samples: int, temperature: float, seed: int, debug: bool
) -> None:
    """Mix levels of the model of RUN, a run folder, or of every run of a sweep folder."""
    from experiments.exit_codes import one_line_errors

    with one_line_errors(debug):
        import jax

        from experiments.options import name_with_options
        from flowjax_glow.density import encode
        from flowjax_glow.diagnostics import latent_shares, mixed_images
        from flowjax_glow.errors import check_count
        from flowjax_glow.files import write_json
        from flowjax_glow.runs import compilation
        from flowjax_glow.runs.load import trained_runs

        check_count("--images", images)
        compilation.keep_compiled_programs()
        for trained in trained_runs(folder):
            run = trained.folder
            flow, params, n_bits = trained.flow, trained.state.params, trained.experiment.n_bits
            shares = latent_shares(
                flow,
                params,
                trained.source.shape,
                temperature=temperature,
                samples=samples,
                seed=seed,
            )
            leaving = read_channels_that_leave(flow, params)
            z = encode(flow, params, trained.source.examples("test", images), n_bits=n_bits)
            mixed = [
                jax.device_get(mixed_images(flow, params, z, latent))
                for latent in range(len(shares.latent))
            ]
            name = name_with_options(f"{int(trained.state.step):06}")
            file = run / "mixing" / f"{name}.json"
            file.parent.mkdir(exist_ok=True)
            about = {"temperature": temperature, "samples": samples, "seed": seed}
            write_json(
                file, {**about, "read_channels_that_leave": leaving, "shares": shares.to_json()}
            )
            with plotting.context():
                picture(mixed).savefig(file.with_suffix(".png"))
            click.echo(f"{run.name}: {shares}")
            click.echo(f"  channels that the last net reads, of those that leave: {leaving}")
            click.echo(f"  {file}\n")


def read_channels_that_leave(flow: "MultiScale", params: "Params") -> list[list[int]]:
    """For every split, finest first: how many channels of those that leave the last net reads.

    ``[read, leaving]`` each. Only permutations lie between the last coupling of a level and its
    split, so channels keep their identity on the way.
    """
    import jax
    import jax.numpy as jnp

    from flowjax_glow.bijectors import Permutation, Split
    from flowjax_glow.combinators import Chain, Repeat

    found = []
    splits = zip(flow.levels, flow.splits, params["levels"], strict=False)
    for level, split, own in splits:
        assert isinstance(split, Split)  # as in every flow of `glow`
        channels, permutations = 0, []
        for part, part_params in zip(level.bijectors, own, strict=True):  # type: ignore[attr-defined]
            if isinstance(part, Repeat) and isinstance(part.step, Chain):
                channels = part_params[0]["log_scale"].shape[-1]
                last = jax.tree.map(lambda leaf: leaf[-1], part_params)
                permutations = [
                    (inner, inner_params)
                    for inner, inner_params in zip(part.step.bijectors[-1:], last[-1:])
                    if isinstance(inner, Permutation)
                ]
            elif isinstance(part, Permutation):
                permutations.append((part, part_params))
        marked = jnp.zeros((1, 1, 1, channels)).at[..., : channels // 2].set(1.0)
        for permutation, permutation_params in permutations:
            marked, _ = permutation.forward(permutation_params, marked)
        (_, leaves), _ = Split(split.leaves).forward((), marked)
        found.append([int(leaves.sum()), leaves.shape[-1]])
    return found


def picture(mixed: "list[Image]") -> "Figure":
    """A square of images per latent: row i is image i, with the latent of the column's image."""
    import numpy as np

    from experiments.figures.panels import note
    from flowjax_glow.plotting import mosaic

    figure = plotting.new_figure(0.6 + plotting.WIDTH / len(mixed))
    panels = np.atleast_1d(figure.subplots(1, len(mixed)))
    for index, (axes, images) in enumerate(zip(panels, mixed)):
        names = [str(i) for i in range(len(images))]
        mosaic(axes, np.asarray(images), names, names)
        axes.set_title(f"level {index}'s latents from the column's image")
    note(figure, "Held-out images; on the diagonal each is itself. Magenta: not finite.")
    return figure


if __name__ == "__main__":
    main()
