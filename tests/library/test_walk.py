"""The walk of the inverse: it computes what `inverse` does, and shows all of it."""

import functools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax_glow as fg
from flowjax_glow.numerics import TOLERANCES, event_size
from flowjax_glow.walk import CarriesScale
from tests.library.cases import build, images, perturbed
from tests.library.compare import relative_error

# Two levels of two steps; learned priors, then a permutation at each level's end.
NAME = "glow-openai-damped"


def watch(bijector, params, z, x, log_det):
    """Changes nothing; records all there is to see."""
    log_scale = bijector.log_scale(params, z) if isinstance(bijector, CarriesScale) else None
    return x, {"x": x, "log_det": log_det, "log_scale": log_scale}


def clip(limit):
    def visit(bijector, params, z, x, log_det):
        x = jnp.clip(x, -limit, limit)
        return x, jnp.abs(x).max()

    return visit


@functools.cache
def walked():
    """The walk of latents that images gave: the case, the latents, and what `watch` saw."""
    case = build(NAME, "float32")
    z, _ = case.forward(case.params, case.x)
    walk = jax.jit(lambda params, z: fg.walk_inverse(case.bijector, params, z, watch))
    return case, z, walk(case.params, z)


def test_a_visitor_that_changes_nothing_gives_the_inverse():
    case, z, (x, log_det, _) = walked()
    wanted_x, wanted_log_det = case.inverse(case.params, z)
    assert relative_error(x, wanted_x) < 1e-6
    np.testing.assert_allclose(log_det, wanted_log_det, rtol=1e-5)


def test_records_are_named_in_the_order_of_generation():
    case, _, (_, _, records) = walked()
    names = [name for name, _, _ in fg.flatten_records(case.bijector, records)]
    step = ["AffineCoupling", "InvertibleConv", "ActNorm"]
    steps = [f"step1/{name}" for name in step] + [f"step0/{name}" for name in step]
    assert names == [
        "level1/LearnedPrior",
        *(f"level1/{name}" for name in steps),
        "level1/Squeeze",
        "level0/Split",
        *(f"level0/{name}" for name in steps),
        "level0/Squeeze",
    ]


def test_names_and_bijectors_belong_together():
    case, _, (_, _, records) = walked()
    for name, bijector, record in fg.flatten_records(case.bijector, records):
        assert name.endswith(f"/{type(bijector).__name__}")
        assert set(record) == {"x", "log_det", "log_scale"}
        assert (record["log_scale"] is not None) == isinstance(bijector, fg.AffineCoupling)


def encode_by_hand(flow, params, x):
    """Every layer's input, log-det and log-scale, by a plain loop in the order of encoding."""
    seen = []

    def apply(bijector, own, x):
        z, log_det = bijector.forward(own, x)
        scale = bijector.log_scale(own, x) if isinstance(bijector, fg.AffineCoupling) else None
        seen.append({"x": x, "log_det": -log_det, "log_scale": scale})
        return z

    for index, level in enumerate(flow.levels):
        squeeze, repeat, *rest = level.bijectors
        _, stacked, *rest_params = params["levels"][index]
        x = apply(squeeze, (), x)
        for depth in range(repeat.depth):
            own = jax.tree.map(lambda leaf: leaf[depth], stacked)  # noqa: B023 (used at once)
            for bijector, its in zip(repeat.step.bijectors, own, strict=True):
                x = apply(bijector, its, x)
        for bijector, its in zip(rest, rest_params, strict=True):
            x = apply(bijector, its, x)
        if index < len(flow.splits):
            x, _ = apply(flow.splits[index], params["splits"][index], x)
    return seen


def test_every_record_equals_what_a_plain_loop_saw_on_the_way_up():
    case, _, (_, _, records) = walked()
    by_hand = jax.jit(lambda params, x: encode_by_hand(case.bijector, params, x))
    wanted = by_hand(case.params, case.x)[::-1]
    got = [record for _, _, record in fg.flatten_records(case.bijector, records)]
    for record, seen in zip(got, wanted, strict=True):
        assert relative_error(record["x"], seen["x"]) < TOLERANCES["float32"].relative
        np.testing.assert_allclose(record["log_det"], seen["log_det"], rtol=1e-4, atol=1e-4)
        if seen["log_scale"] is not None:
            np.testing.assert_allclose(record["log_scale"], seen["log_scale"], atol=1e-5)
            assert float(jnp.std(seen["log_scale"])) > 1e-3  # they differ from place to place


def test_the_log_dets_of_the_records_add_up():
    case, _, (_, log_det, records) = walked()
    parts = [record["log_det"] for _, _, record in fg.flatten_records(case.bijector, records)]
    np.testing.assert_allclose(sum(parts), log_det, rtol=1e-5)


@functools.cache
def clipped_walk():
    case = build(NAME, "float32")
    return jax.jit(lambda params, z, limit: fg.walk_inverse(case.bijector, params, z, clip(limit)))


def test_clipping_bounds_every_activation():
    case, z, (_, _, records) = walked()
    largest = max(jnp.abs(r["x"]).max() for _, _, r in fg.flatten_records(case.bijector, records))
    limit = 0.4
    assert largest > limit
    x, _, clipped = clipped_walk()(case.params, z, limit)
    hits = [float(record) for _, _, record in fg.flatten_records(case.bijector, clipped)]
    assert max(hits) == pytest.approx(limit)
    assert jnp.abs(x).max() <= limit + 1e-6
    assert relative_error(x, case.x) > 1e-2  # what is clipped goes on down the flow


def test_an_infinite_limit_changes_nothing():
    case, z, (wanted, wanted_log_det, _) = walked()
    x, log_det, _ = clipped_walk()(case.params, z, math.inf)
    assert relative_error(x, wanted) < 1e-6
    np.testing.assert_allclose(log_det, wanted_log_det, rtol=1e-6)


def test_nan_stays_nan_in_its_own_example():
    case, (finest, top), _ = walked()
    broken = finest.at[1, 0, 0, 0].set(jnp.nan), top
    x, log_det, _ = clipped_walk()(case.params, broken, 10.0)
    assert jnp.isnan(x).any(axis=(1, 2, 3)).tolist() == [False, True, False]
    assert jnp.isfinite(log_det[jnp.array([0, 2])]).all()


def test_the_log_det_is_that_of_the_maps_alone():
    flow, x = fg.Chain(fg.ActNorm()), images((2, 4, 4, 3), "float32")
    params = perturbed(flow.init(jax.random.key(0), x))
    z, _ = flow.forward(params, x)
    clipped, log_det, _ = fg.walk_inverse(flow, params, z, clip(0.1))
    assert jnp.abs(clipped).max() <= 0.1
    np.testing.assert_allclose(log_det, flow.inverse(params, z)[1], rtol=1e-6)


@dataclass(frozen=True)
class Stretch(fg.Bijector):
    """A scale-carrying bijector as a user may write it."""

    def init(self, key, x):
        return {"log": jnp.zeros(x.shape[-1], x.dtype)}

    def forward(self, params, x):
        return x * jnp.exp(params["log"]), self._log_det(x, params)

    def inverse(self, params, z):
        return z * jnp.exp(-params["log"]), -self._log_det(z, params)

    def log_scale(self, params, z):
        return jnp.broadcast_to(params["log"], z.shape)

    def _log_det(self, x, params):
        return jnp.full(x.shape[:1], x.shape[1] * x.shape[2] * params["log"].sum())


def test_a_bijector_of_ones_own_takes_part():
    flow, x = fg.Repeat(fg.Chain(Stretch(), fg.Reverse()), 2), images((2, 4, 4, 3), "float32")
    params = perturbed(flow.init(jax.random.key(0), x), 0.5)
    z, log_det = flow.forward(params, x)
    back, back_log_det, records = jax.jit(lambda p, z: fg.walk_inverse(flow, p, z, watch))(
        params, z
    )
    assert relative_error(back, x) < 1e-6
    assert jnp.abs(log_det + back_log_det).max() / event_size(x) < 1e-6
    flat = list(fg.flatten_records(flow, records))
    assert [name for name, _, _ in flat] == [
        "step1/Reverse",
        "step1/Stretch",
        "step0/Reverse",
        "step0/Stretch",
    ]
    for place, step in ((1, 1), (3, 0)):
        np.testing.assert_array_equal(
            flat[place][2]["log_scale"], np.broadcast_to(params[0]["log"][step], x.shape)
        )


def test_a_combinator_that_is_not_registered_is_visited_as_one():
    flow, z = fg.Chain(fg.Invert(fg.Reverse()), fg.Squeeze()), images((2, 2, 2, 4), "float32")
    x, _, records = fg.walk_inverse(flow, ((), ()), z, watch)
    names = [name for name, _, _ in fg.flatten_records(flow, records)]
    assert names == ["Squeeze", "Invert"]
    np.testing.assert_array_equal(x, flow.inverse(((), ()), z)[0])


def test_only_bijectors_that_offer_a_log_scale_carry_one():
    assert isinstance(Stretch(), CarriesScale)
    assert isinstance(fg.AffineCoupling(), CarriesScale)
    assert not isinstance(fg.ActNorm(), CarriesScale)
