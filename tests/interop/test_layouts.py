"""States of public code, built to its layouts, against what it computes, in NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from flowjax_glow.density import standard_normal_log_prob
from flowjax_glow.interop import LAYOUTS, from_checkpoint
from tests.interop.ported.common import CHANNELS, HEIGHT, LABELS, SIDE, Case, blocks, strips
from tests.interop.ported.glowip import glowip, glowip_state
from tests.interop.ported.openai import openai, openai_state
from tests.interop.ported.rosinality import rosinality, rosinality_state
from tests.interop.ported.sequential import CHAIYUJIN, Y0AST, sequential, sequential_state

SIZE = {"size": (HEIGHT, SIDE)}
LABEL = LABELS - 1


def of_list(layout, names, *, asked=None, never=(), label=None, **state):
    asked = dict(asked or {}) | ({} if label is None else {"label": label})
    reference = partial(sequential, names, label=label)
    drawn = partial(sequential_state, names, classes=label is not None, **state)
    return Case(layout, drawn, reference, asked, never)


CASES = {
    "rosinality": Case("rosinality", rosinality_state, rosinality, SIZE),
    "y0ast": of_list("y0ast", Y0AST, label=LABEL),
    "y0ast, LU, no top": of_list("y0ast", Y0AST, mixing="lu", top=False),
    "y0ast, reversed, additive": of_list(
        "y0ast", Y0AST, mixing="reverse", affine=False, asked={"wiring": "reverse"}
    ),
    "y0ast, shuffled": of_list(
        "y0ast", Y0AST, mixing="shuffle", asked={"wiring": "shuffle"}, never=("shuffle.indices",)
    ),
    "chaiyujin": of_list("chaiyujin", CHAIYUJIN, label=LABEL),
    "chaiyujin, LU": of_list(
        "chaiyujin", CHAIYUJIN, mixing="lu", never=("invconv.p", "invconv.sign_s")
    ),
    "glowip": Case(
        "glowip",
        glowip_state,
        partial(glowip, strips, 0.0),
        {**SIZE, "wiring": "599f592"},
    ),
    "glowip 7173408": Case(
        "glowip",
        glowip_state,
        partial(glowip, blocks, 1.0),
        {**SIZE, "wiring": "7173408"},
    ),
    "glowip 599f592, additive": Case(
        "glowip",
        partial(glowip_state, affine=False),
        partial(glowip, strips, 0.0),
        {**SIZE, "wiring": "599f592"},
    ),
    "rosinality, additive": Case(
        "rosinality", partial(rosinality_state, affine=False), rosinality, SIZE
    ),
    "openai": Case("openai", openai_state, partial(openai, label=LABEL), {**SIZE, "label": LABEL}),
    "openai, shuffled": Case(
        "openai",
        partial(openai_state, mixing="shuffle", classes=False),
        openai,
        SIZE,
    ),
}


def written(tmp_path, case, change=None):
    """The state in a file, and what the code never saves in another."""
    state = case.state()
    (change or (lambda state: None))(state)
    kept = {name: array for name, array in state.items() if name.endswith(case.never_saved or "\0")}
    saved = {name: array for name, array in state.items() if name not in kept}
    if case.layout == "openai":
        np.savez(tmp_path / "state.npz", **saved)
        return state, tmp_path / "state.npz", ()
    save_file(
        {f"module.{name}": np.ascontiguousarray(array) for name, array in saved.items()},
        tmp_path / "state.safetensors",
    )
    np.savez(tmp_path / "kept.npz", **kept)
    return state, tmp_path / "state.safetensors", (tmp_path / "kept.npz",)


@pytest.mark.parametrize("name", CASES)
def test_latents_and_likelihoods_are_those_of_the_code(name, tmp_path):
    case = CASES[name]
    state, file, more = written(tmp_path, case)
    model = from_checkpoint(file, case.layout, n_bits=8, more=more, **case.asked)
    assert model.event_shape == (HEIGHT, SIDE, CHANNELS)
    images = np.random.default_rng(1).uniform(-0.5, 0.5, (3, HEIGHT, SIDE, CHANNELS))
    low, high = LAYOUTS[case.layout].pixel_range
    theirs = np.moveaxis(images, -1, 1) + (low + high) / 2
    expected, latents = case.reference(state, theirs)
    ours, log_det = jax.jit(model.flow.forward)(model.params, jnp.asarray(images, jnp.float32))
    for mine, other in zip(ours, latents, strict=True):
        other = np.moveaxis(other, 1, -1)
        assert np.abs(mine - other).max() < 1e-5 * np.abs(other).max()
    found = standard_normal_log_prob(ours) + log_det
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    if name not in LAYOUTS:  # the inverse of one case of a layout
        return
    back, _ = jax.jit(model.flow.inverse)(model.params, ours)
    np.testing.assert_allclose(back, images, atol=1e-5)


def left_out(name):
    return lambda state: state.pop(name)


def put_in(name, value):
    return lambda state: state.update({name: np.asarray(value)})


STEP = "blocks.0.flows.1."


@pytest.mark.parametrize(
    ("name", "change", "asked", "message"),
    [
        ("rosinality", None, {"size": None}, "--size: expected height and width, got none; a"),
        ("rosinality", None, {"size": 6}, r"--size: expected multiples of 4, got \(6, 6\); it"),
        ("y0ast", None, {"size": 16}, r"--size: expected \(8, 4\), as of the state, got \(16"),
        ("y0ast", None, {"label": None}, "--label: expected a class from 0 to 3, .* got None; ch"),
        ("y0ast", None, {"label": 4}, "--label: expected a class from 0 to 3, .* got 4; choose"),
        (
            "y0ast, shuffled",
            None,
            {"wiring": None},
            r"--wiring: expected one of reverse \(.*\); shuffle \(.*\), got none; a state",
        ),
        ("y0ast", None, {"wiring": "shuffle"}, "--wiring: expected none, as the state tells a"),
        ("glowip", None, {"wiring": "x"}, "--wiring: expected one of 599f592 .*, got x; a"),
        (
            "y0ast, shuffled",
            None,
            {"more": ()},
            ".*shuffle.indices: expected the order of channels of a shuffle, got none, since the "
            "code never saves it with the state; save it from the running model .* --more; with",
        ),
        (
            "chaiyujin, LU",
            None,
            {"more": ()},
            ".*invconv.p: expected the permutation of an LU form, got none, since the code never s",
        ),
        (
            "rosinality",
            left_out(f"{STEP}coupling.net.2.bias"),
            {},
            f"{STEP}coupling.net.2.bias: expected a bias, got none; check the layout",
        ),
        (
            "rosinality",
            put_in(f"{STEP}attention.weight", 1.0),
            {},
            f"expected no arrays but those of the layout, got {STEP}attention.weight; what they do",
        ),
        (
            "rosinality",
            put_in(f"{STEP}actnorm.initialized", 0),
            {},
            f"expected actnorms that have started, got {STEP}actnorm.initialized = 0; pass a batch",
        ),
        (
            "rosinality",
            put_in("blocks.1.prior.scale", np.zeros(7, "f4")),
            {},
            "expected arrays whose shapes fit each other, got operands could not be broadcast",
        ),
        (
            "rosinality",
            left_out("blocks.1.flows.1.actnorm.loc"),
            {},
            "expected no arrays but those of the layout, got blocks.1.flows.1.actnorm.scale",
        ),
        (
            "rosinality",
            left_out("blocks.0.flows.0.actnorm.loc"),
            {},
            "expected an array called blocks.0.flows.0.actnorm.loc, as of github.com/rosinality/",
        ),
        (
            "openai",
            None,
            {"layout": "y0ast"},
            "expected an array .*, got model/.*; these are names of openai",
        ),
    ],
)
def test_what_a_state_does_not_say_and_what_does_not_fit_is_told(
    name, change, asked, message, tmp_path
):
    case = CASES[name]
    _, file, more = written(tmp_path, case, change)
    arguments = {"layout": case.layout, "n_bits": 8, "more": more, **case.asked, **asked}
    with pytest.raises(ValueError, match=f"^{file}: {message}"):
        from_checkpoint(file, **arguments)
