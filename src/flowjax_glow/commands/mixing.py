"""`flowjax-glow mixing`: what the latents of each level do to an image, as in style mixing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.bijectors import Permutation, Split
from flowjax_glow.combinators import Chain, MultiScale, Repeat
from flowjax_glow.commands.command import OnModels
from flowjax_glow.density import encode
from flowjax_glow.diagnostics import latent_shares, mixed_images
from flowjax_glow.errors import check_count, check_positive, check_seed
from flowjax_glow.files import write_json
from flowjax_glow.runs.compilation import keep_compiled_programs
from flowjax_glow.runs.load import trained_models
from flowjax_glow.types import Params

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Mixing(OnModels):
    """Mix levels of trained models, as StyleGAN mixes styles.

    Draws held-out images that have got one level's latents from another image, and prints the
    share of the samples' variance that each level explains, and how many of the channels that the
    last net of a level reads leave at its split. Writes RUN/mixing/STEP.json and .png; options
    other than the defaults join the name.
    """

    count: int = 5
    """Held-out images to mix."""

    data: str | None = None
    """A data set, as `train` takes it; the model's own if none."""

    samples: int = 512
    """The number of samples that the shares of variance are measured on."""

    temperature: float = 0.7
    """The temperature of these samples."""

    seed: int = 0
    """The seed of these samples."""

    def __call__(self) -> None:
        from flowjax_glow import plotting  # a third of a second

        check_count("--count", self.count)
        check_count("--samples", self.samples)
        check_positive("--temperature", self.temperature)
        check_seed("--seed", self.seed)
        keep_compiled_programs()
        for trained in trained_models(self.run):
            flow, n_bits = trained.flow, trained.experiment.n_bits
            file = self.file(trained.folder, "mixing", f"{trained.step:06}")
            shares = latent_shares(
                flow,
                trained.given_labels(),
                trained.event_shape,
                temperature=self.temperature,
                samples=self.samples,
                seed=self.seed,
            )
            leaving = read_channels_that_leave(flow, trained.params)
            given, pixels = trained.given_images(self.data, self.count)
            z = encode(flow, given, pixels, n_bits=n_bits)
            mixed = [
                jax.device_get(mixed_images(flow, given, z, latent))
                for latent in range(len(shares.latent))
            ]
            about = {"temperature": self.temperature, "samples": self.samples, "seed": self.seed}
            write_json(
                file, {**about, "read_channels_that_leave": leaving, "shares": shares.to_json()}
            )
            with plotting.context():
                picture(mixed).savefig(file.with_suffix(".png"))
            print(f"{trained.path}\n{shares}")
            print(f"  channels that the last net reads, of those that leave: {leaving}")
            print(f"  {file}\n")


def read_channels_that_leave(flow: MultiScale, params: Params) -> list[list[int]]:
    """For every split, finest first: how many channels of those that leave the last net reads.

    ``[read, leaving]`` each. Only permutations lie between the last coupling of a level and its
    split, so channels keep their identity on the way.
    """
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


def picture(mixed: Sequence[np.ndarray]) -> "Figure":
    """A square of images per latent: row i is image i, with the latent of the column's image."""
    from flowjax_glow import plotting

    figure = plotting.new_figure(0.6 + plotting.WIDTH / len(mixed))
    panels = np.atleast_1d(figure.subplots(1, len(mixed)))
    for index, (axes, images) in enumerate(zip(panels, mixed)):
        names = [str(i) for i in range(len(images))]
        plotting.mosaic(axes, images, names, names)
        axes.set_title(f"level {index}'s latents from the column's image")
    plotting.note(figure, "Held-out images; on the diagonal each is itself. Magenta: not finite.")
    return figure
