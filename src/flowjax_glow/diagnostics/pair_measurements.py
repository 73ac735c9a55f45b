"""What can be measured of a pair of functions."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.diagnostics.differences import gain, jacobian_log_det
from flowjax_glow.diagnostics.noise_trips import NoiseTrips
from flowjax_glow.diagnostics.pair_report import (
    Judgement,
    PairLogDets,
    PairTrips,
    WorstPoints,
    reasons,
)
from flowjax_glow.diagnostics.pairs import Layout, Pair, answered
from flowjax_glow.diagnostics.report import Measurement
from flowjax_glow.diagnostics.round_trips import LATENT_FLOOR
from flowjax_glow.diagnostics.stability import rates_of
from flowjax_glow.diagnostics.table import Result, worst
from flowjax_glow.diagnostics.thresholds import PAIR_THRESHOLDS, VERDICTS
from flowjax_glow.errors import expected

#: The largest event whose Jacobian is taken by finite differences.
LARGEST_JACOBIAN = 256

#: Points of either kind, those that came back worst, that gains and float64 are taken at.
EXAMINED = 16


class Judging:
    """Gathers tables and measurements of a pair; each method is a part."""

    def __init__(self, pair: Pair, x: np.ndarray, draw: Any, seed: int) -> None:
        self._pair, self._x, self._draw, self._seed = pair, x, draw, seed
        self._values: dict[str, float] = {}
        self._tables: dict[str, Result] = {}
        self._unseen = ["layers: two functions have none, so none can be to blame"]
        self._rounding = float(jnp.finfo(pair.z.dtype).eps) / 2
        self._float64 = self._takes_float64()
        #: How the functions are called where precision is wanted.
        self._finest = np.float64 if self._float64 else None
        #: Shorter ones are measured against these norms.
        self._floor_x = LATENT_FLOOR * max(_norm(x).mean(), _TINY)
        self._floor_z = LATENT_FLOOR * np.sqrt(x.shape[1])
        if draw is not None:
            self._floor_z = LATENT_FLOOR * _norm(self._drawn(0)).mean()

    def _takes_float64(self) -> bool:
        """Whether both functions compute in float64 when they are given it."""
        pair = self._pair
        if pair.z.dtype.itemsize >= 8:
            self._unseen.append("rounding to float32: forward returns float64 for these examples")
            return False
        batch = pair.z.values(self._drawn(0)[:2] * (1 + 2.0**-30), np.float64)
        for name, function in (("inverse", pair.functions[1]), ("forward", pair.functions[0])):
            try:
                batch, _ = answered(f"judge.{name}", function, batch, pair.convert)
            except ValueError as error:
                self._unseen.append(
                    f"float64: {name} does not take it ({error.__cause__ or error})"
                )
                return False
            leaves = jax.tree.leaves(batch)
            with np.errstate(over="ignore"):
                short = all((leaf == leaf.astype(np.float32)).all() for leaf in leaves)
            if short or any(leaf.dtype.itemsize < 8 for leaf in leaves):
                told = f"float64: {name} computes in float32 when it is given float64"
                self._unseen.append(f"{told}; JAX needs jax_enable_x64 for it")
                return False
        return True

    def examples(self) -> None:
        pair, x = self._pair, self._x
        self._z, log_det = pair.forward(x)
        back, inverse_log_det = pair.inverse(self._z)
        self._off = _off(x, back, self._floor_x)
        self._trips = [("examples", len(x), self._off, back)]
        self._values["worst relative error of an example"] = float(self._off.max())
        again = pair.forward(x[: pair.chunk // 2 + 1][::-1]).rows[::-1]
        apart = _off(self._z[: len(again)], again, self._floor_z)
        self._values["an example in another batch, relative difference"] = worst(apart)
        if self._draw is None:
            with np.errstate(all="ignore"):
                leaves = np.cumsum([np.prod(shape, dtype=int) for shape in pair.z.shapes])[:-1]
                squares = [np.square(leaf).mean() for leaf in np.split(self._z, leaves, axis=1)]
                self._values["mean square of an example's latents, off 1 by a factor of"] = worst(
                    np.exp(np.abs(np.log(squares)))
                )
        if log_det is not None and inverse_log_det is not None:
            apart = worst(np.abs(log_det + inverse_log_det)) / x.shape[1]
            self._values["log-dets of both directions, nats/dim apart"] = apart
        missing = [
            name
            for name, there in zip(("forward", "inverse"), pair.log_dets, strict=True)
            if not there
        ]
        if missing:
            self._unseen.append(f"log-dets: not returned by {' and '.join(missing)}")

    def _drawn(self, index: int) -> np.ndarray:
        """Rows of latents at tau = 1, the chunk of this number."""
        pair = self._pair
        if self._draw is None:
            random = np.random.default_rng([self._seed, index])
            return random.standard_normal((pair.chunk, pair.z.size))
        drawn = self._draw(self._seed + index, pair.chunk)
        latents, _ = answered("judge.draw", lambda _: drawn, np.zeros((pair.chunk, 1)))
        if Layout.of(latents).shapes != pair.z.shapes:
            raise expected(
                "judge.draw",
                f"latents shaped like those of forward, {pair.z.shapes}",
                got=Layout.of(latents).shapes,
                advice="draw(seed, count) returns a batch of `count` latents",
            )
        return pair.z.rows(latents)

    def _picked(self, places: Sequence[tuple[float, int]]) -> np.ndarray:
        size = self._pair.chunk
        drawn = {number // size: self._drawn(number // size) for _, number in places}
        rows = [tau * drawn[number // size][number % size] for tau, number in places]
        return self._pair.z.rounded(np.array(rows))

    def samples(self, taus: Sequence[float], samples: int) -> None:
        pair = self._pair
        of_examples = max(np.abs(self._x).max(), _TINY)
        self._levels = []
        for tau in taus:
            count = samples if tau > 0 else 1
            parts = []
            for index in range(-(-count // pair.chunk)):
                here = self._drawn(index)[: count - index * pair.chunk]
                z = pair.z.rounded(tau * here)
                x = pair.inverse(z).rows
                off = _off(z, pair.forward(x).rows, self._floor_z)
                parts.append((off, np.where(np.isfinite(x), np.abs(x), np.inf).max(1)))
            off, largest = (np.concatenate(part) for part in zip(*parts, strict=True))
            relative = largest / of_examples
            # twice as far as any example is out of range, as it is for images
            self._levels.append(NoiseTrips(tau, off, relative / 2, largest, relative))
            name = f"tau = {tau:g}" if tau else "z = 0"
            self._trips.append((name, count, off, largest[:, None]))
        for zero in (level for level in self._levels if level.tau == 0):
            self._values["relative error of z = 0"] = float(zero.error[0])
            self._values["values from z = 0, over those of examples"] = float(zero.relative[0])
        self._tables["rates"] = rates_of([level for level in self._levels if level.tau > 0])
        names, counts, offs, images = zip(*self._trips, strict=True)
        self._tables["trips"] = PairTrips(
            points=np.array(names),
            count=np.array(counts),
            median=np.array([np.median(off) for off in offs]),
            worst=np.array([off.max() for off in offs]),
            not_finite=np.array([int((~np.isfinite(image)).any(1).sum()) for image in images]),
            largest=np.array([worst(np.abs(image)) for image in images]),
        )

    def worst_points(self) -> None:
        pair, rows = self._pair, np.argsort(-self._off, kind="stable")[:EXAMINED]
        places = [(level.tau, i) for level in self._levels for i in range(len(level.error))]
        errors = np.concatenate([level.error for level in self._levels])
        # of samples that came back alike, those of the noisiest level
        order = np.lexsort((-np.array([tau for tau, _ in places]), -errors))[:EXAMINED]
        chosen = [places[i] for i in order]
        names = [f"example {row}" for row in rows]
        names += [f"tau = {tau:g}, sample {i}" if tau else "z = 0" for tau, i in chosen]
        drawn = self._picked(chosen)
        examples = self._x[rows], self._z[rows]
        samples = pair.inverse(drawn).rows, drawn
        in_float64 = np.full(len(names), np.nan)
        if self._float64:
            in_float64 = np.concatenate([self._exact(*examples)[0], self._exact(*samples)[1]])
        gains = [self._gains(*points) for points in (examples, samples)]
        inverse_gain, forward_gain = (np.concatenate(both) for both in zip(*gains, strict=True))
        error = np.concatenate([self._off[rows], errors[order]])
        by_error = np.argsort(-error, kind="stable")
        self._tables["worst"] = WorstPoints(
            point=np.array(names)[by_error],
            error=error[by_error],
            in_float64=in_float64[by_error],
            inverse_gain=inverse_gain[by_error],
            forward_gain=forward_gain[by_error],
        )
        with np.errstate(invalid="ignore"):
            condition = np.where(forward_gain > 0, inverse_gain * forward_gain, 0.0)
        name = "condition number, at least, times the rounding"
        self._values[name] = worst(condition) * self._rounding

    def _exact(self, x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far examples and latents come back in float64."""
        pair = self._pair
        back = pair.inverse(pair.forward(x, np.float64).rows, np.float64).rows
        again = pair.forward(pair.inverse(z, np.float64).rows, np.float64).rows
        return _off(x, back, self._floor_x), _off(z, again, self._floor_z)

    def _gains(self, x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the inverse at z and of forward at x, the most of three directions."""
        pair, dtype = self._pair, self._finest
        random = np.random.default_rng(self._seed)
        again = pair.forward(pair.inverse(z).rows).rows
        back = pair.inverse(pair.forward(x).rows).rows
        step = float(np.cbrt(2 * self._eps))

        def most(apply: Any, layout: Layout, points: np.ndarray, missed: np.ndarray) -> np.ndarray:
            ways = [*random.standard_normal((2, *points.shape)), missed]
            rounded = lambda rows: layout.rounded(rows, dtype)  # noqa: E731
            function = lambda rows: apply(rows, dtype).rows  # noqa: E731
            return np.max([gain(function, rounded, points, way, step) for way in ways], axis=0)

        with np.errstate(invalid="ignore"):
            missed = again - z, back - x
        return most(pair.inverse, pair.z, z, missed[0]), most(pair.forward, pair.x, x, missed[1])

    @property
    def _eps(self) -> float:
        return float(np.finfo(np.float64).eps) if self._float64 else 2 * self._rounding

    def log_dets(self) -> None:
        pair = self._pair
        if not any(pair.log_dets):
            return
        if pair.x.size > LARGEST_JACOBIAN:
            told = f"Jacobians: an event has {pair.x.size} numbers, above {LARGEST_JACOBIAN}"
            self._unseen.append(told)
            return
        self._tables["log-dets"] = table = PairLogDets(
            *map(np.array, zip(*self._log_det_rows(), strict=True))
        )
        self._values["log-det off its Jacobian's, at least, nats/dim"] = worst(table.off)

    def _log_det_rows(self) -> Iterator[tuple[str, str, float, float, float, float]]:
        pair, dtype = self._pair, self._finest
        step = float(np.sqrt(np.sqrt(self._eps)))
        tau = max(level.tau for level in self._levels)
        z = self._picked([(tau, number) for number in range(2)])
        cases = (
            ("forward", pair.forward, pair.x, self._x[:2], "example {}"),
            ("inverse", pair.inverse, pair.z, z, f"tau = {tau:g}, sample {{}}"),
        )
        for (name, apply, layout, points, place), there in zip(cases, pair.log_dets, strict=True):
            if not there:
                continue
            returned = apply(points, dtype).log_det
            assert returned is not None
            for index, point in enumerate(points):
                jacobian, unsure = jacobian_log_det(
                    lambda rows: apply(rows, dtype).rows,  # noqa: B023
                    lambda rows: layout.rounded(rows, dtype),  # noqa: B023
                    point,
                    step,
                )
                sure = unsure < _UNSURE * layout.size  # else there is nothing to hold it against
                apart = abs(returned[index] - jacobian) if np.isfinite(returned[index]) else np.inf
                off = max(0.0, apart - unsure) / layout.size if sure else 0.0
                yield place.format(index), name, returned[index], jacobian, unsure, off

    def judged(self, lost_below: float) -> Judgement:
        measurements = tuple(
            Measurement(name, self._values[name], threshold)
            for name, threshold in PAIR_THRESHOLDS.items()
            if name in self._values
        )
        rates: Any = self._tables["rates"]
        grades = [rates.verdict(lost_below), *(m.grade for m in measurements)]
        verdict = VERDICTS[max(map(VERDICTS.index, grades))]
        off = {m.name for m in measurements if m.grade != "trustworthy"}
        failed = verdict in ("at risk", "broken")
        found = reasons(off, self._tables, self._rounding, exact=self._float64)
        reason = "; ".join(found) if failed else ""
        return Judgement(
            verdict, reason, tuple(self._unseen), measurements, lost_below, self._tables
        )


#: Finite differences that are less sure of a log-det, in nats per dimension, say nothing.
_UNSURE = 0.1

_TINY = float(np.finfo(np.float32).tiny)


def _norm(rows: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rows, axis=1)


def _off(rows: np.ndarray, back: np.ndarray, floor: float) -> np.ndarray:
    """``|r - r'| / max(|r|, floor)`` per row, infinite where not finite."""
    with np.errstate(all="ignore"):
        error = _norm(rows - back) / np.maximum(_norm(rows), floor)
    return np.where(np.isfinite(error), error, np.inf)
