"""Bijections of other libraries as bijectors: arrays in params, all else static."""

from abc import abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.combinators import Chain
from flowjax_glow.errors import expected
from flowjax_glow.numerics import log_det_dtype
from flowjax_glow.types import Event, Key, LogDet, Params, Tree


class Structure:
    """All of a pytree but its arrays; compares by value as far as its parts do."""

    def __init__(self, name: str, tree: Any) -> None:
        paths, self._tree = jax.tree_util.tree_flatten_with_path(tree)
        self.name = name
        self._leaves = tuple(
            (jax.tree_util.keystr(path), None if _is_array(leaf) else leaf) for path, leaf in paths
        )
        #: The arrays by their places.
        self._arrays = tuple(_is_array(leaf) for _, leaf in paths)

    def arrays(self, tree: Any) -> dict[str, Any]:
        """The arrays of a tree of this structure, by their places in it."""
        leaves = jax.tree.leaves(tree)
        rows = zip(self._leaves, self._arrays, leaves, strict=True)
        return {place: jnp.asarray(leaf) for (place, _), there, leaf in rows if there}

    def filled(self, arrays: Params) -> Any:
        """The tree with these arrays."""
        rows = zip(self._leaves, self._arrays, strict=True)
        return self._tree.unflatten(
            [arrays[place] if there else leaf for (place, leaf), there in rows]
        )

    def __hash__(self) -> int:
        return hash((self.name, self._arrays))  # the rest may hold what has no hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Structure):
            return NotImplemented
        if self is other:
            return True
        try:
            return bool(
                self.name == other.name
                and self._leaves == other._leaves
                and self._tree == other._tree
            )
        except (TypeError, ValueError):  # some arrays cannot say in a word whether they are equal
            return False

    def __deepcopy__(self, memo: Any) -> "Structure":
        return self  # it never changes, and copies of functions would not be equal

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)


@dataclass(frozen=True)
class Foreign(Bijector):
    """A bijection of another library. Params are its arrays, by their places in it.

    Arrays inside of closures are no part of params: they stay as they were.

    Attributes:
        structure: the bijection without its arrays.
        turned: whether `forward` is what the other library calls its forward map.
    """

    structure: Structure
    turned: bool

    @property
    def layer_name(self) -> str:
        return self.structure.name

    def init(self, key: Key, x: Event) -> Params:
        raise expected(
            f"{self.layer_name}.init",
            "a flow of this library",
            got="one of another",
            advice="use the parameters that came with the flow, or make them anew over there",
        )

    def forward(self, params: Params, x: Event) -> tuple[Event, LogDet]:
        return self._apply(params, x, generates=self.turned)

    def inverse(self, params: Params, z: Event) -> tuple[Event, LogDet]:
        return self._apply(params, z, generates=not self.turned)

    def _apply(self, params: Params, x: Event, *, generates: bool) -> tuple[Event, LogDet]:
        value, log_det = self.call(self.structure.filled(params), x, generates)
        return value, log_det.astype(log_det_dtype(x))

    @abstractmethod
    def call(self, bijection: Any, x: Event, generates: bool) -> tuple[Any, Any]:
        """The other library's map of a batch and its log-det, from noise to data if `generates`."""


class Layers(Chain):
    """A `Chain` that numbers layers of one name, ``layer2/Affine``, where it has many of them."""

    def parts(self, tree: Tree) -> list[tuple[str, Bijector, Tree]]:
        names = Counter(child.layer_name for child in self.bijectors)
        rows = zip(self.bijectors, tree, strict=True)
        return [
            (f"layer{index}/" if names[child.layer_name] > 1 else "", child, part)
            for index, (child, part) in enumerate(rows)
        ]
