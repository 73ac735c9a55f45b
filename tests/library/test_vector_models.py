"""Models of float events: trained, kept in a file, described, as those of images are."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow import GlowConfig, Model, RealNVPConfig, fit, log_prob
from flowjax_glow.data import DataError, EventSource
from flowjax_glow.diagnostics import stability_report
from flowjax_glow.runs.load import load_trained

RANDOM = np.random.default_rng(0)
DATA = (RANDOM.standard_normal((500, 5)) @ RANDOM.standard_normal((5, 5))).astype(np.float32)
SOURCE = EventSource("correlated", DATA)


@pytest.fixture(scope="module")
def model():
    config = RealNVPConfig.recommended(depth=2, width=8)
    return fit(config, SOURCE, steps=60, batch=64, learning_rate=1e-2, show=False)


def test_a_fit_on_vectors_learns_them(model):
    start = fit(model.config, SOURCE, steps=1, batch=64, show=False)
    assert model.n_bits is None
    assert model.event_shape == (5,)
    assert model.record["nats_per_dim"] < start.record["nats_per_dim"] - 0.1
    held_out = SOURCE.examples("test", 50)
    nats = -model.log_prob(held_out)
    np.testing.assert_allclose(
        nats, -log_prob(model.flow, model.params, jnp.asarray(held_out)), rtol=1e-5
    )
    np.testing.assert_allclose(nats.mean() / 5, model.record["nats_per_dim"], rtol=1e-5)
    assert model.record["held_out_events"] == 50


def test_vectors_come_back_and_are_drawn(model):
    x = SOURCE.examples("test", 7)
    back = model.decode(model.encode(x))
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, x, atol=1e-4)
    few, many = model.sample(3, key=1), model.sample(100, key=1)
    assert (few.shape, many.shape, many.dtype) == ((3, 5), (100, 5), np.float32)
    np.testing.assert_array_equal(model.sample(70, key=1), many[:70])
    assert np.abs(model.sample(50, temperature=0.1)).mean() < np.abs(many).mean()
    assert stability_report(model.flow, model.params, x, tier="fast").verdict == "trustworthy"


def test_a_model_of_vectors_is_kept_in_a_file_and_described(model, tmp_path):
    model.save(tmp_path / "m.safetensors")
    again = Model.load(tmp_path / "m.safetensors")
    assert again.config == model.config
    np.testing.assert_array_equal(again.sample(9, key=2), model.sample(9, key=2))
    told = again.card()
    assert "# RealNVP for 5 events of `correlated`" in told
    assert "floats, (16, 5)" in told
    assert "unconditional-image-generation" not in told
    with pytest.raises(ValueError, match=r"a model of images, got one of float events of shape"):
        load_trained(tmp_path / "m.safetensors")


@pytest.mark.usefixtures("unchecked")
def test_words_of_images_are_refused(model):
    with pytest.raises(ValueError, match=r"Model.bits_per_dim: expected a model of images, got"):
        model.bits_per_dim(np.zeros((1, 5), np.uint8))
    with pytest.raises(ValueError, match=r"Model.encode: expected float events, got uint8;"):
        model.encode(np.zeros((1, 5), np.uint8))
    with pytest.raises(ValueError, match=r"Model.event_shape: .* or n_bits=None for float events"):
        dataclasses.replace(model, n_bits=8)


@pytest.mark.usefixtures("unchecked")  # of a seed that is no int
def test_images_as_floats_make_a_model_too(tmp_path):
    source = EventSource("floats", RANDOM.normal(size=(40, 4, 4, 2)).astype(np.float32))
    options = {"steps": 1, "batch": 8, "show": False, "seed": np.int64(3)}
    made = fit(GlowConfig(levels=1, depth=1, width=4), source, **options)
    made.save(tmp_path / "m.safetensors")
    x = source.examples("test", 4)
    back = Model.load(tmp_path / "m.safetensors").decode(made.encode(x))
    np.testing.assert_allclose(back, x, atol=1e-4)
    levels = dataclasses.replace(made, definition=GlowConfig(levels=3, depth=1, width=4))
    with pytest.raises(ValueError, match="a flow of 3 levels for images of"):
        levels.save(tmp_path / "other.safetensors")


def test_a_fit_takes_the_labels_of_events():
    """Three clouds, one for each label, of which a tenth is held out with its labels."""
    labels = np.arange(300) % 3
    clouds = labels[:, None] + RANDOM.normal(0.0, 0.1, (300, 2))
    source = EventSource("clouds", clouds.astype(np.float32), labels=labels)
    assert source.classes == ("0", "1", "2")
    for events, own in (
        source.labelled_batch("train", seed=1, step=2, size=64),
        source.labelled_examples("test", 30),
    ):
        np.testing.assert_array_equal(np.round(events.mean(1)), own)
    config = RealNVPConfig(depth=2, width=8, classes=3)
    model = fit(config, source, steps=60, batch=64, learning_rate=1e-2, show=False)
    assert model.record["classes"] == ["0", "1", "2"]
    events, own = source.labelled_examples("test", 30)
    right, wrong = (model.log_prob(events, context).mean() for context in (own, (own + 1) % 3))
    assert right > wrong + 2
    measured = -right / 2
    np.testing.assert_allclose(measured, model.record["nats_per_dim"], rtol=1e-5)
    with pytest.raises(ValueError, match=r"fit: expected labels of 3 classes, .* got no class"):
        fit(config, SOURCE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": np.arange(8) % 3}, r"expected 9 labels of 0 or more in train, got int64 of"),
        ({"labels": np.arange(9.0)}, r"expected 9 labels of 0 or more in train, got float64 of"),
        ({"classes": ("a",)}, "expected 9 labels of 0 or more in train, got float64 of shape"),
        ({"labels": np.arange(9), "classes": ("a",)}, "expected labels of 0 to 0, got 8; name all"),
        ({"test": np.ones((2, 3)), "labels": np.arange(9) % 2}, "expected 2 labels .* in test, g"),
        ({"labels": np.arange(9), "test_labels": np.arange(2)}, "expected test events beside test"),
    ],
)
def test_labels_that_do_not_fit_events_are_told(options, message):
    with pytest.raises(DataError, match=f"bad: {message}"):
        EventSource("bad", np.ones((9, 3)), **options)


def test_events_without_labels_are_told():
    with pytest.raises(DataError, match="correlated: expected events with labels, got events al"):
        SOURCE.labelled_batch("train", seed=0, step=0, size=2)


def test_every_epoch_has_each_event_once():
    source = EventSource("numbered", np.arange(20.0)[:, None], np.zeros((3, 1)))
    epochs = [
        np.concatenate([source.batch("train", seed=1, step=4 * e + i, size=5) for i in range(4)])
        for e in range(2)
    ]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch[:, 0]), np.arange(20))
    assert (epochs[0] != epochs[1]).any()
    np.testing.assert_array_equal(source.examples("train", 9)[:4], source.examples("train", 4))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (np.zeros((0, 3)), None),
        (np.zeros((1, 3)), None),
        (np.full((9, 3), np.nan), None),
        (np.zeros((9, 3)), np.zeros((9, 2))),
    ],
)
def test_events_that_are_none_are_refused(train, test):
    with pytest.raises(DataError, match="bad: expected finite events of one shape"):
        EventSource("bad", train, test)


def test_programs_of_a_model_of_vectors_give_what_it_gives(model, tmp_path):
    pytest.importorskip("flatbuffers")
    from safetensors import safe_open

    from flowjax_glow.export import export_programs

    export_programs(model, tmp_path / "p.safetensors")
    with safe_open(tmp_path / "p.safetensors", framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    programs = {name: arrays.pop(f"program.{name}") for name in ("encode", "decode", "log_prob")}
    x = SOURCE.examples("test", 6)
    call = lambda name, given: jax.export.deserialize(programs[name].tobytes()).call(arrays, given)  # noqa: E731
    np.testing.assert_allclose(call("encode", x), model.encode(x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(call("decode", model.encode(x)), x, atol=1e-4)
    np.testing.assert_allclose(call("log_prob", x), model.log_prob(x), rtol=1e-5)
