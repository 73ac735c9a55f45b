"""Images on their way to the latents: how large they are at every sub-layer.

Second moments show state that was lost; the largest activations are what those of samples are held
against.
"""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import ActNorm
from flowjax_glow.diagnostics.chunks import CHUNK, in_given_chunks
from flowjax_glow.diagnostics.passing import passing
from flowjax_glow.diagnostics.table import Result
from flowjax_glow.types import Event, Params
from flowjax_glow.walk import flatten_records

#: An actnorm is off what it was trained on where its channels' mean squares are off 1 by more than
#: this factor, in the geometric mean over channels. Trained ones drift: up to 2.4 in the models
#: that the number was chosen on, which had 4 to 6 right after a permutation that was drawn anew.
OFF = 3.0


@dataclass(frozen=True, eq=False)
class DataMoments(Result):
    """Mean squares of encoded images, in the order of encoding: every actnorm, then the latents.

    Training by maximum likelihood drives the mean square of every latent to 1, and actnorms start
    with outputs of mean square 1 and stay near it. A model whose images are far from that was
    trained on others, or is not the model that was trained: some of its state was not saved, or
    was started anew. Its log-dets and its round trips may be right all the same.

    Attributes:
        layer: the actnorm, or the latent, ``latent0`` being the finest.
        mean_square: of its output, over images, places and channels.
        off: the factor between the mean squares of its channels and 1, in the geometric mean.
    """

    title = "Images on their way to the latents"

    layer: np.ndarray
    mean_square: np.ndarray
    off: np.ndarray

    @property
    def latents_off(self) -> float:
        """The largest factor between the mean square of a latent and 1."""
        latents = np.char.startswith(self.layer.astype(str), "latent")
        squares = self.mean_square[latents]
        with np.errstate(divide="ignore"):
            return float(np.exp(np.abs(np.log(squares)).max()))

    @property
    def first_off(self) -> str:
        """The first layer that is off by more than `OFF`; else the one that is off most."""
        off = np.where(np.isnan(self.off), np.inf, self.off)
        beyond = np.flatnonzero(off > OFF)
        return str(self.layer[beyond[0] if beyond.size else off.argmax()])


def data_moments(flow: Bijector, params: Params, x: Event) -> DataMoments:
    """The moments of a batch of images at the midpoints of their bins, or dequantized."""
    records, latents = jax.device_get(passing(flow, params, x))
    rows = [
        (name, record.given.mean_square)
        for name, bijector, record in reversed(list(flatten_records(flow, records)))
        if isinstance(bijector, ActNorm)
    ]
    rows += [(f"latent{index}", latent.mean_square) for index, latent in enumerate(latents)]
    with np.errstate(divide="ignore"):
        logs = [np.abs(np.log(np.asarray(record, np.float64))).mean() for _, record in rows]
    return DataMoments(
        layer=np.array([name for name, _ in rows]),
        mean_square=np.array([record.mean() for _, record in rows]),
        off=np.exp(np.array(logs)),
    )


def largest_on_images(
    flow: Bijector, params: Params, x: Event, *, chunk: int = CHUNK
) -> Float[np.ndarray, " layers"]:
    """The largest absolute activation of images before every sub-layer, in the order of generation.

    The inverse of a sub-layer gives what the sub-layer takes, so samples are held against these.

    Raises:
        ValueError: if the parameters hold a context with other rows.
    """

    def largest(params: Params, part: np.ndarray) -> list[Float[np.ndarray, " batch"]]:
        records = jax.device_get(passing(flow, params, part)[0])
        return [record.largest for _, _, record in flatten_records(flow, records)]

    return np.array([layer.max() for layer in in_given_chunks(largest, params, x, chunk)])
