"""Combinators are what their parts are, one after the other."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax_glow as fg
from flowjax_glow.testing import perturbed, relative_error
from tests.library.cases import STEP, images

X = (3, 4, 4, 4)
DEPTH = 3


@pytest.fixture(scope="module")
def repeated():
    """A batch, stacked parameters of `Repeat`, and what `Chain` makes of them."""
    x = images(X, "float32")
    stacked = perturbed(jax.jit(fg.Repeat(STEP, DEPTH).init)(jax.random.key(0), x))
    unstacked = tuple(jax.tree.map(operator.itemgetter(i), stacked) for i in range(DEPTH))
    outputs, (gradient, x_gradient) = everything(fg.Chain(*[STEP] * DEPTH))(unstacked, x)
    restacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *gradient)
    return x, stacked, (outputs, (restacked, x_gradient))


def everything(flow):
    """Both directions, both log-dets, and the gradients of a loss that uses all of them."""

    @jax.jit
    def evaluate(params, x):
        def loss(params, x):
            z, log_det = flow.forward(params, x)
            back, back_log_det = flow.inverse(params, jnp.tanh(z))
            outputs = z, log_det, flow.log_det(params, x), back, back_log_det
            return sum(jnp.sin(leaf).sum() for leaf in outputs), outputs

        gradients, outputs = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, x)
        return outputs, gradients

    return evaluate


@pytest.mark.parametrize("memory", ["store", "remat", "invert"])
def test_repeat_is_a_chain_of_its_steps(repeated, memory):
    x, stacked, (wanted, (wanted_gradient, wanted_x_gradient)) = repeated
    got, (gradient, x_gradient) = everything(fg.Repeat(STEP, DEPTH, memory))(stacked, x)
    for a, b in zip(got, wanted, strict=True):
        assert relative_error(a, b) < 1e-6
    assert relative_error(x_gradient, wanted_x_gradient) < 1e-5
    assert jax.tree.structure(gradient) == jax.tree.structure(wanted_gradient)
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(wanted_gradient), strict=True):
        assert relative_error(a, b) < 1e-4


def test_what_each_memory_policy_keeps_for_the_backward_pass(repeated):
    """Beside parameters and what follows from them, the same for all policies."""
    x, stacked, _ = repeated

    def kept(memory, batch):
        flow = fg.Repeat(STEP, DEPTH, memory)
        images = jax.ShapeDtypeStruct((batch, *X[1:]), x.dtype)
        pullback = jax.eval_shape(lambda p, x: jax.vjp(flow.forward, p, x)[1], stacked, images)
        return sum(leaf.size for leaf in jax.tree.leaves(pullback))

    def per_image(memory):
        return (kept(memory, 8) - kept(memory, 4)) / 4

    image = x[0].size
    assert per_image("invert") == image  # the output alone
    assert per_image("remat") == DEPTH * image
    assert per_image("store") > 2 * DEPTH * image


def test_steps_of_a_repeat_start_on_what_reaches_them():
    """The second actnorm normalizes what the first step made of the batch."""
    x = 3 + 2 * images((16, 4, 4, 4), "float32")
    flow = fg.Repeat(fg.Chain(fg.InvertibleConv(), fg.ActNorm()), 2)
    params = flow.init(jax.random.key(0), x)
    for index in range(2):
        x, _ = flow.step.forward(jax.tree.map(operator.itemgetter(index), params), x)
        np.testing.assert_allclose(x.mean(axis=(0, 1, 2)), 0, atol=1e-5)
        np.testing.assert_allclose(x.std(axis=(0, 1, 2)), 1, atol=1e-5)


@pytest.mark.parametrize(
    "flow", [fg.Repeat(fg.Permutation(), 2), fg.Chain(*[fg.Permutation()] * 2)]
)
def test_every_part_starts_with_a_key_of_its_own(flow):
    params = flow.init(jax.random.key(0), jnp.zeros((1, 2, 2, 64)))
    indices = params["indices"] if isinstance(params, dict) else [p["indices"] for p in params]
    assert (indices[0] != indices[1]).any()


def test_chain_applies_the_first_one_first():
    x = images(X, "float32")
    flow = fg.Chain(fg.Reverse(), fg.Squeeze())
    params = flow.init(jax.random.key(0), x)
    z, _ = flow.forward(params, x)
    np.testing.assert_array_equal(z, fg.Squeeze().forward((), x[..., ::-1])[0])
    assert not np.array_equal(z, fg.Squeeze().forward((), x)[0][..., ::-1])
    np.testing.assert_array_equal(flow.inverse(params, z)[0], x)


def test_invert_swaps_the_directions():
    x = images(X, "float32")
    params = perturbed(fg.ActNorm().init(jax.random.key(0), x))
    flow = fg.Invert(fg.ActNorm())
    for got, wanted in [
        (flow.forward(params, x), fg.ActNorm().inverse(params, x)),
        (flow.inverse(params, x), fg.ActNorm().forward(params, x)),
    ]:
        np.testing.assert_array_equal(got[0], wanted[0])
        np.testing.assert_array_equal(got[1], wanted[1])
    assert (flow.log_det(params, x) == -fg.ActNorm().log_det(params, x)).all()


LEVELS = fg.MultiScale((fg.Squeeze(),) * 3, (fg.Split("read"), fg.Split("moved")))
LEVEL_PARAMS = {"levels": ((),) * 3, "splits": ((),) * 2}


def test_latents_come_finest_first():
    x = images((2, 8, 16, 3), "float32")
    assert LEVELS.init(jax.random.key(0), x) == LEVEL_PARAMS
    latents, log_det = LEVELS.forward(LEVEL_PARAMS, x)
    assert [z.shape for z in latents] == [(2, 4, 8, 6), (2, 2, 4, 12), (2, 1, 2, 48)]
    assert (log_det == 0).all()
    squeezed, _ = fg.Squeeze().forward((), x)
    np.testing.assert_array_equal(latents[0], squeezed[..., :6])
    again, _ = fg.Squeeze().forward((), squeezed[..., 6:])
    np.testing.assert_array_equal(latents[1], again[..., 12:])
    np.testing.assert_array_equal(latents[2], fg.Squeeze().forward((), again[..., :12])[0])


def test_an_inverted_flow_takes_all_latents():
    x = images((2, 8, 8, 3), "float32")
    latents, _ = LEVELS.forward(LEVEL_PARAMS, x)
    np.testing.assert_array_equal(fg.Invert(LEVELS).forward(LEVEL_PARAMS, latents)[0], x)
    back, _ = fg.Invert(LEVELS).inverse(LEVEL_PARAMS, x)
    for got, wanted in zip(back, latents, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_squeeze_keeps_the_values_of_a_block_together():
    x = images((2, 4, 6, 3), "float32")
    z, _ = fg.Squeeze().forward((), x)
    for row, column, channel in [(0, 0, 0), (1, 2, 1), (1, 1, 2)]:
        block = x[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2, channel]
        np.testing.assert_array_equal(
            z[:, row, column, 4 * channel : 4 * channel + 4], block.reshape(2, 4)
        )


# Complaints


def test_a_chain_needs_a_link():
    message = "^Chain: expected at least one bijector, got none; pass them as arguments$"
    with pytest.raises(ValueError, match=message):
        fg.Chain()


@pytest.mark.parametrize(("levels", "splits"), [(2, 2), (3, 1), (0, 0)])
def test_a_split_between_levels_and_nowhere_else(levels, splits):
    message = (
        f"^MultiScale: expected one level more than splits, got {levels} levels and {splits} "
        "splits; the last level has no split$"
    )
    with pytest.raises(ValueError, match=message):
        fg.MultiScale((fg.Squeeze(),) * levels, (fg.Split(),) * splits)


@pytest.mark.parametrize("depth", [0, -1])
def test_repeat_at_least_once(depth):
    with pytest.raises(
        ValueError, match=f"^Repeat.depth: expected a whole number above 0, got {depth}"
    ):
        fg.Repeat(STEP, depth)


def test_memory_policies_by_name(unchecked):
    with pytest.raises(ValueError, match=r"^Repeat.memory: expected one of .*, got 'forget'"):
        fg.Repeat(STEP, 2, "forget")


def test_parameters_of_another_flow_are_not_cut_to_fit():
    x = images(X, "float32")
    with pytest.raises(ValueError, match=r"Chain: expected the parameters of \d bij"):
        fg.Chain(fg.Reverse(), fg.Reverse()).forward(((),), x)
    with pytest.raises(ValueError, match=r"Chain: expected the parameters of \d bij"):
        fg.Chain(fg.Reverse()).inverse(((), ()), x)
    latents = LEVELS.forward(LEVEL_PARAMS, images((2, 8, 8, 3), "float32"))[0]
    with pytest.raises(ValueError, match=r"MultiScale.inverse: expected 3 latents, fin"):
        LEVELS.inverse(LEVEL_PARAMS, latents[1:])
    with pytest.raises(ValueError, match=r"MultiScale.splits: expected the parameters"):
        LEVELS.forward({"levels": ((),) * 3, "splits": ((),)}, images((2, 8, 8, 3), "float32"))
