"""One test per law, over every row of the table, on perturbed parameters.

The numerical laws run in float32, the promise, and in float64, the algebra; the others in float32.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax_glow as fg
from flowjax_glow.numerics import TOLERANCES, event_size
from tests.library.cases import CASES, build, images
from tests.library.compare import relative_error

pytestmark = pytest.mark.parametrize("name", CASES)


def test_images_come_back_and_log_dets_cancel(name, dtype):
    case = build(name, dtype)
    z, log_det = case.forward(case.params, case.x)
    back, inverse_log_det = case.inverse(case.params, z)
    assert relative_error(back, case.x) < TOLERANCES[dtype].relative
    per_dim = (log_det + inverse_log_det) / event_size(case.x)
    assert jnp.abs(per_dim).max() < TOLERANCES[dtype].log_det


def test_latents_come_back_and_log_dets_cancel(name, dtype):
    case = build(name, dtype)
    key = jax.random.key(3)
    z = fg.sample_latents(case.bijector, case.params, key, case.x.shape, dtype=case.x.dtype)
    x, log_det = case.inverse(case.params, z)
    back, forward_log_det = case.forward(case.params, x)
    assert relative_error(back, z) < TOLERANCES[dtype].relative
    per_dim = (log_det + forward_log_det) / event_size(case.x)
    assert jnp.abs(per_dim).max() < TOLERANCES[dtype].log_det


def test_log_det_is_that_of_the_jacobian(name, dtype):
    case = build(name, dtype)

    def flat(x: jax.Array) -> jax.Array:
        z, _ = case.bijector.forward(case.params, x[None])
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(z)])

    example = case.x[0]
    jacobian = np.asarray(jax.jit(jax.jacrev(flat))(example), np.float64)
    _, wanted = np.linalg.slogdet(jacobian.reshape(example.size, example.size))
    got = case.forward(case.params, case.x)[1][0]
    assert abs(got - wanted) / example.size < TOLERANCES[dtype].log_det


def test_shapes_and_dtypes(name, dtype):
    case = build(name, dtype)
    z, log_det = case.forward(case.params, case.x)
    back, inverse_log_det = case.inverse(case.params, z)
    chex.assert_shape([log_det, inverse_log_det], case.x.shape[:1])
    chex.assert_equal_shape([back, case.x])
    chex.assert_type([*jax.tree.leaves(z), log_det, back, inverse_log_det], case.x.dtype)
    assert event_size(z) == event_size(case.x)


def test_examples_do_not_influence_each_other(name):
    case = build(name, "float32")
    changed = case.x.at[0].set(0.25)
    chex.assert_trees_all_equal(
        jax.tree.map(lambda leaf: leaf[1:], case.forward(case.params, case.x)),
        jax.tree.map(lambda leaf: leaf[1:], case.forward(case.params, changed)),
    )


def test_jit_equals_eager_and_log_det_alone_is_that_of_forward(name):
    case = build(name, "float32")
    z, log_det = case.forward(case.params, case.x)
    eager_z, _ = case.bijector.forward(case.params, case.x)
    assert relative_error(eager_z, z) < TOLERANCES["float32"].relative
    alone = case.bijector.log_det(case.params, case.x)
    assert jnp.abs(alone - log_det).max() / event_size(z) < TOLERANCES["float32"].log_det


def test_one_trace_serves_all_values(name):
    """Fresh parameters, changed ones, and images that `inverse` made are all alike to `jax.jit`."""
    bijector, shape = CASES[name]
    x = images(shape, "float32")
    traces = []

    @jax.jit
    def forward(params, x):
        traces.append(x)
        return bijector.forward(params, x)

    fresh = jax.eval_shape(bijector.init, jax.random.key(5), x)
    changed = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), fresh)
    z, _ = forward.eval_shape(fresh, x)
    forward.eval_shape(changed, x)
    forward.eval_shape(changed, jax.eval_shape(bijector.inverse, changed, z)[0])
    assert len(traces) == 1


def test_vmap_over_parameters(name):
    case = build(name, "float32")
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), case.params)
    batches = jnp.stack([case.x, case.x + 0.01])
    z, _ = jax.jit(jax.vmap(case.bijector.forward))(stacked, batches)
    wanted, _ = case.forward(case.params, batches[1])
    second = jax.tree.map(lambda leaf: leaf[1], z)
    assert relative_error(second, wanted) < TOLERANCES["float32"].relative


def test_gradients_are_finite(name):
    case = build(name, "float32")

    def loss(params, x):
        return fg.log_prob(case.bijector, params, x).sum()

    gradients = jax.jit(jax.grad(loss, argnums=(0, 1), allow_int=True))(case.params, case.x)
    floats = [g for g in jax.tree.leaves(gradients) if g.dtype != jax.dtypes.float0]
    chex.assert_tree_all_finite(floats)


def test_init_is_pure_and_has_the_shapes_it_announces(name):
    case = build(name, "float32")
    key = jax.random.key(5)
    init = jax.jit(case.bijector.init)
    params = init(key, case.x)
    chex.assert_trees_all_equal(params, init(key, case.x))
    announced = jax.eval_shape(case.bijector.init, key, case.x)
    chex.assert_trees_all_equal_shapes_and_dtypes(params, announced)


def test_frozen_parameters_give_the_same_inverse(name):
    case = build(name, "float32")
    z, _ = case.forward(case.params, case.x)
    back, _ = case.inverse(case.bijector.freeze(case.params), z)
    assert relative_error(back, case.x) < TOLERANCES["float32"].relative


def test_configuration_prints_hashes_and_compares_by_value(name):
    bijector = CASES[name][0]
    assert type(bijector).__name__ in repr(bijector)
    assert bijector == CASES[name][0]
    assert hash(bijector) == hash(CASES[name][0])
