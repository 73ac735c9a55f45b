r"""The exponential moving average of the trained parameters, free of bias by construction.

With decay ``d`` and parameters ``p_1 ... p_t`` the debiased average is

.. math:: a_t = \frac{1 - d}{1 - d^t} \sum_{k=1}^t d^{t-k} p_k,

which equals the recursion ``a_t = (1 - r_t) a_{t-1} + r_t p_t`` with
``r_t = (1 - d) / (1 - d^t)``. Since ``r_1 = 1``, the start leaves no trace in it: nothing has to be
divided out when it is read, and before the first update it simply is the start.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array

from flowjax_glow.errors import check_positive, expected
from flowjax_glow.training.types import Leaf
from flowjax_glow.types import Params


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Average:
    """A debiased moving average.

    Attributes:
        count: how many sets of parameters it averages, an int32 scalar.
        values: the average of the float leaves; at count 0 the parameters of the start.
    """

    count: Leaf
    values: Params


def start_average(values: Params) -> Average:
    """The average of nothing yet. It copies `values`: donating one buffer twice is an error."""
    return Average(jnp.zeros((), jnp.int32), jax.tree.map(lambda leaf: jnp.array(leaf), values))


def update_average(average: Average, values: Params, decay: float) -> Average:
    """Takes one more set of parameters into the average."""
    count = average.count + 1
    # 1 - d^t by expm1: subtracting d^t from 1 would lose the digits of 1 - d for d near 1
    log_decay = math.log(decay) if decay else -math.inf
    rate = (1 - decay) / -jnp.expm1(count.astype(jnp.float32) * log_decay)

    def blend(old: Array, new: Array) -> Array:
        share = rate.astype(new.dtype)
        return (1 - share) * old + share * new

    return Average(count, jax.tree.map(blend, average.values, values))


def fitting_decay(steps: int, max_decay: float = 0.999) -> float:
    """The decay whose memory, ``1 / (1 - decay)`` steps, is a tenth of the run, up to a maximum.

    ``min(max_decay, 1 - 10 / steps)``, never below 0: 0.98 for 500 steps, 0.999 from 10000 on. It
    depends on the planned steps alone, so that a resumed run averages as an uninterrupted one.

    Raises:
        ValueError: if `steps` is not positive or `max_decay` no decay.
    """
    check_positive("fitting_decay", steps)
    check_decay("fitting_decay", max_decay)
    return max(0.0, min(max_decay, 1 - 10 / steps))


def check_decay(where: str, decay: float) -> None:
    """Raises unless `decay` is in [0, 1)."""
    if not 0 <= decay < 1:
        raise expected(where, "a decay in [0, 1)", got=decay, advice="use fitting_decay(steps)")
