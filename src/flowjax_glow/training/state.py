"""All that training must remember between two steps, in one pytree."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax

from flowjax_glow.trainable import merge, trainable
from flowjax_glow.training.average import Average, start_average
from flowjax_glow.training.types import Leaf
from flowjax_glow.types import Key, Params


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """The state of a training run; what is not in it cannot influence the next step.

    Attributes:
        step: the number of steps done, an int32 scalar; a step whose update was skipped counts too.
        params: the parameters, float leaves (which train) and others (which never do).
        optimizer: the optimizer's state, over the float leaves.
        average: the debiased moving average of the float leaves.
        key: the raw uint32 words of the run's random key, which any checkpoint format can store;
            step ``t`` draws from ``fold_in(key, t)``.
    """

    step: Leaf
    params: Params
    optimizer: optax.OptState
    average: Average
    key: Leaf


def initial_state(params: Params, optimizer: optax.GradientTransformation, key: Key) -> TrainState:
    """The state before the first step.

    Everything is copied, so `params` and `key` outlive the steps that consume the state.
    """
    params = jax.tree.map(lambda leaf: jnp.array(leaf), params)
    values = trainable(params)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        optimizer=optimizer.init(values),
        average=start_average(values),
        key=jnp.array(jax.random.key_data(key)),
    )


def wrapped_key(words: Leaf) -> Key:
    """The random key of a state, of the kind that has so many words, whatever the default is."""
    return jax.random.wrap_key_data(words, impl=_IMPLEMENTATIONS[words.size])


#: Kinds of random keys by their words; `unsafe_rbg` draws other numbers, but from these as well.
_IMPLEMENTATIONS = {2: "threefry2x32", 4: "rbg"}


def averaged_params(state: TrainState) -> Params:
    """The parameters with the debiased moving average as float leaves; at step 0 the parameters."""
    return merge(state.params, state.average.values)


def copy_state(state: TrainState) -> TrainState:
    """A state that outlives the next step, which consumes the one it is given."""
    return jax.tree.map(lambda leaf: jnp.array(leaf), state)
