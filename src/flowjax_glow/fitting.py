"""`fit`: a configuration and data in, a trained `Model` out; no run folder, no files."""

import math
import operator
import warnings
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import jax
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.config import GlowConfig
from flowjax_glow.config_json import Config, flow_of
from flowjax_glow.data.events import EventSource
from flowjax_glow.data.indexed import held_out
from flowjax_glow.data.source import Source
from flowjax_glow.density import bits_per_dim, log_prob
from flowjax_glow.effort import BRIEFLY
from flowjax_glow.errors import check_choice, check_count, check_seed, expected
from flowjax_glow.model import Model
from flowjax_glow.numerics import event_size
from flowjax_glow.pixels import as_events, dequantize
from flowjax_glow.rebuild import with_memory
from flowjax_glow.types import Examples, Key, Params, PerExample

#: Images in the batch that a training starts from.
INIT_IMAGES = 256

#: Seeds of that batch lie beyond those of every training, whose steps draw batches 0, 1, ...
INIT_SEED = 2**31

#: Held-out images that bits/dim are measured on, and the noise in them.
HELD_OUT, HELD_OUT_KEY = 256, 1


def fit(
    config: Config,
    source: Source | EventSource,
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
        config: what is trained, as ``GlowConfig.recommended(source.shape)``, or for vectors
            ``RealNVPConfig.recommended()``.
        source: of images, as `flowjax_glow.data.load` gives it, or of float events: an
            `EventSource`. A configuration with `classes` needs labels of as many.
        steps: of training.
        batch: images or events per step, a multiple of the number of devices.
        learning_rate: after the warm-up.
        n_bits: of the images, 1 to 8; events have none.
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
    seed, learning_rate = operator.index(seed), float(learning_rate)  # NumPy's have no JSON
    check_seed("fit.seed", seed)
    check_choice("fit.n_bits", n_bits, tuple(range(1, 9)))
    if isinstance(config, GlowConfig) and config.permutation == "every_batch":
        raise expected(
            "fit",
            "permutations that stay",
            got=f"permutation={config.permutation!r}",
            advice="flowjax-glow train draws them anew for every batch",
        )
    bits = None if isinstance(source, EventSource) else n_bits
    labelled = config.classes > 0
    check_classes("fit", config, source)
    if isinstance(source, EventSource):
        kept: Any = source.examples("test", min(HELD_OUT, source.count("test")))
    else:
        kept = held_out(source, usual=HELD_OUT)
    kept_labels = source.labelled_examples("test", len(kept))[1] if labelled else None
    mesh, chosen = training.data_mesh(), training.OptimizerConfig.recommended(steps, learning_rate)
    optimizer = training.make_optimizer(chosen, steps)
    flow, key = flow_of(config), jax.random.key(seed)
    trained = with_memory(flow, "remat") if config.memory == "invert" else flow

    def loss(params: Params, key: Key, batch: Any) -> Float[Array, ""]:
        examples, labels = batch if labelled else (batch, None)
        return _loss(trained, trained.given(params, labels), key, examples, bits).mean()

    draw: Any = source.labelled_batch if labelled else source.batch

    def batch_of(step: int) -> Any:
        return draw("train", seed=seed, step=step, size=batch)

    first = source.batch("train", seed=INIT_SEED + seed, step=0, size=INIT_IMAGES)
    params = initial_params(flow, jax.random.fold_in(key, 0), first, bits)
    state = training.initial_state(params, optimizer, jax.random.fold_in(key, 1))
    decay = training.fitting_decay(steps)
    step = training.make_train_step(loss, optimizer, mesh, ema_decay=decay)
    units = ("bits/dim", "images") if bits else ("nats/dim", "events")
    shown = training.progress(steps, source.name, units=units) if show else nullcontext()
    with shown as progress:
        state = training.train(state, step, batch_of, steps=steps, mesh=mesh, progress=progress)
    last = training.averaged_params(state) if averaged else state.params
    # from the host, so that the model lies on one device whatever trained it
    model = Model(config, jax.device_get(last), source.shape, bits)
    experiment = {
        "dataset": source.name,
        "image_size": source.shape[0] if bits and source.shape[0] == source.shape[1] else None,
        "seed": seed,
        "steps": steps,
        "batch": batch,
        "optimizer": asdict(chosen),
    }
    record: dict[str, Any] = {"experiment": experiment, "step": steps, "averaged": averaged}
    if labelled:
        record["classes"] = list(source.classes)
    if bits:
        measured = model.bits_per_dim(kept, HELD_OUT_KEY, kept_labels).mean()
        record |= {"bits_per_dim": float(measured), "held_out_images": len(kept)}
    else:
        measured = -model.log_prob(kept, kept_labels).mean() / math.prod(source.shape)
        record |= {"nats_per_dim": float(measured), "held_out_events": len(kept)}
    return replace(model, record=record)


def check_classes(where: str, config: Config, source: Source | EventSource) -> None:
    """Checks that data have the labels that a configuration with `classes` needs.

    Raises:
        ValueError: if they have other classes than the configuration, or none.
    """
    if config.classes and len(source.classes) != config.classes:
        raise expected(
            where,
            f"labels of {config.classes} classes, as in the configuration",
            got=f"{len(source.classes) or 'no'} classes in {source.name}",
            advice="set classes to the number of those of the data, or to 0",
        )


def _loss(
    flow: Bijector, params: Params, key: Key, examples: Examples, bits: int | None
) -> PerExample:
    """Bits/dim of images, nats/dim of float events."""
    if bits is None:
        x = as_events(examples)
        return -log_prob(flow, params, x) / event_size(x)
    return bits_per_dim(flow, params, key, examples, n_bits=bits)


def initial_params(flow: Bijector, key: Key, examples: Examples, n_bits: int | None) -> Params:
    """Parameters that start from uint8 images, or from float events if there are no bits.

    Of gray images in color it warns: the model has to learn that two channels copy one.
    """
    if n_bits and examples.shape[-1] == 3 and bool((examples == examples[..., :1]).all()):
        warnings.warn(
            f"the first {len(examples)} images are gray, in three equal channels, and a model has "
            "to learn that two are copies; load them in one channel: gray-folder:PATH in place of "
            "folder:PATH, or npz:PATH",
            stacklevel=2,
        )
    return _initial_params(flow, key, examples, n_bits)


# It runs once, so compiling it fast matters more than running it fast.
@partial(jax.jit, static_argnums=(0, 3), compiler_options=BRIEFLY)
def _initial_params(flow: Bijector, key: Key, examples: Examples, n_bits: int | None) -> Params:
    init_key, noise_key = jax.random.split(key)
    if n_bits is None:
        return flow.init(init_key, as_events(examples))
    return flow.init(init_key, dequantize(noise_key, examples, n_bits=n_bits))
