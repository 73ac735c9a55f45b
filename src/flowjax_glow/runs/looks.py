"""What a look at the inverse of a flow in training finds: the arrays of look-*.npz."""

import jax
import numpy as np

from flowjax_glow.bijectors import ActNorm, AffineCoupling, ChannelMixing
from flowjax_glow.diagnostics import stack, summed_log_det
from flowjax_glow.diagnostics.thresholds import LIMIT
from flowjax_glow.numerics import event_size
from flowjax_glow.runs.experiment import TAUS
from flowjax_glow.runs.measure import Arrays, ChunkedModel, forward, latent_round_trips
from flowjax_glow.runs.scale_arrays import scale_statistics, small_scales

GROWTH_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FAILING = 0.01  # share of samples beyond it that makes a noise level critical
BISECTIONS = 4  # between two noise levels that were looked at
OWN_TAU = 0.1  # noise level of one split alone; at 0 its noise is the same in all samples


def look(seen: ChunkedModel, samples: int, *, last: bool = False) -> Arrays:
    """The arrays of look-*.npz, `samples` per tau; the `last` look has more of them."""
    taus = [_look_at_noise(seen, tau, samples) for tau in TAUS]
    images = _look_at_images(seen)
    scales = [tau.pop("scales") for tau in taus] + [images.pop("scales")]
    along = {"log_growth": np.stack([_growth(tau.pop("along")) for tau in taus])}
    return {
        "taus": np.array(TAUS),
        **{name: np.stack([tau[name] for tau in taus]) for name in taus[0]},
        **images,
        **scale_statistics(scales),
        "critical_temperature": np.array(
            _critical_temperature(
                seen, {tau: row["max_activation"] for tau, row in zip(TAUS, taus)}
            )
        ),
        **(_own_noise(seen, scales[0], samples) if last else {}),
        **(along if last else {}),
    }


def _look_at_noise(seen: ChunkedModel, tau: float, samples: int) -> dict:
    rows, scales, along = [], [], []
    # without noise, and without labels, all samples are the same
    alike = not (tau or seen.experiment.model.classes)
    drawn = seen.experiment.chunk if alike else samples
    for params, _, z, decoded in seen.of_noise(tau, drawn):
        back = forward(seen.flow, params, decoded.x)
        lowest = stack(decoded.layers, "min_log_scale")
        along.append(stack(decoded.layers, "largest"))
        rows.append(
            {
                "z_error": np.asarray(latent_round_trips(z, back)),
                "max_activation": along[-1].max(0),
                "min_log_s": lowest.min(0),
                "chain_log_gain": -lowest.sum(0),
            }
        )
        scales.append(decoded.scales)
    times = samples // drawn
    found = {
        "scales": _join_places(scales * times),
        "along": np.concatenate(along * times, axis=1),
    }
    return _concatenate(rows * times) | found


def _critical_temperature(seen: ChunkedModel, largest: dict[float, np.ndarray]) -> float:
    """The least noise level at which `FAILING` of the samples pass `LIMIT`.

    Between the levels of `largest`, the largest activation of every sample, it is found by
    bisection, to a sixteenth of their distance and from above. Infinite if no level fails.
    """
    levels = sorted(largest)
    failing = [_too_many(_passing(largest[tau]), len(largest[tau])) for tau in levels]
    if not any(failing):
        return np.inf
    upper = levels[failing.index(True)]
    lower = max((tau for tau in levels if tau < upper), default=upper)
    samples = len(largest[upper])
    for _ in range(BISECTIONS if lower < upper else 0):
        middle = (lower + upper) / 2
        lower, upper = (lower, middle) if _fails(seen, middle, samples) else (middle, upper)
    return upper


def _fails(seen: ChunkedModel, tau: float, samples: int) -> bool:
    """Whether a noise level fails; the rest is not decoded once so many have passed."""
    passing = 0
    for params, z in seen.latents(tau, samples):
        passing += _passing(stack(seen.decode(params, z).layers, "largest").max(0))
        if _too_many(passing, samples):
            return True
    return False


def _own_noise(seen: ChunkedModel, at_one: list[np.ndarray], samples: int) -> Arrays:
    """The small s after each split, where the noise of that split alone is at `OWN_TAU`.

    All other latents stay at tau = 1; `at_one` are the places' log s with this one there, too.
    """
    at_low = []
    for place in range(len(at_one)):
        levels = [1.0] * (len(at_one) + 1)
        levels[place] = OWN_TAU
        chunks = [
            seen.decode(
                params, tuple(tau * leaf for tau, leaf in zip(levels, z, strict=True))
            ).scales
            for params, z in seen.latents(1.0, samples)
        ]
        at_low.append(np.concatenate([chunk[place] for chunk in chunks]))
    rows = [[small_scales(place) for place in places] for places in zip(at_one, at_low)]
    return {
        "own_taus": np.array([1.0, OWN_TAU]),
        **{
            f"own_{name}": np.array([[row[name] for row in place] for place in rows])
            for name in (rows[0][0] if rows else ())
        },
    }


def _look_at_images(seen: ChunkedModel) -> dict:
    rows, scales = [], []
    for _, x, _, decoded in seen.of_images(seen.experiment.held_out):
        trip = seen.image_round_trip(x, decoded.x)
        dims = event_size(x)
        rows.append(
            {
                "x_error": np.asarray(trip.relative),
                "x_max_error": np.asarray(trip.largest),
                "x_bin_error": np.asarray(trip.bins),
                "bit_exact": np.asarray(trip.same_bins),
                # log-dets of the inverse, so the forward ones have the other sign
                "sum_log_s": -summed_log_det(decoded.layers, AffineCoupling) / dims,
                "sum_log_actnorm": -summed_log_det(decoded.layers, ActNorm) / dims,
                "sum_log_conv": -summed_log_det(decoded.layers, ChannelMixing) / dims,
            }
        )
        scales.append(decoded.scales)
    arrays = _concatenate(rows)
    for name in ("sum_log_actnorm", "sum_log_conv"):  # the same for every image
        arrays[name] = arrays[name][0]
    return {**arrays, "scales": _join_places(scales)}


def _passing(largest: np.ndarray) -> int:
    """How many samples pass `LIMIT`, by their largest activations; NaN does, too."""
    return int(np.sum(~(largest <= LIMIT)))


def _too_many(passing: int, samples: int) -> bool:
    return passing / samples >= FAILING


def _concatenate(rows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _join_places(chunks: list[tuple[jax.Array, ...]]) -> list[np.ndarray]:
    """All log s of each place, `(examples, height, width, channels)`."""
    return [np.concatenate(place) for place in zip(*chunks)]


def _growth(largest: np.ndarray) -> np.ndarray:
    """Quantiles over samples of the log of the largest activation, ``(layers, quantiles)``.

    They are values that occurred: between a finite one and an infinite one there is none.
    """
    with np.errstate(divide="ignore"):
        logs = np.log(largest)
    return np.quantile(logs, GROWTH_QUANTILES, axis=1, method="lower").T.astype(np.float32)
