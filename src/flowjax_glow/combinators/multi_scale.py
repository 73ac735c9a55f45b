"""Levels with splits between them."""

from dataclasses import dataclass, replace

import jax

from flowjax_glow.bijector import Bijector
from flowjax_glow.combinator import Combinator, Maps, paired, started
from flowjax_glow.errors import expected
from flowjax_glow.numerics import zero_log_det
from flowjax_glow.types import Event, Key, Latents, LogDet, Params, Tree


@dataclass(frozen=True)
class MultiScale(Combinator):
    """Levels with a split after each but the last: ``x -> (eps_0, ..., eps_L-2, z_top)``.

    Latents are a tuple, finest level first, the top last. A split is a bijector from an image to
    ``(stays, leaves)``; what stays goes on to the next level (Dinh et al. 2016, section 3.6).
    Params are ``{"levels": tuple, "splits": tuple}``.

    Raises:
        ValueError: unless there is one level more than splits.
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
            paired("MultiScale.levels", self.levels, params["levels"]),
            paired("MultiScale.splits", self.splits, params["splits"]),
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
