"""A RealNVP conditioned on digits: samples of every class, and the class read off by Bayes' rule.

    python -m benchmarks.digit_classes --picture=docs/figures/digits_by_class.png

It trains on the 1,618 images of the training part of `digits`, half of them moved by up to a pixel,
and counts how many of the 179 held-out images have the greatest p(y | x) at their own label.
With `--validate` 200 images of the training part are held out instead, as settings were chosen.
"""

import argparse
import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import flowjax_glow as fg
from flowjax_glow.data import load
from flowjax_glow.trainable import merge, trainable

#: Chosen on the training part.
DEPTH, WIDTH, STEPS, BATCH = 8, 64, 4_000, 128
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 0.3
MOVED = 0.5  # the share of images that are moved
BITS, DRAWS, SIDE = 4, 8, 8


def main() -> None:
    """Trains, counts and draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--picture")
    options = parser.parse_args()
    train, held_out = parts(validate=options.validate)
    flow = fg.realnvp(fg.RealNVPConfig.recommended(depth=DEPTH, width=WIDTH, classes=10))
    start = time.monotonic()
    params = trained(flow, *train)
    found = posterior(flow, params, jax.random.key(99), held_out[0]).argmax(axis=1)
    right = int((found == held_out[1]).sum())
    print(f"{right} of {len(found)} held-out digits right ({right / len(found):.1%})")
    print(f"{STEPS} steps and the count took {time.monotonic() - start:.0f} s")
    if options.picture:
        draw(options.picture, flow, params)


def parts(*, validate: bool) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Images and labels to train on, and those held out."""
    source = load("digits")
    images, labels = source.labelled_examples("train", int(source.facts()["train"]))
    if not validate:
        held_out = source.labelled_examples("test", int(source.facts()["test"]))
        return (images, labels), held_out
    return (images[200:], labels[200:]), (images[:200], labels[:200])


def vectors(key: Any, images: Any) -> Any:
    """Dequantized images as vectors."""
    return fg.dequantize(key, images, n_bits=BITS).reshape(len(images), -1)


def moved(key: Any, images: Any) -> Any:
    """Some of the images moved by up to a pixel along each side."""
    which, where = jax.random.split(key)
    offsets = jax.random.randint(where, (len(images), 2), 0, 3)
    chosen = jax.random.bernoulli(which, MOVED, (len(images), 1))
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))

    def cut(image: Any, offset: Any) -> Any:
        return jax.lax.dynamic_slice(image, (offset[0], offset[1], 0), (SIDE, SIDE, 1))

    return jax.vmap(cut)(padded, jnp.where(chosen, offsets, 1))


def trained(flow: fg.Bijector, images: Any, labels: Any) -> Any:
    """Parameters after all steps of AdamW, a warm-up and a cosine."""
    key, images, labels = jax.random.key(0), jnp.asarray(images), jnp.asarray(labels)
    params = jax.jit(lambda images: flow.init(key, vectors(key, images)))(images[:1024])
    rate = optax.warmup_cosine_decay_schedule(
        0, LEARNING_RATE, 100, STEPS, end_value=LEARNING_RATE / 100
    )
    optimizer = optax.chain(
        optax.clip_by_global_norm(50.0), optax.adamw(rate, weight_decay=WEIGHT_DECAY)
    )

    def step(carry: Any, key: Any) -> tuple[Any, Any]:
        values, state = carry
        pick, move, noise = jax.random.split(key, 3)
        rows = jax.random.randint(pick, (BATCH,), 0, len(images))
        x = vectors(noise, moved(move, images[rows]))

        def loss(values: Any) -> Any:
            return -fg.log_prob(flow, merge(params, values), x, labels[rows]).mean()

        value, gradients = jax.value_and_grad(loss)(values)
        updates, state = optimizer.update(gradients, state, values)
        return (optax.apply_updates(values, updates), state), value

    many = jax.jit(partial(jax.lax.scan, step))
    carry = trainable(params), optimizer.init(trainable(params))
    for number in range(STEPS // 500):
        carry, losses = many(carry, jax.random.split(jax.random.fold_in(key, number), 500))
        bits = float(losses.mean()) / SIDE**2 / np.log(2) + BITS
        print(f"step {500 * (number + 1)}: {bits:.3f} bits/dim", flush=True)
    return merge(params, carry[0])


def posterior(flow: fg.Bijector, params: Any, key: Any, images: Any) -> np.ndarray:
    """p(y | x), averaged over draws of the noise within the bins."""

    @jax.jit
    def one(key: Any) -> Any:
        return fg.class_probabilities(flow, params, vectors(key, jnp.asarray(images)))

    return np.mean([one(own) for own in jax.random.split(key, DRAWS)], axis=0)


def draw(path: str, flow: fg.Bijector, params: Any) -> None:
    """Eight samples of every class, a column each, as one picture."""
    from PIL import Image

    labels, key = jnp.repeat(jnp.arange(10), 8), jax.random.key(5)
    shape = (len(labels), SIDE**2)
    x = fg.sample(flow, params, key, shape, temperature=0.7, context=labels)
    pixels = np.asarray(fg.to_pixels(x.reshape(-1, SIDE, SIDE, 1), n_bits=BITS))[..., 0]
    tiles = np.pad(pixels, ((0, 0), (1, 1), (1, 1)), constant_values=90)
    sheet = tiles.reshape(10, 8, SIDE + 2, SIDE + 2).transpose(1, 2, 0, 3)
    image = Image.fromarray(sheet.reshape(8 * (SIDE + 2), 10 * (SIDE + 2)))
    image.resize((image.width * 4, image.height * 4), Image.Resampling.NEAREST).save(path)


if __name__ == "__main__":
    main()
