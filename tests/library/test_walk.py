"""The walk of the inverse: it computes what `inverse` does, and shows all of it."""

import functools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax_glow as fg
from flowjax_glow.diagnostics import certificate, examine, redraw_permutations
from flowjax_glow.numerics import TOLERANCES, event_size
from flowjax_glow.testing import perturbed, relative_error
from flowjax_glow.walk import CarriesScale, log_scale
from tests.library.cases import build, images

# Two levels of two steps; learned priors, then a permutation at each level's end.
NAME = "glow-openai-damped"


def watch(bijector, params, z, x, log_det):
    """Changes nothing; records all there is to see."""
    return x, {"x": x, "log_det": log_det, "log_scale": log_scale(bijector, params, z)}


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


@dataclass(frozen=True)
class Halves(fg.Combinator):
    """A combinator as a user may write it: a bijector for each half of the channels."""

    first: fg.Bijector
    second: fg.Bijector

    @property
    def children(self):
        return {"first": self.first, "second": self.second}

    def replace_children(self, children):
        return Halves(**children)

    def init(self, key, x):
        a, b = jnp.split(x, 2, axis=-1)
        return {"first": self.first.init(key, a), "second": self.second.init(key, b)}

    def forward_through(self, params, x, maps):
        return self._each(params, x, maps.forward)

    def inverse_through(self, params, z, maps):
        return self._each(params, z, maps.inverse)

    def _each(self, params, x, apply):
        a, b = jnp.split(x, 2, axis=-1)
        a, log_det, seen = apply(self.first, params["first"], a)
        b, other_log_det, other_seen = apply(self.second, params["second"], b)
        records = {"first": seen, "second": other_seen}
        return jnp.concatenate([a, b], axis=-1), log_det + other_log_det, records


@functools.cache
def halves_of_three_kinds():
    """Something repeated, something turned around, and a permutation, in a combinator of ours; its
    parameters and a batch."""
    step = fg.Chain(Stretch(), fg.AffineCoupling(fg.CouplingNet(width=4), fg.Bounded()))
    flow = Halves(
        fg.Repeat(step, 2), fg.Invert(fg.Chain(fg.ActNorm(), fg.Permutation(), Stretch()))
    )
    x = images((2, 4, 4, 8), "float32")
    return flow, perturbed(jax.jit(flow.init)(jax.random.key(0), x)), x


NAMES = [
    "Invert(ActNorm)",
    "Invert(Permutation)",
    "Invert(Stretch)",
    "step1/AffineCoupling",
    "step1/Stretch",
    "step0/AffineCoupling",
    "step0/Stretch",
]


def test_a_combinator_of_ones_own_takes_part():
    flow, params, x = halves_of_three_kinds()
    z, log_det = jax.jit(flow.forward)(params, x)
    back, _, records = jax.jit(lambda p, z: fg.walk_inverse(flow, p, z, watch))(params, z)
    assert relative_error(back, x) < TOLERANCES["float32"].relative
    flat = list(fg.flatten_records(flow, records))
    assert [name for name, _, _ in flat] == NAMES
    seen = sum(record["log_det"] for _, _, record in flat)
    np.testing.assert_allclose(seen, -log_det, rtol=1e-4, atol=1e-4)
    # what turned around multiplies by is the reciprocal of what it multiplies by itself
    turned = next(record for name, _, record in flat if name == "Invert(Stretch)")
    np.testing.assert_allclose(turned["log_scale"][0, 0, 0], -params["second"][2]["log"])


def test_a_walk_of_the_forward_map_sees_the_same_the_other_way():
    flow, params, x = halves_of_three_kinds()

    def before(bijector, params, x, z, log_det):
        return z, {"x": x, "log_det": log_det}

    z, log_det, up = jax.jit(lambda p, x: fg.walk_forward(flow, p, x, before))(params, x)
    wanted = jax.jit(flow.forward)(params, x)
    assert relative_error(z, wanted[0]) < 1e-6
    np.testing.assert_allclose(log_det, wanted[1], rtol=1e-5)
    _, _, down = jax.jit(lambda p, z: fg.walk_inverse(flow, p, z, watch))(params, z)
    rows = zip(fg.flatten_records(flow, up), fg.flatten_records(flow, down), strict=True)
    for (name, bijector, forth), (same_name, same, back) in rows:
        assert (name, bijector) == (same_name, same)
        assert relative_error(forth["x"], back["x"]) < TOLERANCES["float32"].relative
        np.testing.assert_allclose(forth["log_det"], -back["log_det"], rtol=1e-4, atol=1e-4)


def test_a_whole_model_turned_around_is_looked_into():
    case = build(NAME, "float32")
    flow, wanted = fg.Invert(case.bijector), walked()[1]
    walk = jax.jit(lambda params, x: fg.walk_inverse(flow, params, x, watch))
    z, _, records = walk(case.params, case.x)
    for latent, want in zip(z, wanted, strict=True):
        assert relative_error(latent, want) < 1e-5
    names = [name for name, _, _ in fg.flatten_records(flow, records)]
    plain = [name for name, _, _ in fg.flatten_records(case.bijector, records)]
    assert names == [f"{n.rpartition('/')[0]}/Invert({n.rpartition('/')[2]})" for n in plain[::-1]]
    twice = fg.Invert(flow)
    assert [name for name, _, _ in fg.flatten_records(twice, records)] == plain


def test_a_combinator_of_ones_own_is_rebuilt():
    flow, params, x = halves_of_three_kinds()
    changed = fg.with_net_dtype(fg.with_memory(flow, "remat"), "bfloat16")
    assert changed.first.memory == "remat"
    assert changed.first.step.bijectors[1].net.dtype == "bfloat16"
    lost = redraw_permutations(flow, params, jax.random.key(1))
    moved = [
        jax.tree_util.keystr(path)
        for (path, a), b in zip(jax.tree.leaves_with_path(params), jax.tree.leaves(lost))
        if not np.array_equal(a, b)
    ]
    assert moved == ["['second'][1]['indices']"]
    frozen = flow.freeze(params)
    np.testing.assert_allclose(
        jax.jit(flow.forward)(frozen, x)[1], jax.jit(flow.forward)(params, x)[1], rtol=1e-5
    )


def test_a_combinator_of_ones_own_is_judged_layer_by_layer():
    flow, params, x = halves_of_three_kinds()
    z, _ = jax.jit(flow.forward)(params, x)
    examined = examine(flow, params, z)
    assert examined.checks.layer.tolist() == NAMES
    assert examined.checks.round_trip.max() < 1e-4
    assert "Invert(Stretch)" in examined.scales.layer
    bounds = certificate(flow, params, x)
    gains = dict(zip(bounds.layer, bounds.log_gain))
    assert gains["Invert(Permutation)"] == 0.0
    stretch = jax.jacobian(lambda x: fg.ActNorm().forward(params["second"][0], x)[0])(
        x[:1, :1, :1, 4:]
    )
    assert gains["Invert(ActNorm)"] == pytest.approx(float(jnp.log(stretch.max())), rel=1e-5)
    assert math.isinf(gains["Invert(Stretch)"])  # nobody gave a bound


def test_only_bijectors_that_offer_a_log_scale_carry_one():
    assert isinstance(Stretch(), CarriesScale)
    assert isinstance(fg.AffineCoupling(), CarriesScale)
    assert not isinstance(fg.ActNorm(), CarriesScale)
