"""Lost state shows in the moments of images on their way to the latents, and in the report."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import flowjax_glow as fg
from flowjax_glow.diagnostics import THRESHOLDS, data_moments, redraw_permutations, stability_report
from tests.diagnostics.models import CONFIG, model, pictures


def midpoints(count=12):
    return fg.bin_midpoints(jnp.asarray(pictures(count)), n_bits=8)


def test_moments_are_those_of_the_layers_one_by_one(dtype):
    flow, params = model()
    x = midpoints().astype(dtype)
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    found = data_moments(flow, params, x)

    rows = []
    for index, (level, own) in enumerate(zip(flow.levels, params["levels"], strict=True)):
        squeeze, repeat = level.bijectors
        x, _ = squeeze.forward((), x)
        for step in range(repeat.depth):
            step_params = jax.tree.map(lambda leaf, step=step: leaf[step], own[1])
            rows.append(
                (
                    f"level{index}/step{step}/ActNorm",
                    repeat.step.bijectors[0].forward(step_params[0], x)[0],
                )
            )
            x, _ = jax.jit(repeat.step.forward)(step_params, x)
        if index == 0:
            (x, fine), _ = flow.splits[0].forward((), x)
    rows += [("latent0", fine), ("latent1", x)]

    assert found.layer.tolist() == [name for name, _ in rows]
    squares = [np.mean(np.square(z), axis=(0, 1, 2)) for _, z in rows]
    np.testing.assert_allclose(found.mean_square, [s.mean() for s in squares], rtol=1e-4)
    off = [np.exp(np.abs(np.log(s)).mean()) for s in squares]
    np.testing.assert_allclose(found.off, off, rtol=1e-4)


def test_a_flow_without_actnorms_has_its_latents_alone():
    flow = fg.Chain(fg.Squeeze(), fg.Reverse())
    found = data_moments(flow, ((), ()), midpoints())
    assert found.layer.tolist() == ["latent0"]
    assert found.first_off == "latent0"
    mean_square = float(np.mean(np.square(midpoints())))
    np.testing.assert_allclose(found.latents_off, 1 / mean_square, rtol=1e-5)


def test_what_is_not_finite_is_infinitely_off():
    flow, params = model()
    found = data_moments(
        flow, jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), params), midpoints()
    )
    assert np.isnan(found.latents_off)
    assert found.first_off == "level0/step0/ActNorm"


def test_the_report_tells_of_permutations_that_were_lost():
    """A start from data stands for training: it standardizes what its permutations give it."""
    flow = fg.glow(dataclasses.replace(CONFIG, permutation="every_step", levels=1))
    params = jax.jit(flow.init)(jax.random.key(0), midpoints())
    name = "mean square of an image's latents, off 1 by a factor of"
    assert (
        THRESHOLDS[name].grade(data_moments(flow, params, midpoints()).latents_off) == "trustworthy"
    )

    lost = redraw_permutations(flow, params, jax.random.key(4))
    found = stability_report(flow, lost, pictures(), tier="fast")
    (measured,) = [m for m in found.measurements if m.name == name]
    assert measured.grade == found.verdict != "trustworthy"
    assert found.layer in ("level0/step1/ActNorm", "level0/step2/ActNorm")  # behind a permutation
    assert "state was lost" in found.reason
