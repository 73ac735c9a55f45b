"""`fit`: a configuration and images in, a trained `Model` out; no run folder, no files."""

from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import jax
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.config import GlowConfig, glow
from flowjax_glow.data.indexed import held_out
from flowjax_glow.data.source import Source
from flowjax_glow.density import bits_per_dim
from flowjax_glow.effort import BRIEFLY
from flowjax_glow.errors import check_choice, check_count, expected
from flowjax_glow.model import Model
from flowjax_glow.pixels import dequantize
from flowjax_glow.rebuild import with_memory
from flowjax_glow.types import Key, Params, Pixels

#: Images in the batch that a training starts from.
INIT_IMAGES = 256

#: Seeds of that batch lie beyond those of every training, whose steps draw batches 0, 1, ...
INIT_SEED = 2**31

#: Held-out images that bits/dim are measured on, and the noise in them.
HELD_OUT, HELD_OUT_KEY = 256, 1


def fit(
    config: GlowConfig,
    source: Source,
    *,
    steps: int = 2_000,
    batch: int = 32,
    learning_rate: float = 1e-3,
    n_bits: int = 8,
    seed: int = 0,
    averaged: bool = True,
    show: bool = True,
) -> Model:
    """Trains a flow as `flowjax-glow train` does, and gives back the model.

    That is Adam after a warm-up of 100 steps, or of a quarter of fewer, on all devices of this
    process. Nothing is saved on the way: `flowjax-glow train` is for trainings that must survive.
    A `memory` of ``"invert"`` trains as ``"remat"`` here, since nothing watches over the drift.

    Args:
        config: what is trained, as ``GlowConfig.recommended(source.shape)``.
        source: of the images, as `flowjax_glow.data.load` gives it.
        steps: of training.
        batch: images per step, a multiple of the number of devices.
        learning_rate: after the warm-up.
        n_bits: of the images, 1 to 8.
        seed: of the initial parameters, the order of the images and their noise.
        averaged: whether the model has the moving average of the parameters, which is the better
            one as a rule, or the last ones.
        show: whether progress goes to stderr.

    Raises:
        Diverged: at a loss, gradient or update that is not finite (`flowjax_glow.training`).
        ValueError: if the images do not fit the configuration, or an argument is out of range.
        DataError: if there are no images, or they cannot be read.
    """
    from flowjax_glow import training  # for this alone: a model is loaded and used without it

    for name, value in (("steps", steps), ("batch", batch)):
        check_count(f"fit.{name}", value)
    check_choice("fit.n_bits", n_bits, tuple(range(1, 9)))
    if config.permutation == "every_batch":
        raise expected(
            "fit",
            "permutations that stay",
            got=f"permutation={config.permutation!r}",
            advice="flowjax-glow train draws them anew for every batch",
        )
    kept = held_out(source, usual=HELD_OUT)
    mesh, chosen = training.data_mesh(), training.OptimizerConfig.recommended(steps, learning_rate)
    optimizer = training.make_optimizer(chosen, steps)
    flow, key = glow(config), jax.random.key(seed)
    trained = with_memory(flow, "remat") if config.memory == "invert" else flow

    def loss(params: Params, key: Key, images: Pixels) -> Float[Array, ""]:
        return bits_per_dim(trained, params, key, images, n_bits=n_bits).mean()

    def images_of(step: int) -> Any:
        return source.batch("train", seed=seed, step=step, size=batch)

    first = source.batch("train", seed=INIT_SEED + seed, step=0, size=INIT_IMAGES)
    params = initial_params(flow, jax.random.fold_in(key, 0), first, n_bits)
    state = training.initial_state(params, optimizer, jax.random.fold_in(key, 1))
    decay = training.fitting_decay(steps)
    step = training.make_train_step(loss, optimizer, mesh, ema_decay=decay)
    with training.progress(steps, source.name) if show else nullcontext() as progress:
        state = training.train(state, step, images_of, steps=steps, mesh=mesh, progress=progress)
    last = training.averaged_params(state) if averaged else state.params
    # from the host, so that the model lies on one device whatever trained it
    model = Model(config, jax.device_get(last), source.shape, n_bits)
    height, width, _ = source.shape
    experiment = {
        "dataset": source.name,
        "image_size": height if height == width else None,
        "seed": seed,
        "steps": steps,
        "batch": batch,
        "optimizer": asdict(chosen),
    }
    record = {
        "experiment": experiment,
        "step": steps,
        "averaged": averaged,
        "bits_per_dim": float(model.bits_per_dim(kept, HELD_OUT_KEY).mean()),
        "held_out_images": len(kept),
    }
    return replace(model, record=record)


# It runs once, so compiling it fast matters more than running it fast.
@partial(jax.jit, static_argnums=(0, 3), compiler_options=BRIEFLY)
def initial_params(flow: Bijector, key: Key, images: Pixels, n_bits: int) -> Params:
    """Parameters that start from uint8 images."""
    init_key, noise_key = jax.random.split(key)
    return flow.init(init_key, dequantize(noise_key, images, n_bits=n_bits))
