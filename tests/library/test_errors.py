"""Complaints of single bijectors: where, what was expected, what came, what to do."""

import re
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import pytest

import flowjax_glow as fg
from flowjax_glow.errors import check_image

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: fg.Squeeze().forward((), jnp.zeros((1, 7, 8, 3))),
            "squeeze: expected even height and width, got (7, 8); pad or crop the images first",
        ),
        (
            lambda: fg.Squeeze().forward((), jnp.zeros((1, 8, 7, 3))),
            "squeeze: expected even height and width, got (8, 7); pad or crop the images first",
        ),
        (
            lambda: fg.Squeeze().inverse((), jnp.zeros((1, 8, 8, 6))),
            "squeeze.inverse: expected channels in multiples of 4, got 6; "
            "pass what forward returned",
        ),
        (
            lambda: fg.AffineCoupling().init(KEY, jnp.zeros((1, 4, 4, 1))),
            "AffineCoupling: expected at least 2 channels, got 1; "
            "squeeze images first, and give vectors more numbers",
        ),
        (
            lambda: fg.Split().init(KEY, jnp.zeros((1, 4, 4, 1))),
            "Split: expected at least 2 channels, got 1; "
            "squeeze images first, and give vectors more numbers",
        ),
        (
            lambda: fg.Split(leaves="both"),
            "Split.leaves: expected one of read, moved, got 'both'; choose one of these",
        ),
        (
            lambda: fg.Split(prior="uniform"),
            "Split.prior: expected one of standard, learned, places, got 'uniform'; "
            "choose one of these",
        ),
        *(
            (
                lambda bijector=bijector, way=way: getattr(bijector, way)(
                    bijector.init(KEY, jnp.ones((1, 2, 2, 6))), jnp.zeros((1, 2, 2, 1))
                ),
                f"{where}: expected 6 channels as in the parameters, got 1; "
                "initialize the parameters with inputs of this shape",
            )
            for bijector, way, where in (
                (fg.ActNorm(), "forward", "ActNorm"),
                (fg.ActNorm(), "inverse", "ActNorm.inverse"),
                (fg.LearnedPrior(), "forward", "LearnedPrior"),
                (fg.LearnedPrior(), "inverse", "LearnedPrior.inverse"),
                (fg.Permutation(), "forward", "Permutation"),
                (fg.Permutation(), "inverse", "Permutation.inverse"),
                (fg.InvertibleConv(), "forward", "channels"),
                (fg.InvertibleConvLU(), "inverse", "channels"),
                (fg.Chain(fg.ActNorm(), fg.InvertibleConv()), "forward", "channels"),
            )
        ),
        (
            lambda: fg.Split().inverse((), (jnp.zeros((1, 4, 4, 2)), jnp.zeros((1, 2, 2, 2)))),
            "Split.inverse: expected two halves of one image, got shapes (1, 4, 4, 2) and "
            "(1, 2, 2, 2); pass latents in the shapes that forward returned",
        ),
        (
            lambda: fg.MultiScale((fg.Reverse(), fg.Reverse()), (fg.Split(),)).inverse(
                {"levels": ((), ()), "splits": ((),)}, (jnp.zeros((1, 4, 4, 2)),) * 3
            ),
            "MultiScale.inverse: expected 2 latents, finest first, got 3; pass what forward "
            "returned, or what sample_latents draws",
        ),
        (
            lambda: check_image("here", jnp.zeros((4, 4, 3))),
            "here: expected a batch of images (batch, height, width, channels), "
            "got shape (4, 4, 3); add the missing axes, x[None] for a single image",
        ),
        (
            lambda: check_image("here", jnp.zeros((1, 4, 4, 3), jnp.uint8)),
            "here: expected floating-point numbers, got uint8; "
            "turn uint8 images into floats with pixels.dequantize",
        ),
        (
            lambda: check_image("here", jnp.zeros((1, 4, 4, 3), jnp.bfloat16)),
            "here: expected float32 or float64, got bfloat16; "
            "cast to float32: what is inverted must keep its digits",
        ),
    ],
)
def test_messages(call, message, unchecked):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize(
    "bijector",
    [
        fg.ActNorm(),
        fg.AffineCoupling(),
        fg.InvertibleConv(),
        fg.InvertibleConvLU(),
        fg.LearnedPrior(),
        fg.Permutation(),
        fg.Reverse(),
        fg.Split(),
        fg.Squeeze(),
    ],
    ids=lambda bijector: type(bijector).__name__,
)
@pytest.mark.parametrize(
    ("x", "got"),
    [
        (jnp.zeros((2, 4, 4, 4), jnp.uint8), "got uint8"),
        (jnp.zeros((2, 4, 4, 4), jnp.bfloat16), "got bfloat16"),
        (jnp.zeros((2, 4, 4, 4), jnp.float16), "got float16"),
        (jnp.zeros(4), r"got shape \(4,\)"),
    ],
    ids=["uint8", "bfloat16", "float16", "1d"],
)
def test_every_bijector_refuses_what_it_could_not_invert(bijector, x, got, unchecked):
    with pytest.raises(ValueError, match=f"(?i)^{type(bijector).__name__}: expected .*{got};"):
        bijector.init(KEY, x)


def test_a_bijector_of_ones_own_is_told_what_it_lacks():
    @dataclass(frozen=True)
    class Mine(fg.Bijector):
        pass

    with pytest.raises(
        TypeError, match=r"Mine .*abstract methods '?forward'?, '?init'?, '?inverse'?"
    ):
        Mine()


@pytest.mark.parametrize("dtype", ["uint8", "bfloat16"])
def test_a_flow_refuses_images_that_would_lose_digits(unchecked, dtype):
    flow = fg.glow(fg.GlowConfig(levels=1, depth=1, width=2))
    params = flow.init(jax.random.key(0), jnp.zeros((2, 4, 4, 1)))
    with pytest.raises(ValueError, match=r"^(squeeze|flow): expected float.*, got"):
        flow.forward(params, jnp.zeros((2, 4, 4, 1), dtype))
