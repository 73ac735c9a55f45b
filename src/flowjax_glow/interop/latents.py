"""A flow whose latents are one array, as other libraries want them."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from flowjax_glow.bijector import Bijector
from flowjax_glow.errors import expected
from flowjax_glow.types import Params


@dataclass(frozen=True, eq=False)
class Joined:
    """Both directions on batches with any number of axes, latents joined to events of `shape`."""

    flow: Bijector
    params: Params
    shape: tuple[int, ...]

    def forward(self, x: Any) -> tuple[Any, Any]:
        """Maps data to joined latents; gives these and the log-det."""
        events, batch = self._batched(x)
        z, log_det = self.flow.forward(self.params, events)
        rows = [leaf.reshape(len(events), -1) for leaf in jax.tree.leaves(z)]
        return jnp.concatenate(rows, axis=1).reshape(x.shape), log_det.reshape(batch)

    def inverse(self, z: Any) -> tuple[Any, Any]:
        """Maps joined latents to data; gives these and the log-det."""
        events, batch = self._batched(z)
        like = jax.eval_shape(self.flow.forward, self.params, events)[0]
        leaves, structure = jax.tree.flatten(like)
        rows, parts, start = events.reshape(len(events), -1), [], 0
        for leaf in leaves:
            end = start + math.prod(leaf.shape[1:])
            parts.append(rows[:, start:end].reshape(leaf.shape))
            start = end
        x, log_det = self.flow.inverse(self.params, jax.tree.unflatten(structure, parts))
        return x.reshape(z.shape), log_det.reshape(batch)

    def _batched(self, x: Any) -> tuple[Any, tuple[int, ...]]:
        """All leading axes as one, and what they were."""
        x = jnp.asarray(x)
        axes = x.ndim - len(self.shape)
        if axes < 0 or x.shape[axes:] != self.shape:
            advice = "the shape was given when the flow was taken over"
            what = f"events of shape {self.shape}"
            raise expected("flowjax_glow.interop", what, got=f"shape {x.shape}", advice=advice)
        return x.reshape(-1, *self.shape), x.shape[:axes]
