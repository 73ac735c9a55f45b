"""A GLOW of classes: samples of every class, and the class read off by Bayes' rule.

    python -m benchmarks.classes --picture=docs/figures/digits_by_class.png
    python -m benchmarks.classes --data=mnist:PATH --n-bits=8 --steps=2000 --seeds=1

It trains on the training part with `fit` and counts how many held-out images have the greatest
p(y | x) at their own label, once for every seed. How much samples depend on the class is told by
the share of their variance that lies between classes, of 64 of each with the same noise at
temperature 0.7. A picture has a column of eight of them for every class.
"""

import argparse
import time
from collections.abc import Sequence

import numpy as np

from flowjax_glow import GlowConfig, fit
from flowjax_glow.data import load
from flowjax_glow.data.indexed import held_out

BATCH = 64

#: Held-out images that are classified, at most, and samples of a class.
JUDGED, SAMPLES = 2_000, 64


def main() -> None:
    """Trains, counts and draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--size", type=int, help="of the images; needed for folders")
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--top-prior", default="places")
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--n-bits", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--picture", help="of the first seed")
    options = parser.parse_args()
    source = load(options.data, size=options.size)
    config = GlowConfig.recommended(
        source.shape,
        depth=options.depth,
        width=options.width,
        classes=len(source.classes),
        top_prior=options.top_prior,
    )
    images, labels = source.labelled_examples("test", len(held_out(source, usual=JUDGED)))
    of_classes = [images[labels == label] for label in range(config.classes)]
    print(f"{config}\n{between(of_classes):.0%} of the variance of images lies between classes")
    for seed in range(options.seeds):
        start = time.monotonic()
        model = fit(
            config,
            source,
            steps=options.steps,
            batch=BATCH,
            n_bits=options.n_bits,
            seed=seed,
            show=False,
        )
        samples = [
            np.asarray(model.sample(SAMPLES, key=5, temperature=0.7, context=label))
            for label in range(config.classes)
        ]
        right = int((model.class_probabilities(images).argmax(axis=1) == labels).sum())
        print(
            f"seed {seed}: {right} of {len(images)} held-out images right "
            f"({right / len(images):.1%}), {between(samples):.0%} of the variance of samples "
            f"between classes, {model.record['bits_per_dim']:.3f} bits/dim held out, "
            f"{time.monotonic() - start:.0f} s",
            flush=True,
        )
        if options.picture and not seed:
            draw(options.picture, np.stack([images[:8] for images in samples]))


def between(of_classes: Sequence[np.ndarray]) -> float:
    """The share of the variance of pixels that lies between classes, each of the same weight."""
    means = np.stack([images.mean(axis=0, dtype=float) for images in of_classes])
    within = np.mean([images.astype(float).var(axis=0).mean() for images in of_classes])
    return float(means.var(axis=0).mean() / (means.var(axis=0).mean() + within))


def draw(path: str, samples: np.ndarray) -> None:
    """Samples (classes, rows, h, w, c), a column for each class, as one picture."""
    from PIL import Image

    margins = ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0))
    tiles = np.pad(samples, margins, constant_values=90)
    classes, rows, height, width, channels = tiles.shape
    sheet = tiles.transpose(1, 2, 0, 3, 4).reshape(rows * height, classes * width, channels)
    factor = max(1, 600 // sheet.shape[1])
    picture = Image.fromarray(sheet.squeeze())
    picture.resize((picture.width * factor, picture.height * factor), 0).save(path)


if __name__ == "__main__":
    main()
