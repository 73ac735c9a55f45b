"""The short training that leads a trained model to another scale."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from flowjax_glow import data
from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import AffineCoupling
from flowjax_glow.combinator import Combinator
from flowjax_glow.combinators import Memory
from flowjax_glow.config import RECOMMENDED, glow
from flowjax_glow.density import bits_per_dim
from flowjax_glow.diagnostics import redraw_permutations
from flowjax_glow.nets import CouplingNet
from flowjax_glow.runs.experiment import Experiment
from flowjax_glow.runs.load import Trained
from flowjax_glow.runs.loss import images_and_labels, redraws_permutations
from flowjax_glow.runs.run import Training
from flowjax_glow.scales import Additive, Blend, scale_from
from flowjax_glow.training import (
    LossFn,
    OptimizerConfig,
    TrainState,
    initial_state,
    make_optimizer,
)
from flowjax_glow.types import Key, Params


def repaired(
    experiment: Experiment, scale: str | None, steps: int, learning_rate: float
) -> Experiment:
    """The experiment of the fine-tuning: the model with its new scale, a gentle start.

    Without a scale it is what `RECOMMENDED` has: the scale, that of a learned prior, and the pace
    of the nets, which `paced` gives them.
    """
    model = experiment.model
    if scale is not None:
        new = {"scale": scale_from(scale)}
    else:
        prior = ("prior_scale",) if model.split_prior != "standard" else ()
        names = ("scale", "damped", *prior)
        new = {name: RECOMMENDED[name] for name in names}
    return replace(
        experiment,
        variant=f"{experiment.variant}-{scale or 'repaired'}",
        model=replace(model, **new),
        optimizer=OptimizerConfig(
            experiment.optimizer.name, learning_rate, warmup_steps=min(10, steps - 1)
        ),
        steps=steps,
        penalty=0.0,  # the fine-tuning has none
    )


def can_be_repaired(experiment: Experiment) -> bool:
    """Whether `repaired` changes its model, and there is a scale to lead to another."""
    model = experiment.model
    other = repaired(experiment, None, steps=2, learning_rate=1e-3).model
    return model != other and not isinstance(model.scale, Additive)


def paced(before: Bijector, after: Bijector, params: Params) -> Params:
    """The same map for the nets of `after`, which multiply their outputs by another gain.

    Kernel and shift of a last layer are multiplied by the quotient. An update of Adam moves them by
    no more than before, so from here on a smaller gain slows the outputs.
    """
    if isinstance(before, Combinator):
        assert isinstance(after, Combinator)
        return jax.tree.map(paced, before.children, after.children, params)
    match before, after:
        case AffineCoupling(net=CouplingNet() as old), AffineCoupling(net=CouplingNet() as new):
            linear = {"kernel", "shift", "edge"} & params["last"].keys()
            values = {name: params["last"][name] * (old.gain / new.gain) for name in linear}
            return {**params, "last": {**params["last"], **values}}
    return params


@dataclass(frozen=True)
class BlendedBitsPerDim:
    """The mean loss of a batch on the way to the new scale.

    The batch is ``{"images": ..., "weight": ...}``, with ``labels`` of a model with classes.
    """

    before: Experiment
    after: Experiment

    def __call__(self, params: Params, key: Key, batch: dict[str, Array]) -> Float[Array, ""]:
        start, end, weight = self.before.model, self.after.model, batch["weight"].mean()
        scales = {
            name: Blend(getattr(start, name), getattr(end, name), weight)
            for name in ("scale", "prior_scale")
            if getattr(start, name) != getattr(end, name)
        }
        # "invert" keeps its flow as a static value, which a traced weight is not
        flow = glow(replace(end, **scales, memory="remat"))
        if redraws_permutations(self.after):
            params = redraw_permutations(flow, params, jax.random.fold_in(key, 2))
        images, n_bits, labels = batch["images"], self.after.n_bits, batch.get("labels")
        return bits_per_dim(flow, params, key, images, n_bits=n_bits, context=labels).mean()


@dataclass(frozen=True)
class Repairing(Training):
    """From the parameters of a trained model, on the images that it would have seen next."""

    trained: Trained

    def start(self, source: data.Source) -> TrainState:
        del source
        optimizer = make_optimizer(self.experiment.optimizer, self.experiment.steps)
        key = jax.random.fold_in(jax.random.key(self.experiment.seed), 3)
        before, after = self.trained.flow, glow(self.experiment.model)
        return initial_state(paced(before, after, self.trained.params), optimizer, key)

    def loss(self, memory: Memory) -> LossFn:
        del memory
        return BlendedBitsPerDim(self.trained.experiment, self.experiment)

    def drawn(self, step: int) -> dict[str, Any]:
        return super().drawn(self.trained.step + step)

    def batch(self, source: data.Source, step: int) -> dict[str, Any]:
        """Images, their labels if the model has classes, and how far the scale has moved."""
        images, labels = images_and_labels(super().batch(source, step))
        weight = min(1.0, 2 * (step + 1) / self.experiment.steps)
        known = {} if labels is None else {"labels": labels}
        return {"images": images, "weight": np.full(len(images), weight, np.float32), **known}
