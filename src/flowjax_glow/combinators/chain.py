"""Bijectors in a row."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jax

from flowjax_glow.bijector import Bijector
from flowjax_glow.channels import ChannelAffine, Folded
from flowjax_glow.combinator import PLAIN, Apply, Combinator, Maps, paired, started
from flowjax_glow.context import Context
from flowjax_glow.errors import expected
from flowjax_glow.numerics import zero_log_det
from flowjax_glow.types import Event, Key, Latents, LogDet, Params, Tree


@dataclass(frozen=True, init=False)
class Chain(Combinator):
    """``Chain(a, b, c)``: `forward` applies a, then b, then c. Params are a tuple, one each.

    Raises:
        ValueError: if there is no bijector.
    """

    bijectors: tuple[Bijector, ...]

    def __init__(self, *bijectors: Bijector) -> None:
        if not bijectors:
            raise expected(
                "Chain", "at least one bijector", got="none", advice="pass them as arguments"
            )
        object.__setattr__(self, "bijectors", bijectors)

    def init(self, key: Key, x: Event) -> Params:
        params = []
        for bijector, own_key in zip(self.bijectors, jax.random.split(key, len(self.bijectors))):
            params.append(bijector.init(own_key, x))
            x, _ = bijector.forward(started(bijector, params[-1]), x)
        return tuple(params)

    @property
    def children(self) -> tuple[Bijector, ...]:
        return self.bijectors

    def replace_children(self, children: Tree) -> "Chain":
        return type(self)(*children)

    def forward_through(
        self, params: Params, x: Latents, maps: Maps
    ) -> tuple[Latents, LogDet, Tree]:
        return _in_a_row(paired("Chain", self.bijectors, params), x, maps.forward)

    def inverse_through(
        self, params: Params, z: Latents, maps: Maps
    ) -> tuple[Latents, LogDet, Tree]:
        rows = reversed(paired("Chain", self.bijectors, params))
        x, log_det, records = _in_a_row(rows, z, maps.inverse)
        return x, log_det, records[::-1]

    def forward(
        self, params: Params, x: Event, context: Context | None = None
    ) -> tuple[Latents, LogDet]:
        return _in_a_row(self._folded(self.given(params, context)), x, PLAIN.forward)[:2]

    def inverse(
        self, params: Params, z: Latents, context: Context | None = None
    ) -> tuple[Event, LogDet]:
        rows = reversed(self._folded(self.given(params, context)))
        return _in_a_row(rows, z, PLAIN.inverse)[:2]

    def pull_back(
        self, params: Params, z: Latents, z_bar: Latents, log_det_bar: LogDet
    ) -> tuple[Event, Params, Event]:
        params_bar: tuple[Params, ...] = ()
        for bijector, own in reversed(self._folded(params)):
            z, own_bar, z_bar = bijector.pull_back(own, z, z_bar, log_det_bar)
            params_bar = (own_bar if isinstance(bijector, Folded) else (own_bar,)) + params_bar
        return z, params_bar, z_bar

    def _folded(self, params: Params) -> list[tuple[Bijector, Params]]:
        """The bijectors with their parameters; neighbours that fold, an actnorm and the 1x1
        convolution after it, stand as one."""
        parts: list[tuple[Bijector, Params]] = []
        rows = paired("Chain", self.bijectors, params)
        for folds, group in itertools.groupby(rows, lambda row: isinstance(row[0], ChannelAffine)):
            run = list(group)
            if folds and len(run) > 1:
                bijectors, own = zip(*run)
                parts.append((Folded(bijectors), own))
            else:
                parts += run
        return parts


def _in_a_row(
    rows: Iterable[tuple[Bijector, Params]],
    x: Latents,
    apply: Apply,
) -> tuple[Latents, LogDet, tuple[Any, ...]]:
    total, records = zero_log_det(jax.tree.leaves(x)[0]), []
    for bijector, own in rows:
        x, log_det, record = apply(bijector, own, x)
        total += log_det
        records.append(record)
    return x, total, tuple(records)
