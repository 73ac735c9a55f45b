"""Where images leave what a flow was trained on: state that was not saved, or started anew.

Two things are seen of it, at one sub-layer each. An actnorm keeps its channels near mean square 1,
and from one to the next by about as much. And a coupling's net foresees a part of what it moves:
its shift is correlated with that, by 0.1 to 0.7 in trained models. Channels in another order are
foreseen no more, from the first coupling behind on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import jax
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import ActNorm
from flowjax_glow.diagnostics.moments import OFF
from flowjax_glow.diagnostics.passing import passing
from flowjax_glow.diagnostics.table import Result, short
from flowjax_glow.types import Image, Params
from flowjax_glow.walk import flatten_records

#: An actnorm is off where its channels' mean squares are off 1 by so many times as much as those of
#: the actnorm before it in the same level. In 39 trained models it was at most 1.35.
JUMP = 1.5

#: Couplings foresee no more where the median correlation of four falls below this fraction of that
#: of the four before.
FALL = 0.2

#: Of four couplings, the median correlation that is enough to tell a fall from chance.
FORESEEN = 0.1

_WINDOW = 4


@dataclass(frozen=True, eq=False)
class OnTheWay(Result):
    """Every actnorm and every coupling, in the order of encoding.

    Attributes:
        layer: its name.
        off: of an actnorm, the factor between the mean squares of its channels and 1, in the
            geometric mean.
        foreseen: of a coupling, the correlation of minus its shift with what it moves.
    """

    title = "What images are to actnorms and couplings"

    layer: np.ndarray
    off: np.ndarray
    foreseen: np.ndarray


class Lost(NamedTuple):
    """Where state seems lost.

    Attributes:
        layer: the sub-layer; of channels in another order the permutation.
        permuted: whether channels seem to be in another order.
        behind: the sub-layers from the last that looked as trained to this one, which would explain
            it if they were broken.
        reason: what tells so.
    """

    layer: str
    permuted: bool
    behind: Sequence[str]
    reason: str


def on_the_way(flow: Bijector, params: Params, x: Image) -> OnTheWay:
    """What a batch of images is to actnorms and couplings, and the others by name."""
    records, _ = jax.device_get(passing(flow, params, x))
    rows = []
    for name, bijector, record in reversed(list(flatten_records(flow, records))):
        off, foreseen = np.nan, np.nan
        if isinstance(bijector, ActNorm):
            with np.errstate(divide="ignore"):
                logs = np.log(np.asarray(record.given.mean_square, np.float64))
            off = float(np.exp(np.abs(logs).mean()))
        if record.foreseen is not None:
            foreseen = float(record.foreseen)
        rows.append((name, off, foreseen))
    return OnTheWay(*(np.array(column) for column in zip(*rows, strict=True)))


def lost(seen: OnTheWay) -> Iterator[Lost]:
    """The sub-layers whose state seems lost: actnorms that jump, then the first fall."""
    names = [str(name) for name in seen.layer]
    for before, place, ratio in _jumps(names, seen.off):
        permuted = names[place - 1].endswith("Permutation") and _forgets(seen.foreseen, place)
        yield Lost(
            names[place - 1 if permuted else place],
            permuted,
            names[before:place],
            f"the mean squares of {names[place]}'s channels are off 1 by {short(ratio)} times as "
            "much as those of the actnorm before: state was lost",
        )
    fall = next(_falls(seen.foreseen), None)
    if fall is not None:
        between = names[fall.before + 1 : fall.place]
        permutation = next((name for name in between if name.endswith("Permutation")), None)
        yield Lost(
            permutation or names[fall.place],
            permutation is not None,
            names[: fall.before + 1],
            f"from {names[fall.place]} on nets do not foresee what they move any more: the "
            f"correlation falls from {short(fall.was)} to {short(fall.now)}; state was lost",
        )


class _Fall(NamedTuple):
    """From which coupling on, the coupling before, and the correlations of both sides."""

    place: int
    before: int
    was: float
    now: float


def _forgets(foreseen: np.ndarray, place: int) -> bool:
    """Whether the next coupling foresees less than half of what the one before does."""
    known = ~np.isnan(foreseen)
    before, after = foreseen[:place][known[:place]], foreseen[place:][known[place:]]
    return bool(len(before) and len(after) and after[0] < before[-1] / 2)


def _jumps(names: Sequence[str], off: np.ndarray) -> Iterator[tuple[int, int, float]]:
    """Actnorms that are off by far more than the one before in the same level.

    Where that was far off already, all that follow are.
    """
    places = np.flatnonzero(~np.isnan(off)).tolist()
    for before, place in pairwise(places):
        ratio = float(off[place] / off[before])
        same_level = names[before].split("/")[0] == names[place].split("/")[0]
        if same_level and off[before] < OFF and ratio > JUMP:
            yield before, place, ratio


def _falls(foreseen: np.ndarray) -> Iterator[_Fall]:
    """Couplings from which on those that follow foresee far less than those before."""
    places = np.flatnonzero(~np.isnan(foreseen)).tolist()
    values = foreseen[places]
    for index in range(1, len(values) - 2):
        was = float(np.median(values[max(0, index - _WINDOW) : index]))
        now = float(np.median(values[index : index + _WINDOW]))
        if was > FORESEEN and now < FALL * was and values[index] < was / 2:
            yield _Fall(places[index], places[index - 1], was, now)
