"""Everything at once: can this inverse be trusted, and if not, which layer is to blame?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.density import sample_latents
from flowjax_glow.diagnostics.certificates import certificate
from flowjax_glow.diagnostics.gains import bi_lipschitz, singular_values
from flowjax_glow.diagnostics.layers import Examination, examine
from flowjax_glow.diagnostics.log_dets import LogDetChecks, check_log_dets, smallest_crop
from flowjax_glow.diagnostics.moments import DataMoments, data_moments
from flowjax_glow.diagnostics.out_of_distribution import out_of_distribution
from flowjax_glow.diagnostics.precision import ROUNDING, precision_gap
from flowjax_glow.diagnostics.round_trips import latent_round_trips, reconstruction
from flowjax_glow.diagnostics.table import Result, share, short, worst
from flowjax_glow.diagnostics.thresholds import (
    MOMENTS,
    TAUS,
    THRESHOLDS,
    VERDICTS,
    Threshold,
    Verdict,
)
from flowjax_glow.errors import check_choice
from flowjax_glow.files import strict
from flowjax_glow.pixels import bin_midpoints
from flowjax_glow.types import Image, Latents, Params, Pixels

Tier = Literal["fast", "full"]


@dataclass(frozen=True)
class Measurement:
    """A number, what it is held against, and what it says."""

    name: str
    value: float
    threshold: Threshold

    @property
    def grade(self) -> Verdict:
        """What the number says of the inverse."""
        return self.threshold.grade(self.value)


@dataclass(frozen=True)
class StabilityReport:
    """The verdict on an inverse and all it rests on.

    Attributes:
        verdict: the worst grade of all measurements.
        layer: the sub-layer to blame, None if the verdict is `trustworthy`.
        reason: why it is to blame.
        measurements: what the verdict rests on.
        tables: the diagnostics' own results by name.
    """

    verdict: Verdict
    layer: str | None
    reason: str
    measurements: tuple[Measurement, ...]
    tables: Mapping[str, Result] = field(repr=False)

    def __str__(self) -> str:
        lines = [f"verdict: {self.verdict}"]
        if self.layer is not None:
            lines.append(f"to blame: {self.layer}: {self.reason}")
        width = max(len(m.name) for m in self.measurements)
        for m in self.measurements:
            bounds = f"at risk > {short(m.threshold.at_risk)}, broken > {short(m.threshold.broken)}"
            lines.append(f"  {m.name:{width}}  {short(m.value):>9}  {m.grade:11}  ({bounds})")
        return "\n".join([*lines, *(f"  {line}" for line in self._shares())])

    def _shares(self) -> Iterator[str]:
        """How many images and samples the verdict rests on, and how many of them failed."""
        tables: Any = self.tables
        for layer, reason in _lost_state(tables):
            if layer != self.layer:
                yield f"{layer}: {reason}"
        images, samples = tables["images"], tables["samples"]
        count = int(images.images[0])
        other = round((1 - images.bit_exact[0]) * count)
        yield f"images in other bins: {share(other, count)}"
        for tau, lost, count in zip(samples.tau, samples.lost, samples.samples, strict=True):
            if tau == 0:  # all samples are one
                yield f"z = 0: {'lost' if lost else 'comes back'}"
            else:
                yield f"samples at tau = {tau:g}: lost {share(round(lost * count), int(count))}"

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not finite is a string."""
        return {
            "verdict": self.verdict,
            "layer": self.layer,
            "reason": self.reason,
            "measurements": [
                {
                    "name": m.name,
                    "value": strict(m.value),
                    "at_risk": m.threshold.at_risk,
                    "broken": m.threshold.broken,
                    "grade": m.grade,
                }
                for m in self.measurements
            ],
            "tables": {name: table.to_json() for name, table in self.tables.items()},
        }

    def plot(self) -> Any:
        """A matplotlib figure: where the inverse stretches, and what comes back."""
        return draw(self)


def stability_report(
    flow: Bijector,
    params: Params,
    images: Pixels,
    *,
    n_bits: int = 8,
    tier: Tier = "full",
    samples: int = 256,
    taus: Sequence[float] = TAUS,
    seed: int = 0,
    on_part: Callable[[str], Any] | None = None,
) -> StabilityReport:
    """Measures a flow on uint8 images and on samples, and judges it.

    The fast tier has round trips of images and samples, scales, activations, and sub-layers on
    their own; the full one adds singular values, float64, Lipschitz bounds from pairs and from
    parameters, and images of other kinds.

    Args:
        flow: any `Bijector`; its combinators are walked if they are this library's or registered.
        images: a batch, of which the slow parts take the first ones.
        tier: "fast" takes seconds, "full" minutes.
        taus: noise levels; the verdict is about these.
        samples: at every noise level. Failures are rare before they are frequent: none among n
            leaves room for a rate of ``1 - 0.05^(1/n)``, 1.2 % for 256 (with 95 % confidence). The
            report prints counts and bounds.
        on_part: called with the name of each part before it begins.
    """
    check_choice("stability_report.tier", tier, ("fast", "full"))
    report = _Report(flow, params, jnp.asarray(images), n_bits, seed, on_part or (lambda _: None))
    report.fast(samples, taus)
    if tier == "full":
        report.full()
    return report.judged()


class _Report:
    """Gathers tables and measurements."""

    def __init__(
        self,
        flow: Bijector,
        params: Params,
        images: Pixels,
        n_bits: int,
        seed: int,
        on_part: Callable[[str], Any],
    ) -> None:
        self._flow, self._params, self._images = flow, params, images
        self._n_bits, self._seed, self._on_part = n_bits, seed, on_part
        self._tables: dict[str, Result] = {}
        self._values: dict[str, float] = {}

    def fast(self, samples: int, taus: Sequence[float]) -> None:
        flow, params, shape = self._flow, self._params, self._images.shape[1:]
        self._on_part("images")
        trip = reconstruction(flow, params, self._images, n_bits=self._n_bits)
        self._tables["images"] = trip
        self._values["images that do not come back in the same bins"] = 1 - float(trip.bit_exact[0])
        self._values["worst relative error of an image"] = float(trip.worst[0])
        self._values["log-dets of both directions, bits/dim apart"] = float(trip.log_det_error[0])

        self._on_part("moments")
        self._tables["moments"] = moments = data_moments(flow, params, self._midpoints(64))
        self._values[MOMENTS] = moments.latents_off

        self._on_part("samples")
        latents = latent_round_trips(
            flow, params, shape, taus=taus, samples=samples, seed=self._seed
        )
        self._tables["samples"] = latents
        self._values["worst relative error of a latent"] = float(latents.worst.max())

        self._on_part("layers")
        x = self._midpoints(64)
        noise = sample_latents(flow, params, jax.random.key(self._seed), x.shape)
        for name, z in (("images", _encoded(flow, params, x)), ("samples", noise)):
            self._add_layers(name, examine(flow, params, z, seed=self._seed))
        checks: Any = self._tables["layers, images"]
        self._values["layers with parameters that are not finite"] = float(
            (~checks.finite_params).sum()
        )
        largest = (trip.activation, latents.activation)
        self._values["largest activation"] = max(float(value.max()) for value in largest)

        crop = smallest_crop(flow, params, self._midpoints(2))
        if crop is not None:
            self._on_part("log-dets")
            self._tables["log-dets"] = table = check_log_dets(flow, params, crop)
            self._values["log-det of a layer off its Jacobian's, nats/dim"] = worst(table.error)

    def full(self) -> None:
        flow, params = self._flow, self._params
        self._on_part("singular values")
        values = singular_values(flow, params, self._midpoints(8), seed=self._seed)
        self._tables["singular values"] = values
        self._values["condition number times 2^-24"] = worst(values.condition) * ROUNDING

        self._on_part("float64")
        gap = precision_gap(flow, params, self._images.shape[1:], seed=self._seed)
        self._tables["precision"] = gap
        self._values["float32 off float64, tau <= 1"] = worst(gap.worst)

        self._on_part("Lipschitz bounds")
        if len(self._images) > 1:
            pairs = bi_lipschitz(flow, params, self._midpoints(32), seed=self._seed)
            self._tables["pairs"] = pairs
        self._tables["certificates"] = certificate(flow, params, self._midpoints(1))

        self._on_part("other images")
        self._tables["other images"] = out_of_distribution(
            flow, params, self._images[:64], n_bits=self._n_bits, seed=self._seed
        )

    def judged(self) -> StabilityReport:
        measurements = tuple(
            Measurement(name, self._values[name], threshold)
            for name, threshold in THRESHOLDS.items()
            if name in self._values
        )
        verdict = VERDICTS[max(VERDICTS.index(m.grade) for m in measurements)]
        off = [m.name for m in measurements if m.grade != "trustworthy"]
        layer, reason = self._blame(off) if off else (None, "")
        return StabilityReport(verdict, layer, reason, measurements, self._tables)

    def _midpoints(self, count: int) -> Image:
        return bin_midpoints(self._images[:count], n_bits=self._n_bits)

    def _add_layers(self, name: str, seen: Examination) -> None:
        self._tables[f"activations, {name}"] = seen.activations
        self._tables[f"scales, {name}"] = seen.scales
        self._tables[f"layers, {name}"] = seen.checks
        self._tables[f"couplings, {name}"] = seen.couplings

    def _blame(self, off: Sequence[str]) -> tuple[str, str]:
        """Lost state if nothing else is off: a layer that is broken moves the moments, too."""
        if list(off) == [MOMENTS]:
            return next(_lost_state(self._tables))
        return next(suspects(self._tables))


def suspects(tables: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Sub-layers to blame, the plainest evidence first, each with a reason."""
    of_images, of_samples = tables["layers, images"], tables["layers, samples"]
    for name, finite in zip(of_images.layer, of_images.finite_params, strict=True):
        if not finite:
            yield str(name), "it holds parameters that are not finite"
    yield from _wrong_log_dets(of_images.layer, of_images.log_det_error, "both directions")
    if "log-dets" in tables:
        exact: LogDetChecks = tables["log-dets"]
        yield from _wrong_log_dets(exact.layer, exact.error, "its Jacobian")
    gains = np.fmax(_known(of_images.gain), _known(of_samples.gain))
    reached = np.cumsum(np.isnan(gains)) == 0
    if not reached.all():
        first = str(of_images.layer[~reached][0])
        reason = "from its inverse on nothing is finite, of images and samples alike"
        if reached.any():
            reason += "; before it {} {}".format(*_most(tables, gains[reached]))
        yield first, reason
    else:
        layer, stretch = _most(tables, gains)
        chain = float(np.log(np.fmax(gains, 1.0)).sum())
        yield (
            layer,
            f"its inverse {stretch}, more than any other; all in a row, each at its worst, by "
            f"e^{chain:.0f}{_overflows(tables)}",
        )


def _lost_state(tables: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where images leave what the flow was trained on, if their latents are far from normal."""
    moments: DataMoments = tables["moments"]
    if THRESHOLDS[MOMENTS].grade(moments.latents_off) != "trustworthy":
        yield (
            moments.first_off,
            f"from here on images are off what the flow was trained on, up to latents whose mean "
            f"square is off 1 by a factor of {short(moments.latents_off)}; these are other images, "
            "or state was lost: look for what was not saved (indices of permutations, a flag that "
            "says whether actnorms have started)",
        )


def _overflows(tables: Mapping[str, Any]) -> str:
    """From where on the activations of some are not finite."""
    said = ""
    for name in ("images", "samples"):
        activations = tables[f"activations, {name}"]
        lost = activations.layer[activations.not_finite > 0]
        if lost.size:
            said += f"; some {name} are not finite from {lost[0]} on"
    return said


def _most(tables: Mapping[str, Any], gains: np.ndarray) -> tuple[str, str]:
    """The layer with the largest of `gains`, and by what its inverse stretches."""
    most = int(np.argmax(gains))
    layer = str(tables["layers, images"].layer[most])
    stretch = f"stretches by at least {short(float(gains[most]))}"
    couplings = [tables["couplings, images"], tables["couplings, samples"]]
    if layer not in couplings[0].layer:
        return layer, stretch
    row = list(couplings[0].layer).index(layer)
    larger = max(couplings, key=lambda table: np.nan_to_num(_known(table.gain)[row]))
    terms = (larger.by_division, larger.by_scale, larger.by_shift)
    division, scale, shift = (short(float(term[row])) for term in terms)
    return layer, f"{stretch} (1 / s by {division}, its net by {scale} in s, {shift} in shift)"


def _wrong_log_dets(
    layers: np.ndarray, errors: np.ndarray, against: str
) -> Iterator[tuple[str, str]]:
    """Where a log-det is off although it is a number: no rounding does that."""
    limit = THRESHOLDS["log-det of a layer off its Jacobian's, nats/dim"].broken
    wrong = np.where(np.isfinite(errors), errors, 0.0)
    for index in np.argsort(-wrong, kind="stable"):
        if wrong[index] > limit:
            yield (
                str(layers[index]),
                f"its log-det disagrees with {against} by {short(float(wrong[index]))} nats/dim",
            )


def _known(gains: np.ndarray) -> np.ndarray:
    """Gains; where activations were no numbers any more, nothing is known."""
    return np.where(np.isfinite(gains), gains, np.nan)


def _encoded(flow: Bijector, params: Params, x: Image) -> Latents:
    return _forward(flow, params, x)[0]


_forward = jax.jit(lambda flow, params, x: flow.forward(params, x), static_argnums=0)


def draw(report: "StabilityReport") -> Any:
    """Four panels; infinities and NaN are drawn at the upper edge, as crosses."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    panels = figure.subplots(2, 2)
    tables: Any = report.tables
    for name in ("images", "samples"):
        _line(panels[0, 0], tables[f"activations, {name}"].largest, name)
        _line(panels[0, 1], tables[f"layers, {name}"].gain, name)
        if len(tables[f"scales, {name}"].layer):
            _line(panels[1, 0], tables[f"scales, {name}"].smallest, name)
    panels[0, 0].set(title="largest activation after each inverse sub-layer")
    panels[0, 1].set(title="gain of each inverse sub-layer, lower bound")
    panels[1, 0].set(title="smallest scale of each coupling")
    for panel in (panels[0, 0], panels[0, 1], panels[1, 0]):
        panel.set_xlabel("in the order of generation")
        panel.xaxis.get_major_locator().set_params(integer=True)
        if panel.lines:
            panel.set_yscale("log")
            panel.legend()

    trips, panel = tables["samples"], panels[1, 1]
    _line(panel, trips.worst, "worst", places=trips.tau)
    _line(panel, trips.median, "median", places=trips.tau)
    panel.set(title="round trip of noise", xlabel="temperature", yscale="log")
    panel.set_ylabel("relative error")
    panel.legend()
    blame = "" if report.layer is None else f"; to blame: {report.layer}"
    figure.suptitle(f"{report.verdict}{blame}")
    return figure


def _line(axes: Any, values: np.ndarray, label: str, places: np.ndarray | None = None) -> None:
    places = np.arange(len(values)) if places is None else places
    known = np.where(np.isfinite(values) & (values > 0), values, np.nan)
    (line,) = axes.plot(places, known, marker=".", markersize=3, label=label)
    lost = places[~np.isfinite(values)]
    if lost.size:
        axes.plot(
            lost,
            np.ones(lost.size),
            "x",
            color=line.get_color(),
            transform=axes.get_xaxis_transform(),
            clip_on=False,
        )
