"""GLOW whole: its configuration, its wiring, its start, its formulas, and itself after training."""

import functools
import math
import operator

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import flowjax_glow as fg
from flowjax_glow.channels import halves
from flowjax_glow.convolution import convolve
from flowjax_glow.nets import apply_net, init_net
from flowjax_glow.numerics import TOLERANCES, event_size
from flowjax_glow.testing import perturbed, relative_error
from flowjax_glow.walk import CarriesScale
from tests.library.cases import images, small_glow


def level_parts(flow, index):
    """Squeeze, the step, and what follows the steps of a level."""
    squeeze, repeat, *rest = flow.levels[index].bijectors
    assert squeeze == fg.Squeeze()
    return repeat, repeat.step.bijectors, rest


# Configuration


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"levels": 0},
            "GlowConfig.levels: expected a whole number above 0, got 0; choose one$",
        ),
        ({"depth": -1}, "GlowConfig.depth: expected a whole number above 0, got -1"),
        ({"width": 0}, "GlowConfig.width: expected a whole number above 0, got 0"),
        ({"reads": "both"}, "GlowConfig.reads: expected one of noise, signal, got 'both'; choose"),
        (
            {"split_prior": "none"},
            "GlowConfig.split_prior: expected one of standard, learned, pla",
        ),
        (
            {"top_prior": "none"},
            "GlowConfig.top_prior: expected one of standard, learned, pla",
        ),
        ({"mixing": "none"}, "GlowConfig.mixing: expected one of conv1x1, reverse, shuffle, got"),
        ({"conv1x1": "qr"}, "GlowConfig.conv1x1: expected one of dense, lu, got 'qr'"),
        (
            {"permutation": "all"},
            "GlowConfig.permutation: expected one of none, every_step, level_e",
        ),
        ({"memory": "forget"}, "GlowConfig.memory: expected one of .*, got 'forget'"),
        ({"net_dtype": "float16"}, "GlowConfig.net_dtype: expected one of None, bfloat16, got"),
        ({"scale": "relu"}, "GlowConfig.scale: expected one of additive, .*, got 'relu'; choose"),
        (
            {"scale": 0.5},
            "GlowConfig.scale: expected a Scale or the name of one, got 0.5; names are",
        ),
        ({"damped": "no"}, "GlowConfig.damped: expected one of False, True, sqrt, got 'no'"),
        ({"shift_limit": 0.0}, "GlowConfig.shift_limit: expected a number above 0, got 0.0"),
        ({"net_actnorm": 2}, "GlowConfig.net_actnorm: expected one of False, True, got 2"),
        ({"prior_scale": "relu"}, "GlowConfig.prior_scale: expected one of additive, .*, got"),
    ],
)
def test_wrong_configurations_fail_in_the_constructor(change, message, unchecked):
    with pytest.raises(ValueError, match=f"^{message}"):
        fg.GlowConfig(**change)


@pytest.mark.parametrize("name", fg.SCALES)
def test_a_scale_may_be_given_by_name(name):
    config = fg.GlowConfig(scale=name)
    assert config == fg.GlowConfig(scale=fg.SCALES[name])
    assert hash(config) == hash(fg.GlowConfig(scale=fg.SCALES[name]))
    coupling = level_parts(fg.glow(config), 0)[1][-1]
    assert coupling.scale == fg.SCALES[name].shared_by(32)


def test_a_scale_that_knows_the_depth_is_told_it():
    flow = small_glow(depth=7, scale=fg.DepthScaled(alpha=2.1))
    for index in range(2):
        coupling = level_parts(flow, index)[1][-1]
        assert coupling.scale == fg.DepthScaled(alpha=2.1, steps=7)
        assert coupling.scale.log_bounds == pytest.approx((-0.3, 0.3))


def test_a_prior_scale_that_knows_the_depth_is_told_that_it_acts_once():
    split = small_glow(depth=7, split_prior="learned", prior_scale=fg.DepthScaled(2.0)).splits[0]
    assert split.scale == fg.DepthScaled(2.0, steps=1)


@pytest.mark.parametrize(("damped", "by"), [(True, 5), ("sqrt", math.sqrt(5))])
def test_damped_nets_give_their_output_over_the_depth_or_its_root(damped, by):
    plain, flow = small_glow(depth=5), small_glow(depth=5, damped=damped)
    net = level_parts(flow, 1)[1][-1].net
    assert net.gain == pytest.approx(1 / by)
    x = images((2, 4, 4, 3), "float32")
    params = perturbed(init_net(net, jax.random.key(0), x, 6))
    output = apply_net(level_parts(plain, 1)[1][-1].net, params, x, 6)
    np.testing.assert_allclose(apply_net(net, params, x, 6), output / by, atol=1e-7)


def test_the_limit_of_shifts_reaches_every_coupling():
    flow = small_glow(shift_limit=4.0)
    assert [level_parts(flow, index)[1][-1].shift_limit for index in range(2)] == [4.0, 4.0]


@pytest.mark.parametrize("net_dtype", [None, "bfloat16"])
def test_nets_without_actnorms_end_their_layers_in_biases(net_dtype):
    flow = small_glow(net_actnorm=False, net_dtype=net_dtype)
    net = level_parts(flow, 0)[1][-1].net
    x = images((2, 4, 4, 3), "float32")
    params = perturbed(init_net(net, jax.random.key(0), x, 6))
    assert {name: sorted(layer) for name, layer in params.items()} == {
        "first": ["bias", "kernel"],
        "second": ["bias", "kernel"],
        "last": ["kernel", "log_scale", "shift"],
    }
    kernels = {name: layer["kernel"] for name, layer in params.items()}
    h = jax.nn.relu(convolve(x, kernels["first"]) + params["first"]["bias"])
    h = jax.nn.relu(convolve(h, kernels["second"]) + params["second"]["bias"])
    scale = jnp.exp(3 * params["last"]["log_scale"])
    expected = (convolve(h, kernels["last"]) + params["last"]["shift"]) * scale
    found = apply_net(net, params, x, 6)
    assert found.dtype == x.dtype
    tolerance = 1e-5 if net_dtype is None else 0.02 * float(jnp.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=tolerance)


def test_a_bounded_prior_keeps_the_inverse_of_a_split_from_exploding():
    bounded = small_glow(split_prior="learned", prior_scale=fg.DepthScaled(2.0, steps=1)).splits[0]
    unbounded = small_glow(split_prior="learned").splits[0]
    x = images((2, 4, 4, 4), "float32")
    params = perturbed(unbounded.init(jax.random.key(0), x), 1.0)
    far = (1e3 * x[..., :2], x[..., 2:])
    mean = bounded.inverse(params, (far[0], 0 * far[1]))[0]
    assert not jnp.isfinite(unbounded.inverse(params, far)[0]).all()
    moved = jnp.abs(bounded.inverse(params, far)[0] - mean).max()
    assert moved <= math.exp(2) * 0.5 * (1 + 1e-3)


def test_every_field_reaches_the_model():
    flow = small_glow(
        levels=3, depth=5, width=24, reads="signal", split_prior="learned", memory="remat"
    )
    assert flow.splits == (fg.Split("moved", "learned"),) * 2
    assert len(flow.levels) == 3
    for index in range(3):
        repeat, step, rest = level_parts(flow, index)
        assert (repeat.depth, repeat.memory) == (5, "remat")
        assert step[:2] == (fg.ActNorm(), fg.InvertibleConv())
        assert step[2].net == fg.CouplingNet(24)
        assert len(step) == 3
        assert rest == []
    assert small_glow().splits == (fg.Split("read", "standard"),)


@pytest.mark.parametrize(
    ("change", "mixing"),
    [
        ({"conv1x1": "lu"}, fg.InvertibleConvLU()),
        ({"mixing": "reverse"}, fg.Reverse()),
        ({"mixing": "shuffle"}, fg.Permutation()),
    ],
)
def test_mixing(change, mixing):
    assert level_parts(small_glow(**change), 1)[1][1] == mixing


def test_random_permutations_follow_every_coupling_or_end_every_level():
    every_step = small_glow(permutation="every_step", top_prior="learned")
    level_end = small_glow(permutation="level_end", top_prior="learned")
    for index, top in ((0, []), (1, [fg.LearnedPrior()])):
        _, step, rest = level_parts(every_step, index)
        assert isinstance(step[2], fg.AffineCoupling)
        assert step[3:] == (fg.Permutation(),)
        assert rest == top
        _, step, rest = level_parts(level_end, index)
        assert isinstance(step[-1], fg.AffineCoupling)
        assert rest == [fg.Permutation(), *top]


# Wiring


def watch_coupling(bijector, params, z, x, log_det):
    if isinstance(bijector, CarriesScale):
        return x, (halves(z), bijector.log_scale(params, z))
    return x, None


@pytest.mark.parametrize("reads", ["noise", "signal"])
def test_which_half_the_coupling_reads_right_after_a_split(reads):
    flow = small_glow(depth=1, scale="bounded", reads=reads)
    x = images((16, 4, 4, 2), "float32")
    params = perturbed(jax.jit(flow.init)(jax.random.key(0), x))

    @jax.jit
    def first_coupling_after_the_split(latents):
        _, _, records = fg.walk_inverse(flow, params, latents, watch_coupling)
        flat = fg.flatten_records(flow, records)
        return next(record for name, _, record in flat if name == "level0/step0/AffineCoupling")

    def changes(a, b):
        return bool((a != b).any())

    noise, top = fg.sample_latents(flow, params, jax.random.key(1), x.shape)
    (read, moved), log_scale = first_coupling_after_the_split((noise, top))
    (other_read, other_moved), other_log_scale = first_coupling_after_the_split((noise * 0.5, top))
    assert changes(read, other_read) == (reads == "noise")
    assert changes(moved, other_moved) == (reads == "signal")
    assert changes(log_scale, other_log_scale) == (reads == "noise")
    assert jnp.isfinite(log_scale).all()
    np.testing.assert_array_equal(read if reads == "noise" else moved, noise)


# Formulas


def numpy_convolve(x, kernel):
    """Zero-padded cross-correlation, pixel by pixel."""
    size = kernel.shape[0]
    _, height, width, _ = x.shape
    padded = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)))
    z = np.zeros((*x.shape[:-1], kernel.shape[-1]))
    for row, column in np.ndindex(height, width):
        window = padded[:, row : row + size, column : column + size]
        z[:, row, column] = np.einsum("bijc,ijcd->bd", window, kernel)
    return z


def numpy_net(params, x):
    """openai/glow's f(): its actnorms, and its zero convolution, are (x + b) exp(3 logs)."""

    def layer(name, x):
        p = params[name]
        return (numpy_convolve(x, p["kernel"]) + p["shift"]) * np.exp(3 * p["log_scale"])

    hidden = np.maximum(layer("first", x), 0)
    return layer("last", np.maximum(layer("second", hidden), 0))


def numpy_shift_and_scale(params, read, moved):
    fields = numpy_net(params, read)
    count = moved.shape[-1]
    return fields[..., :count], 1 / (1 + np.exp(-(fields[..., count:] + 2)))


def numpy_step(params, x):
    """openai/glow's revnet2d_step: actnorm, 1x1 convolution, affine coupling; z and log-det."""
    actnorm, conv, net = params
    pixels = x.shape[1] * x.shape[2]
    x = (x + actnorm["shift"]) * np.exp(3 * actnorm["log_scale"])
    x = x @ conv["weight"]
    constant = 3 * actnorm["log_scale"].sum() + np.log(abs(np.linalg.det(conv["weight"])))
    half = x.shape[-1] // 2
    read, moved = x[..., :half], x[..., half:]
    shift, s = numpy_shift_and_scale(net, read, moved)
    z = np.concatenate([read, (moved + shift) * s], axis=-1)
    return z, pixels * constant + np.log(s).sum(axis=(1, 2, 3))


def numpy_step_back(params, z):
    """The same from latent to data, by division and the inverse matrix."""
    actnorm, conv, net = params
    half = z.shape[-1] // 2
    read, moved = z[..., :half], z[..., half:]
    shift, s = numpy_shift_and_scale(net, read, moved)
    x = np.concatenate([read, moved / s - shift], axis=-1) @ np.linalg.inv(conv["weight"])
    return x / np.exp(3 * actnorm["log_scale"]) - actnorm["shift"]


@functools.cache
def perturbed_step(dtype):
    """One step of the control: the step itself, its parameters, a batch and latents, not square."""
    step = level_parts(small_glow(), 0)[0].step
    x = images((2, 4, 6, 6), dtype)
    params = perturbed(jax.jit(step.init)(jax.random.key(0), x), 0.1)
    as_numpy = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    return step, params, as_numpy, x, 2 * images(x.shape, dtype, seed=1)


def test_one_step_forward_is_openai_glow_s(dtype):
    step, params, as_numpy, x, _ = perturbed_step(dtype)
    z, log_det = jax.jit(step.forward)(params, x)
    wanted, wanted_log_det = numpy_step(as_numpy, np.asarray(x, np.float64))
    assert relative_error(z, wanted) < TOLERANCES[dtype].relative
    per_dim = np.abs(np.asarray(log_det) - wanted_log_det) / event_size(x)
    assert per_dim.max() < TOLERANCES[dtype].log_det
    assert np.ptp(wanted_log_det) > 0.1  # the coupling's part is there: it differs by image


def test_one_step_backward_is_openai_glow_s(dtype):
    step, params, as_numpy, _, z = perturbed_step(dtype)
    x, log_det = jax.jit(step.inverse)(params, z)
    wanted = numpy_step_back(as_numpy, np.asarray(z, np.float64))
    assert relative_error(x, wanted) < TOLERANCES[dtype].relative
    wanted_log_det = -numpy_step(as_numpy, wanted)[1]
    per_dim = np.abs(np.asarray(log_det) - wanted_log_det) / event_size(z)
    assert per_dim.max() < TOLERANCES[dtype].log_det


# The start


def moments(x):
    return np.asarray(x.mean(axis=(0, 1, 2))), np.asarray(x.std(axis=(0, 1, 2)))


def assert_standardized(x):
    mean, deviation = moments(x)
    np.testing.assert_allclose(mean, 0, atol=1e-4)
    np.testing.assert_allclose(deviation, 1, atol=1e-4)


def test_every_actnorm_starts_by_standardizing_the_batch():
    """Those between the couplings and those in the nets, on both levels."""
    flow = small_glow()
    x = 0.2 + 3 * images((8, 8, 8, 1), "float32")
    params = jax.jit(flow.init)(jax.random.key(0), x)

    @jax.jit
    def after_every_actnorm(params, x):
        seen = []
        for index, own in enumerate(params["levels"]):
            repeat, (actnorm, conv, coupling), _ = level_parts(flow, index)
            x, _ = fg.Squeeze().forward((), x)
            for depth in range(repeat.depth):
                actnorm_params, conv_params, net = jax.tree.map(operator.itemgetter(depth), own[1])
                x, _ = actnorm.forward(actnorm_params, x)
                seen.append(x)
                x, _ = conv.forward(conv_params, x)
                hidden = halves(x)[0]
                for name in ("first", "second"):
                    hidden = convolve(hidden, net[name]["kernel"]) + net[name]["shift"]
                    hidden = hidden * jnp.exp(3 * net[name]["log_scale"])
                    seen.append(hidden)
                    hidden = jnp.maximum(hidden, 0)
                x, _ = coupling.forward(net, x)
            if index == 0:
                x = flow.splits[0].forward((), x)[0][0]
        return seen

    seen = after_every_actnorm(params, x)
    assert len(seen) == 2 * 2 * 3
    for each in seen:
        assert_standardized(np.asarray(each))
    lasts = [level[1][2]["last"] for level in params["levels"]]
    assert not any(leaf.any() for leaf in jax.tree.leaves(lasts))


@pytest.mark.parametrize("name", fg.SCALES)
def test_the_first_scale_is_the_same_everywhere(name):
    scale = fg.SCALES[name].shared_by(1)
    coupling = fg.AffineCoupling(fg.CouplingNet(4), scale)
    x = images((4, 4, 4, 4), "float32")
    params = coupling.init(jax.random.key(0), x)
    log_scale = coupling.log_scale(params, x)
    assert log_scale.shape == (4, 4, 4, 2)
    np.testing.assert_array_equal(log_scale, scale.log(jnp.zeros_like(log_scale)))


def test_constant_channels_start_finite():
    x = jnp.concatenate([jnp.full((4, 4, 4, 1), 0.25), images((4, 4, 4, 1), "float32")], axis=-1)
    params = fg.ActNorm().init(jax.random.key(0), x)
    mean, deviation = moments(fg.ActNorm().forward(params, x)[0])
    np.testing.assert_allclose(mean, 0, atol=1e-6)
    np.testing.assert_allclose(deviation, [0, 1], atol=1e-5)
    assert params["log_scale"][0] == 0


def test_the_start_follows_key_and_batch_and_nothing_else():
    flow = small_glow(levels=1, depth=1)
    x, init = images((4, 4, 4, 1), "float32"), jax.jit(flow.init)
    first, again, other = (init(jax.random.key(seed), x) for seed in (0, 0, 1))
    weights = [params["levels"][0][1][1]["weight"] for params in (first, again, other)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert (weights[0] != weights[2]).all()
    np.testing.assert_allclose(weights[0][0] @ weights[0][0].T, np.eye(4), atol=1e-5)
    brighter = init(jax.random.key(0), x + 0.25)["levels"][0][1][0]["shift"]
    np.testing.assert_allclose(brighter, first["levels"][0][1][0]["shift"] - 0.25, atol=1e-6)


def test_a_learned_top_prior_starts_as_the_standard_one_and_then_moves_the_top_alone():
    x = images((4, 4, 4, 1), "float32")
    flow = small_glow(depth=1, top_prior="learned")
    params = jax.jit(flow.init)(jax.random.key(0), x)
    prior = params["levels"][1][-1]
    assert not any(leaf.any() for leaf in jax.tree.leaves(prior))
    forward = jax.jit(flow.forward)
    (finest, top), log_det = forward(params, x)
    prior["mean"], prior["log_std"] = prior["mean"] + 0.5, prior["log_std"] + 0.1
    (same, moved), moved_log_det = forward(params, x)
    np.testing.assert_array_equal(finest, same)
    np.testing.assert_allclose(moved, (top - 0.5) * math.exp(-0.3), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moved_log_det - log_det, -0.3 * top[0].size, rtol=1e-4)


# Complaints


@pytest.mark.parametrize(
    ("shape", "got"), [((1, 4, 4, 1), r"\(1, 1\)"), ((1, 8, 12, 3), r"\(2, 3\)")]
)
def test_images_that_the_levels_do_not_divide(shape, got):
    flow, x = small_glow(levels=3), jnp.zeros(shape)
    message = f"^squeeze: expected even height and width, got {got}; pad or crop the images first"
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(flow.init, jax.random.key(0), x)


@pytest.mark.parametrize("dtype", ["bfloat16", "uint8"])
def test_images_of_other_dtypes(dtype, unchecked):
    with pytest.raises(ValueError, match=f"^squeeze: expected float.*, got {dtype}; "):
        jax.eval_shape(small_glow().init, jax.random.key(0), jnp.zeros((1, 4, 4, 1), dtype))


# Training


def smooth_images(seed, count=16, size=8):
    """Random plane waves, light enough on detail that a flow can learn them in a few steps."""
    random = np.random.default_rng(seed)
    grid = np.arange(size) / size
    phase = random.uniform(0, 2 * np.pi, (count, 1, 1))
    slope = random.uniform(-3, 3, (2, count, 1, 1))
    wave = np.sin(phase + slope[0] * grid[:, None] + slope[1] * grid)
    return jnp.asarray((127 + 100 * wave[..., None]).astype(np.uint8))


def train(flow, steps=15):
    """Bits per dimension of every step, and the parameters after the last one."""
    params = jax.jit(flow.init)(
        jax.random.key(0), fg.dequantize(jax.random.key(1), smooth_images(0))
    )
    optimizer = optax.adam(5e-3)
    state, losses = optimizer.init(params), []

    @jax.jit
    def step(params, state, key, batch):
        def loss(params):
            return fg.bits_per_dim(flow, params, key, batch).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        with jax.numpy_dtype_promotion("standard"):  # Adam's bias correction mixes dtypes
            updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    for index in range(steps):
        params, state, value = step(params, state, jax.random.key(index), smooth_images(index))
        losses.append(float(value))
    return losses, params


@pytest.mark.parametrize("scale", ["depth-scaled"])
def test_training_lowers_the_loss_and_leaves_the_flow_invertible(scale):
    flow = small_glow(scale=scale, split_prior="learned")
    losses, params = train(flow)
    assert np.isfinite(losses).all()
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.3
    assert all(leaf.any() for leaf in jax.tree.leaves(params))  # nothing is still at zero
    x = fg.dequantize(jax.random.key(2), smooth_images(99))
    forward, inverse = jax.jit(flow.forward), jax.jit(flow.inverse)
    z, log_det = forward(params, x)
    back, back_log_det = inverse(params, z)
    assert relative_error(back, x) < TOLERANCES["float32"].relative
    per_dim = jnp.abs(log_det + back_log_det) / event_size(x)
    assert per_dim.max() < TOLERANCES["float32"].log_det
    latents = fg.sample_latents(flow, params, jax.random.key(3), x.shape)
    again, _ = forward(params, inverse(params, latents)[0])
    assert relative_error(again, latents) < TOLERANCES["float32"].relative
