"""Many copies of one step."""

from dataclasses import dataclass, replace
from typing import get_args

import jax

from flowjax_glow.bijector import Bijector
from flowjax_glow.combinator import PLAIN, Apply, Combinator, Maps, started
from flowjax_glow.combinators.scan import Memory, forgetful_scan, layers_of, scan_steps
from flowjax_glow.context import Context, Given, Rows, give
from flowjax_glow.errors import check_choice, check_count
from flowjax_glow.numerics import vary_alike
from flowjax_glow.types import Event, Key, Latents, LogDet, Params, Tree


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

    Raises:
        ValueError: if `depth` is no whole number above 0, or `memory` none of the above.
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
        layers, own = layers_of(self.step, tree)

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
            return forgetful_scan(self.step, self.depth, vary_alike(params, x), x)
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
        return scan_steps(self.step, self.depth, apply, params, start, reverse=reverse)

    def _remember(self, apply: Apply) -> Apply:
        """`apply` of a step, with what its backward pass finds."""
        if self.memory == "store":
            return apply
        # prevent_cse only guards against a hoisting that cannot happen inside a scan
        return jax.checkpoint(apply, prevent_cse=False, static_argnums=0)
