"""Flows made of bijectors: in a row, repeated, on several scales, turned around."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from flowjax_glow.bijector import Bijector
from flowjax_glow.channels import ChannelAffine, Folded
from flowjax_glow.combinator import PLAIN, Combinator, Maps, started
from flowjax_glow.context import Context, Given, Rows, give
from flowjax_glow.errors import check_choice, check_count, expected
from flowjax_glow.numerics import vary_alike, zero_log_det
from flowjax_glow.trainable import merge, trainable
from flowjax_glow.types import Event, Key, Latents, LogDet, Params, Tree

Memory = Literal["store", "remat", "invert"]

#: A bijector applied to its parameters and a value: the result, its log-det and a record.
Apply = Callable[[Bijector, Params, Latents], tuple[Latents, LogDet, Any]]


@dataclass(frozen=True, init=False)
class Chain(Combinator):
    """``Chain(a, b, c)``: `forward` applies a, then b, then c. Params are a tuple, one each."""

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
        return _in_a_row(_paired("Chain", self.bijectors, params), x, maps.forward)

    def inverse_through(
        self, params: Params, z: Latents, maps: Maps
    ) -> tuple[Latents, LogDet, Tree]:
        rows = reversed(_paired("Chain", self.bijectors, params))
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
        rows = _paired("Chain", self.bijectors, params)
        for folds, group in itertools.groupby(rows, lambda row: isinstance(row[0], ChannelAffine)):
            run = list(group)
            if folds and len(run) > 1:
                bijectors, own = zip(*run)
                parts.append((Folded(bijectors), own))
            else:
                parts += run
        return parts


def _paired(
    where: str, bijectors: Sequence[Bijector], params: Sequence[Params]
) -> list[tuple[Bijector, Params]]:
    """Every bijector with its own parameters."""
    if len(params) != len(bijectors):
        raise expected(
            where,
            f"the parameters of {len(bijectors)} bijectors",
            got=f"those of {len(params)}",
            advice="pass what init of this flow returned",
        )
    return list(zip(bijectors, params, strict=True))


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


def scan_maps(
    apply: Callable[[Params, Event], tuple[Event, LogDet, Any]],
    params: Params,
    start: Event,
    *,
    depth: int,
    reverse: bool = False,
) -> tuple[Event, LogDet, Any]:
    """Applies one map per layer of stacked `params`; returns value, log-det and stacked records."""

    def body(carry: tuple[Event, LogDet], layer: Params) -> tuple[tuple[Event, LogDet], Any]:
        x, total = carry
        x, log_det, record = apply(layer, x)
        return (x, total + log_det), record

    (end, log_det), records = jax.lax.scan(
        body, (start, zero_log_det(start)), params, length=depth, reverse=reverse
    )
    return end, log_det, records


@dataclass(frozen=True)
class Repeat(Combinator):
    """`depth` copies of `step`, each with parameters of its own, run as one `jax.lax.scan`.

    Params are those of `step` with a leading axis of size `depth`. Compile time does not grow with
    depth. What depends on parameters alone is computed for all steps at once, before the scan.
    `memory` says what the backward pass of `forward` finds of each step:

    - ``"store"``: everything;
    - ``"remat"``: its input alone; the rest is computed again;
    - ``"invert"``: nothing. From the output of the last step each input is reconstructed by the
      inverse (Gomez et al. 2017), which shares the evaluation of the net with the gradient. Memory
      does not grow with depth, time is that of ``"remat"``, and gradients are as good as the
      inverse: see `diagnostics.drift`. Forward-mode derivatives are not available.

    Equal to ``Chain(*[step] * depth)``.
    """

    step: Bijector
    depth: int
    memory: Memory = "store"

    def __post_init__(self) -> None:
        check_count("Repeat.depth", self.depth)
        check_choice("Repeat.memory", self.memory, get_args(Memory))

    def init(self, key: Key, x: Event) -> Params:
        def body(x: Event, own_key: Key) -> tuple[Event, Params]:
            params = self.step.init(own_key, x)
            return self.step.forward(started(self.step, params), x)[0], params

        return jax.lax.scan(body, x, jax.random.split(key, self.depth))[1]

    @property
    def children(self) -> Bijector:
        return self.step

    def replace_children(self, children: Tree) -> "Repeat":
        return replace(self, step=children)

    def parts(self, tree: Tree) -> list[tuple[str, Bijector, Tree]]:
        layers, own = _layers(self.step, tree)

        def part(index: int) -> Tree:
            return own(jax.tree.map(lambda leaf: leaf[index], layers))

        return [(f"step{index}/", self.step, part(index)) for index in range(self.depth)]

    def forward_through(
        self, params: Params, x: Latents, maps: Maps
    ) -> tuple[Latents, LogDet, Tree]:
        return self._scan(maps.forward, params, x)

    def inverse_through(
        self, params: Params, z: Latents, maps: Maps
    ) -> tuple[Latents, LogDet, Tree]:
        return self._scan(maps.inverse, params, z, reverse=True)

    def forward(
        self, params: Params, x: Event, context: Context | None = None
    ) -> tuple[Event, LogDet]:
        params = self.freeze(self.given(params, context))
        if self.memory == "invert":
            return _forgetful_scan(self.step, self.depth, vary_alike(params, x), x)
        return self._scan(self._remember(PLAIN.forward), params, x)[:2]

    def inverse(
        self, params: Params, z: Event, context: Context | None = None
    ) -> tuple[Event, LogDet]:
        params = self.freeze(self.given(params, context))
        return self._scan(self._remember(PLAIN.inverse), params, z, reverse=True)[:2]

    def condition(self, params: Params, context: Rows) -> Params:
        """All steps share one context, which each is given inside of the scan."""
        return params if self.context_shape is None else give(params, context)

    def freeze(self, params: Params) -> Params:
        if isinstance(params, Given):
            return give(self.freeze(params.params), params.context)
        return jax.vmap(self.step.freeze, axis_size=self.depth)(params)

    def _scan(
        self, apply: Apply, params: Params, start: Latents, *, reverse: bool = False
    ) -> tuple[Latents, LogDet, Tree]:
        return _scan_steps(self.step, self.depth, apply, params, start, reverse=reverse)

    def _remember(self, apply: Apply) -> Apply:
        """`apply` of a step, with what its backward pass finds."""
        if self.memory == "store":
            return apply
        # prevent_cse only guards against a hoisting that cannot happen inside a scan
        return jax.checkpoint(apply, prevent_cse=False, static_argnums=0)


def _layers(step: Bijector, params: Params) -> tuple[Params, Callable[[Params], Params]]:
    """Stacked parameters of steps, and what makes those of one step of a layer of them."""
    if isinstance(params, Given):
        return params.params, lambda layer: step.condition(layer, params.context)
    return params, lambda layer: layer


def _scan_steps(
    step: Bijector,
    depth: int,
    apply: Apply,
    params: Params,
    start: Latents,
    *,
    reverse: bool = False,
) -> tuple[Latents, LogDet, Tree]:
    layers, own = _layers(step, params)

    def one(layer: Params, x: Latents) -> tuple[Latents, LogDet, Any]:
        return apply(step, own(layer), x)

    return scan_maps(one, layers, start, depth=depth, reverse=reverse)


def _scan_forward(step: Bijector, depth: int, params: Params, x: Event) -> tuple[Event, LogDet]:
    return _scan_steps(step, depth, PLAIN.forward, params, x)[:2]


def _keep_the_result(
    step: Bijector, depth: int, params: Params, x: Event
) -> tuple[tuple[Event, LogDet], tuple[Params, Event]]:
    z, log_det = _scan_forward(step, depth, params, x)
    return (z, log_det), (params, z)


def _walk_back(
    step: Bijector, depth: int, kept: tuple[Params, Event], bars: tuple[Event, LogDet]
) -> tuple[Params, Event]:
    (params, z), (z_bar, log_det_bar) = kept, bars
    if isinstance(params, Given):
        return _walk_back_given(step, depth, params, z, z_bar, log_det_bar)

    def body(carry: tuple[Event, Event], layer: Params) -> tuple[tuple[Event, Event], Params]:
        x, layer_bar, x_bar = step.pull_back(layer, *carry, log_det_bar)
        return (x, x_bar), layer_bar

    carry, params_bar = jax.lax.scan(body, (z, z_bar), params, length=depth, reverse=True)
    return params_bar, carry[1]


def _walk_back_given(
    step: Bijector, depth: int, params: Given, z: Event, z_bar: Event, log_det_bar: LogDet
) -> tuple[Given, Event]:
    """`_walk_back` with a context, whose gradient is the sum of what the steps say."""

    def body(
        carry: tuple[Event, Event, Rows], layer: Params
    ) -> tuple[tuple[Event, Event, Rows], Params]:
        z, z_bar, context_bar = carry

        def own(values: Params, context: Rows) -> Params:
            return trainable(step.condition(merge(layer, values), context))

        _, pull = jax.vjp(own, trainable(layer), params.context)
        given = step.condition(layer, params.context)
        x, given_bar, x_bar = step.pull_back(given, z, z_bar, log_det_bar)
        layer_bar, more = pull(given_bar)
        return (x, x_bar, context_bar + more), layer_bar

    start = (z, z_bar, vary_alike(jnp.zeros_like(params.context), z))
    (_, x_bar, context_bar), layers_bar = jax.lax.scan(
        body, start, params.params, length=depth, reverse=True
    )
    return Given(layers_bar, context_bar), x_bar


#: A scan of ``step.forward`` whose backward pass starts from nothing but its result.
_forgetful_scan = jax.custom_vjp(_scan_forward, nondiff_argnums=(0, 1))
_forgetful_scan.defvjp(_keep_the_result, _walk_back)


@dataclass(frozen=True)
class MultiScale(Combinator):
    """Levels with a split after each but the last: ``x -> (eps_0, ..., eps_L-2, z_top)``.

    Latents are a tuple, finest level first, the top last. A split is a bijector from an image to
    ``(stays, leaves)``; what stays goes on to the next level (Dinh et al. 2016, section 3.6).
    Params are ``{"levels": tuple, "splits": tuple}``.
    """

    levels: tuple[Bijector, ...]
    splits: tuple[Bijector, ...]

    def __post_init__(self) -> None:
        if len(self.levels) != len(self.splits) + 1:
            raise expected(
                "MultiScale",
                "one level more than splits",
                got=f"{len(self.levels)} levels and {len(self.splits)} splits",
                advice="the last level has no split",
            )

    def init(self, key: Key, x: Event) -> Params:
        keys = iter(jax.random.split(key, len(self.levels) + len(self.splits)))
        levels, splits = [], []
        for level, split in zip(self.levels[:-1], self.splits, strict=True):
            levels.append(level.init(next(keys), x))
            x, _ = level.forward(started(level, levels[-1]), x)
            splits.append(split.init(next(keys), x))
            (x, _), _ = split.forward(started(split, splits[-1]), x)
        levels.append(self.levels[-1].init(next(keys), x))
        return {"levels": tuple(levels), "splits": tuple(splits)}

    @property
    def children(self) -> dict[str, tuple[Bijector, ...]]:
        return {"levels": self.levels, "splits": self.splits}

    def replace_children(self, children: Tree) -> "MultiScale":
        return replace(self, **children)

    def _rows(
        self, params: Params
    ) -> tuple[list[tuple[Bijector, Params]], list[tuple[Bijector, Params]]]:
        """Levels and splits, each with its own parameters."""
        return (
            _paired("MultiScale.levels", self.levels, params["levels"]),
            _paired("MultiScale.splits", self.splits, params["splits"]),
        )

    def parts(self, tree: Tree) -> list[tuple[str, Bijector, Tree]]:
        levels = list(zip(self.levels, tree["levels"], strict=True))
        splits = list(zip(self.splits, tree["splits"], strict=True))
        return [
            (f"level{index}/", child, part)
            for index in range(len(levels))
            for child, part in levels[index : index + 1] + splits[index : index + 1]
        ]

    def forward_through(
        self, params: Params, x: Latents, maps: Maps
    ) -> tuple[Latents, LogDet, Tree]:
        total, latents = zero_log_det(x), []
        levels, splits = [], []
        (*inner, (last, own_last)), between = self._rows(params)
        for (level, own), (split, own_split) in zip(inner, between, strict=True):
            x, log_det, record = maps.forward(level, own, x)
            levels.append(record)
            (x, leaves), split_log_det, record = maps.forward(split, own_split, x)
            splits.append(record)
            total += log_det + split_log_det
            latents.append(leaves)
        x, log_det, record = maps.forward(last, own_last, x)
        records = {"levels": (*levels, record), "splits": tuple(splits)}
        return (*latents, x), total + log_det, records

    def inverse_through(
        self, params: Params, z: Latents, maps: Maps
    ) -> tuple[Latents, LogDet, Tree]:
        if not isinstance(z, tuple | list) or len(z) != len(self.levels):
            raise expected(
                "MultiScale.inverse",
                f"{len(self.levels)} latents, finest first",
                got=len(z) if isinstance(z, tuple | list) else type(z).__name__,
                advice="pass what forward returned, or what sample_latents draws",
            )
        *latents, x = z
        (*inner, (last, own_last)), between = self._rows(params)
        x, total, record = maps.inverse(last, own_last, x)
        levels, splits = [record], []
        rows = zip(inner, between, latents, strict=True)
        for (level, own), (split, own_split), leaves in reversed(list(rows)):
            x, split_log_det, record = maps.inverse(split, own_split, (x, leaves))
            splits.append(record)
            x, log_det, record = maps.inverse(level, own, x)
            levels.append(record)
            total += split_log_det + log_det
        return x, total, {"levels": tuple(levels[::-1]), "splits": tuple(splits[::-1])}


@dataclass(frozen=True)
class Invert(Combinator):
    """The same map the other way: its `forward` is the inner `inverse`.

    `init` hands its batch to the inner bijector, which sees it from the wrong side: right for maps
    whose start ignores the values; an actnorm inside gets valid parameters, standardizing nothing.
    """

    bijector: Bijector

    def init(self, key: Key, x: Event) -> Params:
        return self.bijector.init(key, x)

    @property
    def children(self) -> Bijector:
        return self.bijector

    def replace_children(self, children: Tree) -> "Invert":
        return replace(self, bijector=children)

    def forward_through(
        self, params: Params, x: Latents, maps: Maps
    ) -> tuple[Latents, LogDet, Tree]:
        return maps.inverse(self.bijector, params, x)

    def inverse_through(
        self, params: Params, z: Latents, maps: Maps
    ) -> tuple[Latents, LogDet, Tree]:
        return maps.forward(self.bijector, params, z)
