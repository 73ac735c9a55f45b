"""Looks at the inverse: what they see does not depend on the devices that share the work."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from flowjax_glow.config import GlowConfig
from flowjax_glow.diagnostics import Monitor, drift
from flowjax_glow.diagnostics.trace import _decode, decode_observed
from flowjax_glow.pixels import bin_midpoints
from flowjax_glow.runs import looks, measure
from flowjax_glow.runs.clipping import clipping
from flowjax_glow.runs.experiment import TAUS
from flowjax_glow.runs.looks import OWN_TAU, look
from flowjax_glow.runs.measure import ChunkedModel
from flowjax_glow.runs.presets import SMOKE
from flowjax_glow.runs.scale_arrays import small_scales
from flowjax_glow.training import replicate, shard_batch
from tests.diagnostics.models import model, pictures
from tests.training.toy import mesh_of

EXPERIMENT = dataclasses.replace(
    SMOKE,
    model=GlowConfig(levels=2, depth=1, width=4, scale="bounded"),
    held_out=16,
    clip_samples=16,
    chunk=16,
)


def measurement(devices):
    """The same model and images on some devices."""
    flow, params = model(EXPERIMENT.model)
    return ChunkedModel(flow, params, EXPERIMENT, pictures(16), mesh_of(devices))


@pytest.fixture(scope="module")
def one():
    return measurement(1)


@pytest.fixture(scope="module")
def eight():
    return measurement(8)


def assert_same(left, right):
    """The same to rounding; counts and shares of values may move by one value beside an edge."""
    assert left.keys() == right.keys()
    for name, value in left.items():
        if value.dtype.kind in "USb":
            np.testing.assert_array_equal(value, right[name], name)
        elif name == "s_counts":
            np.testing.assert_array_equal(value.sum(-1), right[name].sum(-1), name)
            assert np.abs(np.cumsum(value - right[name], -1)).max() <= 2, name
        else:
            np.testing.assert_allclose(value, right[name], rtol=1e-3, atol=2e-6, err_msg=name)


def test_eight_devices_see_what_one_sees(one, eight):
    assert_same(look(one, 32), look(eight, 32))


def test_the_last_look_has_quantiles_of_activations_along_the_inverse(one):
    seen, layers = look(one, 32, last=True), clipping(one)["layers"]
    growth = seen["log_growth"]
    assert growth.shape == (len(seen["taus"]), len(layers), 5)
    assert (np.diff(growth, axis=-1) >= 0).all()
    largest = np.log(seen["max_activation"])  # of a sample, over all sub-layers
    assert (growth.max((1, 2)) <= largest.max(1) + 1e-5).all()
    assert (growth.max((1, 2)) >= np.median(largest, axis=1)).all()
    assert np.ptp(growth[-1], axis=-1).max() == 0  # at z = 0 all samples are the same
    assert "log_growth" not in look(one, 32)


def test_eight_devices_clip_what_one_clips(one, eight):
    assert_same(clipping(one), clipping(eight))


@pytest.fixture
def decodes(monkeypatch):
    """The limits of all decodes of a fresh measurement."""
    limits = []

    def counted(flow, params, z, limit):
        limits.append(limit)
        return decode_observed(flow, params, z, limit)

    monkeypatch.setattr(measure, "decode_observed", counted)
    return limits


def test_what_a_look_has_decoded_is_not_decoded_again(decodes):
    measured = measurement(1)
    look(measured, 32)
    assert decodes == [np.inf] * 12  # two chunks at five noise levels, z = 0 once, the images
    clipping(measured)
    assert decodes[12:].count(np.inf) == 3  # tau = 0.6, 0.8 and 0.9


def test_a_noise_level_that_fails_is_not_decoded_to_the_end(decodes, monkeypatch):
    monkeypatch.setattr(looks, "LIMIT", 0.0)
    assert looks._fails(measurement(1), 0.5, 32)
    assert decodes == [np.inf]
    monkeypatch.setattr(looks, "LIMIT", np.inf)
    assert not looks._fails(measurement(1), 0.5, 32)
    assert decodes == [np.inf] * 3


def work(measured):
    """Floating-point operations of each device in decoding one chunk, and the images."""
    ((params, z),) = measured.latents(1.0, 16)
    arguments = measured.flow, params, z, jnp.asarray(np.inf)
    return _decode.lower(*arguments).compile().cost_analysis()["flops"], _decode(*arguments)[0]


def test_every_device_decodes_its_own_part(one, eight):
    flops_of_one, _ = work(one)
    flops_of_eight, images = work(eight)
    assert flops_of_eight < flops_of_one / 6
    split = NamedSharding(eight._mesh, PartitionSpec("data"))
    assert images.sharding.is_equivalent_to(split, images.ndim)
    assert {shard.data.shape for shard in images.addressable_shards} == {(2, *images.shape[1:])}


def test_a_chunk_that_the_devices_do_not_divide_is_refused():
    flow, params = model(EXPERIMENT.model)
    sizes = ("chunk", "held_out", "clip_samples", "look_samples", "final_samples")
    uneven = dataclasses.replace(EXPERIMENT, **dict.fromkeys(sizes, 12))
    measured = ChunkedModel(flow, params, uneven, pictures(12), mesh_of(8))
    with pytest.raises(ValueError, match="expected a batch size that 8 devices divide, got 12"):
        look(measured, 12)


def test_eight_devices_monitor_and_guard_as_one():
    flow, params = model(dataclasses.replace(EXPERIMENT.model, levels=1))
    seen, drifts = [], []
    for devices in (1, 8):
        mesh = mesh_of(devices)
        images, placed = shard_batch(mesh, pictures(16)), replicate(mesh, params)
        seen.append(Monitor(flow, images, samples=16).look(1, placed))
        drifts.append(jax.jit(drift, static_argnums=0)(flow, placed, bin_midpoints(images)))
    assert seen[0] == pytest.approx(seen[1], rel=0.5, abs=1e-6)  # errors are those of rounding
    for exact in ("smallest_scale", "chain_gain", "largest_activation", "bit_exact"):
        assert seen[0][exact] == pytest.approx(seen[1][exact], rel=1e-4)
    np.testing.assert_allclose(drifts[0], drifts[1], rtol=0.5)


def test_the_critical_temperature_is_where_samples_begin_to_pass_the_limit(one, monkeypatch):
    seen = look(one, 32)
    at_half, at_seven = (
        np.quantile(seen["max_activation"][row], 0.99) for row in (TAUS.index(0.5), TAUS.index(0.7))
    )
    limit = (at_half + at_seven) / 2
    monkeypatch.setattr(looks, "LIMIT", limit)
    critical = float(look(one, 32)["critical_temperature"])
    assert 0.5 < critical <= 0.7

    def fails(tau):
        """With the same noise, drawn as `ChunkedModel` draws it."""
        largest = [
            np.max([layer.seen.largest for layer in one.decode(*start).layers], 0)
            for start in one.latents(tau, 32)
        ]
        return np.mean(np.concatenate(largest) > limit) >= 0.01

    assert fails(critical)
    assert not fails(critical - 0.2 / 16)


@pytest.mark.parametrize(("limit", "critical"), [(1e9, np.inf), (0.0, 0.0)])
def test_no_noise_level_or_every_one_may_be_critical(one, monkeypatch, limit, critical):
    monkeypatch.setattr(looks, "LIMIT", limit)
    assert float(look(one, 16)["critical_temperature"]) == critical


def test_the_noise_of_one_split_alone_is_reduced(one):
    seen = look(one, 16, last=True)
    ((params, (fine, coarse)),) = one.latents(1.0, 16)
    scales = one.decode(params, (OWN_TAU * fine, coarse)).scales
    at_low = np.exp(np.asarray(scales[0]).min())
    np.testing.assert_allclose(seen["own_min"], [[seen["s_min"][0, 0], at_low]], rtol=1e-5)
    np.testing.assert_array_equal(seen["own_taus"], [1.0, OWN_TAU])
    assert (seen["own_tail"] >= seen["own_min"]).all()
    # where the net reads the noise it reads nothing else there, and the other latents do not matter
    np.testing.assert_allclose(at_low, seen["s_min"][0, TAUS.index(0.1)], rtol=1e-5)


def labelled(field, values):
    """A flow with a class for each of the values that a field of its prior has."""
    classes = len(values)
    config = dataclasses.replace(EXPERIMENT.model, levels=1, classes=classes, top_prior="learned")
    flow, params = model(config)
    (squeeze, steps, prior), rows = params["levels"][0], jnp.asarray(values, jnp.float32)[:, None]
    own = {**prior["context"], field: jnp.zeros_like(prior["context"][field]) + rows}
    return config, flow, {**params, "levels": ((squeeze, steps, {**prior, "context": own}),)}


def test_images_are_at_their_labels_and_samples_at_labels_in_turn():
    """The mean of the last latent tells them; on eight devices."""
    config, flow, params = labelled("mean", (0.0, 100.0, 200.0))
    labels = np.arange(16, dtype=np.int32)[::-1] % 3
    experiment = dataclasses.replace(EXPERIMENT, model=config)
    measured = ChunkedModel(flow, params, experiment, pictures(16), mesh_of(8), labels)
    (images,) = measured.of_images(16)
    np.testing.assert_array_equal(np.round(-images.z[0].mean((1, 2, 3)) / 100), labels)
    samples = [chunk.decoded.layers[0].seen.largest for chunk in measured.of_noise(0.0, 32)]
    np.testing.assert_array_equal(np.round(np.concatenate(samples) / 100), np.arange(32) % 3)


def test_a_monitor_looks_at_samples_of_every_class():
    """Or, where samples are fewer, of classes from all over."""
    _, flow, params = labelled("log_std", (0.0, 0.0, 50.0, 0.0))  # a deviation of exp(150) in one
    for context, samples, lost in (
        (0, 8, False),
        (np.zeros(8, int), 8, True),
        (np.ones(8, int), 2, True),
    ):
        monitor = Monitor(flow, pictures(8), samples=samples, context=context)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            look = monitor.look(1, params)
        assert (look["latent_error"] > 1, len(told) > 0) == (lost, lost)
        assert look["image_error"] < 1e-4


def test_where_the_smallest_scales_sit():
    log_s = np.zeros((50, 6, 4, 10))
    log_s[3, 0, 2, 7] = -5.0  # at the border, one value in 12,000
    log_s[4, 2, 2, 7] = -4.0  # inside
    found = small_scales(log_s)
    assert found["min"] == found["tail"] == pytest.approx(np.exp(-5))
    assert (found["border"], found["channel"], found["examples"]) == (0.5, 1.0, 0.04)
