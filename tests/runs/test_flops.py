"""FLOPs counted in programs, against closed forms and against XLA where nothing loops."""

import jax
import jax.numpy as jnp
import pytest

from flowjax_glow.bijectors import ActNorm, AffineCoupling, InvertibleConv
from flowjax_glow.combinators import Chain, Repeat
from flowjax_glow.config import GlowConfig, glow
from flowjax_glow.convolution import convolve
from flowjax_glow.nets import CouplingNet
from flowjax_glow.runs.cost.flops import flops
from flowjax_glow.runs.cost.residuals import residual_bytes
from flowjax_glow.scales import Sigmoid


def floats(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def by_xla(function, *arguments):
    return jax.jit(function).lower(*arguments).cost_analysis()["flops"]


MATRIX = floats(16, 16)
SQUARE = 2 * 16**3


def twice(matrix):
    return matrix @ matrix @ matrix


@jax.custom_jvp
def with_own_jvp(matrix):
    return twice(matrix)


with_own_jvp.defjvp(lambda values, tangents: (twice(*values), tangents[0]))


@jax.custom_vjp
def with_own_vjp(matrix):
    return twice(matrix)


with_own_vjp.defvjp(lambda matrix: (twice(matrix), matrix), lambda kept, given: (given @ kept,))


@pytest.mark.parametrize(
    ("function", "products"),
    [
        (twice, 2),
        (jax.jit(twice), 2),
        (jax.checkpoint(twice), 2),
        (with_own_jvp, 2),
        (with_own_vjp, 2),
        (jax.grad(lambda matrix: with_own_vjp(matrix).sum()), 3),
        (lambda matrix: jax.lax.map(lambda _: twice(matrix), jnp.arange(5)), 10),
        (lambda matrix: jax.lax.fori_loop(0, 7, lambda _, m: m @ matrix, matrix), 7),
        (lambda matrix: jax.lax.cond(matrix[0, 0] > 0, twice, lambda m: m, matrix), 2),
        (lambda matrix: jnp.linalg.solve(matrix, matrix), 1),  # two triangles
        (lambda matrix: jax.lax.while_loop(lambda m: m[0, 0] > 0, lambda m: m - 1, matrix), 0),
    ],
)
def test_programs_within_programs_count_as_often_as_they_run(function, products):
    assert flops(function, MATRIX) == products * SQUARE


def test_a_loop_of_unknown_length_is_refused():
    with pytest.raises(ValueError, match="flops: expected loops of a known length"):
        flops(lambda m: jax.lax.while_loop(lambda m: m[0, 0] > 0, lambda m: m @ m, m), MATRIX)


def test_matrix_products_in_batches():
    count = flops(lambda a, b: jnp.einsum("bij,bjk->bik", a, b), floats(5, 2, 3), floats(5, 3, 7))
    assert count == 5 * 2 * 2 * 3 * 7


def convolution(padding, groups=1):
    return lambda x, kernel: jax.lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


@pytest.mark.parametrize("groups", [1, 3])
def test_convolutions(groups):
    count = flops(convolution("SAME", groups), floats(2, 8, 10, 6), floats(3, 5, 6 // groups, 9))
    assert count == 2 * (2 * 8 * 10 * 9) * (3 * 5 * 6 // groups)


@pytest.mark.parametrize("apply", [convolution("SAME"), convolve])
def test_the_gradient_of_a_convolution_is_two_more(apply):
    arguments = floats(2, 8, 8, 6), floats(3, 3, 6, 9)
    # of a sum of squares, for the output of a linear map need not be computed for its gradient
    assert flops(apply, *arguments) == 2 * (2 * 8 * 8 * 9) * (3 * 3 * 6)
    gradient = jax.grad(lambda x, kernel: jnp.sum(apply(x, kernel) ** 2), argnums=(0, 1))
    assert flops(gradient, *arguments) == 3 * flops(apply, *arguments)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (jnp.matmul, (floats(32, 48), floats(48, 64))),
        (convolution("VALID"), (floats(2, 12, 12, 16), floats(3, 3, 16, 32))),
        (convolution("VALID", 4), (floats(2, 12, 12, 16), floats(3, 3, 4, 32))),
    ],
)
def test_single_operations_agree_with_xla(function, arguments):
    assert flops(function, *arguments) == pytest.approx(by_xla(function, *arguments))


def test_an_unrolled_flow_and_its_gradient_agree_with_xla():
    step = Chain(ActNorm(), InvertibleConv(), AffineCoupling(CouplingNet(256), Sigmoid()))
    flow = Chain(step, step)
    x = floats(4, 8, 8, 12)
    params = jax.eval_shape(lambda x: flow.init(jax.random.key(0), x), x)

    def loss(params, x):
        z, log_det = flow.forward(params, x)
        return jnp.sum(z**2) - log_det.sum()

    for function in (loss, jax.value_and_grad(loss)):
        counted, xla = flops(function, params, x), by_xla(function, params, x)
        # the rest is what is done entry by entry, which XLA counts and we do not
        assert 0.95 * xla < counted < xla


@pytest.mark.parametrize("memory", ["store", "remat"])
def test_a_scanned_flow_counts_as_its_unrolled_twin(memory):
    step = Chain(ActNorm(), InvertibleConv(), AffineCoupling(CouplingNet(8), Sigmoid()))
    repeat, chain = Repeat(step, 5, memory), Chain(*[step] * 5)
    x = floats(2, 4, 4, 6)

    def count(flow):
        params = jax.eval_shape(lambda x: flow.init(jax.random.key(0), x), x)
        return flops(lambda params, x: flow.forward(params, x)[0], params, x)

    assert count(repeat) == count(chain)


def test_a_small_glow_by_hand():
    # one level, one step: the net at each of 4 x 4 positions of two images
    flow = glow(GlowConfig(levels=1, depth=1, width=1, mixing="reverse"))
    x = floats(2, 8, 8, 3)
    params = jax.eval_shape(lambda x: flow.init(jax.random.key(0), x), x)
    net = 9 * 6 * 1 + 1 * 1 + 9 * 1 * 12
    assert flops(flow.forward, params, x) == 2 * 2 * 4 * 4 * net


def test_residuals_are_what_the_backward_pass_reads_and_the_arguments_are_free():
    x = floats(4, 8)
    assert residual_bytes(lambda x: jnp.sum(x * x), x) == 0
    assert residual_bytes(lambda x: jnp.sum(jnp.exp(jnp.sin(x))), x) == 2 * x.size * 4


def test_rematerialized_repeats_keep_the_input_of_each_step():
    step = Chain(ActNorm(), InvertibleConv(), AffineCoupling(CouplingNet(8), Sigmoid()))
    x = floats(2, 4, 4, 6)

    def kept(memory, depth):
        flow = Repeat(step, depth, memory)
        params = jax.eval_shape(lambda x: flow.init(jax.random.key(0), x), x)
        return residual_bytes(lambda params, x: flow.forward(params, x)[0].sum(), params, x)

    assert kept("remat", 5) == 5 * x.size * 4
    assert kept("store", 5) > 5 * kept("remat", 5)
    each = kept("store", 10) - kept("store", 5)
    assert kept("store", 15) == kept("store", 10) + each
