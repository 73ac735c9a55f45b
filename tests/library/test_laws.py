"""One test per law, over every row of the table, on perturbed parameters, in both precisions."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax_glow as fg
from flowjax_glow.numerics import TOLERANCES, event_size
from tests.library.cases import CASES, build

pytestmark = pytest.mark.parametrize("name", CASES)


def relative_error(got, wanted) -> float:
    """Norm of the difference over the norm, over whole pytrees."""
    got, wanted = (
        np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(tree)])
        for tree in (got, wanted)
    )
    return float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))


def test_images_come_back(name, dtype):
    bijector, params, x = build(name, dtype)
    z, log_det = jax.jit(bijector.forward)(params, x)
    back, inverse_log_det = jax.jit(bijector.inverse)(params, z)
    assert relative_error(back, x) < TOLERANCES[dtype].relative
    np.testing.assert_allclose(
        log_det / event_size(x), -inverse_log_det / event_size(x), atol=TOLERANCES[dtype].log_det
    )


def test_latents_come_back(name, dtype):
    bijector, params, x = build(name, dtype)
    z = fg.sample_latents(bijector, params, jax.random.key(3), x.shape, dtype=x.dtype)
    x, log_det = jax.jit(bijector.inverse)(params, z)
    back, forward_log_det = jax.jit(bijector.forward)(params, x)
    assert relative_error(back, z) < TOLERANCES[dtype].relative
    np.testing.assert_allclose(
        log_det / event_size(x), -forward_log_det / event_size(x), atol=TOLERANCES[dtype].log_det
    )


def test_log_det_is_that_of_the_jacobian(name, dtype):
    bijector, params, x = build(name, dtype)

    def flat(x: jax.Array) -> jax.Array:
        z = bijector.forward(params, x[None])[0]
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(z)])

    jacobian = np.asarray(jax.jit(jax.jacrev(flat))(x[0])).reshape(x[0].size, -1)
    wanted = np.linalg.slogdet(jacobian.astype(np.float64))[1]
    got = bijector.log_det(params, x)[0]
    assert abs(got - wanted) / x[0].size < TOLERANCES[dtype].log_det


def test_shapes_and_dtypes(name, dtype):
    bijector, params, x = build(name, dtype)
    z, log_det = bijector.forward(params, x)
    back, inverse_log_det = bijector.inverse(params, z)
    chex.assert_shape([log_det, inverse_log_det], x.shape[:1])
    chex.assert_equal_shape([back, x])
    chex.assert_type([*jax.tree.leaves(z), log_det, back, inverse_log_det], x.dtype)
    assert event_size(z) == event_size(x)


def test_log_det_alone_is_that_of_forward(name, dtype):
    bijector, params, x = build(name, dtype)
    np.testing.assert_array_equal(
        bijector.log_det(params, x), bijector.forward(params, x)[1]
    )


def test_examples_do_not_influence_each_other(name, dtype):
    bijector, params, x = build(name, dtype)
    changed = x.at[0].set(0.25)
    for whole, other in zip(
        jax.tree.leaves(bijector.forward(params, x)),
        jax.tree.leaves(bijector.forward(params, changed)),
        strict=True,
    ):
        np.testing.assert_array_equal(whole[1:], other[1:])


def test_jit_equals_eager_and_does_not_retrace(name, dtype):
    bijector, params, x = build(name, dtype)
    traces = []

    def forward(params, x):
        traces.append(None)
        return bijector.forward(params, x)

    compiled = jax.jit(forward)
    z, log_det = compiled(params, x)
    compiled(params, x + 0.01)
    assert len(traces) == 1
    eager_z, eager_log_det = bijector.forward(params, x)
    assert relative_error(z, eager_z) < TOLERANCES[dtype].relative
    np.testing.assert_allclose(
        log_det / event_size(x), eager_log_det / event_size(x), atol=TOLERANCES[dtype].log_det
    )


def test_vmap_over_parameters(name, dtype):
    bijector, params, x = build(name, dtype)
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), params)
    batches = jnp.stack([x, x + 0.01])
    z, _ = jax.vmap(bijector.forward)(stacked, batches)
    wanted, _ = bijector.forward(params, x + 0.01)
    second = jax.tree.map(lambda leaf: leaf[1], z)
    assert relative_error(second, wanted) < TOLERANCES[dtype].relative


def test_gradients_are_finite(name, dtype):
    bijector, params, x = build(name, dtype)
    floats, structure = jax.tree.flatten(params)
    trained = [i for i, p in enumerate(floats) if jnp.issubdtype(p.dtype, jnp.floating)]

    def loss(values, x):
        leaves = list(floats)
        for i, value in zip(trained, values, strict=True):
            leaves[i] = value
        return fg.log_prob(bijector, jax.tree.unflatten(structure, leaves), x).sum()

    gradients = jax.grad(loss, argnums=(0, 1))([floats[i] for i in trained], x)
    chex.assert_tree_all_finite(gradients)


def test_init_is_pure_and_has_the_shapes_it_announces(name, dtype):
    bijector, _, x = build(name, dtype)
    key = jax.random.key(5)
    params = bijector.init(key, x)
    chex.assert_trees_all_equal(params, bijector.init(key, x))
    announced = jax.eval_shape(bijector.init, key, x)
    chex.assert_trees_all_equal_shapes_and_dtypes(params, announced)


def test_frozen_parameters_give_the_same_inverse(name, dtype):
    bijector, params, x = build(name, dtype)
    z, _ = bijector.forward(params, x)
    back, _ = bijector.inverse(bijector.freeze(params), z)
    assert relative_error(back, x) < TOLERANCES[dtype].relative


def test_configuration_prints_hashes_and_compares_by_value(name, dtype):
    bijector = CASES[name][0]
    assert type(bijector).__name__ in repr(bijector)
    assert hash(bijector) == hash(CASES[name][0])
    assert bijector == CASES[name][0]
