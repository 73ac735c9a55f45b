"""distrax's bijectors here, and ours there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow import MLP, ActNorm, AffineCoupling, Chain, Reverse, log_prob
from flowjax_glow.interop import from_distrax, to_distrax
from tests.interop.agreement import hold

distrax = pytest.importorskip("distrax")

X = np.random.default_rng(0).standard_normal((6, 4))


def base():
    return distrax.MultivariateNormalDiag(jnp.zeros(4), jnp.ones(4))


def coupling(index):
    weights = 0.3 * jax.random.normal(jax.random.key(index), (4, 8))
    return distrax.MaskedCoupling(
        mask=jnp.arange(4) % 2 == index % 2,
        conditioner=jax.tree_util.Partial(lambda w, x: (x @ w).reshape(*x.shape, 2), weights),
        bijector=lambda p: distrax.ScalarAffine(shift=p[..., 0], log_scale=jnp.tanh(p[..., 1])),
    )


def test_chains_and_inversions_agree_layer_by_layer():
    scalar = distrax.ScalarAffine(shift=jnp.ones(4), log_scale=0.1 * jnp.arange(4.0))
    chain = distrax.Chain(
        [
            coupling(0),
            distrax.Block(scalar, 1),
            distrax.Inverse(distrax.Chain([coupling(1), coupling(2)])),
        ]
    )
    theirs = distrax.Transformed(base(), chain)
    flow, params = from_distrax(chain)
    names = hold(flow, params, X, theirs.log_prob(X), chain.forward)
    turned = ["layer0/MaskedCoupling", "layer1/MaskedCoupling"]
    assert names == ["MaskedCoupling", "BlockScalarAffine", *turned]


def test_what_is_no_bijector_is_told():
    with pytest.raises(ValueError, match="from_distrax: expected a bijector of distrax, got int"):
        from_distrax(3)


def test_ours_as_a_bijector_of_distrax():
    flow = Chain(ActNorm(), AffineCoupling(MLP(8)), Reverse())
    params = jax.jit(flow.init)(jax.random.key(0), jnp.asarray(X))
    bijector = to_distrax(flow, params, (4,))
    theirs = distrax.Transformed(base(), bijector)
    ours = log_prob(flow, params, jnp.asarray(X))
    np.testing.assert_allclose(theirs.log_prob(X), ours, atol=1e-6)
    drawn, log_probs = theirs.sample_and_log_prob(seed=jax.random.key(1), sample_shape=(2, 3))
    np.testing.assert_allclose(theirs.log_prob(drawn), log_probs, atol=1e-6)
    jitted = jax.jit(lambda bijector, x: bijector.inverse_and_log_det(x))(bijector, jnp.asarray(X))
    np.testing.assert_allclose(jitted[1], flow.log_det(params, jnp.asarray(X)), atol=1e-6)
    with pytest.raises(ValueError, match="expected events of shape"):
        bijector.forward(jnp.ones((2, 3)))
