"""How exactly does a flow invert when its nets multiply as accelerators do by default?

```sh
python -m benchmarks.net_precision      # a few minutes on 2 cores; prints a table
```

Accelerators round the factors of a float32 product unless told otherwise: to 10 bits after the
leading one (TF32, NVIDIA GPUs) or to 7 (bfloat16, TPUs), and add up the products in float32. A CPU
does not, so it is simulated where nets multiply, and nowhere else. ``"high"`` takes each factor as
the sum of two rounded ones, and leaves out the product of the two small ones: three passes.
"""

import argparse
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow import GlowConfig, glow
from flowjax_glow.bijector import Bijector
from flowjax_glow.convolution import Precision, convolve
from flowjax_glow.data import load
from flowjax_glow.density import bits_per_dim, sample_latents
from flowjax_glow.diagnostics import image_round_trip, latent_round_trip
from flowjax_glow.nets import convolutional
from flowjax_glow.numerics import event_size
from flowjax_glow.pixels import bin_midpoints
from flowjax_glow.training import (
    OptimizerConfig,
    data_mesh,
    initial_state,
    make_optimizer,
    make_train_step,
    shard_batch,
)
from flowjax_glow.types import Image, Params

Rounding = Callable[[jax.Array], jax.Array]


def to_bits(bits: int) -> Rounding:
    """Rounds float32 numbers to so many binary digits after the leading one."""
    return lambda x: jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=bits)


@dataclass(frozen=True)
class Products:
    """A way to multiply: the digits that factors keep, and in how many passes."""

    bits: int
    passes: int = 1

    def convolve(self, x: jax.Array, kernel: jax.Array, precision: Precision) -> jax.Array:
        """Stands in for `flowjax_glow.convolution.convolve`."""
        del precision
        rounded = to_bits(self.bits)
        high, kernel_high = rounded(x), rounded(kernel)
        z = convolve(high, kernel_high)
        if self.passes == 1:
            return z
        low, kernel_low = rounded(x - high), rounded(kernel - kernel_high)
        return z + (convolve(high, kernel_low) + convolve(low, kernel_high))


#: What a precision means on which device; None for float32 itself.
WAYS: dict[str, Products | None] = {
    "float32 (highest)": None,
    "3 x bfloat16 (high, TPU)": Products(7, passes=3),
    "TF32 (default and high, GPU)": Products(10),
    "bfloat16 (default, TPU)": Products(7),
}


@contextmanager
def simulated(way: Products | None) -> Iterator[None]:
    """Nets multiply like that in whatever is traced meanwhile; programs compiled before stay."""
    if way is None:
        yield
        return
    with patch.object(convolutional, "convolve", way.convolve):
        yield


Errors = dict[str, float]


def round_trips(
    flow: Bijector, models: Sequence[Params], x: Image, key: jax.Array, way: Products | None
) -> list[Errors]:
    """Of each model's parameters: the worst example's errors, both directions multiplying alike.

    ``images`` and ``latents`` at temperatures 1 and 0.7 are relative; ``log_dets`` is ``|log|det F|
    + log|det F^-1||`` per dimension, in nats.
    """
    taus = (1.0, 0.7)

    @jax.jit  # of this call alone, so that it is traced with these products
    def measure(params: Params) -> dict[str, jax.Array]:
        codes, log_det = flow.forward(params, x)
        noise = sample_latents(flow, params, key, x.shape)
        latents = [codes, *(jax.tree.map(lambda leaf: tau * leaf, noise) for tau in taus)]  # noqa: B023
        decoded, inverse_log_det = flow.inverse(params, _joined(latents))
        back, *samples = jnp.split(decoded, 1 + len(taus))
        again, _ = flow.forward(params, jnp.concatenate(samples))
        errors = latent_round_trip(_joined(latents[1:]), again)
        log_dets = log_det + inverse_log_det[: len(x)]
        return {
            "images": image_round_trip(x, back).relative.max(),
            **{
                f"latents, {tau:g}": error.max()
                for tau, error in zip(taus, jnp.split(errors, len(taus)))
            },
            "log_dets": jnp.abs(log_dets).max() / event_size(x),
        }

    with simulated(way):
        found = [jax.device_get(measure(params)) for params in models]
    return [{name: float(value) for name, value in errors.items()} for errors in found]


def _joined(latents: list) -> Any:
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *latents)


def perturbed(params: Params, amount: float = 0.01, seed: int = 0) -> Params:
    """Every float leaf moved by `amount` N(0, 1)."""
    random = np.random.default_rng(seed)

    def move(leaf: jax.Array) -> jax.Array:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        return leaf + jnp.asarray(amount * random.standard_normal(leaf.shape), leaf.dtype)

    return jax.tree.map(move, params)


def trained(flow: Bijector, params: Params, *, steps: int, size: int, batch: int = 16) -> Params:
    """Parameters after so many steps on crops of photographs, at Adam's 1e-3 with a warm-up."""
    source, mesh = load("photos", size=size), data_mesh(jax.devices()[:1])
    optimizer = make_optimizer(OptimizerConfig(warmup_steps=steps // 8), steps)

    def loss(params: Params, key: jax.Array, images: Any) -> jax.Array:
        return bits_per_dim(flow, params, key, images, n_bits=5).mean()

    step = make_train_step(loss, optimizer, mesh, ema_decay=0.0)
    state = initial_state(params, optimizer, jax.random.key(1))
    for index in range(steps):
        images = source.batch("train", seed=0, step=index, size=batch)
        state, _ = step(state, shard_batch(mesh, images))
    return state.params


def rows(
    depths: tuple[int, ...], scales: tuple[str, ...], *, width: int, size: int, steps: int
) -> Iterator[tuple[str, str, Errors]]:
    """Model, way, errors."""
    x = bin_midpoints(load("photos", size=size).examples("test", 32), n_bits=5)
    for depth, scale in itertools.product(depths, scales):
        flow = glow(GlowConfig(levels=2, depth=depth, width=width, scale=scale, memory="remat"))
        fresh = jax.jit(flow.init)(jax.random.key(0), x)
        models = {
            "perturbed": perturbed(fresh),
            f"after {steps} steps": trained(flow, fresh, steps=steps, size=size),
        }
        params, key = list(models.values()), jax.random.key(2)
        found = {name: round_trips(flow, params, x, key, way) for name, way in WAYS.items()}
        for index, kind in enumerate(models):
            for name, errors in found.items():
                yield f"{scale}, depth {depth}, {kind}", name, errors[index]


def main(words: list[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--depths", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--scales", nargs="+", default=["sigmoid", "depth-scaled"])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--size", type=int, default=16, help="of the images, in pixels")
    parser.add_argument("--steps", type=int, default=100, help="of training")
    options = parser.parse_args(words)
    table = rows(
        tuple(options.depths),
        tuple(options.scales),
        width=options.width,
        size=options.size,
        steps=options.steps,
    )
    for index, (model, way, errors) in enumerate(table):
        if index == 0:
            print(f"| model | products | {' | '.join(errors)} |")
            print(f"|---|---|{'---|' * len(errors)}")
        cells = " | ".join(f"{value:.0e}" for value in errors.values())
        print(f"| {model} | {way} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
