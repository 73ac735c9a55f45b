"""The same inverse in float32 and in float64: ill-conditioned, or wrong?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.density import sample_latents
from flowjax_glow.diagnostics.result import Result, worst
from flowjax_glow.diagnostics.round_trip import latent_round_trip
from flowjax_glow.diagnostics.trips import TAUS
from flowjax_glow.types import Image, Latents, Params

#: Half the distance from 1 to the next float32.
ROUNDING = 2.0**-24


@dataclass(frozen=True, eq=False)
class PrecisionGap(Result):
    """``|G32(z) - G64(z)| / |G64(z)|`` of the inverse G, a row per noise level.

    An amplification far above 1 with a float64 that comes back is ill-conditioning; an error that
    float64 has, too, is a bug or the mathematics.

    Attributes:
        tau: the noise level.
        median, worst: of the gap, over samples; infinite where not finite.
        amplification: the worst gap over float32's rounding, 2^-24.
        float64_error: the worst relative error of z -> x -> z in float64.
        rounded_error: the same where x alone is rounded to float32 on its way; an inverse
            whose images are float32 will hardly do better.
    """

    title = "float32 beside float64"

    tau: np.ndarray
    median: np.ndarray
    worst: np.ndarray
    amplification: np.ndarray
    float64_error: np.ndarray
    rounded_error: np.ndarray


def precision_gap(
    flow: Bijector,
    params: Params,
    shape: Sequence[int],
    *,
    taus: Sequence[float] = TAUS,
    samples: int = 16,
    seed: int = 0,
) -> PrecisionGap:
    """Decodes the same float32 latents in both precisions; `shape` is that of one image.

    float64 is switched on for these calls alone.
    """
    noise = sample_latents(flow, params, jax.random.key(seed), (samples, *shape))
    rows, errors = [], []
    for tau in taus:
        z = jax.tree.map(lambda leaf: tau * leaf, noise)  # noqa: B023
        exact, error, rounded_error = inverse_in_float64(flow, params, z)
        rows.append(relative_gap(np.asarray(_inverse(flow, params, z)), exact))
        errors.append((worst(error), worst(rounded_error)))
    gaps, (float64_error, rounded_error) = np.array(rows), np.array(errors).T
    return PrecisionGap(
        tau=np.array(taus),
        median=np.median(gaps, axis=1),
        worst=gaps.max(1),
        amplification=gaps.max(1) / ROUNDING,
        float64_error=float64_error,
        rounded_error=rounded_error,
    )


@partial(jax.jit, static_argnums=0)
def _inverse(flow: Bijector, params: Params, z: Latents) -> Image:
    return flow.inverse(params, z)[0]


class InFloat64(NamedTuple):
    """``G(z)``, and the relative errors of ``F(G(z))`` and of F of ``G(z)`` rounded to float32."""

    x: np.ndarray
    error: np.ndarray
    rounded_error: np.ndarray


def inverse_in_float64(flow: Bijector, params: Params, z: Latents) -> InFloat64:
    """The inverse in float64, which is on for this alone."""
    params, z = jax.device_get((params, z))
    with jax.enable_x64(True):
        wide = jax.tree.map(_widened, (params, z))
        return InFloat64(*jax.device_get(_there_and_back(flow, *wide)))


@partial(jax.jit, static_argnums=0)
def _there_and_back(flow: Bijector, params: Params, z: Latents) -> tuple:
    x, _ = flow.inverse(params, z)
    # A conversion there and back is one that compilers leave out.
    both = (x, jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=23))
    error, rounded_error = (latent_round_trip(z, flow.forward(params, x)[0]) for x in both)
    return x, error, rounded_error


def _widened(leaf: np.ndarray) -> jax.Array:
    """float32 becomes float64; integers stay."""
    wide = np.asarray(leaf)
    return jnp.asarray(wide.astype(np.float64) if wide.dtype == np.float32 else wide)


def relative_gap(x: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """``|x - exact| / |exact|`` per example, infinite where anything is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.linalg.norm((x - exact).reshape(len(exact), -1), axis=1)
        gap = difference / np.linalg.norm(exact.reshape(len(exact), -1), axis=1)
    return np.where(np.isfinite(gap), gap, np.inf)
