"""On a mesh with Explicit axes, which `jax.make_mesh` makes by default, nothing changes."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import flowjax_glow as fg
from flowjax_glow.testing import perturbed
from tests.library.cases import small_glow


def test_values_and_gradients_are_those_of_one_device():
    flow = small_glow(split_prior="learned", top_prior="learned", memory="invert")
    x = jnp.asarray(np.random.default_rng(0).uniform(-0.5, 0.5, (4, 4, 4, 4)), jnp.float32)
    params = perturbed(jax.jit(flow.init)(jax.random.key(1), x))
    mesh = jax.make_mesh((2,), ("data",), (AxisType.Explicit,), devices=jax.devices()[:2])
    split, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("data",), ()))

    @jax.jit
    def all_of_it(params, x):
        z, _ = flow.forward(params, x)
        back, log_det = flow.inverse(params, z)
        gradient = jax.grad(lambda params, x: fg.log_prob(flow, params, x).sum(), (0, 1))(params, x)
        return z, back, log_det, gradient

    wanted = all_of_it(params, x)
    found = all_of_it(jax.device_put(params, whole), jax.device_put(x, split))
    assert all(leaf.sharding.spec[0] == "data" for leaf in jax.tree.leaves(found[:3]))
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(found[3][0]))
    for leaf, same in zip(jax.tree.leaves(wanted), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(same, leaf, atol=2e-5 * (np.abs(leaf).max() + 1e-6))
