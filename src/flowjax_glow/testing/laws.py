"""How a law that does not hold is told, and what laws are checked with."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from flowjax_glow.errors import expected
from flowjax_glow.types import Params, Tree

_ADVICE = "the docstring of Bijector or Scale has the laws"


class LawError(AssertionError):
    """A law that does not hold, and by how much."""


def hold(law: str, got: float, limit: float) -> None:
    """Raises unless `got` is at most `limit`."""
    if not got <= limit:  # NaN does not hold
        raise LawError(str(expected(law, f"at most {limit:g}", got=f"{got:.3g}", advice=_ADVICE)))


def equal(law: str, got: object, wanted: object) -> None:
    """Raises unless both are equal."""
    if got != wanted:
        raise LawError(str(expected(law, str(wanted), got=got, advice=_ADVICE)))


def relative_error(got: Tree, wanted: Tree) -> float:
    """Norm of the difference over the norm, over whole pytrees."""
    got, wanted = (
        np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(tree)])
        for tree in (got, wanted)
    )
    return float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))


def perturbed(params: Params, amount: float = 0.03, seed: int = 0) -> Params:
    """Every float leaf moved by `amount` N(0, 1); integer leaves stay."""
    random = np.random.default_rng(seed)

    def move(leaf: Array) -> Array:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        # in NumPy, since JAX would compile an addition for every shape
        moves = (amount * random.standard_normal(leaf.shape)).astype(leaf.dtype)
        return jnp.asarray(np.asarray(leaf) + moves)

    return jax.tree.map(move, params)
