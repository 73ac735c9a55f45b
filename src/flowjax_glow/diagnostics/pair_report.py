"""The verdict on a pair of functions, and the tables that it rests on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flowjax_glow.diagnostics.report import Judged, Measurement, in_columns, listed
from flowjax_glow.diagnostics.table import Result, short
from flowjax_glow.diagnostics.thresholds import AT_RISK, FAR, Verdict


@dataclass(frozen=True, eq=False)
class PairTrips(Result):
    """Round trips of a pair of functions, a row for examples and one per noise level.

    Attributes:
        points: what went there and back.
        count: how many.
        median, worst: the difference over the norm, of an example or of latents; infinite where
            anything is not finite. The norm counts for at least a tenth of the usual one.
        not_finite: how many have an image under the inverse that is not finite.
        largest: the largest absolute value under the inverse.
    """

    title = "There and back"

    points: np.ndarray
    count: np.ndarray
    median: np.ndarray
    worst: np.ndarray
    not_finite: np.ndarray
    largest: np.ndarray


@dataclass(frozen=True, eq=False)
class WorstPoints(Result):
    """The points that came back worst, the worst first.

    Attributes:
        point: an example by its number, or a sample by noise level and number.
        error: how far off it came back, see `PairTrips`.
        in_float64: the same with both functions in float64; NaN if they do not take it.
        inverse_gain: the most that the inverse was seen to stretch there. A lower bound: finite
            differences along random directions and along what the round trip missed.
        forward_gain: the same of `forward`, at the same point.
    """

    title = "The points that came back worst"

    point: np.ndarray
    error: np.ndarray
    in_float64: np.ndarray
    inverse_gain: np.ndarray
    forward_gain: np.ndarray


@dataclass(frozen=True, eq=False)
class PairLogDets(Result):
    """Log-dets that the functions return beside those of their Jacobians.

    Attributes:
        point: where.
        function: ``forward`` or ``inverse``.
        returned: by the function, in nats.
        jacobian: of the Jacobian by central differences, in nats.
        unsure: how far apart several step sizes are, in nats.
        off: per dimension, what remains of the difference without that.
    """

    title = "Log-dets against Jacobians"

    point: np.ndarray
    function: np.ndarray
    returned: np.ndarray
    jacobian: np.ndarray
    unsure: np.ndarray
    off: np.ndarray


@dataclass(frozen=True)
class Judgement(Judged):
    """The verdict on a pair of functions and all it rests on.

    Attributes:
        verdict: the worst grade of all measurements and of the rates of samples that failed; it
            means what it means in a `StabilityReport`.
        reason: what seems wrong, and what that rests on; empty if nothing failed.
        unseen: what could not be looked at, and why.
        measurements: what the verdict rests on beside rates.
        lost_below: the share of lost samples that `trustworthy` promises to be below.
        tables: ``trips``, ``rates``, ``worst`` and, where they could be had, ``log-dets``.
    """

    verdict: Verdict
    reason: str
    unseen: tuple[str, ...]
    measurements: tuple[Measurement, ...]
    lost_below: float
    tables: Mapping[str, Result] = field(repr=False)

    def __str__(self) -> str:
        lines = [f"verdict: {self.verdict}: {self.statement}"]
        lines += [f"because: {self.reason}"] if self.reason else []
        lines += listed(self.measurements)
        if self.verdict in ("at risk", "broken"):
            lines += [f"  {line}" for line in str(self.tables["worst"]).splitlines()]
        return in_columns([*lines, *(f"not seen: {line}" for line in self.unseen)])

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not finite is a string."""
        return self._to_json(reason=self.reason, unseen=list(self.unseen))


def reasons(
    off: set[str], tables: Mapping[str, Any], rounding: float, *, exact: bool
) -> Iterator[str]:
    """What seems wrong with a pair that failed.

    Args:
        off: measurements that are not trustworthy.
        rounding: the relative error of a number of the functions' dtype.
        exact: whether the worst points were tried in float64.
    """
    if "an example in another batch, relative difference" in off:
        yield (
            "what an example becomes depends on its batch or on the call: "
            "switch dropout, noise and statistics of batches off"
        )
    worst = tables["worst"]
    failed = worst.error > AT_RISK
    if failed.any():
        yield from (_in_float64 if exact else _in_one_precision)(worst, failed, rounding)
    elif "condition number, at least, times the rounding" in off:
        yield f"rounding may be amplified: {_stretched(worst, ~failed)}"
    far = tables["rates"].relative
    if len(far) and far.max() > FAR:
        yield f"samples reach {short(float(far.max()))} times as far as the examples"
    if "log-dets" in tables:
        table = tables["log-dets"]
        for name in ("forward", "inverse"):
            rows = np.flatnonzero((table.function == name) & (table.off > 1e-3))
            if rows.size:
                row = rows[table.off[rows].argmax()]
                yield (
                    f"the log-det of {name} is not that of its Jacobian: at {table.point[row]} it "
                    f"returns {short(float(table.returned[row]))}, not {table.jacobian[row]:.4g}"
                )
    if "log-dets of both directions, nats/dim apart" in off:
        yield "the log-dets of forward and inverse do not cancel"
    if "mean square of an example's latents, off 1 by a factor of" in off:
        yield (
            "latents of the examples are not standard normal: other parameters or other "
            "preprocessing than in training, or another base, which `draw` takes"
        )


def _in_float64(worst: WorstPoints, failed: np.ndarray, rounding: float) -> Iterator[str]:
    count = f"of the {int(failed.sum())} worst points"
    sound = failed & (worst.in_float64 <= np.maximum(AT_RISK, worst.error / 100))
    lost = failed & ~np.isfinite(worst.in_float64)
    wrong = failed & ~sound & ~lost
    if wrong.any():
        row = np.flatnonzero(wrong)[0]
        yield (
            f"the inverse is not that of forward: in float64 {int(wrong.sum())} {count} are still "
            f"off, {worst.point[row]} by {short(float(worst.in_float64[row]))}"
        )
    if sound.any():
        yield (
            f"rounding is amplified: in float64 {int(sound.sum())} {count} are off by at most "
            f"{short(float(worst.in_float64[sound].max()))}; {_stretched(worst, sound)}"
        )
    if lost.any():
        yield f"{int(lost.sum())} {count} overflow in float64, too; {_stretched(worst, lost)}"


def _in_one_precision(worst: WorstPoints, failed: np.ndarray, rounding: float) -> Iterator[str]:
    """Guesses: gains are lower bounds, so more error than they explain proves nothing."""
    count = f"of the {int(failed.sum())} worst points"
    lost = failed & ~np.isfinite(worst.error)
    with np.errstate(all="ignore"):
        explained = rounding * worst.inverse_gain * worst.forward_gain
        more = failed & ~lost & (worst.error > 1e3 * np.maximum(explained, rounding))
    rest = failed & ~lost & ~more
    if lost.any():
        yield f"{int(lost.sum())} {count} are not finite; {_stretched(worst, lost)}"
    if more.any():
        row = np.flatnonzero(more)[0]
        yield (
            f"the inverse seems not to be that of forward: {worst.point[row]} is off by "
            f"{short(float(worst.error[row]))}, where rounding and the gains that were found "
            f"explain {short(float(explained[row]))}; float64 would tell"
        )
    if rest.any():
        yield f"rounding seems to be amplified at {int(rest.sum())} {count}; " + _stretched(
            worst, rest
        )


def _stretched(worst: WorstPoints, rows: np.ndarray) -> str:
    """Where the inverse stretches most."""
    row = np.flatnonzero(rows)[worst.inverse_gain[rows].argmax()]
    largest = short(float(worst.inverse_gain[row]))
    return f"the inverse stretches by at least {largest} at {worst.point[row]}"
