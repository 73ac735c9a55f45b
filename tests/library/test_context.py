"""A context in the parameters: where it enters, what it costs, and what is said of a wrong one."""

import dataclasses
import operator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax_glow as fg
from flowjax_glow.diagnostics import (
    certificate,
    examine,
    latent_shares,
    mixed_images,
    precision_ladder,
    redraw_permutations,
    stability_report,
)
from flowjax_glow.diagnostics.chunks import in_given_chunks
from flowjax_glow.testing import perturbed, relative_error
from tests.library.cases import STEP, WITH_CONTEXT, images, small_glow, small_realnvp

X = images((3, 4, 4, 4), "float32")
LABELS = jnp.array([2, 0, 1])
VECTORS = jnp.asarray(np.random.default_rng(1).normal(size=(3, 4)), jnp.float32)
CONDITIONAL = fg.with_context(STEP, (4,))


@pytest.fixture(scope="module")
def stacked():
    return perturbed(jax.jit(fg.Repeat(CONDITIONAL, 3).init)(jax.random.key(0), X))


def gradients(flow, params, x, context):
    """Of what both directions give, with respect to parameters, events and context."""

    def loss(params, x, context):
        z, log_det = flow.forward(params, x, context)
        back, back_log_det = flow.inverse(params, jnp.tanh(z), context)
        return sum(jnp.sin(leaf).sum() for leaf in (z, log_det, back, back_log_det))

    return jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(params, x, context)


@pytest.mark.parametrize("rows", [1, 3])
def test_memory_policies_agree_on_the_gradient_of_a_context(stacked, rows):
    wanted = None
    for memory in ("store", "remat", "invert") if rows > 1 else ("store", "invert"):
        flow = fg.Repeat(CONDITIONAL, 3, memory)
        found = gradients(flow, stacked, X, VECTORS[:rows])
        assert found[2].shape == (rows, 4)
        assert (jnp.abs(found[2]) > 1e-4).all()
        wanted = wanted or found
        for got, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
            assert relative_error(got, other) < 1e-4


def test_a_repeat_is_a_chain_of_its_steps_and_shares_one_context(stacked):
    given = fg.Repeat(CONDITIONAL, 3, "invert").given(stacked, VECTORS)
    assert given.context.shape == VECTORS.shape  # whatever the depth
    apart = tuple(jax.tree.map(operator.itemgetter(i), stacked) for i in range(3))
    wanted = jax.jit(fg.Chain(*[CONDITIONAL] * 3).forward)(apart, X, VECTORS)
    found = jax.jit(fg.Repeat(CONDITIONAL, 3, "invert").forward)(stacked, X, VECTORS)
    assert relative_error(found, wanted) < 1e-6


@pytest.fixture(scope="module")
def classes():
    """A flow with labels, its parameters and a batch, and compiled functions of it."""
    flow = small_glow(levels=1, classes=3, top_prior="learned", scale="bounded")
    x = images((3, 8, 4, 1), "float32")
    return flow, perturbed(jax.jit(flow.init)(jax.random.key(0), x), 0.1), x


def test_all_that_takes_parameters_takes_a_context(classes):
    """In its parameters, by the keyword, as a label or as a one-hot vector."""
    flow, params, x = classes

    def watch(walk, *given):
        return walk(flow, *given[:2], lambda *seen: (seen[3], None), *given[2:])[:2]

    @jax.jit
    def everything(params, x):
        given, one_hot = flow.given(params, LABELS), jax.nn.one_hot(LABELS, 3)
        z, log_det = flow.forward(params, x, LABELS)
        ways = (
            flow.forward(given, x),
            flow.forward(flow.given(flow.given(params, 1), np.asarray(LABELS)), x),
            flow.forward(flow.freeze(given), x),
            flow.forward(flow.given(flow.freeze(params), one_hot), x),
            (z, flow.log_det(params, x, LABELS)),
            watch(fg.walk_forward, params, x, one_hot),
        )
        back = watch(fg.walk_inverse, params, z, LABELS)[0], flow.inverse(params, z, LABELS)[0]
        alone = [fg.log_prob(flow, params, x[i : i + 1], LABELS[i : i + 1]) for i in range(3)]
        return (z, log_det), ways, back, jnp.concatenate(alone), fg.log_prob(flow, given, x)

    wanted, ways, back, alone, log_prob = everything(params, x)
    for same in ways:
        assert relative_error(same, wanted) < 1e-5
    assert relative_error(back, (x, x)) < 1e-4
    assert relative_error(alone, log_prob) < 1e-6
    bounds = certificate(flow, flow.given(params, LABELS), x)
    assert np.isfinite(bounds.log_gain).all()


def test_pixels_are_those_of_their_labels(classes):
    """In chunks as at once; one label for all is that label for each."""
    flow, params, _ = classes
    key, shape = jax.random.key(4), (8, 4, 1)
    labels = jnp.array([0, 1, 2, 2, 1])
    mixed = fg.sample_pixels(flow, params, key, 5, shape, chunk=2, context=labels)
    for label in range(3):
        alone = fg.sample_pixels(flow, params, key, 5, shape, chunk=2, context=label)
        np.testing.assert_array_equal(mixed[labels == label], alone[labels == label])
        assert (mixed[labels != label] != alone[labels != label]).any()
    there = jax.jit(lambda x, labels: fg.encode(flow, params, x, context=labels))
    back = jax.jit(lambda z, labels: fg.decode(flow, params, z, context=labels))
    np.testing.assert_array_equal(back(there(mixed, labels), labels), mixed)
    bits = jax.jit(lambda c: fg.bits_per_dim(flow, params, key, mixed, context=c))
    assert (bits(labels) != bits(jnp.ones_like(labels))).any()


def test_a_report_speaks_of_all_classes(classes):
    """One class is lost, which samples of another do not tell."""
    flow, params, x = classes
    squeeze, steps, prior = params["levels"][0]
    rows = prior["context"]["log_std"].at[2].set(50.0)  # a deviation of exp(150)
    prior = {**prior, "context": {**prior["context"], "log_std": rows}}
    lost = {**params, "levels": ((squeeze, steps, prior),)}
    images = np.resize(x, (4, *x.shape[1:]))
    report = partial(stability_report, flow, lost, images, taus=(0.0, 1.0), samples=8, seed=1)
    found = report(context=np.array([0, 1, 1, 0]), tier="fast")
    assert found.tables["samples"].samples.tolist() == [3, 8]  # z = 0 of every class
    assert found.tables["rates"].lost.tolist() == [2]  # samples 2 and 5
    assert {"tau = 1, sample 2", "tau = 1, sample 5"} <= set(found.tables["first failures"].example)
    assert found.tables["images"].worst[0] < 1e-5  # which are of others
    alone = report(context=0, tier="fast")
    assert alone.tables["samples"].samples.tolist() == [1, 8]
    assert alone.tables["rates"].lost.tolist() == [0]
    with pytest.raises(ValueError, match=r"stability_report\.context: expected one row, or 4 as"):
        report(context=LABELS)


def test_a_report_speaks_of_more_classes_than_samples_were_asked_for():
    """The last of 17 is lost: to three samples, and to the 16 that float64 has at least."""
    flow, x = fg.LearnedPrior(context_features=17), images((2, 3), "float32")
    params = flow.init(jax.random.key(0), x)
    params["context"]["log_std"] = params["context"]["log_std"].at[16].set(50.0)
    found = stability_report(flow, params, x, taus=(0.0, 1.0), samples=3, context=np.array([0, 1]))
    assert found.tables["samples"].samples.tolist() == [17, 17]
    assert found.tables["rates"].lost.tolist() == [1]
    assert np.isinf(found.tables["precision"].worst).any()


def test_chunks_of_examples_have_their_own_contexts(classes):
    """As every example has alone, whatever the size of a chunk."""
    flow, params, x = classes
    given = flow.given(params, LABELS)
    forward = jax.jit(flow.forward)
    z, log_dets = forward(given, x)
    parts = in_given_chunks(lambda own, part: forward(own, part)[1], given, x, 2)
    np.testing.assert_allclose(parts, log_dets, rtol=1e-6)
    with pytest.raises(ValueError, match="chunks: expected a context of one row, or of 2 as there"):
        examine(flow, given, (z[0][:2],))
    shares = latent_shares(flow, given, x.shape[1:], samples=6, chunk=4)
    assert shares.in_all == pytest.approx([1.0])  # one latent explains all, at every label
    mixed = mixed_images(flow, given, z, 0)
    wanted = jax.jit(flow.inverse)(flow.given(params, LABELS[:1]), z)[0]
    np.testing.assert_allclose(mixed[0], wanted, atol=1e-5)
    ladder = precision_ladder(flow, given, x.shape[1:], samples=8)  # more than rows
    assert ladder.round_trip[list(ladder.inverse).index("float32")] < 1e-4
    redrawn = redraw_permutations(flow, given, jax.random.key(0))
    assert jax.tree.structure(redrawn) == jax.tree.structure(given)


@pytest.mark.parametrize(
    ("small", "options"), [(small_glow, {"levels": 1, "top_prior": "learned"}), (small_realnvp, {})]
)
def test_a_start_depends_on_no_context_and_is_that_of_the_flow_without(small, options):
    flow, plain = small(classes=3, **options), small(**options)
    key = jax.random.key(0)
    found = jax.jit(lambda x: flow.forward(flow.init(key, x), x, LABELS))(X)
    wanted = jax.jit(lambda x: plain.forward(plain.init(key, x), x))(X)
    assert relative_error(found, wanted) == 0


def test_an_image_is_squeezed_to_the_places_of_the_net():
    """Every number of a block enters, and enters at its place alone."""
    flow = fg.with_context(fg.AffineCoupling(fg.CouplingNet(8), fg.Bounded()), (8, 16, 2))
    x, context = images((2, 4, 8, 4), "float32"), images((2, 8, 16, 2), "float32")
    params = perturbed(flow.init(jax.random.key(0), x), 0.1)

    def corner(context):  # what the context does to the corner of the first image
        return flow.forward(params, x, context)[0][0, 0, 0].sum()

    seen = np.abs(jax.grad(corner)(context))
    assert (seen[0, :4, :4] > 0).all()
    assert (seen[0, 6:] == 0).all()  # two 3x3 convolutions reach two places far, and no further
    assert (seen[1] == 0).all()


def test_a_label_out_of_range_is_nan_under_jit():
    flow = fg.LearnedPrior(context_features=3)
    params = flow.init(jax.random.key(0), X)
    z, _ = jax.jit(flow.forward)(params, X, jnp.array([0, 3, -1]))
    np.testing.assert_array_equal(np.isnan(z).all((1, 2, 3)), [False, True, True])


@dataclasses.dataclass(frozen=True)
class Shifted(fg.Bijector):
    """A bijector of one's own that a context moves."""

    @property
    def context_shape(self):
        return (4,)

    def init(self, key, x):
        return jnp.zeros((4, x.shape[-1]))

    def condition(self, params, context):
        return fg.give(params, context)

    def forward(self, params, x):
        return x + (params.context @ params.params)[:, None, None], fg.zero_log_det(x)

    def inverse(self, params, z):
        return z - (params.context @ params.params)[:, None, None], fg.zero_log_det(z)


def test_a_bijector_of_ones_own_takes_part():
    flow = fg.Repeat(fg.Chain(Shifted(), CONDITIONAL), 2, "invert")
    params = perturbed(jax.jit(flow.init)(jax.random.key(0), X))
    found = gradients(flow, params, X, VECTORS)
    wanted = gradients(dataclasses.replace(flow, memory="store"), params, X, VECTORS)
    for got, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert relative_error(got, other) < 1e-4


TWO_SHAPES = fg.Chain(CONDITIONAL, fg.LearnedPrior(context_features=3))
NET = fg.AffineCoupling(WITH_CONTEXT)
EVENTS, WEIGHT = X[:, 0, 0], jnp.zeros((4, 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fg.ActNorm().given((), 3), "ActNorm.given: expected no context, as nothing in"),
        (lambda: TWO_SHAPES.given((), 3), r"Chain: expected .* of one shape, got \(3,\), \(4,\)"),
        (lambda: NET.given((), 2), r"AffineCoupling.given: expected labels of 0 to 1, got"),
        (lambda: NET.given((), "cat"), r"AffineCoupling.given: expected a label as a whole number"),
        (lambda: NET.given((), VECTORS), r"expected a context of floats of shape \(rows, 2\), or "),
        (
            lambda: NET.forward(WEIGHT, EVENTS),
            "NetFunctions: expected a context, as the net depends on one, got none; pass context=",
        ),
        (
            lambda: NET.forward(WEIGHT, EVENTS, jnp.array([0, 1])),
            "expected a context of one row, or of 3 as there are examples, got 2 rows",
        ),
        (lambda: fg.with_context(fg.ActNorm(), (3,)), "with_context: expected a flow with coupl"),
        (lambda: fg.with_context(STEP, (0,)), "with_context.shape: expected a whole number above"),
        (lambda: fg.CouplingNet(8, context_shape=()), "context_shape: expected the shape of one"),
        (
            lambda: fg.LearnedPrior(context_features=0),
            "LearnedPrior.context_features: expected a whole number",
        ),
        (lambda: fg.GlowConfig(classes=-1), "GlowConfig.classes: expected a whole number above 0"),
        (lambda: fg.RealNVPConfig(classes=-1), "RealNVPConfig.classes: expected a whole number"),
        (
            lambda: fg.with_context(STEP, (6, 4, 1)).init(jax.random.key(0), X),
            r"CouplingNet: expected a context whose places are those of \(4, 4\), or of the",
        ),
        (
            lambda: fg.sample_pixels(NET, (), jax.random.key(0), 3, (1, 1, 4), context=VECTORS),
            r"sample_pixels.context: expected a context of floats of shape \(rows, 2\)",
        ),
        (
            lambda: fg.testing.check_bijector(NET, EVENTS),
            "check_bijector.context: expected a context of 3 rows, as .* got none",
        ),
    ],
)
def test_messages(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()
