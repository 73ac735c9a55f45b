"""Where images leave what a flow was trained on: state that was not saved, or started anew.

Two things are seen of it, both at couplings. What reaches them has channels of mean square near 1,
and from one coupling to the next about as near. And their nets foresee a part of what they move:
the shift is correlated with it, by 0.1 to 0.7 in trained models. Channels in another order are
foreseen no more, from the first coupling behind on. That counts where something lies between whose
state is drawn once and not trained; elsewhere nets may foresee less for reasons of their own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import jax
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.diagnostics.passing import Moments, passing
from flowjax_glow.diagnostics.table import Result, short
from flowjax_glow.types import Event, Params
from flowjax_glow.walk import flatten_records

#: What reaches a coupling jumps where its channels' mean squares are off 1 by so many times as much
#: as at the coupling before, in the same level. An actnorm in other units changes nothing if the
#: matrix behind it undoes them. In 42 trained models it was at most 1.62.
JUMP = 2.0

#: Where images are off 1 by more than this already, they are off all the way.
LOST_ALREADY = 5.0

#: Couplings foresee no more where the median correlation of four falls below this fraction of that
#: of the four before.
FALL = 0.2

#: The median correlation of four couplings that is enough to tell a fall from chance.
FORESEEN = 0.1

_WINDOW = 4

#: Sub-layers with state that is drawn once and never trained, which code may forget to save.
FIXED = ("Permutation", "InvertibleConvLU")


@dataclass(frozen=True, eq=False)
class OnTheWay(Result):
    """What images are to every coupling, in the order of encoding, with what lies between.

    Attributes:
        layer: the name of every sub-layer.
        off: of what reaches a coupling, the factor between the mean squares of its channels and 1,
            in the geometric mean; NaN of other sub-layers.
        given: the same of what the coupling gives.
        foreseen: the correlation of minus a coupling's shift with what it moves.
    """

    title = "What images are to couplings"

    layer: np.ndarray
    off: np.ndarray
    given: np.ndarray
    foreseen: np.ndarray


class Lost(NamedTuple):
    """Where state seems lost.

    Attributes:
        layer: an actnorm, something fixed, or the coupling itself.
        behind: sub-layers before it that would explain it if they were broken.
        reason: what tells so.
    """

    layer: str
    behind: Sequence[str]
    reason: str


def on_the_way(flow: Bijector, params: Params, x: Event) -> OnTheWay:
    """What a batch of images is to every coupling."""
    records, _ = jax.device_get(passing(flow, params, x))
    rows, reached = [], None
    for name, _, record in reversed(list(flatten_records(flow, records))):
        off, given, foreseen = np.nan, np.nan, np.nan
        if record.foreseen is not None and reached is not None:
            off, given = _off(reached), _off(record.given)
            foreseen = float(record.foreseen)
        rows.append((name, off, given, foreseen))
        reached = record.given
    return OnTheWay(*(np.array(column) for column in zip(*rows, strict=True)))


def _off(moments: Moments) -> float:
    with np.errstate(divide="ignore"):
        logs = np.log(np.asarray(moments.mean_square, np.float64))
    return float(np.exp(np.abs(logs).mean()))


def lost(seen: OnTheWay) -> Iterator[Lost]:
    """The sub-layers whose state seems lost: where images jump, then where nets forget."""
    names = [str(name) for name in seen.layer]
    for before, place, ratio in _jumps(names, seen.off, seen.given):
        reason = (
            f"at {names[place]} the mean squares of channels are off 1 by {short(ratio)} times as "
            "much as at the coupling before: state was lost"
        )
        between = (name for name in names[before + 1 : place] if name.endswith("ActNorm"))
        yield Lost(next(between, names[place]), names[before:place], reason)
    for before, place, was, now in _falls(seen.foreseen):
        fixed = [name for name in names[before + 1 : place] if name.endswith(FIXED)]
        if not fixed:
            continue  # all that lies between was trained: nets differ, but nothing can be lost
        reason = (
            f"from {names[place]} on nets do not foresee what they move any more: the correlation "
            f"falls from {short(was)} to {short(now)}; state was lost"
        )
        yield Lost(fixed[0], names[: before + 1], reason)
        return  # none behind knows any more


def _jumps(
    names: Sequence[str], off: np.ndarray, given: np.ndarray
) -> Iterator[tuple[int, int, float]]:
    """Couplings that images reach off by far more than the one before in the same level.

    Where that was far off already, all that follow are. Where the one before gives what is as much
    farther off than what it takes, it has moved images itself, and what lies between has lost
    nothing.
    """
    places = np.flatnonzero(~np.isnan(off)).tolist()
    for before, place in pairwise(places):
        ratio = float(off[place] / off[before])
        same_level = names[before].split("/")[0] == names[place].split("/")[0]
        moved = given[before] >= JUMP * off[before]  # by the coupling before
        if same_level and off[before] < LOST_ALREADY and ratio > JUMP and not moved:
            yield before, place, ratio


def _falls(foreseen: np.ndarray) -> Iterator[tuple[int, int, float, float]]:
    """Couplings from which on those that follow foresee far less than those before."""
    places = np.flatnonzero(~np.isnan(foreseen)).tolist()
    values = foreseen[places]
    for index in range(1, len(values) - 2):
        was = float(np.median(values[max(0, index - _WINDOW) : index]))
        now = float(np.median(values[index : index + _WINDOW]))
        if was > FORESEEN and now < FALL * was and values[index] < was / 2:
            yield places[index - 1], places[index], was, now
