"""The table of everything that must keep the laws: one row per bijector, scale and combinator."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import flowjax_glow as fg
from flowjax_glow.testing import Case, prepare

IMAGE = (3, 4, 6, 4)  # a batch of three, not square
GRAY = (3, 8, 4, 1)
VECTOR = (3, 5)
SEQUENCE = (3, 7, 4)
VOLUME = (2, 3, 4, 2, 2)


def coupling(scale: fg.Scale, **options) -> fg.AffineCoupling:
    return fg.AffineCoupling(fg.CouplingNet(8), scale, **options)


def small_glow(**changes) -> fg.Bijector:
    return fg.glow(fg.GlowConfig(**{"levels": 2, "depth": 2, "width": 8, **changes}))


def small_realnvp(**changes) -> fg.Bijector:
    return fg.realnvp(fg.RealNVPConfig(**{"depth": 3, "width": 8, **changes}))


STEP = fg.Chain(fg.ActNorm(), fg.InvertibleConv(), coupling(fg.Biased()))

LINEAR = fg.NetFunctions(
    init=lambda key, x, channels: jax.random.normal(key, (x.shape[-1], channels), x.dtype) / 8,
    apply=lambda weight, x, channels: x @ weight,
)

WITH_CONTEXT = fg.NetFunctions(
    init=lambda key, x, n: jax.random.normal(key, (x.shape[-1] + 2, n), x.dtype) / 8,
    apply=lambda weight, x, n, context: (
        jnp.concatenate([x, jnp.broadcast_to(context.astype(x.dtype), (len(x), 2))], -1) @ weight
    ),
    context_shape=(2,),
)

CASES: dict[str, tuple[fg.Bijector, tuple[int, ...]]] = {
    "actnorm": (fg.ActNorm(), IMAGE),
    "actnorm-factor-1": (fg.ActNorm(1.0), IMAGE),
    "conv1x1-dense": (fg.InvertibleConv(), IMAGE),
    "conv1x1-lu": (fg.InvertibleConvLU(), IMAGE),
    "permutation": (fg.Permutation(), IMAGE),
    "reverse": (fg.Reverse(), IMAGE),
    "squeeze": (fg.Squeeze(), IMAGE),
    "squeeze-strips": (fg.Squeeze("strips"), IMAGE),
    "split-read-standard": (fg.Split("read", "standard"), IMAGE),
    "split-moved-standard": (fg.Split("moved", "standard"), IMAGE),
    "split-read-learned": (fg.Split("read", "learned"), IMAGE),
    "split-moved-learned": (fg.Split("moved", "learned"), IMAGE),
    "split-learned-edge": (fg.Split("moved", "learned", edge=True), IMAGE),
    "split-places": (fg.Split("moved", "places"), IMAGE),
    "split-odd-channels": (fg.Split("read", "learned"), (3, 4, 4, 5)),
    "learned-prior": (fg.LearnedPrior(), IMAGE),
    "learned-prior-places": (fg.LearnedPrior(places=True), IMAGE),
    **{f"coupling-{name}": (coupling(s.shared_by(1)), IMAGE) for name, s in fg.SCALES.items()},
    "coupling-depth-scaled-32": (coupling(fg.DepthScaled().shared_by(32)), IMAGE),
    "coupling-shift-limit": (coupling(fg.TanhSoftplus(), shift_limit=0.05), IMAGE),
    "coupling-odd-channels": (coupling(fg.Sigmoid()), (3, 4, 4, 5)),
    **{
        f"coupling-scale-first-{name}": (
            coupling(fg.SCALES[name].shared_by(1), form="scale-first"),
            IMAGE,
        )
        for name in ("additive", "sigmoid", "bounded", "depth-scaled")
    },
    "coupling-edge": (fg.AffineCoupling(fg.CouplingNet(8, edge=True), fg.Bounded()), IMAGE),
    "chain": (fg.Chain(fg.Squeeze(), STEP, fg.Reverse()), IMAGE),
    "repeat": (fg.Repeat(STEP, 3), IMAGE),
    "repeat-remat": (fg.Repeat(STEP, 3, "remat"), IMAGE),
    "repeat-invert": (fg.Repeat(STEP, 3, "invert"), IMAGE),
    "repeat-invert-scale-first": (
        fg.Repeat(
            fg.Chain(fg.InvertibleConv(), coupling(fg.Biased(), form="scale-first")), 3, "invert"
        ),
        IMAGE,
    ),
    "actnorm-sequence": (fg.ActNorm(), SEQUENCE),
    "conv1x1-volume": (fg.InvertibleConv(), VOLUME),
    "permutation-vector": (fg.Permutation(), VECTOR),
    "split-vector-learned": (fg.Split("read", "learned"), VECTOR),
    "learned-prior-sequence": (fg.LearnedPrior(), SEQUENCE),
    "coupling-volume": (fg.AffineCoupling(fg.MLP(8), fg.Sigmoid()), VOLUME),
    "coupling-functions": (fg.AffineCoupling(LINEAR, fg.Bounded()), VECTOR),
    "realnvp": (small_realnvp(), VECTOR),
    "realnvp-damped-invert": (
        fg.realnvp(
            fg.RealNVPConfig.recommended(depth=3, width=8, activation="tanh", memory="invert")
        ),
        SEQUENCE,
    ),
    "realnvp-shuffle": (small_realnvp(mixing="shuffle", scale="biased", actnorm=False), VECTOR),
    "invert": (fg.Invert(STEP), IMAGE),
    "multiscale": (
        fg.MultiScale((fg.Chain(fg.Squeeze(), STEP), STEP), (fg.Split("read", "learned"),)),
        IMAGE,
    ),
    "glow-control": (small_glow(), GRAY),
    "glow-openai-damped": (
        small_glow(
            reads="signal",
            split_prior="learned",
            prior_scale=fg.DepthScaled(2.0, steps=1),
            top_prior="learned",
            scale=fg.DepthScaled(one_sided=True),
            damped=True,
        ),
        GRAY,
    ),
    "glow-shuffle-remat": (
        small_glow(mixing="shuffle", permutation="level_end", scale="depth-scaled", memory="remat"),
        GRAY,
    ),
    "glow-lu-invert": (
        small_glow(conv1x1="lu", scale="biased", permutation="every_step", memory="invert"),
        GRAY,
    ),
    "glow-one-level": (small_glow(levels=1, mixing="reverse", scale="tanh"), GRAY),
    "coupling-image-context": (fg.with_context(coupling(fg.Biased()), (8, 12, 2)), IMAGE),
    "coupling-functions-context": (fg.AffineCoupling(WITH_CONTEXT, fg.Bounded()), VECTOR),
    "learned-prior-classes": (fg.LearnedPrior(context_features=3), IMAGE),
    "realnvp-classes": (small_realnvp(classes=2, mixing="linear"), SEQUENCE),
    "invert-repeat-context": (
        fg.Invert(fg.Repeat(fg.with_context(STEP, (4,)), 2, "remat")),
        IMAGE,
    ),
    "glow-classes-invert": (
        small_glow(classes=3, top_prior="learned", split_prior="learned", memory="invert"),
        GRAY,
    ),
    # With kernels from N(0, 0.01^2) the perturbation would be three times the net, and the inverse
    # of an unbounded s explode.
    "glowip-invert": (
        fg.glow(
            fg.GlowIPConfig(
                levels=2, depth=2, width=8, net_deviation=0.05, edge=True, memory="invert"
            )
        ),
        GRAY,
    ),
}

#: Rows whose algebra other rows have, in other words, piece by piece or by another memory policy.
ALIKE = {
    *(f"coupling-{name}" for name in fg.SCALES if name != "sigmoid"),
    *(f"coupling-scale-first-{name}" for name in ("additive", "bounded", "depth-scaled")),
    *("coupling-depth-scaled-32", "coupling-odd-channels"),
    *("repeat-remat", "repeat-invert-scale-first", "realnvp-shuffle", "invert-repeat-context"),
    *("glow-openai-damped", "glow-shuffle-remat", "glow-lu-invert", "glow-one-level"),
    *("glow-classes-invert", "glowip-invert"),
}


def images(shape: tuple[int, ...], dtype: str, seed: int = 0) -> jax.Array:
    values = np.random.default_rng(seed).uniform(-0.5, 0.5, shape)
    return jnp.asarray(values, dtype)


@functools.cache
def build(name: str, dtype: str) -> Case:
    """A row ready to be tested: perturbed parameters and a batch."""
    bijector, shape = CASES[name]
    return prepare(bijector, images(shape, dtype), context=context_of(bijector, shape[0]))


def context_of(bijector: fg.Bijector, rows: int) -> jax.Array | None:
    """Labels or an image for each of `rows` examples; None for a bijector that takes none."""
    shape = bijector.context_shape
    if shape is None:
        return None
    return jnp.arange(rows) % shape[0] if len(shape) == 1 else images((rows, *shape), "float32")
