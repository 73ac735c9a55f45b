"""Permutations that a reload has lost."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax_glow as fg
from flowjax_glow.diagnostics import permutations
from flowjax_glow.diagnostics.permutations import redraw_permutations
from tests.library.cases import images, perturbed, small_glow


def named_leaves(params):
    leaves = jax.tree.leaves_with_path(params)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def started(flow, shape=(4, 8, 8, 3)):
    return perturbed(jax.jit(flow.init)(jax.random.key(0), images(shape, "float32")))


@pytest.mark.parametrize(
    "changes",
    [
        {"permutation": "every_step"},
        {"permutation": "level_end", "conv1x1": "lu"},
        {"mixing": "shuffle"},
    ],
)
def test_only_the_indices_of_permutations_change(changes):
    flow = small_glow(depth=3, **changes)
    params = started(flow)
    before, after = (
        named_leaves(p) for p in (params, redraw_permutations(flow, params, jax.random.key(1)))
    )
    assert before.keys() == after.keys()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    drawn = {name for name in before if name.endswith("['indices']")}
    assert changed == drawn != set()
    for name in drawn:
        assert after[name].dtype == before[name].dtype == jnp.int32
        np.testing.assert_array_equal(np.sort(after[name]), np.sort(before[name]))


def test_every_step_of_a_repeat_draws_its_own():
    flow = fg.Repeat(fg.Permutation(), 8)
    params = flow.init(jax.random.key(0), jnp.zeros((1, 2, 2, 12)))
    rows = redraw_permutations(flow, params, jax.random.key(1))["indices"]
    assert len({tuple(row) for row in rows.tolist()}) == 8


def test_a_flow_without_permutations_is_not_changed():
    flow = fg.Chain(fg.Squeeze(), fg.Invert(fg.Repeat(fg.ActNorm(), 2)), fg.Reverse())
    params = started(flow)
    same = redraw_permutations(flow, params, jax.random.key(1))
    jax.tree.map(np.testing.assert_array_equal, params, same)


def test_other_permutations_are_another_map_and_as_invertible(dtype):
    flow = small_glow(permutation="every_step", scale="bounded")
    x = images((4, 8, 8, 3), dtype)
    params = perturbed(jax.jit(flow.init)(jax.random.key(0), x))
    lost = jax.jit(redraw_permutations, static_argnums=0)(flow, params, jax.random.key(1))
    z, log_det = jax.jit(flow.forward)(lost, x)
    other, _ = jax.jit(flow.forward)(params, x)
    assert not np.allclose(z[-1], other[-1], atol=0.1)
    back, inverse_log_det = jax.jit(flow.inverse)(lost, z)
    tolerance = fg.numerics.TOLERANCES[dtype].relative
    np.testing.assert_allclose(back, x, atol=10 * tolerance)
    np.testing.assert_allclose(log_det, -inverse_log_det, rtol=1e-5)


def test_the_example_is_right():
    assert doctest.testmod(permutations).failed == 0
