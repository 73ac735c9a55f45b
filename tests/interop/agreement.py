"""What an imported flow is held to."""

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow import flatten_records, log_prob, walk_inverse
from flowjax_glow.testing import check_bijector

LAWS = ("shapes", "log-det of the Jacobian", "independent examples", "vmap", "pull-back", "a value")


def hold(flow, params, x, theirs, generate):
    """Log-likelihoods and samples are those of the other library, and the laws hold.

    Args:
        theirs: log-likelihoods of `x` under a standard normal base, by the other library.
        generate: its map from noise to data, of a batch.

    Returns:
        the names of the layers in the order of encoding.
    """
    x = jnp.asarray(x)
    ours = jax.jit(log_prob, static_argnums=0)(flow, params, x)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    z, log_det = flow.forward(params, x)
    walked, inverse_log_det, records = walk_inverse(
        flow, params, z, lambda bijector, own, z, x, log_det: (x, None)
    )
    np.testing.assert_allclose(walked, x, atol=1e-6)
    np.testing.assert_allclose(log_det, -inverse_log_det, atol=1e-6)
    noise = jax.random.normal(jax.random.key(7), x.shape, x.dtype)
    np.testing.assert_allclose(flow.inverse(params, noise)[0], generate(noise), atol=1e-6)

    bars = jax.grad(lambda p: log_prob(flow, p, x).mean(), allow_int=True)(params)
    floats = [bar for bar in jax.tree.leaves(bars) if jnp.issubdtype(bar.dtype, jnp.floating)]
    assert any(bool((bar != 0).any()) for bar in floats)
    check_bijector(flow, x[:2], params=params, laws=LAWS)
    return [name for name, _, _ in flatten_records(flow, records)][::-1]
