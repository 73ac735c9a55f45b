"""GLOWs of normflows on the same weights: latents, log-likelihoods and images are the same."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow import Model
from flowjax_glow.density import standard_normal_log_prob
from flowjax_glow.interop import from_checkpoint

torch = pytest.importorskip("torch")
normflows = pytest.importorskip("normflows")

#: Options of `GlowBlock`, levels, steps, the shape of an image, the base, and the wiring to tell.
CASES = {
    "two levels, LU": ({}, 2, 3, (3, 8, 8), "GlowBase", "sigmoid"),
    "dense, actnorm in the nets": (
        {"use_lu": False, "net_actnorm": True}, 3, 2, (1, 16, 8), "DiagGaussian", "sigmoid"
    ),
    "additive": ({"scale": False}, 2, 2, (3, 4, 8), "GlowBase", None),
    "one level, exp": ({"scale_map": "exp"}, 1, 2, (2, 4, 4), "DiagGaussian", "exp"),
    "inverse sigmoid": (
        {"scale_map": "sigmoid_inv"}, 2, 1, (3, 8, 8), "ClassCondDiagGaussian", "sigmoid_inv"
    ),
    "classes": ({}, 2, 1, (3, 8, 8), "GlowBase of classes", "sigmoid"),
}  # fmt: skip

LABEL, CLASSES = 2, 4


def built(options, levels, depth, shape, base, dtype):
    """A GLOW whose arrays are all off their start, as after a training."""
    torch.manual_seed(0)
    bases, flows = [], []
    channels, height, width = shape
    for finer in reversed(range(levels)):
        own, sides = 4 * channels * 2**finer, [side >> (finer + 1) for side in (height, width)]
        blocks = [normflows.flows.GlowBlock(own, 8, **options) for _ in range(depth)]
        flows.append([*blocks, normflows.flows.Squeeze()])
        leaves = (own if finer == levels - 1 else own // 2, *sides)
        kinds = normflows.distributions
        bases.append(
            {
                "GlowBase": kinds.GlowBase,
                "GlowBase of classes": partial(kinds.GlowBase, num_classes=CLASSES),
                "DiagGaussian": kinds.DiagGaussian,
                "ClassCondDiagGaussian": partial(kinds.ClassCondDiagGaussian, num_classes=CLASSES),
            }[base](leaves)
        )
    merges = [normflows.flows.Merge() for _ in range(levels - 1)]
    classes = base in ("GlowBase of classes", "ClassCondDiagGaussian")
    model = normflows.MultiscaleFlow(bases, flows, merges, class_cond=classes).to(dtype)
    with torch.no_grad():
        for name, leaf in model.named_parameters():
            if name.split(".")[-1] not in ("W", "L", "U"):
                leaf += 0.1 * torch.randn_like(leaf)
        for name, flag in model.named_buffers():
            if name.endswith("data_dep_init_done"):
                flag.fill_(1.0)
    return model


def standardized(base, z, y):
    """Latents as noise; channels last."""
    with torch.no_grad():
        drawn = z.clone().requires_grad_(True)
    # d log p / dz = -(z - mean) / std^2, whatever the base is called
    arguments = (drawn,) if y is None else (drawn, y)
    (slope,) = torch.autograd.grad(base.log_prob(*arguments).sum(), drawn)
    zeros = torch.zeros_like(z).requires_grad_(True)
    arguments = (zeros,) if y is None else (zeros, y)
    (at_zero,) = torch.autograd.grad(base.log_prob(*arguments).sum(), zeros)
    precision = (at_zero - slope) / z  # 1 / std^2
    return (-slope / precision.sqrt()).detach().permute(0, 2, 3, 1).numpy()


def closeness(ours, theirs):
    """The largest difference, relative to the largest number."""
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize(
    ("case", "dtype"),
    [*((case, "float32") for case in CASES), *((case, "float64") for case in list(CASES)[:2])],
)
def test_latents_likelihoods_and_images_agree(case, dtype, tmp_path):
    options, levels, depth, shape, base, wiring = CASES[case]
    wide = dtype == "float64"
    model = built(options, levels, depth, shape, base, getattr(torch, dtype))
    file = tmp_path / "model.pt"
    model.save(file)
    classes = model.class_cond
    with jax.enable_x64(wide):
        ours = from_checkpoint(
            file,
            "normflows",
            n_bits=8,
            size=shape[1:],
            wiring=wiring,
            label=LABEL if classes else None,
        )
        assert ours.params["levels"][0][1][0]["shift"].dtype == dtype
        x = np.random.default_rng(1).random((5, *shape)).astype(dtype)
        y = torch.full((5,), LABEL) if classes else None
        with torch.no_grad():
            z, _ = model.inverse_and_log_det(torch.from_numpy(x))
            theirs = model.log_prob(torch.from_numpy(x), y).numpy()
            back, _ = model.forward_and_log_det([0.7 * each for each in z])
        images = np.moveaxis(x, 1, -1) - 0.5
        tolerance = 1e-10 if wide else 1e-5
        latents, log_det = jax.jit(ours.flow.forward)(ours.params, jnp.asarray(images))
        expected = [standardized(q, each, y) for q, each in zip(model.q0, z)][::-1]
        for mine, other in zip(latents, expected, strict=True):
            assert closeness(mine, other) < tolerance
        assert closeness(standard_normal_log_prob(latents) + log_det, theirs) < tolerance

        scaled = [standardized(q, 0.7 * each, y) for q, each in zip(model.q0, z)][::-1]
        scaled = tuple(map(jnp.asarray, scaled))
        decoded, _ = jax.jit(ours.flow.inverse)(ours.params, scaled)
        assert closeness(np.moveaxis(decoded, -1, 1) + 0.5, back.numpy()) < tolerance

        if case != "two levels, LU":
            return
        ours.save(tmp_path / "model.safetensors")
        again = Model.load(tmp_path / "model.safetensors")
        found = again.log_prob(images)
        assert closeness(found, theirs) < tolerance
        np.testing.assert_array_equal(ours.log_prob(images), found)
        assert ours.sample(2).shape == (2, *images.shape[1:])
