"""Everything at once: can this inverse be trusted, and if not, which layer is to blame?"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.context import Context, Rows, at_rows, of_samples, rows_held
from flowjax_glow.density import freeze, rows_of
from flowjax_glow.diagnostics.blame import (
    FIRST_FAILURES,
    Suspect,
    lost_state,
    other_images,
    suspects,
)
from flowjax_glow.diagnostics.certificates import certificate
from flowjax_glow.diagnostics.chunks import CHUNK
from flowjax_glow.diagnostics.condition_numbers import conditions
from flowjax_glow.diagnostics.examination import examine
from flowjax_glow.diagnostics.failures import Examined, first_failures
from flowjax_glow.diagnostics.gains import bi_lipschitz, singular_values
from flowjax_glow.diagnostics.layer_tables import Examination
from flowjax_glow.diagnostics.log_dets import check_log_dets, smallest_crop
from flowjax_glow.diagnostics.lost_state import on_the_way
from flowjax_glow.diagnostics.moments import data_moments, largest_on_images
from flowjax_glow.diagnostics.noise_trips import (
    Noise,
    NoiseTrips,
    noise_round_trips,
    noise_trips,
)
from flowjax_glow.diagnostics.precision import AT_ONCE, ROUNDING, precision_gap
from flowjax_glow.diagnostics.rates import LOST_BELOW, Rates, Share, drawn_for, enough
from flowjax_glow.diagnostics.report import Measurement, StabilityReport
from flowjax_glow.diagnostics.round_trips import ImageTrips, encoded, image_trips, reconstructed
from flowjax_glow.diagnostics.table import Result, worst
from flowjax_glow.diagnostics.thresholds import (
    AT_RISK,
    CONDITION,
    FAR,
    LOG_DETS,
    LOST,
    MOMENTS,
    OUT_OF_RANGE,
    STATE,
    TAUS,
    THRESHOLDS,
    VERDICTS,
)
from flowjax_glow.diagnostics.unusual_images import out_of_distribution
from flowjax_glow.errors import check_choice, check_count
from flowjax_glow.pixels import as_events
from flowjax_glow.types import Event, Examples, Params

Tier = Literal["fast", "full"]


class Extent(NamedTuple):
    """How much a tier looks at.

    Attributes:
        taus: noise levels.
        examined: images, and samples, whose layers are examined, at most; those that failed are up
            to half of them.
    """

    taus: tuple[float, ...]
    examined: int


EXTENTS: dict[Tier, Extent] = {"fast": Extent((0.0, 0.7, 1.0), 32), "full": Extent(TAUS, 64)}

_OTHER_BINS = "images that do not come back in the same bins"


def stability_report(
    flow: Bijector,
    params: Params,
    images: Examples,
    *,
    n_bits: int = 8,
    tier: Tier = "full",
    lost_below: float = LOST_BELOW,
    samples: int | None = None,
    taus: Sequence[float] | None = None,
    seed: int = 0,
    on_part: Callable[[str], Any] | None = None,
    context: Context | None = None,
) -> StabilityReport:
    """Measures a flow on uint8 images, or float events of any shape, and on samples; judges it.

    The fast tier has round trips of images and samples, scales, activations, and sub-layers on
    their own; the full one adds singular values, float64, Lipschitz bounds from pairs and from
    parameters, and images of other kinds.

    Sub-layers are examined on up to 32 images and as many samples, 64 in the full tier, those that
    failed first.

    Args:
        flow: any `Bijector`; every `Combinator` in it is walked, of this library or of one's own.
        images: a batch, of which the slow parts take the first ones. Floats are taken as the
            events that the flow reads, `(batch, ..., channels)`; bins and images of other kinds are
            then left out, and "far out of range" is twice as far from 0 as any of them.
        tier: "fast" takes seconds, "full" minutes.
        lost_below: `trustworthy` promises that a smaller share of samples is lost at every noise
            level, at 95 % confidence. For 1 % that takes 299 samples without a loss.
        taus: noise levels, which the verdict is about; by default 0, 0.7 and 1 in the fast tier,
            and 0.1, 0.25 and 0.5 as well in the full one.
        samples: at every noise level; by default what `lost_below` takes with one loss, 512 for
            1 %, and at least one for each context that samples take. With too few, and nothing
            else wrong, the verdict is `not enough samples`.
        on_part: called with the name of each part before it begins.
        context: of the images, if the flow takes one, as `Bijector.given` does: a label or a row
            for each, or one for all. Samples take every label in turn, or else the rows of the
            images; at tau = 0 there is one for each. Parameters that hold a context do as well as
            plain ones with this.

    Raises:
        ValueError: if `tier` is neither, `lost_below` not between 0 and 1, `samples` not a whole
            number above 0, a noise level negative or not finite, or the context has other rows.
    """
    check_choice("stability_report.tier", tier, ("fast", "full"))
    enough(lost_below)  # complains
    count = drawn_for(lost_below, CHUNK) if samples is None else samples
    check_count("stability_report.samples", count)
    extent = EXTENTS[tier]
    rows = drawing = None
    if context is not None:
        rows = rows_of("stability_report", flow, context, len(images))
        drawing = of_samples("stability_report.context", flow.context_shape, context)
    told = on_part or (lambda _: None)
    report = _Report(flow, params, (rows, drawing), np.asarray(images), n_bits, seed, told)
    report.fast(count, extent.taus if taus is None else taus, extent.examined)
    if tier == "full":
        report.full()
    return report.judged(lost_below)


class _Report:
    """Gathers tables and measurements."""

    def __init__(
        self,
        flow: Bijector,
        params: Params,
        contexts: tuple[Rows | None, Rows | None],
        images: Examples,
        n_bits: int,
        seed: int,
        on_part: Callable[[str], Any],
    ) -> None:
        self._flow, self._images, (rows, self._drawing) = flow, images, contexts
        self._unfrozen, self._frozen = (
            flow.given(own, rows) for own in (params, freeze(flow, params))
        )
        self._x = np.asarray(_events(images, n_bits))
        self._are_images = images.dtype == np.uint8
        self._n_bits, self._seed, self._on_part = n_bits, seed, on_part
        # what is not finite is told, and must not hide what else there is
        self._finite = _zeros_where_not_finite(self._unfrozen)
        self._tables: dict[str, Result] = {}
        self._values: dict[str, float] = {}

    def fast(self, samples: int, taus: Sequence[float], examined: int) -> None:
        flow, params, shape = self._flow, self._frozen, self._images.shape[1:]
        self._on_part("images")
        trips = image_trips(flow, params, self._images, n_bits=self._n_bits)
        self._tables["images"] = table = reconstructed(trips)
        if self._are_images:
            self._values[_OTHER_BINS] = 1 - float(table.same_bins[0])
        self._values["worst relative error of an image"] = float(table.worst[0])
        self._values["log-dets of both directions, bits/dim apart"] = float(table.log_det_error[0])

        self._on_part("moments")
        # not frozen, as those of the two tables after it: one program for all of them
        of_images = largest_on_images(flow, self._unfrozen, jnp.asarray(self._x))
        self._tables["moments"] = moments = data_moments(flow, *self._first(CHUNK))
        self._values[MOMENTS] = moments.latents_off
        finite = self._first(CHUNK, self._finite)
        self._tables["conditions"] = table = conditions(flow, *finite)
        self._tables["on the way"] = on_the_way(flow, *finite)
        self._values[CONDITION] = worst(table.condition) * ROUNDING

        self._on_part("samples")
        noise = Noise(flow, flow.given(params, self._drawing), tuple(shape), self._seed)
        levels = noise_trips(noise, taus, samples, of_images)
        if not self._are_images:
            reach = 2 * np.abs(self._x).max()
            levels = [level._replace(largest=level.largest / reach) for level in levels]
        self._tables["samples"] = noise_round_trips(levels)
        self._tables["rates"] = rates_of([level for level in levels if level.tau > 0])
        for zero in (level for level in levels if level.tau == 0):
            self._values["relative error of z = 0"] = worst(zero.error)
            name = "activations from z = 0, over those of images"
            self._values[name] = worst(zero.relative)

        self._on_part("layers")
        self._examine(trips, levels, noise, of_images, examined)

        own, two = self._first(2, self._finite)
        crop = smallest_crop(flow, own, two)
        if crop is not None:
            self._on_part("log-dets")
            self._tables["log-dets"] = table = check_log_dets(flow, own, crop)
            self._values[LOG_DETS] = worst(table.error)

    def _examine(
        self,
        trips: ImageTrips,
        levels: Sequence[NoiseTrips],
        noise: Noise,
        of_images: Float[np.ndarray, " layers"],
        examined: int,
    ) -> None:
        """Tests every sub-layer on what failed, the worst first, and on ordinary ones."""
        flow, params = self._flow, self._frozen
        count = min(examined, len(self._images))
        errors, failed = _of_images(trips)
        rows = _worst_first(errors, failed, count)
        # as many as in a chunk before, so that one program serves both
        several = np.resize(rows, min(CHUNK, len(self._images)))
        given = at_rows(params, several)
        _, z, _ = jax.device_get(encoded(flow, given, self._images[several], self._n_bits))
        z = jax.tree.map(lambda leaf: leaf[:count], z)
        seen = examine(flow, at_rows(params, rows), z, seed=self._seed)
        self._add_layers("images", seen)
        names = [f"image {row}" for row in rows]
        images = Examined(names, errors[rows], failed[rows], seen.ways)
        checks = seen.checks
        self._values["layers with parameters that are not finite"] = float(
            (~checks.finite_params).sum()
        )

        levels = sorted(levels, key=lambda level: -level.tau)  # ordinary ones of the noisiest
        errors = np.concatenate([level.error for level in levels])
        failed = np.concatenate([_failed(level) for level in levels])
        places = [(level.tau, number) for level in levels for number in range(len(level.error))]
        rows = _worst_first(errors, failed, min(count, len(places)))
        chosen = [places[row] for row in rows]
        given = noise.given([number for _, number in chosen])
        seen = examine(flow, given, noise.picked(chosen), seed=self._seed)
        self._add_layers("samples", seen)
        names = [_place(*place, several=rows_held(noise.params) > 1) for place in chosen]
        drawn = Examined(names, errors[rows], failed[rows], seen.ways)
        if images.failed.any() or drawn.failed.any():
            self._tables[FIRST_FAILURES] = first_failures(images, drawn, of_images)

    def full(self) -> None:
        flow, params = self._flow, self._unfrozen
        self._on_part("singular values")
        values = singular_values(flow, *self._first(8), seed=self._seed)
        self._tables["singular values"] = values
        self._values["condition number, at least, times 2^-24"] = worst(values.condition) * ROUNDING

        self._on_part("float64")
        drawing = flow.given(params, self._drawing)
        samples, shape = max(AT_ONCE, rows_held(drawing)), self._images.shape[1:]
        gap = precision_gap(flow, drawing, shape, samples=samples, seed=self._seed)
        self._tables["precision"] = gap
        self._values["float32 off float64, tau <= 1"] = worst(gap.worst)

        self._on_part("Lipschitz bounds")
        if len(self._images) > 1:
            pairs = bi_lipschitz(flow, *self._first(32), seed=self._seed)
            self._tables["pairs"] = pairs
        self._tables["certificates"] = certificate(flow, drawing, jnp.asarray(self._x[:1]))

        if self._are_images:
            self._on_part("other images")
            given, _ = self._first(64)
            self._tables["other images"] = out_of_distribution(
                flow, given, self._images[:64], n_bits=self._n_bits, seed=self._seed
            )

    def judged(self, lost_below: float) -> StabilityReport:
        self._values[STATE] = len(list(lost_state(self._tables)))
        measurements = tuple(
            Measurement(name, self._values[name], threshold)
            for name, threshold in THRESHOLDS.items()
            if name in self._values
        )
        rates = self._tables["rates"]
        assert isinstance(rates, Rates)
        off = {m.name: m.grade for m in measurements if m.grade != "trustworthy"}
        of_samples = rates.verdict(lost_below)
        verdict = VERDICTS[max(VERDICTS.index(grade) for grade in (of_samples, *off.values()))]
        failed = verdict in ("at risk", "broken")
        only_moments = list(off) == [MOMENTS] and of_samples not in ("at risk", "broken")
        found = tuple(self._blame(only_moments)) if failed else ()
        return StabilityReport(verdict, found, measurements, lost_below, self._tables)

    def _first(self, count: int, params: Params | None = None) -> tuple[Params, Event]:
        """Parameters at the contexts of the first images, and these."""
        x = jnp.asarray(self._x[:count])
        return at_rows(self._unfrozen if params is None else params, np.arange(len(x))), x

    def _add_layers(self, name: str, seen: Examination) -> None:
        self._tables[f"activations, {name}"] = seen.activations
        self._tables[f"scales, {name}"] = seen.scales
        self._tables[f"layers, {name}"] = seen.checks
        self._tables[f"couplings, {name}"] = seen.couplings

    def _blame(self, only_moments: bool) -> Iterator[Suspect]:
        """Lost state if nothing else is off: a layer that is broken moves the moments, too."""
        return other_images(self._tables) if only_moments else suspects(self._tables)


@jax.jit
def _zeros_where_not_finite(params: Params) -> Params:
    return jax.tree.map(
        lambda leaf: jnp.where(jnp.isfinite(leaf), leaf, jnp.zeros_like(leaf)), params
    )


_events = jax.jit(lambda images, n_bits: as_events(images, n_bits=n_bits), static_argnums=1)


def _of_images(trips: ImageTrips) -> tuple[np.ndarray, np.ndarray]:
    """Their errors, and which of them did not come back, or hardly."""
    errors = np.asarray(trips.trip.relative)
    return errors, ~(errors <= AT_RISK) | ~np.asarray(trips.trip.same_bins)


def _failed(level: NoiseTrips) -> np.ndarray:
    """Which samples are lost or at risk."""
    return ~(level.error <= AT_RISK) | (level.relative > FAR)


def rates_of(levels: Sequence[NoiseTrips]) -> Rates:
    """How many samples failed, level by level."""
    samples = [len(level.error) for level in levels]
    lost = [int((level.error > LOST).sum()) for level in levels]
    at_risk = [int(_failed(level).sum()) for level in levels]

    def bounds(counts: Sequence[int]) -> np.ndarray:
        return np.array([Share(k, n).below for k, n in zip(counts, samples, strict=True)])

    return Rates(
        tau=np.array([level.tau for level in levels]),
        samples=np.array(samples),
        lost=np.array(lost),
        lost_below=bounds(lost),
        at_risk=np.array(at_risk),
        at_risk_below=bounds(at_risk),
        out_of_range=np.array([int((level.largest > OUT_OF_RANGE).sum()) for level in levels]),
        relative=np.array([level.relative.max() for level in levels]),
    )


def _worst_first(errors: np.ndarray, failed: np.ndarray, count: int) -> np.ndarray:
    """`count` rows: up to half of them failed, by their errors, then the first that did not.

    More of either kind where there are too few of the other.
    """
    bad, good = np.flatnonzero(failed), np.flatnonzero(~failed)
    bad = bad[np.argsort(-errors[bad], kind="stable")]
    bad = bad[: max((count + 1) // 2, count - len(good))]
    return np.concatenate([bad, good[: count - len(bad)]])


def _place(tau: float, number: int, *, several: bool) -> str:
    """Where a sample is; at z = 0 there is one, or one for each of several contexts."""
    sample = f", sample {number}" if tau or several else ""
    return (f"tau = {tau:g}" if tau else "z = 0") + sample
