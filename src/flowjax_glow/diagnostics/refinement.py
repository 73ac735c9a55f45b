"""Corrected inverses, and the same inverse in several precisions side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from flowjax_glow.bijector import Bijector
from flowjax_glow.density import sample_latents
from flowjax_glow.diagnostics.precision import inverse_in_float64, relative_gap
from flowjax_glow.diagnostics.result import Result, worst
from flowjax_glow.diagnostics.round_trip import latent_round_trip
from flowjax_glow.rebuild import with_memory, with_net_dtype
from flowjax_glow.types import Image, Latents, Params

#: Corrections that a ladder tries.
STEPS = 3


def refine(
    flow: Bijector, params: Params, z: Latents, x: Image, *, steps: int | Int[Array, ""] = 1
) -> Image:
    r"""Newton's correction of an inverse: ``x <- x - J_G(z) (F(x) - z)``, `steps` times.

    G is `inverse`, F `forward`, and the product comes from forward mode, with stored activations: a
    step costs about three evaluations of the flow. It helps as long as ``F(x) - z`` is larger than
    the rounding of F and G is near enough to linear over it; beyond, it does nothing or harm, and
    where G overflows nothing can be done. `precision_ladder` tells which.

    Args:
        x: what `inverse` gave for `z`.
    """
    flow = with_memory(flow, "store")

    def correct(_: jax.Array, x: Image) -> Image:
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

    Args:
        shape: of one image, `(height, width, channels)`.
    """
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
