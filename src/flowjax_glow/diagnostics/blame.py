"""Which sub-layer is to blame: what is plain on it alone, or what was seen to fail first.

If there is neither, there is no cause to name: a map may be too steep without a layer that is.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np

from flowjax_glow.diagnostics.condition_numbers import Conditions
from flowjax_glow.diagnostics.failures import GROWTH, FirstFailures, known_gains
from flowjax_glow.diagnostics.log_dets import LogDetChecks
from flowjax_glow.diagnostics.lost_state import lost
from flowjax_glow.diagnostics.moments import DataMoments
from flowjax_glow.diagnostics.precision import ROUNDING
from flowjax_glow.diagnostics.table import short
from flowjax_glow.diagnostics.thresholds import (
    AT_RISK,
    CONDITION,
    LOG_DETS,
    MOMENTS,
    THRESHOLDS,
)

#: How many sub-layers back a failure explains that images are off: a step, with a permutation.
_STEP = 4

#: What makes noise of what leaves.
_PRIORS = ("Split", "LearnedPrior")

#: The name of the table of `FirstFailures` in a report.
FIRST_FAILURES = "first failures"

#: What can be wrong with a sub-layer.
Kind = Literal[
    "parameters not finite",
    "matrix near singular",
    "scale near zero",
    "scale without bound",
    "prior without bound",
    "wrong log-det",
    "permutation lost",
    "actnorm started anew",
    "state lost",
    "seen to fail first",
    "no cause found",
]


#: Kinds that are plain on a sub-layer alone, whatever the others do.
PLAIN: tuple[Kind, ...] = (
    "parameters not finite",
    "matrix near singular",
    "scale near zero",
    "scale without bound",
    "prior without bound",
    "wrong log-det",
    "permutation lost",
    "actnorm started anew",
)


#: Of state that was lost.
_LOST: dict[str, Kind] = {"Permutation": "permutation lost", "ActNorm": "actnorm started anew"}


class Suspect(NamedTuple):
    """What is to blame.

    Attributes:
        layer: a sub-layer; None if no cause was found.
        kind: what is wrong with it.
        reason: what tells so.
    """

    layer: str | None
    kind: Kind
    reason: str


def suspects(tables: Mapping[str, Any]) -> Iterator[Suspect]:
    """Sub-layers to blame, each once, the plainest evidence first.

    If there is none, the only suspect is no sub-layer but "no cause found".
    """
    named = set()
    failed: FirstFailures | None = tables.get(FIRST_FAILURES)
    seen = () if failed is None else _seen_to_fail(tables, failed)
    for suspect in chain(_plain(tables), lost_state(tables), seen):
        if suspect.layer not in named:
            named.add(suspect.layer)
            yield suspect
    if not named:
        yield Suspect(None, "no cause found", _no_cause(tables, failed))


def _plain(tables: Mapping[str, Any]) -> Iterator[Suspect]:
    """What is plain on a sub-layer alone."""
    of_images = tables["layers, images"]
    for name, finite in zip(of_images.layer, of_images.finite_params, strict=True):
        if not finite:
            reason = "it holds parameters that are not finite"
            yield Suspect(str(name), "parameters not finite", reason)
    yield from _ill_conditioned(tables["conditions"])
    yield from _wrong_log_dets(of_images.layer, of_images.log_det_error, "both directions")
    if "log-dets" in tables:
        exact: LogDetChecks = tables["log-dets"]
        yield from _wrong_log_dets(exact.layer, exact.error, "its Jacobian")


def _ill_conditioned(found: Conditions) -> Iterator[Suspect]:
    """Where rounding alone may grow to more than a round trip may miss, the worst first."""
    for index in np.argsort(-found.condition, kind="stable"):
        layer, condition = str(found.layer[index]), float(found.condition[index])
        if THRESHOLDS[CONDITION].grade(condition * ROUNDING) == "trustworthy":
            continue
        grown = f"so that rounding may grow to {short(condition * ROUNDING)}"
        if found.kind[index] == "matrix":
            reason = f"the condition number of its matrix is {short(condition)}, {grown}"
            yield Suspect(layer, "matrix near singular", reason)
            continue
        smallest = float(found.smallest[index])
        what = (
            f"at images it multiplies by numbers from {short(smallest)} to "
            f"{short(smallest * condition)}, {grown}"
        )
        yield Suspect(layer, _kind_of_scale(layer, smallest, condition), what)


def _kind_of_scale(layer: str, smallest: float, condition: float) -> Kind:
    if layer.endswith(_PRIORS):
        return "prior without bound"
    return "scale near zero" if smallest**2 < 1 / condition else "scale without bound"


def _seen_to_fail(tables: Mapping[str, Any], failed: FirstFailures) -> Iterator[Suspect]:
    """The sub-layers where most of what failed was first seen to fail, the worst before equals."""
    layers = [str(layer) for layer in failed.layer]
    for layer, count in Counter(layers).most_common():
        if layer == "none":
            continue
        row = layers.index(layer)  # the worst of them
        evidence = "; ".join(_evidence(failed, row))
        yield Suspect(
            layer,
            "prior without bound" if layer.endswith(_PRIORS) else "seen to fail first",
            f"seen to fail first on the way of {count} of {len(layers)} that failed; of the worst, "
            f"{failed.example[row]}, {evidence}{_overflows(tables)}",
        )


def _evidence(failed: FirstFailures, row: int) -> Iterator[str]:
    growth, error, gain, stretch = (
        float(values[row])
        for values in (failed.growth, failed.round_trip, failed.gain, failed.stretch)
    )
    if np.isinf(growth):
        yield "what its inverse gives is not finite"
    elif growth >= GROWTH:
        yield f"activations grow beyond those of images by {short(growth)} in it"
    if AT_RISK < error < np.inf:
        yield f"its own round trip is off by {short(error)}"
    if np.isfinite(gain):
        times = f", {short(stretch)} times as much as at images" if np.isfinite(stretch) else ""
        yield f"its inverse stretches by at least {short(gain)}{times}{_terms(failed, row)}"


def _terms(failed: FirstFailures, row: int) -> str:
    """What makes up the gain of a coupling."""
    terms = [
        float(values[row]) for values in (failed.by_division, failed.by_scale, failed.by_shift)
    ]
    if not np.isfinite(terms).all():
        return ""
    division, scale, shift = map(short, terms)
    return f" (1 / s by {division}, its net by {scale} in s, {shift} in shift)"


def _no_cause(tables: Mapping[str, Any], failed: FirstFailures | None) -> str:
    gains = np.fmax(
        known_gains(tables["layers, images"].gain), known_gains(tables["layers, samples"].gain)
    )
    whole = float(np.log(np.fmax(gains, 1.0)).sum())
    where = "" if failed is None else f" on the way of the {len(failed.layer)} that failed"
    return (
        f"no cause found: no sub-layer was seen to fail{where}; all in a row, each at its worst, "
        f"stretch by at least e^{whole:.0f}{_overflows(tables)}"
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


def lost_state(tables: Mapping[str, Any]) -> Iterator[Suspect]:
    """Where images leave what the flow was trained on, unless what is broken before explains it."""
    plain = {suspect.layer for suspect in _plain(tables)}
    failed = set() if FIRST_FAILURES not in tables else set(tables[FIRST_FAILURES].layer)
    for found in lost(tables["on the way"]):
        step = found.behind[-_STEP:]
        if plain.isdisjoint(found.behind) and failed.isdisjoint(step):
            kind = _LOST.get(found.layer.split("/")[-1], "state lost")
            plain.add(found.layer)
            yield Suspect(found.layer, kind, found.reason)


def other_images(tables: Mapping[str, Any]) -> Iterator[Suspect]:
    """Where images are off first, if their latents are far from normal."""
    moments: DataMoments = tables["moments"]
    if THRESHOLDS[MOMENTS].grade(moments.latents_off) != "trustworthy":
        yield Suspect(
            moments.first_off,
            "state lost",
            f"from here on images are off what the flow was trained on, up to latents whose mean "
            f"square is off 1 by a factor of {short(moments.latents_off)}; these are other images, "
            "or state was lost: look for what was not saved (indices of permutations, a flag that "
            "says whether actnorms have started)",
        )


def _wrong_log_dets(layers: np.ndarray, errors: np.ndarray, against: str) -> Iterator[Suspect]:
    """Where a log-det is off although it is a number: no rounding does that."""
    limit = THRESHOLDS[LOG_DETS].at_risk
    wrong = np.where(np.isfinite(errors), errors, 0.0)
    for index in np.argsort(-wrong, kind="stable"):
        if wrong[index] > limit:
            yield Suspect(
                str(layers[index]),
                "wrong log-det",
                f"its log-det disagrees with {against} by {short(float(wrong[index]))} nats/dim",
            )
