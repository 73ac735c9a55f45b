"""FlowJAX's flows here, and ours there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow import GlowConfig, glow, log_prob, sample
from flowjax_glow.diagnostics import examine, judge
from flowjax_glow.interop import from_flowjax, to_flowjax, to_numpyro
from tests.interop.agreement import hold

pytest.importorskip("flowjax")

from flowjax import bijections, flows
from flowjax.distributions import Normal, StandardNormal, StudentT, Transformed

X = np.random.default_rng(0).standard_normal((6, 4))


def generate(distribution):
    return jax.vmap(distribution.bijection.transform)


@pytest.mark.parametrize("invert", [True, False])
def test_scans_of_couplings_agree_layer_by_layer(invert):
    base = StandardNormal((4,))
    theirs = flows.coupling_flow(
        jax.random.key(0), base_dist=base, flow_layers=3, nn_width=8, invert=invert
    )
    flow, params = from_flowjax(theirs)
    names = hold(flow, params, X, theirs.log_prob(X), generate(theirs))
    step = ["Coupling", "Permute"] if invert else ["Permute", "Coupling"]
    assert names == [f"step{index}/{name}" for index in range(3) for name in step]
    assert from_flowjax(theirs)[0] == flow
    assert {leaf.shape[0] for leaf in jax.tree.leaves(params)} == {3}


def test_chains_with_inversions_splines_and_a_normal_base():
    scale = bijections.Affine(jnp.ones(4), jnp.array([0.5, 1.0, 2.0, 3.0]))
    spline = bijections.RationalQuadraticSpline(knots=5, interval=2)
    chain = bijections.Chain(
        [
            scale,
            bijections.Invert(bijections.Chain([bijections.LeakyTanh(3.0, (4,)), scale])),
            bijections.Vmap(spline, axis_size=4),
        ]
    )
    flow, params = from_flowjax(chain)
    theirs = Transformed(StandardNormal((4,)), chain)
    names = hold(flow, params, X, theirs.log_prob(X), generate(theirs))
    assert names == ["Vmap", "LeakyTanh", "Affine", "Affine"]

    normal = Transformed(Normal(jnp.ones(4), 2 * jnp.ones(4)), scale)
    flow, params = from_flowjax(normal)
    ours = log_prob(flow, params, jnp.asarray(X))
    np.testing.assert_allclose(ours, normal.log_prob(X), atol=1e-6)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda: 3, "expected a bijection of FlowJAX, got int"),
        (lambda: Transformed(StudentT(jnp.ones(4)), bijections.Flip((4,))), "standard normal"),
        (
            lambda: flows.coupling_flow(
                jax.random.key(0), base_dist=StandardNormal((4,)), cond_dim=2
            ),
            "without conditions",
        ),
    ],
)
def test_what_cannot_be_taken_over_is_told(given, words):
    with pytest.raises(ValueError, match=words):
        from_flowjax(given())


def test_parameters_are_not_made_here():
    flow, _ = from_flowjax(bijections.Affine(jnp.ones(4)))
    with pytest.raises(ValueError, match=r"Affine\.init: expected a flow of this library"):
        flow.init(jax.random.key(0), jnp.asarray(X))


def times(params, factor, step=slice(None)):
    """Weights of the nets multiplied, of one step or of all."""
    return {
        name: leaf.at[step].multiply(factor) if "weight" in name else leaf
        for name, leaf in params.items()
    }


def test_a_broken_flow_is_called_broken_and_its_layer_is_named():
    with jax.enable_x64(False):
        base = StandardNormal((6,))
        theirs = flows.coupling_flow(jax.random.key(0), base_dist=base, flow_layers=8, nn_width=32)
        flow, (coupling, permute) = from_flowjax(theirs)
        x = np.random.default_rng(1).standard_normal((100, 6)).astype(np.float32)
        forward, inverse = jax.jit(flow.forward), jax.jit(flow.inverse)

        def verdict(params):
            def back(z):
                return inverse(params, z)

            return judge(lambda x: forward(params, x), back, x, samples=320, taus=(1.0,))

        assert verdict((coupling, permute)).verdict == "trustworthy"
        found = verdict((times(coupling, 4.0), permute))
        assert found.verdict == "broken"
        assert found.rates.lost[0] > 160
        assert "the inverse stretches by at least" in found.reason
        assert "log-det of" not in found.reason  # finite differences cannot tell here

        # the last one of the inverse, so that what reaches the others is as it was
        z = jax.random.normal(jax.random.key(2), (16, 6))
        checks = examine(flow, (times(coupling, 4.0, 0), permute), z).checks
        assert checks.layer[np.argmax(checks.gain)] == "step0/Coupling"
        assert checks.gain.max() > 10 * np.sort(checks.gain)[-2]


@pytest.fixture(scope="module")
def ours():
    """A GLOW of two levels: its latents are a tuple."""
    with jax.enable_x64(True):
        flow = glow(GlowConfig(levels=2, depth=1, width=4))
        x = jax.random.normal(jax.random.key(0), (5, 4, 4, 1))
        params = jax.tree.map(
            lambda leaf: (
                leaf + 0.05 * jnp.cos(jnp.arange(leaf.size, dtype=leaf.dtype)).reshape(leaf.shape)
                if jnp.issubdtype(leaf.dtype, jnp.floating)
                else leaf
            ),
            jax.jit(flow.init)(jax.random.key(1), x),
        )
        return flow, params, x


def test_ours_as_a_bijection_of_flowjax(ours):
    flow, params, x = ours
    theirs = Transformed(StandardNormal((4, 4, 1)), to_flowjax(flow, params, (4, 4, 1)))
    np.testing.assert_allclose(theirs.log_prob(x), log_prob(flow, params, x), atol=1e-6)
    drawn, log_probs = theirs.sample_and_log_prob(jax.random.key(0), (3,))
    np.testing.assert_allclose(log_probs, log_prob(flow, params, drawn), atol=1e-6)
    there = jax.jit(lambda bijection, x: bijection.inverse(x))(theirs.bijection, x[0])
    np.testing.assert_allclose(theirs.bijection.transform(there), x[0], atol=1e-6)
    again, own = from_flowjax(theirs)
    np.testing.assert_allclose(log_prob(again, own, x), log_prob(flow, params, x), atol=1e-6)
    with pytest.raises(ValueError, match="Expected input shape"):
        theirs.bijection.transform(x)


def test_ours_as_a_distribution_of_numpyro(ours):
    numpyro = pytest.importorskip("numpyro")
    flow, params, x = ours
    theirs = to_numpyro(flow, params, (4, 4, 1))
    np.testing.assert_allclose(theirs.log_prob(x), log_prob(flow, params, x), atol=1e-6)
    assert theirs.log_prob(x[0]).shape == ()
    key = jax.random.key(3)
    drawn = theirs.sample(key, (2, 3))
    wanted = sample(flow, params, key, (6, 4, 4, 1)).reshape(2, 3, 4, 4, 1)
    np.testing.assert_allclose(drawn, wanted, atol=1e-12)
    np.testing.assert_allclose(theirs.sample(jax.random.key_data(key), (2, 3)), wanted, atol=1e-12)

    def model():
        numpyro.sample("x", to_numpyro(flow, params, (4, 4, 1)))

    density, _ = numpyro.infer.util.log_density(model, (), {}, {"x": x[0]})
    np.testing.assert_allclose(density, log_prob(flow, params, x[:1])[0], atol=1e-6)
    jax.jit(lambda distribution: distribution.log_prob(x))(theirs)
