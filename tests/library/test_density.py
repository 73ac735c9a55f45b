"""Likelihoods that are densities, codes that come back, samples that follow their key."""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax_glow as fg
from flowjax_glow.density import standard_normal_log_prob
from flowjax_glow.pixels import quantize
from flowjax_glow.testing import perturbed, relative_error
from tests.library.cases import coupling, images, small_glow

ALL_VALUES = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)


def pixels(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


@dataclass(frozen=True)
class Multiply(fg.Bijector):
    """``z = factor * x``: a flow whose density has a closed form, N(0, 1 / factor^2)."""

    factor: float

    def init(self, key, x):
        return jnp.asarray(self.factor, x.dtype)

    def forward(self, params, x):
        size = x.size // x.shape[0]
        return params * x, jnp.full(x.shape[:1], size * jnp.log(params), x.dtype)

    def inverse(self, params, z):
        size = z.size // z.shape[0]
        return z / params, jnp.full(z.shape[:1], -size * jnp.log(params), z.dtype)


def step(scale):
    return fg.Chain(fg.ActNorm(), fg.InvertibleConv(), coupling(scale))


@pytest.mark.parametrize(
    "flow",
    [
        *(pytest.param(step(fg.SCALES[name]), id=name) for name in ("biased", "sigmoid", "tanh")),
        pytest.param(
            fg.MultiScale(
                (step(fg.Bounded()), fg.Chain(fg.ActNorm(), fg.LearnedPrior())),
                (fg.Split("read", "learned"),),
            ),
            id="multiscale",
        ),
    ],
)
def test_density_integrates_to_one(flow):
    """Over the plane of images that are one pixel with two channels."""
    with jax.enable_x64(True):
        line = np.linspace(-20, 20, 401)
        grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 1, 1, 2)
        data = np.random.default_rng(0).normal(0.3, 1.5, (64, 1, 1, 2))
        params = perturbed(jax.jit(flow.init)(jax.random.key(0), jnp.asarray(data)), 0.05)
        log_prob = jax.jit(partial(fg.log_prob, flow))(params, jnp.asarray(grid))
        mass = np.exp(np.asarray(log_prob)).sum() * (line[1] - line[0]) ** 2
    assert mass == pytest.approx(1, abs=1e-4)


def test_log_prob_of_latents_sums_over_all_of_them():
    latents = (images((3, 4, 4, 2), "float32"), images((3, 2, 2, 5), "float32", seed=1))
    values = np.concatenate([np.asarray(z, np.float64).reshape(3, -1) for z in latents], axis=1)
    wanted = (-0.5 * values**2 - 0.5 * np.log(2 * np.pi)).sum(axis=1)
    np.testing.assert_allclose(standard_normal_log_prob(latents), wanted, rtol=1e-6)


@pytest.mark.parametrize("n_bits", [8, 5, 1])
def test_bits_per_dim_is_the_information_in_the_bin(n_bits):
    """-log2 of the normal's mass in the bin, which no bookkeeping of bits and bins can miss."""
    factor = 3.0
    batch = pixels((4, 16, 16, 3))
    bits = fg.bits_per_dim(
        Multiply(factor), jnp.float32(factor), jax.random.key(0), batch, n_bits=n_bits
    )
    edges = np.arange(2**n_bits + 1) / 2**n_bits - 0.5
    normal = np.array([0.5 * math.erf(factor * edge / math.sqrt(2)) for edge in edges])
    information = -np.log2(np.diff(normal))[np.asarray(batch) >> (8 - n_bits)].mean(axis=(1, 2, 3))
    # Dequantization gives an upper bound, and a loose one where the density varies within a bin.
    slack = {8: 0.01, 5: 0.02, 1: 0.3}[n_bits]
    np.testing.assert_allclose(bits, information, atol=slack)


@pytest.mark.parametrize("n_bits", [8, 5])
def test_bits_per_dim_by_its_formula(n_bits):
    factor, key, batch = 2.0, jax.random.key(3), pixels((4, 6, 4, 3))
    bits = fg.bits_per_dim(Multiply(factor), jnp.float32(factor), key, batch, n_bits=n_bits)
    x = np.asarray(fg.dequantize(key, batch, n_bits=n_bits), np.float64).reshape(4, -1)
    dims = x.shape[1]
    log_prob = (-0.5 * (factor * x) ** 2 - 0.5 * np.log(2 * np.pi) + np.log(factor)).sum(axis=1)
    wanted = -(log_prob - dims * np.log(2**n_bits)) / (dims * np.log(2))
    np.testing.assert_allclose(bits, wanted, rtol=1e-5)


def test_nan_stays_nan_in_the_bits_of_its_image_and_of_no_other():
    @dataclass(frozen=True)
    class Breaks(Multiply):
        """Gives NaN for bright images."""

        def forward(self, params, x):
            z, log_det = super().forward(params, x)
            bright = x.mean(axis=(1, 2, 3)) > 0
            return jnp.where(bright[:, None, None, None], jnp.nan, z), log_det

    batch = jnp.stack([jnp.full((4, 4, 1), value, jnp.uint8) for value in (10, 250, 20)])
    bits = fg.bits_per_dim(Breaks(1.0), jnp.float32(1), jax.random.key(0), batch)
    assert np.isnan(bits).tolist() == [False, True, False]


def test_nan_parameters_give_nan_bits():
    flow = step(fg.Biased())
    params = jax.jit(flow.init)(jax.random.key(0), images((8, 2, 2, 2), "float32"))
    broken = jax.tree.map(lambda leaf: leaf.at[(0,) * leaf.ndim].set(jnp.nan), params)
    bits = jax.jit(partial(fg.bits_per_dim, flow))(broken, jax.random.key(1), pixels((3, 2, 2, 2)))
    assert jnp.isnan(bits).all()


# Dequantization


def test_noise_is_uniform_over_the_bin():
    batch = np.broadcast_to(ALL_VALUES, (400, 16, 16, 1))
    x = np.asarray(fg.dequantize(jax.random.key(0), jnp.asarray(batch)), np.float64)
    u = np.sort(((x + 0.5) * 256 - batch).ravel())
    ranks = np.arange(u.size + 1) / u.size
    distance = max(np.abs(u - ranks[1:]).max(), np.abs(u - ranks[:-1]).max())
    assert distance < 1.95 / math.sqrt(u.size)  # Kolmogorov-Smirnov at the level of 0.1 percent
    assert u.min() < 1e-4
    assert u.max() > 1 - 1e-4


@pytest.mark.parametrize("n_bits", range(1, 9))
@pytest.mark.parametrize("extreme", [0, 0xFFFF])
def test_the_most_extreme_noise_stays_in_the_bin(n_bits, extreme, monkeypatch):
    monkeypatch.setattr(
        jax.random, "bits", lambda key, shape, dtype: jnp.full(shape, extreme, dtype)
    )
    x = fg.dequantize(jax.random.key(0), jnp.asarray(ALL_VALUES), n_bits=n_bits)
    assert x.dtype == jnp.float32
    assert (jnp.abs(x) < 0.5).all()
    np.testing.assert_array_equal(quantize(x, n_bits=n_bits), ALL_VALUES >> (8 - n_bits))
    exact = ((ALL_VALUES >> (8 - n_bits)) + (0.5 + extreme // 2) / 2**15) / 2**n_bits - 0.5
    np.testing.assert_array_equal(x, exact)  # no rounding anywhere


@pytest.mark.parametrize("n_bits", range(1, 9))
def test_all_values_stay_in_their_bins(n_bits):
    batch = jnp.asarray(ALL_VALUES)
    for seed in range(3):
        x = fg.dequantize(jax.random.key(seed), batch, n_bits=n_bits)
        np.testing.assert_array_equal(quantize(x, n_bits=n_bits), ALL_VALUES >> (8 - n_bits))
    np.testing.assert_array_equal(
        fg.bin_midpoints(batch, n_bits=n_bits),
        ((ALL_VALUES >> (8 - n_bits)) + 0.5) / 2**n_bits - 0.5,
    )


def test_noise_is_a_function_of_the_key():
    batch, key = pixels((2, 4, 4, 3)), jax.random.key(0)
    first = fg.dequantize(key, batch)
    np.testing.assert_array_equal(first, fg.dequantize(key, batch))
    other = fg.dequantize(jax.random.key(1), batch)
    assert (first != other).mean() > 0.99
    noise = np.asarray(first + 0.5) * 256 - np.asarray(batch)
    assert (noise[0] != noise[1]).mean() > 0.99  # each image has noise of its own


@pytest.mark.parametrize("n_bits", range(1, 9))
def test_pixels_of_bins_are_spread_from_black_to_white_and_keep_their_bin(n_bits):
    batch = jnp.asarray(ALL_VALUES)
    spread = np.asarray(fg.to_pixels(fg.bin_midpoints(batch, n_bits=n_bits), n_bits=n_bits))
    assert spread.dtype == np.uint8
    assert (spread.min(), spread.max()) == (0, 255)
    np.testing.assert_array_equal(spread >> (8 - n_bits), ALL_VALUES >> (8 - n_bits))
    if n_bits == 8:
        np.testing.assert_array_equal(spread, ALL_VALUES)


@pytest.mark.parametrize("n_bits", [8, 5])
def test_pixels_of_anything_else_are_clipped_and_what_is_not_finite_is_black(n_bits):
    values = [-3.0, -0.5, -1e30, 0.5, 3.0, 1e30, math.nan, math.inf, -math.inf]
    x = jnp.asarray(values, jnp.float32).reshape(1, 3, 3, 1)
    wanted = [0, 0, 0, 255, 255, 255, 0, 0, 0]
    assert fg.to_pixels(x, n_bits=n_bits).ravel().tolist() == wanted


# Codes


@pytest.fixture(scope="module", params=[(1, 12, 8, 1), (5, 4, 8, 3)], ids=["gray", "color"])
def coded(request):
    """A perturbed GLOW with a bounded scale, and encode and decode of it, compiled."""
    shape = request.param
    flow = small_glow(scale="bounded", split_prior="learned", top_prior="learned")
    start = fg.bin_midpoints(pixels((16, *shape[1:])))
    params = perturbed(jax.jit(flow.init)(jax.random.key(0), start))
    encode = jax.jit(partial(fg.encode, flow), static_argnames="n_bits")
    decode = jax.jit(partial(fg.decode, flow), static_argnames="n_bits")
    return shape, partial(encode, params), partial(decode, params)


def test_images_come_back_exactly(coded):
    shape, encode, decode = coded
    for seed in range(3):
        original = pixels(shape, seed)
        latents = encode(original)
        assert [leaf.shape[0] for leaf in latents] == [shape[0], shape[0]]
        assert sum(leaf.size for leaf in latents) == original.size
        np.testing.assert_array_equal(decode(latents), original)


def test_images_of_fewer_bits_come_back_in_their_bins(coded):
    shape, encode, decode = coded
    original = pixels(shape)
    back = decode(encode(original, n_bits=5), n_bits=5)
    np.testing.assert_array_equal(np.asarray(back) >> 3, np.asarray(original) >> 3)


def test_decode_draws_nothing_and_needs_every_latent(coded):
    shape, encode, decode = coded
    original = pixels(shape)
    finest, top = encode(original)
    np.testing.assert_array_equal(decode((finest, top)), decode((finest, top)))
    for changed in ((-finest, top), (finest, -top)):
        assert (decode(changed) != original).mean() > 0.1


# Samples


#: Latents as GLOW has them, without anything to learn.
SPLITS = fg.MultiScale((fg.Squeeze(),) * 3, (fg.Split(),) * 2)
NO_PARAMS = {"levels": ((),) * 3, "splits": ((),) * 2}
SHAPE = (6, 8, 8, 1)


def test_temperature_scales_all_latents_or_each():
    latents = partial(fg.sample_latents, SPLITS, NO_PARAMS, jax.random.key(1), SHAPE)
    one = latents()
    assert [leaf.shape for leaf in one] == [(6, 4, 4, 2), (6, 2, 2, 4), (6, 1, 1, 16)]
    for tau, factors in [
        (0.7, (0.7, 0.7, 0.7)),
        (0.0, (0.0, 0.0, 0.0)),
        ((1.0, 0.5, 0.0), (1.0, 0.5, 0.0)),
        (jnp.asarray([0.25, 1.0, 2.0]), (0.25, 1.0, 2.0)),
    ]:
        for leaf, reference, factor in zip(latents(temperature=tau), one, factors, strict=True):
            np.testing.assert_allclose(leaf, factor * np.asarray(reference), rtol=1e-6)


def test_latents_are_standard_normal_and_every_one_follows_the_key():
    shape = (400, *SHAPE[1:])
    first = fg.sample_latents(SPLITS, NO_PARAMS, jax.random.key(1), shape)
    same = fg.sample_latents(SPLITS, NO_PARAMS, jax.random.key(1), shape)
    other = fg.sample_latents(SPLITS, NO_PARAMS, jax.random.key(2), shape)
    for a, b, c in zip(first, same, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert abs(np.corrcoef(a.ravel(), c.ravel())[0, 1]) < 0.06
        assert float(a.mean()) == pytest.approx(0, abs=0.06)
        assert float(a.std()) == pytest.approx(1, abs=0.06)
    columns = np.concatenate([np.asarray(leaf).reshape(400, -1) for leaf in first], axis=1)
    correlations = np.corrcoef(columns.T) - np.eye(columns.shape[1])
    assert np.abs(correlations).max() < 0.25  # no latent repeats the noise of another


def test_samples_are_the_inverse_of_their_latents():
    flow = small_glow(depth=1, split_prior="learned")
    params = perturbed(jax.jit(flow.init)(jax.random.key(0), images(SHAPE, "float32")))
    draw = jax.jit(lambda key, tau: fg.sample(flow, params, key, SHAPE, temperature=tau))
    key = jax.random.key(1)
    x = draw(key, 0.7)
    assert x.shape == SHAPE
    assert x.dtype == jnp.float32
    z, _ = jax.jit(flow.forward)(params, x)
    wanted = fg.sample_latents(flow, params, key, SHAPE, temperature=0.7)
    assert relative_error(z, wanted) < 1e-5
    assert (x[0] != x[1]).any()
    assert (x != draw(jax.random.key(2), 0.7)).mean() > 0.9
    np.testing.assert_array_equal(draw(key, 0.0), draw(jax.random.key(2), 0.0))


def test_a_flow_with_one_latent_samples_an_array():
    z = fg.sample_latents(fg.Reverse(), (), jax.random.key(0), (2, 4, 4, 3), temperature=[0.5])
    assert z.shape == (2, 4, 4, 3)


# Complaints


@pytest.mark.parametrize("temperature", [(1.0, 0.5), [[1.0, 1.0, 1.0]]])
def test_as_many_temperatures_as_latents(temperature):
    message = (
        "^sample.temperature: expected one number, or one for each of 3 latents, "
        r"got shape \(.*\); latents are ordered finest level first$"
    )
    with pytest.raises(ValueError, match=message):
        fg.sample(SPLITS, NO_PARAMS, jax.random.key(0), SHAPE, temperature=jnp.asarray(temperature))


@pytest.mark.parametrize("n_bits", [0, 9, -1])
def test_bits_from_one_to_eight(n_bits):
    message = f"^n_bits: expected 1 to 8, got {n_bits}; images are uint8$"
    with pytest.raises(ValueError, match=message):
        fg.dequantize(jax.random.key(0), pixels((1, 2, 2, 1)), n_bits=n_bits)
    with pytest.raises(ValueError, match=message):
        fg.to_pixels(jnp.zeros((1, 2, 2, 1)), n_bits=n_bits)


def test_floats_are_not_dequantized(unchecked):
    message = "^dequantize: expected uint8 images, got float32; scale them to 0 ... 255$"
    with pytest.raises(ValueError, match=message):
        fg.dequantize(jax.random.key(0), jnp.zeros((1, 2, 2, 1)))
