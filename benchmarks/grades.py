"""Does the grade of a trained model change with the number of samples?

    python -m benchmarks.grades RUN... --samples=10000 --repetitions=1000

RUN is a run folder or a sweep folder. Each model is sampled once, at one noise level. A repetition
draws from these samples without replacement, in growing numbers: nested, so that more samples begin
with the fewer, or fresh ones each time. Its grades should go from `not enough samples` to one other
and stay there. Printed per run: the rates, the grades by number, and the repetitions that do so.
docs/diagnose.md has the results.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from flowjax_glow.diagnostics import largest_on_images
from flowjax_glow.diagnostics.noise_trips import Noise, NoiseTrips, noise_trips
from flowjax_glow.diagnostics.rates import LOST_BELOW
from flowjax_glow.diagnostics.stability import rates_of
from flowjax_glow.diagnostics.thresholds import Verdict
from flowjax_glow.pixels import bin_midpoints
from flowjax_glow.runs.load import Trained, trained_models

#: Samples, from few to many.
NUMBERS = (64, 512, 2048, 6000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for run in options.runs:
        for trained in trained_models(run):
            level = sampled(trained, options.samples, options.temperature, options.seed)
            print(f"{trained.folder}: {rates_of([level]).told(LOST_BELOW)}", flush=True)
            for name, draw in {"nested": nested, "fresh": fresh}.items():
                random = np.random.default_rng(options.seed)
                rows = [
                    graded(level, draw(random, options.samples)) for _ in range(options.repetitions)
                ]
                counts = [
                    f"{number}: {dict(Counter(row[i] for row in rows))}"
                    for i, number in enumerate(NUMBERS)
                ]
                kept = sum(map(settles, rows))
                print(f"  {name}: {kept} of {len(rows)} keep their grade; {'; '.join(counts)}")


def sampled(trained: Trained, samples: int, tau: float, seed: int) -> NoiseTrips:
    """Samples of a model at a noise level, there and back."""
    flow, params = trained.flow, trained.params
    images = jnp.asarray(trained.images(None, 64))
    of_images = largest_on_images(
        flow, params, bin_midpoints(images, n_bits=trained.experiment.n_bits)
    )
    noise = Noise(flow, params, trained.event_shape, seed)
    return noise_trips(noise, (tau,), samples, of_images)[0]


def nested(random: np.random.Generator, samples: int) -> list[np.ndarray]:
    """More samples begin with the fewer."""
    order = random.permutation(samples)
    return [order[:number] for number in NUMBERS]


def fresh(random: np.random.Generator, samples: int) -> list[np.ndarray]:
    """Other samples each time."""
    order = random.permutation(samples)
    ends = np.cumsum(NUMBERS)
    return [order[end - number : end] for end, number in zip(ends, NUMBERS, strict=True)]


def graded(level: NoiseTrips, draws: Sequence[np.ndarray]) -> list[Verdict]:
    """The grade by each draw."""
    parts = [NoiseTrips(level.tau, *(column[rows] for column in level[1:])) for rows in draws]
    return [rates_of([part]).verdict(LOST_BELOW) for part in parts]


def settles(grades: Sequence[Verdict]) -> bool:
    """Whether they go from `not enough samples` to at most one other, and stay there."""
    decided = [grade for grade in grades if grade != "not enough samples"]
    return list(grades[len(grades) - len(decided) :]) == decided and len(set(decided)) <= 1


if __name__ == "__main__":
    main()
