"""Diagnostics against closed forms, full Jacobians and plain loops."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow import SCALES, GlowConfig, bin_midpoints, sample_latents, with_memory
from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import ActNorm, AffineCoupling, InvertibleConv, Split
from flowjax_glow.combinators import Chain
from flowjax_glow.diagnostics import (
    attack,
    bi_lipschitz,
    certificate,
    check_log_dets,
    decode_observed,
    examine,
    finite_difference_penalty,
    latent_round_trips,
    out_of_distribution,
    precision_gap,
    reconstruction,
    singular_values,
    smallest_crop,
)
from flowjax_glow.diagnostics.certificates import convolution_gain, log_inverse_gain
from flowjax_glow.diagnostics.chunks import in_chunks
from flowjax_glow.diagnostics.layer_records import MAX_ROUNDS, TOLERANCE
from flowjax_glow.diagnostics.linear import (
    flatten,
    largest_stretch,
    noise_like,
    norm,
    normalized,
    products,
)
from flowjax_glow.diagnostics.precision import inverse_in_float64
from flowjax_glow.diagnostics.searches import (
    OBJECTIVES,
    _Around,
    _by_chance,
    _into_ball,
    _into_cube,
    _search,
)
from flowjax_glow.nets import CouplingNet
from flowjax_glow.numerics import LOG_SCALE_FACTOR, sum_events
from flowjax_glow.scales import DepthScaled, Exponential, SoftClamp, TanhExponential
from flowjax_glow.testing import perturbed
from tests.diagnostics.models import CONFIG, model, pictures


def jacobians(flow, params, x):
    def flat(image):
        return flatten(flow.forward(params, image[None])[0])[0]

    full = jax.jit(jax.vmap(jax.jacrev(flat)))(x)
    return np.asarray(full, np.float64).reshape(len(x), x[0].size, -1)


UNBOUNDED = GlowConfig(levels=1, depth=3, width=8)

#: Our remedy under openai/glow's wiring: nets with a gain, learned priors with a bound.
REMEDY = dataclasses.replace(
    CONFIG,
    scale=DepthScaled(),
    damped=True,
    reads="signal",
    split_prior="learned",
    prior_scale=DepthScaled(2.0, steps=1),
)


@functools.cache
def values_of(config):
    """Four images, the singular values there, and the flow that has them."""
    flow, params = model(config)
    x = bin_midpoints(jnp.asarray(pictures(4)))
    return x, singular_values(flow, params, x, chunk=3), flow, params


@pytest.mark.parametrize("config", [dataclasses.replace(UNBOUNDED, memory="invert"), REMEDY])
def test_singular_values_are_those_of_the_full_jacobian(config):
    x, found, flow, params = values_of(config)
    sigma = np.linalg.svd(jacobians(with_memory(flow, "store"), params, x))[1]
    assert x[0].size == 192
    np.testing.assert_allclose(found.largest, sigma[:, 0], rtol=1e-2)
    np.testing.assert_allclose(found.condition, sigma[:, 0] / sigma[:, -1], rtol=1e-2)
    assert found.evaluable.all()
    assert found.converged.all()


def test_an_inverse_that_is_not_evaluable_is_said_to_be():
    flow = ActNorm()
    params = {"shift": jnp.zeros(3), "log_scale": jnp.full(3, -200.0)}
    params = {name: params[name] for name in flow.init(jax.random.key(0), jnp.ones((2, 2, 2, 3)))}
    found = singular_values(flow, params, jnp.ones((2, 2, 2, 3)))
    assert not found.evaluable.any()
    assert not found.converged.any()
    assert np.isnan(found.condition).all()


def test_log_dets_are_checked_against_the_jacobian():
    flow, params = model()
    crop = smallest_crop(flow, params, bin_midpoints(jnp.asarray(pictures(2))))
    assert crop is not None
    assert crop.shape == (2, 4, 4, 3)
    found = check_log_dets(flow, params, crop)
    assert len(found.layer) == 2 * 9 + 3
    assert found.error.max() < 1e-5


def test_large_jacobians_are_refused():
    flow, params = model()
    with pytest.raises(ValueError, match="at most 256 numbers, got 768; crop them"):
        check_log_dets(flow, params, jnp.zeros((1, 16, 16, 3)))


@pytest.fixture(scope="module")
def examined():
    """A flow, its parameters, latents, and what is seen of them."""
    flow, params = model()
    z = sample_latents(flow, params, jax.random.key(2), (10, 8, 8, 3))
    # the last chunk repeats two examples
    return flow, params, z, examine(flow, params, z, chunk=4, tolerance=1e-4)


def test_scales_and_activations_are_those_of_the_walk(examined):
    flow, params, z, seen = examined
    decoded = decode_observed(flow, params, z)
    largest = [layer.seen.largest.max() for layer in decoded.layers]
    np.testing.assert_allclose(seen.activations.largest, largest, rtol=1e-5)
    lowest = [layer.seen.min_log_scale for layer in decoded.layers]
    lowest = np.stack([values for values in lowest if values is not None])
    np.testing.assert_allclose(seen.scales.smallest, np.exp(lowest.min(1)), rtol=1e-5)
    chain = np.exp(-np.cumsum(lowest, axis=0)).max(1)
    np.testing.assert_allclose(seen.scales.chain_gain, chain, rtol=1e-4)
    finest = np.exp(np.asarray(decoded.scales[0]))  # of the first step after the split
    row = list(seen.scales.layer).index("level0/step2/AffineCoupling")
    assert abs(np.log(seen.scales.median[row] / np.median(finest))) < 0.026
    assert (seen.checks.round_trip < 1e-5).all()
    assert (seen.checks.log_det_error < 1e-5).all()


def test_the_gain_of_a_sub_layer_is_below_its_largest_singular_value(examined):
    _, params, _, seen = examined
    checks = seen.checks
    assert checks.converged.all()
    gains = dict(zip(checks.layer, checks.gain, strict=True))
    steps = params["levels"][0][1]
    for step in range(3):
        weight = np.asarray(steps[1]["weight"][step])
        exact = 1 / np.linalg.svd(weight)[1][-1]
        gain = gains[f"level0/step{step}/InvertibleConv"]
        assert 0.97 * exact < gain < 1.0001 * exact


class OneDirection(Bijector):
    """``z = x / size`` along one direction of a batch's images, and ``z = x`` across it."""

    def __init__(self, size):
        self.size = size

    def init(self, key, x):
        return normalized(jax.random.normal(key, (1, *x.shape[1:])))

    def forward(self, params, x):
        return self._scaled(params, x, 1 / self.size), -self._log_det(x)

    def inverse(self, params, z):
        return self._scaled(params, z, self.size), self._log_det(z)

    def _scaled(self, direction, x, size):
        along = sum_events(x * direction)[:, None, None, None]
        return x + (size - 1) * along * direction

    def _log_det(self, x):
        return jnp.full(len(x), np.log(self.size), x.dtype)


@pytest.mark.parametrize("side", [16, 64])  # 768 and 12,288 dimensions
def test_power_iteration_finds_one_direction_among_many(side):
    flow, z = OneDirection(1.8), jax.random.normal(jax.random.key(0), (3, side, side, 3))
    params = flow.init(jax.random.key(1), z)
    checks = examine(flow, params, z).checks
    np.testing.assert_allclose(checks.gain, 1.8, rtol=0.01)
    assert checks.converged.all()
    push, pull = products(lambda z: flow.inverse(params, z)[0], z)
    start = noise_like(jax.random.key(0), z)
    early = largest_stretch(push, pull, start, tolerance=1e-3, max_rounds=3)
    assert early.size.min() < 1.5  # three rounds are not enough
    assert not early.settled.any()


def test_power_iteration_grows_and_says_whether_it_settled():
    steep = jnp.array([1.8, 1.7, 1.0, 0.0])
    start = jnp.array([[0.1, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]])  # the second lacks the steep

    def times(v):
        return v * steep

    def stretch(rounds):
        return largest_stretch(times, times, start, tolerance=1e-4, max_rounds=rounds)

    sizes = np.array([stretch(rounds).size for rounds in (0, 2, 8, 100)])
    assert (np.diff(sizes[:, 0]) > 0).all()
    np.testing.assert_allclose(sizes[-1], [1.8, 1.0], rtol=0.01)
    assert stretch(8).settled.tolist() == [False, True]
    assert stretch(100).settled.tolist() == [True, True]


def test_a_gain_that_overflows_has_not_converged():
    params = {"shift": jnp.zeros(3), "log_scale": jnp.full(3, -200.0)}
    checks = examine(ActNorm(), params, jnp.ones((2, 2, 2, 3))).checks
    assert np.isinf(checks.gain).all()
    assert not checks.converged.any()


@pytest.mark.parametrize("form", ["shift-first", "scale-first"])
@pytest.mark.parametrize("part", ["shift", "scale"])
def test_what_a_coupling_stretches_by_is_told_apart_as_in_its_dense_jacobian(part, form):
    coupling = AffineCoupling(CouplingNet(width=4), DepthScaled(2.0, steps=1), form)
    z = 3 * jax.random.normal(jax.random.key(0), (1, 4, 4, 4))
    params = perturbed(jax.jit(coupling.init)(jax.random.key(1), z), amount=0.3)
    kernel = params["last"]["kernel"]
    flat = slice(2, None) if part == "shift" else slice(2)
    last = {**params["last"], "kernel": kernel.at[..., flat].multiply(0.01)}
    params = {**params, "last": last}

    def dense(function):
        return np.asarray(jax.jit(jax.jacrev(function))(z)).reshape(-1, z.size)

    jacobian = dense(lambda z: coupling.inverse(params, z)[0])
    v = np.linalg.svd(jacobian)[2][0]
    moved_v = v.reshape(z.shape)[..., 2:].ravel()
    shift, log_scale = coupling.shift_and_log_scale(params, z)
    over_s = np.exp(-np.asarray(log_scale).ravel())
    d_shift = dense(lambda z: coupling.shift_and_log_scale(params, z)[0]) @ v
    d_log_scale = dense(lambda z: coupling.shift_and_log_scale(params, z)[1]) @ v
    found = examine(coupling, params, z, tolerance=1e-5).couplings
    told = [found.by_division[0], found.by_scale[0], found.by_shift[0]]
    moved = np.asarray(z)[..., 2:].ravel()
    expected = [moved_v * over_s, moved * over_s * d_log_scale, d_shift]
    if form == "scale-first":
        scaled = moved - np.asarray(shift).ravel()
        expected = [moved_v * over_s, scaled * over_s * d_log_scale, d_shift * over_s]
    expected = [np.linalg.norm(term) for term in expected]
    np.testing.assert_allclose(told, expected, atol=0.01 * max(expected))
    assert np.argmax(told) == (2 if part == "shift" else 1)
    np.testing.assert_allclose(found.gain, np.linalg.norm(jacobian, 2), rtol=1e-4)


def test_the_gain_of_a_coupling_and_its_terms_are_along_one_direction():
    coupling = AffineCoupling(CouplingNet(width=4), DepthScaled(2.0, steps=1))
    z = 3 * jax.random.normal(jax.random.key(0), (1, 4, 4, 4))
    params = perturbed(jax.jit(coupling.init)(jax.random.key(1), z), amount=0.3)
    push, pull = products(lambda z: coupling.inverse(params, z)[0], z)
    start = noise_like(jax.random.key(0), z)
    v = largest_stretch(push, pull, start, tolerance=TOLERANCE, max_rounds=MAX_ROUNDS).direction
    (_, log_scale), (d_shift, d_log_scale) = jax.jvp(
        lambda z: coupling.shift_and_log_scale(params, z), (z,), (v,)
    )
    over_s, moved, moved_v = jnp.exp(-log_scale), z[..., 2:], v[..., 2:]
    terms = [moved_v * over_s, moved * over_s * d_log_scale, d_shift]
    found = examine(coupling, params, z, seed=0).couplings
    told = [found.by_division[0], found.by_scale[0], found.by_shift[0]]
    np.testing.assert_allclose(told, [jnp.linalg.norm(term) for term in terms], rtol=1e-4)
    read, stretched = v[..., :2], terms[0] - terms[1] - terms[2]
    whole = jnp.concatenate([read, stretched], axis=-1)
    np.testing.assert_allclose(found.gain, jnp.linalg.norm(whole), rtol=1e-4)


#: Half as much to compile.
ONE_LEVEL = dataclasses.replace(CONFIG, levels=1)


def test_precision_gap_tells_amplification_and_leaks_nothing():
    flow, params = model(ONE_LEVEL)
    gap = precision_gap(flow, params, (8, 8, 3), taus=(0.0, 1.0), samples=3)
    assert jnp.ones(2).dtype == jnp.float32
    assert (gap.worst < 1e-5).all()
    assert (gap.worst > 1e-9).all()
    assert (gap.float64_error < 1e-10).all()
    np.testing.assert_allclose(gap.amplification, gap.worst * 2.0**24)
    assert (gap.rounded_error > 1e3 * gap.float64_error).all()


def test_the_error_that_rounding_an_image_costs():
    flow, x = ActNorm(), jax.random.normal(jax.random.key(0), (5, 4, 4, 3))
    params = {"shift": jnp.full(3, 0.3), "log_scale": jnp.array([-1.0, 2.0, 0.5])}
    z = sample_latents(flow, params, jax.random.key(3), x.shape)
    scale = np.exp(LOG_SCALE_FACTOR * np.asarray(params["log_scale"], np.float64))
    wide = np.asarray(z, np.float64)
    exact, _, told = inverse_in_float64(flow, params, z)
    error = (exact.astype(np.float32) - exact) * scale
    sizes = [np.linalg.norm(each.reshape(5, -1), axis=1) for each in (error, wide)]
    np.testing.assert_allclose(told, sizes[0] / sizes[1], rtol=1e-6)


def test_latents_that_do_not_come_back_are_counted():
    flow, params = model(UNBOUNDED)
    squeeze, steps = params["levels"][0]
    last = steps[2]["last"]
    shift = last["shift"].at[1, -1].set(-200.0)  # 1 / s overflows
    steps = (steps[0], steps[1], {**steps[2], "last": {**last, "shift": shift}})
    broken = {**params, "levels": ((squeeze, steps),)}
    found = latent_round_trips(flow, broken, (8, 8, 3), taus=(1.0,), samples=6, chunk=4)
    assert found.lost.tolist() == [1.0]
    assert found.not_finite.tolist() == [1.0]
    assert np.isinf(found.worst).all()
    images = reconstruction(flow, broken, pictures())
    assert images.same_bins[0] == 0
    assert images.nan[0] + images.plus_infinity[0] + images.minus_infinity[0] > 0


def test_pairs_and_certificates_enclose_the_gain_of_the_inverse():
    _, values, flow, params = values_of(REMEDY)
    x = bin_midpoints(jnp.asarray(pictures()))
    bound = certificate(flow, params, x[:1], box=20.0)
    assert np.isfinite(bound.log_gain).all()
    pairs = bi_lipschitz(flow, params, x)
    assert pairs.inverse.max() < 1.01 * (1 / values.smallest).max()
    assert np.log(pairs.inverse.max()) < bound.total
    seen = examine(flow, params, jax.jit(flow.forward)(params, x)[0])
    assert seen.activations.largest.max() < 20  # or the bounds would say nothing of these images
    assert (np.log(seen.checks.gain) <= bound.log_gain + 1e-5).all()
    assert abs(sum(bound.per_level.values()) - bound.total) < 1e-4
    assert set(bound.per_step) == {f"level{i}/step{j}" for i in range(2) for j in range(3)}


@pytest.mark.parametrize("form", ["shift-first", "scale-first"])
@pytest.mark.parametrize("scale", ["bounded", "additive", "depth-scaled"])
@pytest.mark.parametrize("actnorm", [True, False])
def test_the_certificate_of_a_coupling_is_above_its_dense_jacobian(form, scale, actnorm):
    net = CouplingNet(width=4, actnorm=actnorm)
    coupling = AffineCoupling(net, SCALES[scale].shared_by(1), form)
    z = 3 * jax.random.normal(jax.random.key(0), (1, 4, 4, 4))
    params = perturbed(jax.jit(coupling.init)(jax.random.key(1), z), amount=0.3)
    dense = jax.jit(jax.jacrev(lambda z: coupling.inverse(params, z)[0]))(z)
    exact = np.linalg.norm(np.asarray(dense).reshape(z.size, -1), 2)
    box = max(float(jnp.abs(a).max()) for a in (z, coupling.inverse(params, z)[0]))
    (bound,) = certificate(coupling, params, z, box=box).log_gain
    assert np.log(exact) < bound < np.log(1e6 * exact)
    (narrower,) = certificate(coupling, params, z, box=box / 2).log_gain
    assert (narrower < bound) == (scale != "additive")


@pytest.mark.parametrize("form", ["shift-first", "scale-first"])
def test_a_coupling_that_gives_zeros_has_the_certificate_of_its_scale(form):
    coupling = AffineCoupling(CouplingNet(width=4), SCALES["bounded"], form)
    z = jax.random.normal(jax.random.key(0), (1, 4, 4, 4))
    params = coupling.init(jax.random.key(1), z)
    np.testing.assert_allclose(certificate(coupling, params, z).log_gain, [np.log(2)], rtol=1e-6)


@pytest.mark.parametrize("split", [Split(prior="places"), Split(prior="learned", edge=True)])
def test_the_certificate_of_a_prior_is_above_its_dense_jacobian(split):
    x = jax.random.normal(jax.random.key(0), (1, 4, 4, 4))
    params = perturbed(split.init(jax.random.key(1), x), amount=0.1)
    if split.edge:  # at the border the deviation is e^3 and more
        params["edge"] = params["edge"].at[..., 2:].add(1.0)
    z, _ = split.forward(params, x)
    dense = jax.jacrev(lambda z: split.inverse(params, z)[0])(z)
    rows = np.concatenate([np.asarray(part).reshape(x.size, -1) for part in dense], axis=1)
    box = jnp.stack([jnp.abs(part).max() for part in (x, *z)]).max()
    bound = float(log_inverse_gain(split, params, box))
    assert 0 < np.log(np.linalg.norm(rows, 2)) < bound + 1e-6 < 20


def test_unbounded_scales_have_no_certificate():
    flow, params = model(UNBOUNDED)
    bound = certificate(flow, params, jnp.zeros((1, 8, 8, 3)))
    for name, gain in zip(bound.layer, bound.log_gain, strict=True):
        assert np.isinf(gain) == name.endswith("AffineCoupling")
    additive, own = model(dataclasses.replace(ONE_LEVEL, scale=SCALES["additive"]))
    assert np.isfinite(certificate(additive, own, jnp.zeros((1, 8, 8, 3))).total)


def test_a_convolution_s_bound_holds_and_is_within_three():
    kernel = jnp.asarray(np.random.default_rng(0).standard_normal((3, 3, 4, 5)), jnp.float32)

    def flat(x):
        from flowjax_glow.convolution import convolve

        return convolve(x.reshape(1, 6, 6, 4), kernel).ravel()

    exact = np.linalg.norm(np.asarray(jax.jacrev(flat)(jnp.zeros(144))), 2)
    assert exact <= float(convolution_gain(kernel)) < 3 * exact


SLOPED = {
    **{name: scale.shared_by(1) for name, scale in SCALES.items()},
    "depth-scaled, 8": DepthScaled(4.0, 8),
    "one-sided": DepthScaled(4.0, 8, one_sided=True),
    "tight": SoftClamp(0.2),
    "exponential": Exponential(),
}


@pytest.mark.parametrize("name", SLOPED)
def test_the_slope_of_the_reciprocal_is_its_supremum(name):
    scale = SLOPED[name]
    raw = jnp.linspace(-60, 60, 240_001)
    slopes = np.abs(np.asarray(jax.vmap(jax.grad(scale.reciprocal))(raw)))
    if np.isinf(scale.reciprocal_slope):
        assert slopes.max() > 1e6
    else:
        np.testing.assert_allclose(slopes.max(), scale.reciprocal_slope, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("name", SLOPED)
def test_the_slope_of_the_logarithm_is_its_supremum(name):
    scale = SLOPED[name]
    raw = jnp.linspace(-60, 60, 240_001)
    slopes = np.abs(np.asarray(jax.vmap(jax.grad(scale.log))(raw)))
    np.testing.assert_allclose(slopes.max(), scale.log_slope, rtol=2e-3, atol=1e-6)


def test_the_slope_of_small_and_large_tanh():
    assert TanhExponential(1e-3).reciprocal_slope == pytest.approx(1e-3, rel=1e-3)
    assert TanhExponential(10.0).reciprocal_slope > 1e4 / 2


def test_the_penalty_is_the_mean_squared_singular_value_of_a_linear_flow():
    flow = Chain(ActNorm(), InvertibleConv())
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2000, 1, 1, 3)), jnp.float32)
    params = flow.init(jax.random.key(0), x)
    params[1]["weight"] = jnp.asarray([[2.0, 0.3, 0], [0, 1, 0], [0.5, 0, 0.7]])
    penalty = jax.jit(lambda p: finite_difference_penalty(flow, p, jax.random.key(1), x))
    forward, inverse = penalty(params)
    jacobian = jacobians(flow, params, x[:1])[0]
    np.testing.assert_allclose(forward.mean(), (jacobian**2).sum() / 3, rtol=0.1)
    np.testing.assert_allclose(inverse.mean(), (np.linalg.inv(jacobian) ** 2).sum() / 3, rtol=0.1)
    gradient = jax.grad(lambda p: sum(part.mean() for part in penalty(p)))(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_an_attack_climbs_and_stays_in_its_region():
    flow, params = model(UNBOUNDED)
    found = attack(flow, params, pictures(3), objectives=["smallest scale"], steps=6)
    assert found.search.tolist() == ["cube, smallest scale", "ball, smallest scale"]
    assert (found.objective > 0).all()
    assert (found.found >= found.start).all()  # which is one of the points
    assert (found.by_chance >= found.start).all()
    assert (found.found < 1e-3).all()  # nothing is broken here


class BrokenBetween(Bijector):
    """The identity; its inverse is off by 1 where the first number lies between two others."""

    def __init__(self):
        self.errors_measured = 0

    def init(self, key, x):
        return {"low": jnp.asarray(1.1), "high": jnp.asarray(1.25)}

    def forward(self, params, x):
        self.errors_measured += 1
        return x, jnp.zeros(len(x))

    def inverse(self, params, z):
        first = z[:, :1, :1, :1]
        wrong = (params["low"] < first) & (first < params["high"])
        return z + wrong.astype(z.dtype), jnp.zeros(len(z))


@pytest.fixture
def straight_on(monkeypatch):
    """An objective that leads from ones, in a ball of a tenth of their length, across the gap."""
    monkeypatch.setitem(OBJECTIVES, "first", lambda flow, params, z, key: z[:, 0, 0, 0])
    flow, start = BrokenBetween(), jnp.ones((2, 2, 2, 3))
    params = flow.init(jax.random.key(0), start)
    return _Around(flow, "ball", params, start, jnp.asarray(0.1))


def test_a_climb_is_judged_by_its_worst_point(straight_on):
    found = _search(straight_on, jax.random.key(1), "first", 6)
    edge = 0.1 * np.sqrt(12)
    np.testing.assert_allclose(found["climbed"], edge, rtol=1e-5)
    end = straight_on.start.at[:, 0, 0, 0].add(edge)
    assert (straight_on.error(end) == 0).all()
    assert (found["error"] > 0.5).all()  # at its second point
    assert (found["largest"] > 2).all()


def test_chance_has_as_many_points_as_a_climb(straight_on):
    counts = []
    with jax.disable_jit():
        for search in (
            lambda: _search(straight_on, jax.random.key(1), "first", 2),
            lambda: _by_chance(straight_on, jax.random.key(1), 2),
        ):
            before = straight_on.flow.errors_measured
            search()
            counts.append(straight_on.flow.errors_measured - before)
    assert counts == [3, 3]


def test_regions_hold():
    x = jnp.zeros((2, 2, 2, 3))
    inside = _into_cube(x, jnp.asarray(0.1), x + 5.0)
    assert float(inside.max()) < 0.1
    z = (jnp.ones((2, 1, 1, 4)), 2 * jnp.ones((2, 1, 1, 2)))
    moved = _into_ball(z, jnp.asarray(0.5), jax.tree.map(lambda leaf: leaf + 3.0, z))
    step = jax.tree.map(jnp.subtract, moved, z)
    np.testing.assert_allclose(norm(step), 0.5 * norm(z), rtol=1e-5)


def test_an_unknown_objective_is_refused():
    with pytest.raises(ValueError, match=r"attack\.objectives: expected .*gain"):
        attack(*model(), pictures(2), objectives=["luck"])


def test_other_images_are_measured_alike():
    flow, params = model(ONE_LEVEL)
    found = out_of_distribution(flow, params, pictures(4))
    assert found.images[0] == "given"
    assert len(found.images) == 8
    assert (found.same_bins == 1).all()
    given = reconstruction(flow, params, pictures(4))
    assert found.worst[0] == given.worst[0]
    assert found.bits_per_dim[list(found.images).index("rademacher")] > found.bits_per_dim[0]


def test_chunks_change_nothing():
    batch = {"a": np.arange(10.0), "b": np.ones((10, 2))}
    sizes = []

    def double(part):
        sizes.append(len(part["a"]))
        return part["a"] * 2

    np.testing.assert_array_equal(in_chunks(double, batch, 4), 2 * batch["a"])
    assert sizes == [4, 4, 4]
