"""The same inverse in several precisions: ill-conditioned, or wrong? And corrected inverses."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from flowjax_glow.bijector import Bijector
from flowjax_glow.context import at_rows, rows_held
from flowjax_glow.density import sample_latents
from flowjax_glow.diagnostics.chunks import in_given_chunks
from flowjax_glow.diagnostics.round_trips import latent_round_trip
from flowjax_glow.diagnostics.table import Result, worst
from flowjax_glow.diagnostics.thresholds import TAUS
from flowjax_glow.rebuild import with_memory, with_net_dtype
from flowjax_glow.types import Event, Latents, Params

#: Half the distance from 1 to the next float32.
ROUNDING = 2.0**-24

#: Samples in float64 at once: one compiled call.
AT_ONCE = 16


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
    samples: int = AT_ONCE,
    seed: int = 0,
) -> PrecisionGap:
    """Decodes the same float32 latents in both precisions; `shape` is that of one image.

    Samples take the contexts in turn that the parameters hold, if any. They are decoded 16 at a
    time.

    float64 is switched on for these calls alone.
    """
    params = at_rows(params, np.arange(samples) % rows_held(params))
    noise = sample_latents(flow, params, jax.random.key(seed), (samples, *shape))

    def both(own: Params, part: Latents) -> tuple["InFloat64", Event]:
        return inverse_in_float64(flow, own, part), inverse(flow, own, part)

    rows, errors = [], []
    for tau in taus:
        z = jax.tree.map(lambda leaf: tau * leaf, noise)  # noqa: B023
        (exact, error, rounded_error), narrow = in_given_chunks(both, params, z, AT_ONCE)
        rows.append(relative_gap(narrow, exact))
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
def inverse(flow: Bijector, params: Params, z: Latents) -> Event:
    """``G(z)``, compiled."""
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
        wide = jax.tree.map(widened, (params, z))
        return InFloat64(*jax.device_get(_there_and_back(flow, *wide)))


@partial(jax.jit, static_argnums=0)
def _there_and_back(flow: Bijector, params: Params, z: Latents) -> tuple:
    x, _ = flow.inverse(params, z)
    # A conversion there and back is one that compilers leave out.
    both = (x, jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=23))
    error, rounded_error = (latent_round_trip(z, flow.forward(params, x)[0]) for x in both)
    return x, error, rounded_error


def widened(leaf: np.ndarray) -> jax.Array:
    """float32 becomes float64; integers stay."""
    wide = np.asarray(leaf)
    return jnp.asarray(wide.astype(np.float64) if wide.dtype == np.float32 else wide)


def relative_gap(x: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """``|x - exact| / |exact|`` per example, infinite where anything is not finite.

    Where both are the same it is 0, also if they are zero.
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        difference = np.linalg.norm((x - exact).reshape(len(exact), -1), axis=1)
        gap = difference / np.linalg.norm(exact.reshape(len(exact), -1), axis=1)
    return np.where(difference == 0, 0.0, np.where(np.isfinite(gap), gap, np.inf))


#: Corrections that a ladder tries.
STEPS = 3


def refine(
    flow: Bijector, params: Params, z: Latents, x: Event, *, steps: int | Int[Array, ""] = 1
) -> Event:
    r"""Newton's correction of an inverse: ``x <- x - J_G(z) (F(x) - z)``, `steps` times.

    G is `inverse`, F `forward`, and the product comes from forward mode, with stored activations: a
    step costs about three evaluations of the flow. It helps as long as ``F(x) - z`` is larger than
    the rounding of F and G is near enough to linear over it; beyond, it does nothing or harm, and
    where G overflows nothing can be done. `precision_ladder` tells which.

    Args:
        x: what `inverse` gave for `z`.
    """
    flow = with_memory(flow, "store")

    def correct(_: jax.Array, x: Event) -> Event:
        back, _ = flow.forward(params, x)
        residual = jax.tree.map(jnp.subtract, back, z)
        _, step = jax.jvp(lambda z: flow.inverse(params, z)[0], (z,), (residual,))
        return x - step

    return jax.lax.fori_loop(0, steps, correct, x)


@dataclass(frozen=True, eq=False)
class PrecisionLadder(Result):
    """Inverses of the same latents, a row each.

    Attributes:
        inverse: which one.
        median, worst: ``|x - x64| / |x64|`` against the float64 inverse of the same parameters;
            infinite where not finite. With nets in bfloat16 the model itself is another one.
        round_trip: the worst error of the latents that come back, in the precision of the row.
    """

    title = "Inverses of the same latents"

    inverse: np.ndarray
    median: np.ndarray
    worst: np.ndarray
    round_trip: np.ndarray


def precision_ladder(
    flow: Bijector,
    params: Params,
    shape: Sequence[int],
    *,
    temperature: float = 1.0,
    samples: int = 64,
    seed: int = 0,
) -> PrecisionLadder:
    """float32 with 0, 1, ... corrections, nets in bfloat16 with and without one, and float64.

    Samples take the rows of a context in turn that the parameters hold, if any.

    Args:
        shape: of one image, `(height, width, channels)`.
    """
    params = at_rows(params, np.arange(samples) % rows_held(params))
    z = sample_latents(
        flow, params, jax.random.key(seed), (samples, *shape), temperature=temperature
    )
    exact, exact_error, _ = inverse_in_float64(flow, params, z)
    narrow = with_net_dtype(flow, "bfloat16")
    rows = {"nets in bfloat16": (narrow, 0), "nets in bfloat16, 1 correction": (narrow, 1)}
    rows["float32"] = (flow, 0)
    rows |= {f"float32, {steps} corrections": (flow, steps) for steps in range(1, STEPS + 1)}
    found = [_corrected(row, params, z, steps) for row, steps in rows.values()]
    gaps = [relative_gap(np.asarray(x), exact) for x, _ in found] + [np.zeros(samples)]
    errors = [np.asarray(error) for _, error in found] + [exact_error]
    return PrecisionLadder(
        inverse=np.array([*rows, "float64"]),
        median=np.array([np.median(gap) for gap in gaps]),
        worst=np.array([worst(gap) for gap in gaps]),
        round_trip=np.array([worst(error) for error in errors]),
    )


@partial(jax.jit, static_argnums=0)
def _corrected(flow: Bijector, params: Params, z: Latents, steps: jax.Array) -> tuple:
    params = flow.freeze(params)
    x = refine(flow, params, z, flow.inverse(params, z)[0], steps=steps)
    return x, latent_round_trip(z, flow.forward(params, x)[0])
