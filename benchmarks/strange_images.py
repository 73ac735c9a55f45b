"""Do scores tell images of other kinds from the data? Areas under the curve, kind by kind.

    python -m benchmarks.strange_images RUN...

RUN is a run folder, a sweep folder or a model file. Half of the held-out images are the data that
the others are held against; the other half is what each kind has to be told from.
docs/strange-images.md has the results.
"""

import argparse
from pathlib import Path

import numpy as np

from flowjax_glow.data.digits import digits
from flowjax_glow.data.source import Images
from flowjax_glow.diagnostics import area_under_curve, typicality
from flowjax_glow.diagnostics.unusual_images import unusual
from flowjax_glow.runs.load import Trained, trained_models

SCORES = ("bits_per_dim", "typicality", "latents", "log_det", "distance")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--images", type=int, default=512, help="of each half, and of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for run in options.runs:
        for trained in trained_models(run):
            print(f"\n{trained.path}\n{table(trained, options.images, options.seed)}", flush=True)


def table(trained: Trained, count: int, seed: int) -> str:
    """A row for each kind of images, as Markdown."""
    data = trained.images(None, 2 * count)
    usual = typicality(trained.flow, trained.params, data[:count], n_bits=trained.experiment.n_bits)
    inside = usual.strangeness(data[count:])
    lines = [f"| images | bits/dim | {' | '.join(SCORES)} |", "|---" * (2 + len(SCORES)) + "|"]
    lines.append(f"| held out | {inside.bits_per_dim.mean():.2f} |" + " |" * len(SCORES))
    for name, images in kinds(data[count:], seed).items():
        outside = usual.strangeness(images)
        areas = [
            f"{area_under_curve(getattr(inside, score), getattr(outside, score)):.3f}"
            for score in SCORES
        ]
        lines.append(f"| {name} | {outside.bits_per_dim.mean():.2f} | {' | '.join(areas)} |")
    return "\n".join(lines)


def kinds(data: Images, seed: int) -> dict[str, Images]:
    """As many images of every kind as `data` has, in its shape."""
    random = np.random.default_rng(seed)
    count, height, width, channels = data.shape
    colors = random.integers(0, 256, (count, 1, 1, channels))
    ramps = np.linspace(0, 1, width)[:, None] * colors
    rows = random.integers(0, len(digits()), count)
    larger = -(-max(height, width) // 8)
    enlarged = digits()[rows].repeat(larger, 1).repeat(larger, 2)[:, :height, :width]
    noises = {name: kind for name, kind in unusual(data, seed).items() if kind.std() > 0}
    return {
        "flat, of any color": np.broadcast_to(colors, data.shape).astype(np.uint8),
        "ramps": np.broadcast_to(ramps, data.shape).astype(np.uint8),
        "blurred data": _blurred(data),
        "half the contrast": (128 + (data.astype(int) - 128) // 2).astype(np.uint8),
        "negatives": 255 - data,
        "upside down": data[:, ::-1],
        "digits": np.broadcast_to(enlarged, data.shape).copy(),
        **noises,
    }


def _blurred(data: Images) -> Images:
    """Means over 4 x 4 pixels in their place."""
    count, height, width, channels = data.shape
    tiles = data[:, : height // 4 * 4, : width // 4 * 4].reshape(
        count, height // 4, 4, width // 4, 4, channels
    )
    means = tiles.mean((2, 4)).round().astype(np.uint8)
    return means.repeat(4, 1).repeat(4, 2)


if __name__ == "__main__":
    main()
