"""A cheap look at the inverse while a flow is trained, and a warning while there is time."""

import math
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.context import Context, Rows, of_samples
from flowjax_glow.density import freeze, rows_of, sample_latents
from flowjax_glow.diagnostics.round_trips import image_round_trip, latent_round_trip
from flowjax_glow.diagnostics.thresholds import LOST, OVERWHELMED
from flowjax_glow.diagnostics.trace import inverse_with_extremes
from flowjax_glow.effort import WELL
from flowjax_glow.errors import check_count
from flowjax_glow.pixels import bin_midpoints
from flowjax_glow.types import Event, Params, Pixels

#: Where an inverse is gone. The last is no ratio to images, as the stability report has it, so that
#: a look stays cheap.
GONE = {"image_error": LOST, "latent_error": LOST, "largest_activation": OVERWHELMED}

#: A trend is the median of the slopes between any two of so many looks: one that stands out cannot
#: make it, and fewer looks say nothing.
TREND_LOOKS = 5


@runtime_checkable
class WithParams(Protocol):
    """A state of a training: its parameters and how many steps made them."""

    @property
    def step(self) -> Any: ...

    @property
    def params(self) -> Any: ...


class Monitor:
    """Round trips, scales and activations on a fixed batch, and what they lead to.

    `look` measures, and warns once per measurement: that it is beyond `GONE`, or that it will be
    before the training is twice as long as now, if its logarithm goes on to grow as it did over the
    last `TREND_LOOKS` looks after the start. An inverse may be gone within a few steps, so look
    often at first.

    A look costs an evaluation of the flow on images, one on samples, and a walk down its inverse on
    both, which does as `flow.inverse` does but for rounding. Scales are those of couplings: the
    deviation of a learned prior is a scale that it does not see.

    Args:
        flow: any `Bijector`.
        images: a fixed batch, uint8; where it is split over devices, so are the looks.
        samples: at temperature 1, the same at every look; the failure is heavy-tailed, so a few
            see it later than many would.
        context: of the images, if the flow takes one, as `stability_report` does; samples take
            every label in turn, or else the rows of the images. Fewer samples take as many of them,
            evenly spread.

    Raises:
        ValueError: if the images are not uint8, `n_bits` is not 1 to 8, `samples` no whole number
            above 0, or the context of another shape or with other rows.
    """

    def __init__(
        self,
        flow: Bijector,
        images: Pixels,
        *,
        n_bits: int = 8,
        samples: int = 64,
        seed: int = 0,
        context: Context | None = None,
    ) -> None:
        check_count("Monitor.samples", samples)
        self._flow = flow
        self._x = bin_midpoints(jnp.asarray(images), n_bits=n_bits)
        self._n_bits = n_bits
        self._shape = (samples, *images.shape[1:])
        self._key = jax.random.key(seed)
        self._contexts = None if context is None else _contexts(flow, context, len(images), samples)
        self._seen: list[tuple[int, Mapping[str, float]]] = []
        self._warned: set[str] = set()

    def look(self, step: int, params: Params) -> dict[str, float]:
        """What is measured after `step` steps.

        ``image_error`` and ``latent_error``, relative errors there and back; ``bit_exact``, as
        files call it, the fraction of images in the same bins; ``smallest_scale``, 1 where nothing
        is scaled; ``chain_gain``, the logarithm of the product of 1 / s_min along the chain; and
        ``largest_activation``. Each is the worst of all images and samples.
        """
        found = jax.device_get(
            _measure(
                self._flow,
                freeze(self._flow, params),
                self._contexts,
                self._x,
                self._key,
                self._shape,
                self._n_bits,
            )
        )
        row = {name: float(value) for name, value in found.items()}
        self._seen.append((step, row))
        for name, limit in GONE.items():
            self._judge(step, name, limit)
        return row

    def observe(self, state: WithParams) -> dict[str, float]:
        """`look` at the state of a training; with `resume` this is an observer of `train`."""
        return self.look(int(state.step), state.params)

    def resume(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Takes in the metrics of an interrupted run that goes on."""
        self._seen = [(int(row["step"]), row) for row in rows if all(name in row for name in GONE)]

    def _judge(self, step: int, name: str, limit: float) -> None:
        value = self._seen[-1][1][name]
        if not value <= limit:
            self._warn(f"{name} gone", f"step {step}: {name} is {value:.1e}, above {limit:g}")
            return
        there = _reaches([(when, row[name]) for when, row in self._seen], limit)
        if there <= 2 * step:
            self._warn(
                f"{name} going",
                f"step {step}: {name} is {value:.1e} and growing; at this rate it passes "
                f"{limit:g} by step {there:.0f}",
            )

    def _warn(self, kind: str, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(
                f"{message}; the inverse of this flow cannot be trusted there "
                "(diagnostics.stability_report names the layer)",
                stacklevel=4,
            )


def _reaches(series: list[tuple[int, float]], limit: float) -> float:
    """The step at which ``log`` of a series meets that of `limit`, infinity if it never does."""
    recent = [(step, value) for step, value in series if step > 0][-TREND_LOOKS:]
    if len(recent) < TREND_LOOKS or not all(0 < value < math.inf for _, value in recent):
        return math.inf
    steps, logs = zip(*((step, math.log(value)) for step, value in recent))
    slope = median_slope(steps, logs)
    return steps[-1] + (math.log(limit) - logs[-1]) / slope if slope > 0 else math.inf


def _contexts(
    flow: Bijector, context: Context, images: int, samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of images and of samples."""
    of_images = np.asarray(rows_of("Monitor", flow, context, images))
    drawn = np.asarray(of_samples("Monitor.context", flow.context_shape, context))
    of_each = np.broadcast_to(of_images, (images, *of_images.shape[1:]))
    numbers = np.arange(samples)
    if samples < len(drawn):  # some of the contexts, from all over
        return of_each, drawn[numbers * len(drawn) // samples]
    return of_each, drawn[numbers % len(drawn)]


@partial(jax.jit, static_argnums=(0, 5, 6), compiler_options=WELL)
def _measure(
    flow: Bijector,
    params: Params,
    contexts: tuple[Rows, Rows] | None,
    x: Event,
    key: jax.Array,
    shape: tuple[int, ...],
    n_bits: int,
) -> dict[str, Float[Array, ""]]:
    of_images, of_samples = contexts or (None, None)
    whole = None if contexts is None else jnp.concatenate(contexts)
    given, drawing = flow.given(params, of_images), flow.given(params, of_samples)
    codes, _ = flow.forward(given, x)
    noise = sample_latents(flow, drawing, key, shape)
    both = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), codes, noise)
    decoded, _, seen = inverse_with_extremes(flow, flow.given(params, whole), both)
    images = image_round_trip(x, decoded[: len(x)], n_bits=n_bits)
    back, _ = flow.forward(drawing, decoded[len(x) :])
    return {
        "image_error": images.relative.max(),
        "bit_exact": images.same_bins.mean(),
        "latent_error": latent_round_trip(noise, back).max(),
        "smallest_scale": jnp.exp(seen.lowest.min()),
        "chain_gain": -seen.lowest.sum(0).min(),
        "largest_activation": seen.largest.max(),
    }


def median_slope(steps: Sequence[float], values: Sequence[float]) -> float:
    """Theil and Sen's slope: the median of the slopes between any two points.

    Pairs of the same infinity have no slope and are left out; NaN if nothing is left.
    """
    x, y = np.asarray(steps, np.float64), np.asarray(values, np.float64)
    first, second = np.triu_indices(len(x), 1)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        slopes = (y[second] - y[first]) / (x[second] - x[first])
    known = slopes[~np.isnan(slopes)]
    return float(np.median(known)) if known.size else float("nan")
