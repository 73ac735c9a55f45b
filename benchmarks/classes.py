"""A GLOW of classes: samples of every class, and the class read off by Bayes' rule.

    python -m benchmarks.classes --picture=docs/figures/digits_by_class.png
    python -m benchmarks.classes --data=mnist:PATH --n-bits=8 --steps=3000 --seeds=1

It trains on the training part with `fit` and counts how many held-out images have the greatest
p(y | x) at their own label, once for every seed. A picture has a column of eight samples for
every class, at temperature 0.7; a row has the same noise.
"""

import argparse
import time

import numpy as np

from flowjax_glow import GlowConfig, Model, fit
from flowjax_glow.data import load

BATCH = 64

#: Held-out images that are classified, at most.
JUDGED = 2_000


def main() -> None:
    """Trains, counts and draws."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--n-bits", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--picture", help="of the first seed")
    options = parser.parse_args()
    source = load(options.data)
    config = GlowConfig.recommended(
        source.shape, depth=options.depth, width=options.width, classes=len(source.classes)
    )
    images, labels = source.labelled_examples("test", min(source.count("test"), JUDGED))
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
        right = int((model.class_probabilities(images).argmax(axis=1) == labels).sum())
        print(
            f"seed {seed}: {right} of {len(images)} held-out images right "
            f"({right / len(images):.1%}), {model.record['bits_per_dim']:.3f} bits/dim held out, "
            f"{time.monotonic() - start:.0f} s",
            flush=True,
        )
        if options.picture and not seed:
            draw(options.picture, model)


def draw(path: str, model: Model) -> None:
    """Eight samples of every class, a column each, as one picture."""
    from PIL import Image

    of_class = [
        model.sample(8, key=5, temperature=0.7, context=label)
        for label in range(model.config.classes)
    ]
    margins = ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0))
    tiles = np.pad(np.stack(of_class), margins, constant_values=90)
    classes, rows, height, width, channels = tiles.shape
    sheet = tiles.transpose(1, 2, 0, 3, 4).reshape(rows * height, classes * width, channels)
    factor = max(1, 400 // sheet.shape[1])
    picture = Image.fromarray(sheet.squeeze())
    picture.resize((picture.width * factor, picture.height * factor), 0).save(path)


if __name__ == "__main__":
    main()
