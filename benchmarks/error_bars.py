"""Do the error bars of `decode_with_error` hold? Against the inverse in float64.

    python -m benchmarks.error_bars RUN --samples=10000

RUN is a run folder or a sweep folder, as `flowjax-glow sample` takes it. Printed per run: the share
of samples whose error exceeds its bar, quantiles of bar over error, the largest error, and how many
samples have none. docs/diagnose.md has the results.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

from flowjax_glow.density import sample_latents
from flowjax_glow.diagnostics import decode_with_error
from flowjax_glow.diagnostics.chunks import in_chunks
from flowjax_glow.diagnostics.precision import inverse_in_float64
from flowjax_glow.runs.load import Trained, trained_models

QUANTILES = (0.0, 0.01, 0.5, 0.99, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    for trained in trained_models(options.run):
        told = calibrated(trained, options.samples, options.temperature, options.seed)
        print(f"{trained.folder}: {told}", flush=True)


def calibrated(trained: Trained, samples: int, temperature: float, seed: int) -> str:
    """One model in a line."""
    flow, params = trained.flow, trained.params
    shape = (samples, *trained.event_shape)
    z = sample_latents(flow, params, jax.random.key(seed), shape, temperature=temperature)
    decoded = decode_with_error(flow, params, z)
    exact = in_chunks(lambda part: inverse_in_float64(flow, params, part).x, z)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.sqrt(np.mean(np.square(decoded.x - exact), axis=(1, 2, 3)))
    known = np.isfinite(decoded.error) & np.isfinite(error)
    ratio = decoded.error[known] / np.maximum(error[known], np.finfo(float).tiny)
    quantiles = ", ".join(f"{value:.3g}" for value in np.quantile(ratio, QUANTILES))
    return (
        f"{np.mean(ratio < 1):.2%} of {known.sum()} errors exceed their bar; bar over error "
        f"{quantiles} (quantiles {', '.join(map(str, QUANTILES))}); errors up to "
        f"{error[known].max():.2g}; {np.sum(~known)} without a bar, of which "
        f"{decoded.overflows.sum()} overflow in float64"
    )


if __name__ == "__main__":
    main()
