"""How nets multiply on accelerators: as asked, everywhere; and what else is inverted, in float32.

Programs for accelerators are made here, on a CPU; TF32's rounding is simulated where nets multiply.
On a TPU, where convolutions are none of the matrix products, the nets' can be told from the others.
"""

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

import flowjax_glow as fg
from benchmarks.net_precision import WAYS, perturbed, simulated
from flowjax_glow.convolution import convolve
from flowjax_glow.numerics import TOLERANCES, event_size
from flowjax_glow.runs.loss import exact_flow
from flowjax_glow.runs.presets import SMOKE
from flowjax_glow.testing import relative_error
from tests.library.cases import IMAGE, images

PRECISIONS = ("default", "high", "highest")
EXACT = TOLERANCES["float32"]


def products(function, *arguments, platform="tpu") -> dict[str, set[str]]:
    """The precisions of all convolutions and matrix products of a program."""
    program = jax.export.export(jax.jit(function), platforms=[platform])(*arguments).mlir_module()
    found: dict[str, set[str]] = {"convolution": set(), "dot_general": set()}
    for line in program.splitlines():
        if operation := re.search(r"stablehlo\.(convolution|dot_general)\b", line):
            names = re.findall(r"\b(DEFAULT|HIGH|HIGHEST)\b", line)
            found[operation[1]] |= set(names or ["DEFAULT"])
    return found


@pytest.mark.parametrize("precision", PRECISIONS)
def test_it_reaches_every_derivative_of_a_convolution(precision):
    x, kernel = jnp.ones((2, 4, 4, 3)), jnp.ones((3, 3, 3, 5))

    def loss(x, kernel):
        return jnp.sin(convolve(x, kernel, precision)).sum()

    def derivatives(x, kernel):
        pushed = jax.jvp(loss, (x, kernel), (x, kernel))[1]
        kernels = jnp.stack([kernel, kernel])
        batched = jax.vmap(jax.grad(loss, argnums=1), (None, 0))(x, kernels)
        twice = jax.jvp(jax.grad(loss, argnums=(0, 1)), (x, kernel), (x, kernel))[1]
        return loss(x, kernel), pushed, batched, twice

    asked, of_gpu = {precision.upper()}, products(derivatives, x, kernel, platform="cuda")
    if precision == "highest":
        assert of_gpu == {"convolution": asked, "dot_general": set()}
    else:  # of products alone
        assert of_gpu == {"convolution": set(), "dot_general": asked}
    assert products(derivatives, x, kernel)["convolution"] == asked


@pytest.mark.parametrize(
    ("precision", "conv1x1"), [("default", "dense"), ("high", "lu"), ("highest", "dense")]
)
def test_nets_multiply_as_asked_and_what_is_inverted_does_so_in_float32(precision, conv1x1):
    flow = fg.glow(
        fg.GlowConfig(
            levels=2,
            depth=2,
            width=8,
            split_prior="learned",
            top_prior="learned",
            conv1x1=conv1x1,
            memory="invert",
            net_precision=precision,
        )
    )
    x = jnp.zeros((2, 8, 8, 3))
    params = jax.eval_shape(flow.init, jax.random.key(0), x)

    def everything(params, x):
        z, _ = flow.forward(params, x)
        gradient = jax.grad(lambda p: fg.log_prob(flow, p, x).sum(), allow_int=True)(params)
        return flow.inverse(params, z), flow.inverse(flow.freeze(params), z), gradient

    assert products(everything, params, x) == {
        "convolution": {precision.upper()},
        "dot_general": {"HIGHEST"},
    }
    assert products(flow.init, jax.random.key(0), x)["convolution"] == {precision.upper()}


@pytest.mark.parametrize("actnorm", [True, False])
def test_it_reaches_nets_of_every_kind(actnorm):
    net, x = fg.CouplingNet(8, precision="high", actnorm=actnorm), jnp.zeros((2, 4, 4, 3))
    params = jax.eval_shape(lambda: net.init(jax.random.key(0), x, 5))
    assert products(lambda p: net.apply(p, x, 5), params)["convolution"] == {"HIGH"}


def test_a_flow_is_rebuilt_with_another_precision_and_the_same_parameters():
    config = {"levels": 2, "depth": 2, "width": 8, "split_prior": "learned"}
    flow = fg.glow(fg.GlowConfig(**config))
    fast = fg.glow(fg.GlowConfig(**config, net_precision="default"))
    assert flow != fast
    assert fg.with_net_precision(flow, "default") == fast
    assert fg.with_net_precision(fast, "highest") == flow
    shape = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)
    both = [jax.eval_shape(f.init, jax.random.key(0), shape) for f in (flow, fast)]
    assert jax.tree.structure(both[0]) == jax.tree.structure(both[1])


def test_a_cpu_multiplies_in_float32_whatever_is_asked():
    net, x = fg.CouplingNet(8), images((2, 4, 4, 3), "float32")
    params = perturbed(net.init(jax.random.key(0), x, 5))
    exact, fast = (
        jax.jit(net.clone(precision=precision).apply, static_argnums=2)(params, x, 5)
        for precision in ("highest", "default")
    )
    assert (exact == fast).all()


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: fg.GlowConfig(net_precision="tf32"), "GlowConfig.net_precision"),
        (lambda: fg.Split(precision="tf32"), "Split.precision"),
        (
            lambda: fg.CouplingNet(4, precision="tf32").init(
                jax.random.key(0), jnp.ones((1, 4, 4, 2)), 2
            ),
            "convolve.precision",
        ),
    ],
)
def test_there_are_three_precisions(unchecked, make, where):
    message = f"^{where}: expected one of default, high, highest, got 'tf32'; choose one of these"
    with pytest.raises(ValueError, match=message):
        make()


def round_trip(flow, shape, way) -> tuple[float, float]:
    """Relative error of images, log-dets per dimension; perturbed, both directions alike."""
    x = images(shape, "float32")
    params = perturbed(jax.jit(flow.init)(jax.random.key(1), x))
    with simulated(WAYS[way]):
        z, log_det = jax.jit(lambda p, x: flow.forward(p, x))(params, x)
        back, inverse_log_det = jax.jit(lambda p, z: flow.inverse(p, z))(params, z)
    return relative_error(back, x), float(jnp.abs(log_det + inverse_log_det).max() / event_size(x))


@pytest.mark.parametrize("way", WAYS)
def test_one_coupling_inverts_however_its_net_multiplies(way):
    """The net sees the same half in both directions."""
    relative, log_det = round_trip(fg.AffineCoupling(fg.CouplingNet(8)), IMAGE, way)
    assert relative < EXACT.relative
    assert log_det == 0


def test_a_chain_keeps_the_round_trip_of_float32_with_the_default_precision_alone():
    """Its halves come back differing in the last bit, and are then rounded the other way."""
    flow = fg.glow(fg.GlowConfig(levels=2, depth=8, width=16, scale="depth-scaled"))
    assert flow == fg.with_net_precision(flow, "highest")
    relative, log_det = round_trip(flow, (3, 8, 8, 3), "float32 (highest)")
    assert relative < EXACT.relative
    assert log_det < EXACT.log_det
    relative, _ = round_trip(flow, (3, 8, 8, 3), "TF32 (default and high, GPU)")
    assert EXACT.relative < relative < 2**-10


def test_models_and_runs_invert_in_float32_whatever_they_train_in():
    config = fg.GlowConfig(levels=1, depth=1, width=8, net_precision="default")
    exact = fg.glow(replace(config, net_precision="highest"))
    params = jax.jit(exact.init)(jax.random.key(0), jnp.zeros((2, 8, 8, 3)))
    assert fg.Model(config, params, (8, 8, 3), 8).flow == exact
    assert exact_flow(replace(SMOKE, model=config)) == exact
    vectors = fg.realnvp(fg.RealNVPConfig(net_precision="high"))
    assert fg.with_net_precision(vectors, "highest") == fg.realnvp(fg.RealNVPConfig())


def test_a_simulation_rounds_factors_and_ends_with_its_context():
    net, x = fg.CouplingNet(16), images((2, 8, 8, 6), "float32")
    params = perturbed(net.init(jax.random.key(0), x, 6))
    errors = {}
    exact = net.apply(params, x, 6)
    for name, way in WAYS.items():
        with simulated(way):
            errors[name] = relative_error(net.apply(params, x, 6), exact)
    one, three, tf32, bfloat16 = errors.values()
    assert one == 0 == relative_error(net.apply(params, x, 6), exact)
    assert 0 < three < 2**-14 < 2**-13 < tf32 < 2**-10 < bfloat16 < 2**-6
