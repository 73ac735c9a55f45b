"""Permutations that a reload has lost."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import flowjax_glow as fg
from flowjax_glow.diagnostics import permutations
from flowjax_glow.diagnostics.permutations import redraw_permutations
from flowjax_glow.testing import perturbed
from flowjax_glow.trainable import merge, trainable
from tests.library.cases import images, small_glow


def named_leaves(params):
    leaves = jax.tree.leaves_with_path(params)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def started(flow, shape=(4, 8, 8, 3)):
    return perturbed(jax.jit(flow.init)(jax.random.key(0), images(shape, "float32")))


@pytest.mark.parametrize(
    "changes",
    [
        {"permutation": "every_step"},
        {"permutation": "level_end", "conv1x1": "lu", "levels": 1},
        {"mixing": "shuffle", "levels": 1},
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


def test_other_permutations_are_another_map_and_as_invertible():
    flow = small_glow(permutation="every_step", scale="bounded")
    x = images((4, 8, 8, 3), "float32")
    params = perturbed(jax.jit(flow.init)(jax.random.key(0), x))
    lost = jax.jit(redraw_permutations, static_argnums=0)(flow, params, jax.random.key(1))
    z, log_det = jax.jit(flow.forward)(lost, x)
    other, _ = jax.jit(flow.forward)(params, x)
    assert not np.allclose(z[-1], other[-1], atol=0.1)
    back, inverse_log_det = jax.jit(flow.inverse)(lost, z)
    tolerance = fg.numerics.TOLERANCES["float32"].relative
    np.testing.assert_allclose(back, x, atol=10 * tolerance)
    np.testing.assert_allclose(log_det, -inverse_log_det, rtol=1e-5)


def test_the_example_is_right():
    assert doctest.testmod(permutations).failed == 0


def absorbed(params):
    """The parameters of the model with permutations at level ends alone that is the same map.

    A permutation after a coupling moves through the next actnorm and into the matrix after it.
    """

    def level(squeeze, steps):
        actnorm, conv, net, permutation = steps
        back = jnp.argsort(permutation["indices"][:-1], axis=-1)  # all but the last of the level

        def move(leaf):  # its first axis is the depth, its second the channels that come in
            rows = jnp.take_along_axis(
                leaf[1:], back.reshape(*back.shape, *[1] * (leaf.ndim - 2)), 1
            )
            return jnp.concatenate([leaf[:1], rows])

        last = {"indices": permutation["indices"][-1]}
        return squeeze, (jax.tree.map(move, actnorm), jax.tree.map(move, conv), net), last

    return {"levels": tuple(level(*own) for own in params["levels"]), "splits": params["splits"]}


def test_permutations_inside_a_level_are_absorbed_training_included(dtype):
    """The lemma of docs/figure5.md: the same map before training and after every step of Adam."""
    levels = 2 if dtype == "float64" else 1  # the second takes as long to compile as the first
    each, ends = (
        small_glow(levels=levels, permutation=where) for where in ("every_step", "level_end")
    )
    x = images((4, 8, 8, 3), dtype)
    params = perturbed(jax.jit(each.init)(jax.random.key(0), x))
    optimizer = optax.adam(1e-2)

    def after(flow, params, steps):
        values = trainable(params)
        state = optimizer.init(values)

        @jax.jit
        def step(values, state):
            def loss(values):
                return -fg.log_prob(flow, merge(params, values), x).mean()

            with jax.numpy_dtype_promotion("standard"):
                updates, state = optimizer.update(jax.grad(loss)(values), state, values)
            return optax.apply_updates(values, updates), state

        for _ in range(steps):
            values, state = step(values, state)
        return merge(params, values)

    forward = jax.jit(lambda flow, params: flow.forward(params, x), static_argnums=0)
    rtol = 1e-9 if dtype == "float64" else 1e-3
    for steps in (0, 3):
        one = forward(each, after(each, params, steps))
        other = forward(ends, after(ends, absorbed(params), steps))
        for ours, theirs in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol)
    assert not np.allclose(one[1], forward(each, params)[1], atol=1e-2)  # training moves it
