"""The contract that every bijector made of bijectors keeps."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import jax

from flowjax_glow.bijector import Bijector
from flowjax_glow.context import Context, Rows, zeros
from flowjax_glow.errors import expected
from flowjax_glow.types import Latents, LogDet, Params, Tree

#: A bijector applied to its parameters and a value: the result, its log-det and a record.
Apply = Callable[[Bijector, Params, Latents], tuple[Latents, LogDet, Any]]


class Maps(ABC):
    """How a combinator applies its children: as they are, or watched by a walk.

    Both return the value, the log-det of the map just applied, and a record of it.
    """

    @abstractmethod
    def forward(
        self, bijector: Bijector, params: Params, x: Latents
    ) -> tuple[Latents, LogDet, Any]:
        """``bijector.forward(params, x)`` and its record."""

    @abstractmethod
    def inverse(
        self, bijector: Bijector, params: Params, z: Latents
    ) -> tuple[Latents, LogDet, Any]:
        """``bijector.inverse(params, z)`` and its record."""


class _Plain(Maps):
    def forward(
        self, bijector: Bijector, params: Params, x: Latents
    ) -> tuple[Latents, LogDet, None]:
        return *bijector.forward(params, x), None

    def inverse(
        self, bijector: Bijector, params: Params, z: Latents
    ) -> tuple[Latents, LogDet, None]:
        return *bijector.inverse(params, z), None


#: Children as they are.
PLAIN: Maps = _Plain()


def started(bijector: Bijector, params: Params) -> Params:
    """Parameters that `init` has made, given zeros if the bijector depends on a context.

    A combinator's `init` applies each child at these, so that the next one sees what it will see.
    """
    shape = bijector.context_shape
    return params if shape is None else bijector.condition(params, zeros(shape))


def paired(
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


class Combinator(Bijector):
    r"""A bijector made of bijectors, its children.

    All that looks into a flow goes over children: walks, the names of layers, certificates, other
    memory policies and dtypes, permutations drawn anew. To write one:

    1. `children` gives them, as any tree of bijectors, and `replace_children` the same combinator
       with others. Parameters have that structure, each child's in its place.
    2. `forward_through` and `inverse_through` stand in place of `forward` and `inverse`. They apply
       a child by ``maps.forward(child, own, x)`` or ``maps.inverse(child, own, z)``, which return a
       record beside value and log-det, and return the records in the structure of the children.
    3. Define `parts` anew if the order of `jax.tree.leaves` is not the order of encoding, or if
       the layers below shall have names that tell the place.

    >>> from dataclasses import dataclass
    >>> import jax.numpy as jnp
    >>> from flowjax_glow import ActNorm, Reverse, flatten_records, walk_inverse
    >>> @dataclass(frozen=True)
    ... class Halves(Combinator):  # one bijector for each half of the channels
    ...     first: Bijector
    ...     second: Bijector
    ...     @property
    ...     def children(self):
    ...         return self.first, self.second
    ...     def replace_children(self, children):
    ...         return Halves(*children)
    ...     def init(self, key, x):
    ...         keys = jax.random.split(key)
    ...         rows = zip(self.children, keys, jnp.split(x, 2, axis=-1))
    ...         return tuple(child.init(own, half) for child, own, half in rows)
    ...     def forward_through(self, params, x, maps):
    ...         return self._each(maps.forward, params, x)
    ...     def inverse_through(self, params, z, maps):
    ...         return self._each(maps.inverse, params, z)
    ...     def _each(self, apply, params, x):
    ...         rows = zip(self.children, params, jnp.split(x, 2, axis=-1))
    ...         halves, log_dets, records = zip(*(apply(*row) for row in rows))
    ...         return jnp.concatenate(halves, axis=-1), sum(log_dets), records
    >>> flow, x = Halves(ActNorm(), Reverse()), jnp.ones((1, 2, 2, 4))
    >>> params = flow.init(jax.random.key(0), x)
    >>> z, _ = flow.forward(params, x)
    >>> seen = walk_inverse(flow, params, z, lambda child, own, z, x, log_det: (x, x.shape))
    >>> [(name, shape) for name, _, shape in flatten_records(flow, seen[2])]
    [('Reverse', (1, 2, 2, 2)), ('ActNorm', (1, 2, 2, 2))]
    """

    @property
    @abstractmethod
    def children(self) -> Tree:
        """The bijectors inside, as leaves of a tree.

        A bijector must not be a pytree itself. Parameters have the same containers: where there is
        a tuple here, a tuple there.
        """

    @abstractmethod
    def replace_children(self, children: Tree) -> Bijector:
        """This combinator of other children, in a tree like that of `children`."""

    @abstractmethod
    def forward_through(
        self, params: Params, x: Latents, maps: Maps
    ) -> tuple[Latents, LogDet, Tree]:
        """``z``, ``log|det dz/dx|`` and the records of the children, which `maps` applies."""

    @abstractmethod
    def inverse_through(
        self, params: Params, z: Latents, maps: Maps
    ) -> tuple[Latents, LogDet, Tree]:
        """``x``, ``log|det dx/dz|`` and the records of the children, which `maps` applies."""

    def forward(
        self, params: Params, x: Latents, context: Context | None = None
    ) -> tuple[Latents, LogDet]:
        return self.forward_through(self.given(params, context), x, PLAIN)[:2]

    def inverse(
        self, params: Params, z: Latents, context: Context | None = None
    ) -> tuple[Latents, LogDet]:
        return self.inverse_through(self.given(params, context), z, PLAIN)[:2]

    @property
    def context_shape(self) -> tuple[int, ...] | None:
        shapes = {child.context_shape for child in jax.tree.leaves(self.children)} - {None}
        if len(shapes) > 1:
            raise expected(
                self.layer_name,
                "bijectors that depend on contexts of one shape",
                got=", ".join(map(str, sorted(shapes, key=str))),
                advice="join what they need in one context",
            )
        return next(iter(shapes), None)

    def condition(self, params: Params, context: Rows) -> Params:
        def own(child: Bijector, params: Params) -> Params:
            return child.condition(params, context)

        return jax.tree.map(own, self.children, params)

    def freeze(self, params: Params) -> Params:
        return jax.tree.map(lambda child, own: child.freeze(own), self.children, params)

    def parts(self, tree: Tree) -> list[tuple[str, Bijector, Tree]]:
        """The children in the order of encoding: ``(place, child, its part of the tree)`` each.

        Args:
            tree: in the structure of the children, as parameters and records are.
        """
        children, structure = jax.tree.flatten(self.children)
        return [("", *row) for row in zip(children, structure.flatten_up_to(tree), strict=True)]
