"""Is an example like the data? Its likelihood does not tell; where it lies among them may."""

import math
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.context import Context
from flowjax_glow.density import freeze, standard_normal_log_prob
from flowjax_glow.diagnostics.chunks import CHUNK, in_given_chunks
from flowjax_glow.diagnostics.table import Result
from flowjax_glow.effort import fitting
from flowjax_glow.errors import expected
from flowjax_glow.numerics import event_size
from flowjax_glow.pixels import as_events
from flowjax_glow.types import Event, Examples, Params

#: Examples that a reference takes at least, per number that is told of each.
PER_NUMBER = 10


@dataclass(frozen=True, eq=False)
class Strangeness(Result):
    """How strange each example is, in five ways; larger is stranger.

    Attributes:
        example: its number.
        bits_per_dim: at the midpoints of the bins; nats per dimension of float events. **Likely
            examples need not be typical**: flat images and others that are simpler than the data
            have fewer bits than the data themselves (Nalisnick and others 2019).
        typicality: how far `bits_per_dim` is from the mean on the data, in deviations.
        latents: the same of the logarithm of the mean square of a latent, of the worst level.
        log_det: the same of the log-det.
        distance: Mahalanobis' distance of all these logarithms and the log-det from the data.
    """

    title = "How strange examples are"

    example: np.ndarray
    bits_per_dim: np.ndarray
    typicality: np.ndarray
    latents: np.ndarray
    log_det: np.ndarray
    distance: np.ndarray


@dataclass(frozen=True, eq=False)
class Typicality:
    """Where a flow puts data, to hold other examples against; `typicality` makes one.

    Attributes:
        bits: mean and deviation of bits (or nats) per dimension on the data.
        mean: of the logarithm of each latent's mean square, finest first, and of the log-det per
            dimension.
        covariance: of these.
    """

    flow: Bijector = field(repr=False)
    params: Params = field(repr=False)
    n_bits: int
    bits: tuple[float, float]
    mean: Float[np.ndarray, " numbers"]
    covariance: Float[np.ndarray, "numbers numbers"]

    def strangeness(
        self, examples: Examples, *, chunk: int = CHUNK, context: Context | None = None
    ) -> Strangeness:
        """How far examples are from the data, a row for each.

        Args:
            context: that of these examples, as `Bijector.given` takes it, if the flow takes one.

        Raises:
            ValueError: if the context is missing, of another shape or has other rows.
        """
        params = self.flow.given(self.params, context)
        bits, numbers = _numbers(self.flow, params, examples, self.n_bits, chunk)
        off = numbers - self.mean
        in_deviations = np.abs(off) / np.sqrt(np.diag(self.covariance))
        inverse = np.linalg.inv(self.covariance)
        mean, deviation = self.bits
        return Strangeness(
            example=np.arange(len(bits)),
            bits_per_dim=bits,
            typicality=_or_infinite(np.abs(bits - mean) / deviation),
            latents=_or_infinite(in_deviations[:, :-1].max(1)),
            log_det=_or_infinite(in_deviations[:, -1]),
            distance=_or_infinite(np.sqrt(np.einsum("ni,ij,nj->n", off, inverse, off))),
        )


def typicality(
    flow: Bijector, params: Params, examples: Examples, *, n_bits: int = 8, chunk: int = CHUNK
) -> Typicality:
    """Measures where a flow puts data: held-out ones, since it fits those it was trained on.

    Args:
        examples: uint8 images or float events; some hundreds, and at least ten for each latent and
            one more.

    Raises:
        ValueError: if there are fewer, or any has a likelihood that is not finite.
    """
    frozen = freeze(flow, params)
    bits, numbers = _numbers(flow, frozen, examples, n_bits, chunk)
    least = PER_NUMBER * numbers.shape[1]
    if len(bits) < least:
        raise expected(
            "typicality",
            f"at least {least} examples",
            got=len(bits),
            advice="take more of the held-out data",
        )
    lost = int((~np.isfinite(numbers).all(1) | ~np.isfinite(bits)).sum())
    if lost:
        raise expected(
            "typicality",
            "data whose likelihoods are finite",
            got=f"{lost} of {len(bits)} that are not",
            advice="diagnose the flow first",
        )
    covariance = np.cov(numbers.T).reshape(numbers.shape[1], -1)
    # of what hardly varies, as a constant log-det, rounding alone would decide
    floor = np.square(1e-6 * np.maximum(1, np.abs(numbers.mean(0))))
    return Typicality(
        flow,
        frozen,
        n_bits,
        bits=(float(bits.mean()), max(float(bits.std()), 1e-6)),
        mean=numbers.mean(0),
        covariance=covariance + np.diag(floor),
    )


def area_under_curve(
    inside: Float[np.ndarray, " inside"], outside: Float[np.ndarray, " outside"]
) -> float:
    """The chance that a score of one outside is larger than of one inside, ties counting half.

    It is the area under the receiver's operating characteristic: 1 where a threshold separates
    both, 0.5 where the score tells nothing.

    >>> import numpy as np
    >>> area_under_curve(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    0.875
    """
    inside, outside = np.sort(inside), np.asarray(outside)
    below = np.searchsorted(inside, outside, side="left")
    up_to = np.searchsorted(inside, outside, side="right")
    return float((below + up_to).mean() / (2 * len(inside)))


def _numbers(
    flow: Bijector, params: Params, examples: Examples, n_bits: int, chunk: int
) -> tuple[Float[np.ndarray, " examples"], Float[np.ndarray, "examples numbers"]]:
    """Bits per dimension; and the logarithms of the latents' mean squares with the log-det."""
    examples = np.asarray(examples)
    as_bits = not np.issubdtype(examples.dtype, np.floating)

    def part(params: Params, some: Examples) -> tuple[Array, Array]:
        return _measured(flow, params, as_events(some, n_bits=n_bits))

    nats, numbers = in_given_chunks(part, params, examples, chunk)
    bits = nats / math.log(2) + n_bits if as_bits else nats
    return np.asarray(bits, np.float64), np.asarray(numbers, np.float64)


@fitting
def _measured(
    flow: Bijector, params: Params, x: Event
) -> tuple[Float[Array, " batch"], Float[Array, "batch numbers"]]:
    z, log_det = flow.forward(params, x)
    size = event_size(x)
    squares = [
        jnp.log(jnp.square(leaf).mean(tuple(range(1, leaf.ndim)))) for leaf in jax.tree.leaves(z)
    ]
    nats = -(standard_normal_log_prob(z) + log_det) / size
    return nats, jnp.stack([*squares, log_det / size], axis=1)


def _or_infinite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), np.inf, values)
