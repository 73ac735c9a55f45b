"""How far two results are apart."""

import jax
import numpy as np


def relative_error(got, wanted) -> float:
    """Norm of the difference over the norm, over whole pytrees."""
    got, wanted = (
        np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(tree)])
        for tree in (got, wanted)
    )
    return float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))
