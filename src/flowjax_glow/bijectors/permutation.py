"""Permutations of the channels."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from flowjax_glow.bijector import Bijector
from flowjax_glow.errors import check_channels, check_event
from flowjax_glow.numerics import zero_log_det
from flowjax_glow.types import Event, Key, LogDet, Params


@dataclass(frozen=True)
class Permutation(Bijector):
    """``z[..., c] = x[..., indices[c]]`` with a fixed random permutation drawn by `init`."""

    def init(self, key: Key, x: Event) -> Params:
        check_event("Permutation", x)
        return {"indices": jax.random.permutation(key, x.shape[-1]).astype(jnp.int32)}

    def forward(self, params: Params, x: Event) -> tuple[Event, LogDet]:
        check_channels("Permutation", x, params["indices"].size)
        return _take(x, params["indices"]), zero_log_det(x)

    def inverse(self, params: Params, z: Event) -> tuple[Event, LogDet]:
        check_channels("Permutation.inverse", z, params["indices"].size)
        return _take(z, jnp.argsort(params["indices"])), zero_log_det(z)


@dataclass(frozen=True)
class Reverse(Bijector):
    """``z[..., c] = x[..., channels - 1 - c]``, RealNVP's alternation; its own inverse."""

    def init(self, key: Key, x: Event) -> Params:
        del key
        check_event("Reverse", x)
        return ()

    def forward(self, params: Params, x: Event) -> tuple[Event, LogDet]:
        del params
        return x[..., ::-1], zero_log_det(x)

    def inverse(self, params: Params, z: Event) -> tuple[Event, LogDet]:
        return self.forward(params, z)


def _take(x: Event, indices: Int[Array, " channels"]) -> Event:
    return x.at[..., indices].get(unique_indices=True, mode="promise_in_bounds")
