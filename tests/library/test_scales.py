"""Every scale against its closed form, its bounds, and network outputs far beyond the usual."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowjax_glow as fg
from flowjax_glow.channels import halves
from flowjax_glow.scales import Additive, Blend, Bounded, DepthScaled, Sigmoid, scale_from
from tests.library.cases import coupling, images

SHARED = "depth-scaled-32"
SCALES = {name: scale.shared_by(1) for name, scale in fg.SCALES.items()}
SCALES[SHARED] = fg.DepthScaled().shared_by(32)
UNBOUNDED = ("sigmoid", "two-sigmoid")  # those whose s may reach 0
EXTREMES = np.array([-1e4, -100.0, -88.0, 0.0, 88.0, 100.0, 1e4])

every_scale = pytest.mark.parametrize("name", SCALES)


def sigmoid(h):
    return 1 / (1 + np.exp(-h))


#: s by the defaults, in plain numpy.
CLOSED_FORMS = {
    "additive": lambda h: np.ones_like(h),
    "sigmoid": lambda h: sigmoid(h + 2),
    "biased": lambda h: 0.1 + sigmoid(h + 2),
    "bounded": lambda h: 0.5 + 0.5 * sigmoid(h + 2),
    "soft-clamp": lambda h: np.exp(1.9 * 2 / np.pi * np.arctan(h / 1.9)),
    "asymmetric": lambda h: np.exp(
        2 / np.pi * np.where(h < 0, 0.1 * np.arctan(h / 0.1), 2 * np.arctan(h / 2))
    ),
    "tanh": lambda h: np.exp(np.tanh(h)),
    "depth-scaled": lambda h: np.exp(4 * np.tanh(h / 4)),
    SHARED: lambda h: np.exp(0.125 * np.tanh(8 * h)),
    "softplus": lambda h: 1 / np.log1p(np.exp(np.log(np.e - 1) - 4 * np.tanh(h / 4))),
    "two-sigmoid": lambda h: 2 * sigmoid(h),
}

#: Infimum, supremum and start of s; sup of |d(1/s)/dh|, None where it is infinite.
FACTS = {
    "additive": (1.0, 1.0, 1.0, 0.0),
    "sigmoid": (0.0, 1.0, 0.880797, None),
    "biased": (0.1, 1.1, 0.980797, 1 / (4 * 0.1 * 1.1)),
    "bounded": (0.5, 1.0, 0.940399, 0.25),
    "soft-clamp": (math.exp(-1.9), math.exp(1.9), 1.0, math.exp(1.9) * 2 / math.pi),
    "asymmetric": (math.exp(-0.1), math.exp(2), 1.0, math.exp(0.1) * 2 / math.pi),
    "tanh": (math.exp(-1), math.exp(1), 1.0, math.exp(1)),
    "depth-scaled": (math.exp(-4), math.exp(4), 1.0, math.exp(4)),
    SHARED: (math.exp(-1 / 8), math.exp(1 / 8), 1.0, math.exp(1 / 8)),
    "softplus": (
        1 / math.log1p((math.e - 1) * math.exp(4)),
        1 / math.log1p((math.e - 1) * math.exp(-4)),
        1.0,
        1.0,  # of sigma (1 - tanh^2), so a bound
    ),
    "two-sigmoid": (0.0, 2.0, 1.0, None),
}


@functools.cache
def compiled(scale: fg.Scale):
    """``log s``, its derivative, ``s`` and ``1 / s`` at float32 raw outputs."""

    @jax.jit
    def evaluate(raw):
        log_scale, pull = jax.vjp(scale.log, raw)
        (slope,) = pull(jnp.ones_like(raw))
        return log_scale, slope, scale.value(raw), scale.reciprocal(raw)

    return lambda raw: [np.asarray(v) for v in evaluate(jnp.asarray(raw, jnp.float32))]


@every_scale
def test_extreme_outputs_of_the_net(name):
    log_scale, slope, s, inverse = compiled(SCALES[name])(EXTREMES)
    assert np.isfinite(log_scale).all()
    assert np.isfinite(slope).all()
    assert np.isfinite(s).all()
    assert not np.isnan(inverse).any()
    if name in UNBOUNDED:
        assert np.isinf(inverse[0])  # the overflow of the mathematics, 1/s = 1 + e^9998
        assert np.isfinite(inverse[3:]).all()
    else:
        assert np.isfinite(inverse).all()


@every_scale
def test_values_are_those_of_the_closed_form(name, dtype):
    raw = np.linspace(-30, 30, 601)
    with np.errstate(over="raise"):
        wanted = np.log(CLOSED_FORMS[name](raw))
    got = np.asarray(SCALES[name].log(jnp.asarray(raw, dtype)), np.float64)
    tolerance = 1e-6 if dtype == "float32" else 1e-11
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


@every_scale
def test_both_directions_are_those_of_the_logarithm(name, dtype):
    raw = jnp.asarray(np.linspace(-30, 30, 601), dtype)
    scale = SCALES[name]
    log_scale = np.asarray(scale.log(raw), np.float64)
    tolerance = 5e-6 if dtype == "float32" else 1e-13  # rounding of log s, up to 32, counts
    np.testing.assert_allclose(scale.value(raw), np.exp(log_scale), rtol=tolerance)
    np.testing.assert_allclose(scale.reciprocal(raw), np.exp(-log_scale), rtol=tolerance)


@every_scale
def test_gradients_are_those_of_the_closed_form(name):
    raw, h = np.linspace(-8, 8, 161), 1e-5
    form = CLOSED_FORMS[name]
    wanted = (np.log(form(raw + h)) - np.log(form(raw - h))) / (2 * h)
    np.testing.assert_allclose(compiled(SCALES[name])(raw)[1], wanted, atol=1e-5)


@every_scale
def test_bounds_hold_and_are_approached(name):
    lower, upper, _, _ = FACTS[name]
    scale = SCALES[name]
    assert scale.bounds == pytest.approx((lower, upper), rel=1e-12)
    log_lower, log_upper = scale.log_bounds
    raw = np.concatenate([np.linspace(-1e4, 1e4, 2001), np.linspace(-20, 20, 2001)])
    log_scale = compiled(scale)(raw)[0]
    rounding = 1e-6  # a closed end may be passed by as much as float32 rounds
    assert log_scale.min() >= log_lower - rounding
    assert log_scale.max() <= log_upper + rounding
    assert log_scale.max() == pytest.approx(log_upper, abs=1e-3)
    if name in UNBOUNDED:
        assert log_lower == -math.inf
        assert log_scale.min() < -9000
    else:
        assert log_scale.min() == pytest.approx(log_lower, abs=1e-3)
        inverse = np.exp(-np.asarray(log_scale, np.float64))
        assert inverse.max() == pytest.approx(1 / lower, rel=2e-3)


@every_scale
def test_the_start_is_that_of_a_net_that_gives_zeros(name):
    assert compiled(SCALES[name])(np.zeros(3))[2] == pytest.approx(FACTS[name][2], abs=1e-5)


@every_scale
def test_how_fast_the_inverse_gain_can_change(name):
    fastest = FACTS[name][3]
    log_scale, slope, _, _ = compiled(SCALES[name])(np.linspace(-30, 30, 20001))
    speed = np.abs(np.exp(-np.asarray(log_scale, np.float64)) * slope)
    if fastest is None:
        assert speed.max() > 1e10
    else:
        assert speed.max() <= fastest * (1 + 1e-5)
    if name in ("biased", "bounded"):  # the exact supremum, not merely a bound
        assert speed.max() == pytest.approx(fastest, rel=1e-4)


@pytest.mark.parametrize(
    "scale",
    [fg.Biased(0.03), fg.Biased(), fg.Bounded(), fg.Bounded(0.1, 1.0), fg.Bounded(2.0, 7.0)],
)
def test_where_the_slopes_of_a_sigmoid_with_a_floor_are_largest(scale):
    low, high = scale.bounds
    raw = jnp.linspace(-14.0, 10.0, 240_001)
    slope = jax.vmap(jax.grad(scale.log))(raw)
    s = np.asarray(scale.value(raw), np.float64)
    steepest_reciprocal = s[np.argmax(slope / s)]  # |d(1/s)/dh| = (d log s/dh) / s
    assert steepest_reciprocal == pytest.approx(2 * low * high / (low + high), rel=0.01)
    assert (slope / s).max() == pytest.approx(scale.reciprocal_slope, rel=1e-4)
    assert s[np.argmax(slope)] == pytest.approx(math.sqrt(low * high), rel=0.01)
    assert slope.max() == pytest.approx(scale.log_slope, rel=1e-4)


@every_scale
@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.floats(-1e4, 1e4, width=32), min_size=8, max_size=8))
def test_any_output_gives_a_rising_positive_invertible_scale(name, values):
    raw = np.sort(np.asarray(values, np.float32))
    log_scale, slope, s, inverse = compiled(SCALES[name])(raw)
    assert np.isfinite(log_scale).all()
    assert (np.diff(log_scale) >= -1e-6).all()
    assert (slope >= 0).all()
    known = np.isfinite(inverse) & (s > 1e-37)
    np.testing.assert_allclose(s[known] * inverse[known], 1, rtol=1e-5)


CONSTANTS = {
    "biased": st.builds(fg.Biased, st.floats(1e-4, 10)),
    "bounded": st.builds(
        lambda a, gap: fg.Bounded(a, a + gap), st.floats(1e-3, 5), st.floats(0.01, 5)
    ),
    "soft-clamp": st.builds(fg.SoftClamp, st.floats(0.01, 20)),
    "asymmetric": st.builds(fg.AsymmetricClamp, st.floats(0.01, 20), st.floats(0.01, 20)),
    "tanh": st.builds(fg.TanhExponential, st.floats(0.01, 20)),
    "softplus": st.builds(fg.TanhSoftplus, st.floats(0.01, 20)),
    "depth-scaled": st.builds(
        fg.DepthScaled, st.floats(0.01, 20), st.integers(1, 200), st.booleans()
    ),
}


@pytest.mark.parametrize("name", CONSTANTS)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_bounds_hold_for_any_constants(name, data):
    scale = data.draw(CONSTANTS[name])
    log_scale = np.asarray(scale.log(jnp.asarray(EXTREMES, jnp.float32)), np.float64)
    lower, upper = scale.log_bounds
    rounding = 1e-6 * (1 + abs(lower) + abs(upper))
    assert lower - rounding <= log_scale.min() <= log_scale.max() <= upper + rounding
    assert log_scale.max() - log_scale.min() > 0.9 * (upper - lower)
    assert scale.bounds == pytest.approx((math.exp(lower), math.exp(upper)))


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.floats(-1e4, 1e4, width=32), min_size=32, max_size=32))
def test_a_chain_of_depth_scaled_steps_stays_within_e_to_the_alpha(values):
    log_scale = compiled(SCALES[SHARED])(np.asarray(values))[0]
    assert abs(log_scale.sum(dtype=np.float64)) <= 4.0


def test_the_bound_of_a_chain_does_not_depend_on_depth():
    for steps in (1, 3, 32, 48):
        shared = fg.DepthScaled(alpha=3.0).shared_by(steps)
        log_scale = compiled(shared)(np.full(steps, 1e4))[0]
        assert log_scale.sum(dtype=np.float64) == pytest.approx(3.0, rel=1e-6)
        slope = compiled(shared)(np.zeros(1))[1]
        assert slope == pytest.approx(1.0)  # log s is h near 0, at any depth


@pytest.mark.parametrize("use", ["log", "value", "reciprocal"])
@pytest.mark.parametrize("one_sided", [False, True])
def test_a_depth_scaled_one_without_its_steps_is_refused(use, one_sided):
    scale = fg.DepthScaled(one_sided=one_sided)
    message = (
        r"^DepthScaled\.steps: expected how many of these scales act in a chain, got None; "
        r"pass steps=, or shared_by\(depth\); GlowConfig\(scale=\.\.\.\) does it for you$"
    )
    with pytest.raises(ValueError, match=message):
        getattr(scale, use)(jnp.zeros(1))
    for bound in ("limit", "log_bounds", "bounds", "reciprocal_slope"):
        with pytest.raises(ValueError, match=message):
            getattr(scale, bound)
    untold, x = coupling(scale), images((2, 4, 4, 4), "float32")
    params = untold.init(jax.random.key(0), x)
    for direction in (untold.forward, untold.inverse, untold.log_scale):
        with pytest.raises(ValueError, match=message):
            direction(params, x)


@pytest.mark.parametrize("name", fg.SCALES)
def test_only_a_scale_that_knows_the_depth_is_changed_by_it(name):
    shared = fg.SCALES[name].shared_by(32)
    assert (shared == fg.SCALES[name]) == (name != "depth-scaled")


@pytest.mark.parametrize("name", fg.SCALES)
def test_the_net_gives_as_many_numbers_as_the_scale_asks_for(name):
    scale = SCALES[name]
    x = images((2, 4, 4, 5), "float32")
    params = jax.eval_shape(coupling(scale).init, jax.random.key(0), x)
    moved = halves(x)[1].shape[-1]
    wanted = moved if name == "additive" else 2 * moved
    assert params["last"]["kernel"].shape[-1] == wanted


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: fg.Biased(0.0), "Biased.b: expected a number above 0, got 0.0; choose a larger"),
        (lambda: fg.Biased(math.nan), "Biased.b: expected a number above 0, got nan"),
        (
            lambda: fg.Bounded(0.0, 1.0),
            "Bounded: expected 0 < a < b, got a=0.0, b=1.0; raise a above 0 and keep it below b",
        ),
        (lambda: fg.Bounded(0.5, math.inf), "Bounded: expected 0 < a < b, got a=0.5, b=inf"),
        (lambda: fg.Bounded(1.0, 0.5), "Bounded: expected 0 < a < b, got a=1.0, b=0.5"),
        (
            lambda: fg.Biased(math.inf),
            "Biased.b: expected a number above 0, got inf; choose a finite",
        ),
        (lambda: fg.SoftClamp(0.0), "SoftClamp.alpha: expected a number above 0, got 0.0"),
        (lambda: fg.TanhExponential(-1.0), "TanhExponential.alpha: expected a number above 0"),
        (lambda: fg.AsymmetricClamp(0.0), "AsymmetricClamp.alpha: expected a number above 0, got"),
        (lambda: fg.AsymmetricClamp(beta=-1.0), "AsymmetricClamp.beta: expected a number above 0"),
        (lambda: fg.TanhSoftplus(0.0), "TanhSoftplus.c: expected a number above 0, got 0.0"),
        (lambda: fg.DepthScaled(alpha=-4.0), "DepthScaled.alpha: expected a number above 0"),
        (lambda: fg.DepthScaled(steps=0), "DepthScaled.steps: expected a whole number"),
        (lambda: fg.DepthScaled().shared_by(-1), "DepthScaled.steps: expected a whole number"),
    ],
)
def test_impossible_constants_are_refused(build, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        build()


def test_a_scale_of_ones_own_is_told_what_it_lacks():
    @dataclasses.dataclass(frozen=True)
    class Mine(fg.Scale):
        pass

    with pytest.raises(TypeError, match=r"Mine .*abstract methods '?log'?, '?log_bounds'?"):
        Mine()


def test_a_blend_leads_from_one_scale_to_the_other():
    raw = jnp.linspace(-5, 5, 11)
    start, end = Sigmoid(), Bounded(0.5, 1.0)
    for weight, wanted in ((0.0, start.log(raw)), (1.0, end.log(raw))):
        np.testing.assert_allclose(Blend(start, end, weight).log(raw), wanted, rtol=1e-6)
    half = Blend(start, end, jnp.asarray(0.5))
    np.testing.assert_allclose(half.value(raw) ** 2, start.value(raw) * end.value(raw), rtol=1e-5)
    told = Blend(start, DepthScaled(4.0), 0.5).shared_by(8)
    assert told.end == DepthScaled(4.0, 8)


def test_a_blend_needs_a_raw_number_on_both_sides():
    with pytest.raises(ValueError, match="Blend: expected two scales with a raw number each"):
        Blend(Sigmoid(), Additive(), 0.5)


def test_the_sides_of_an_asymmetric_clamp_are_soft_clamps_that_meet_smoothly():
    clamp, raw = fg.AsymmetricClamp(0.3, 1.9), np.linspace(-5, 5, 101)
    value = compiled(clamp)(raw)[0]
    for bound, side in ((0.3, raw < 0), (1.9, raw >= 0)):
        wanted = compiled(fg.SoftClamp(bound))(raw)[0][side]
        np.testing.assert_allclose(value[side], wanted, rtol=1e-6)
    ends = compiled(clamp)(np.array([-1e-6, 0.0, 1e-6]))[1]
    np.testing.assert_allclose(ends, 2 / math.pi, rtol=1e-5)


def test_one_plus_exponential_is_a_reciprocal_sigmoid(dtype):
    raw = jnp.linspace(-30, 30, 61, dtype=dtype)
    scale = fg.scales.OnePlusExponential()
    tolerance = {"rtol": 1e-6 if dtype == "float32" else 1e-14}
    np.testing.assert_allclose(scale.value(raw), 1 + jnp.exp(raw - 2), **tolerance)
    np.testing.assert_allclose(scale.reciprocal(raw), jax.nn.sigmoid(2 - raw), **tolerance)
    assert scale.bounds[0] == 1 < float(scale.value(raw).min()) + 1e-6
    slopes = jax.vmap(jax.grad(scale.reciprocal))(raw)
    assert 0.24 < float(jnp.abs(slopes).max()) <= scale.reciprocal_slope
    assert 0.99 < float(jax.vmap(jax.grad(scale.log))(raw).max()) <= scale.log_slope


def test_scales_are_read_from_text():
    assert scale_from("sigmoid") == Sigmoid()
    assert scale_from("bounded:0.25,1") == Bounded(0.25, 1.0)
    assert scale_from("depth-scaled:2") == DepthScaled(2.0)


@pytest.mark.parametrize("text", ["linear", "bounded:1", "bounded:1,0.5", "biased:x", "sigmoid:3"])
def test_what_is_no_scale_is_refused(text):
    with pytest.raises(ValueError, match=r"expected .*; "):
        scale_from(text)
