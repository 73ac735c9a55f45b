"""A model with classes in one hand: trained on labels, kept in a file, asked for classes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

import flowjax_glow as fg
from flowjax_glow.data import load
from flowjax_glow.export import export_programs
from flowjax_glow.fitting import initial_params
from flowjax_glow.testing import perturbed

CONFIG = fg.GlowConfig(levels=1, depth=1, width=4, classes=10, top_prior="learned", scale="bounded")


@pytest.fixture(scope="module")
def model():
    """Trained for two steps, then moved off its start."""
    fitted = fg.fit(CONFIG, load("digits"), steps=2, batch=8, n_bits=4, show=False)
    return dataclasses.replace(fitted, params=perturbed(fitted.params, 0.1))


def test_fit_takes_the_labels_of_its_images(model):
    with pytest.raises(ValueError, match=r"fit: expected labels of 3 .* got 10 classes in"):
        fg.fit(dataclasses.replace(CONFIG, classes=3), load("digits"))
    with pytest.raises(ValueError, match=r"fit: expected labels of 10 .* got no classes in"):
        fg.fit(CONFIG, load("photos"))
    assert np.isfinite(model.record["bits_per_dim"])


def test_gray_images_in_color_are_told():
    gray = np.broadcast_to(np.arange(2 * 64, dtype=np.uint8).reshape(2, 8, 8, 1), (2, 8, 8, 3))
    flow = fg.glow(fg.GlowConfig(levels=1, depth=1, width=4))
    with pytest.warns(UserWarning, match=r"the first 2 images are gray, .* gray-folder:PATH"):
        initial_params(flow, jax.random.key(0), gray, 8)


def test_what_is_recommended_of_classes_has_a_top_prior_at_every_place():
    assert fg.GlowConfig.recommended((8, 8, 1), classes=10).top_prior == "places"
    assert fg.GlowConfig.recommended((8, 8, 1)).top_prior == "standard"
    assert (
        fg.GlowConfig.recommended((8, 8, 1), classes=2, top_prior="learned").top_prior == "learned"
    )


def test_its_methods_take_a_context_each_or_one_for_all(model, tmp_path):
    images, labels = load("digits").labelled_examples("test", 3)
    model.save(tmp_path / "model.safetensors")
    again = fg.Model.load(tmp_path / "model.safetensors")
    assert again.config == CONFIG
    z = model.encode(images, labels)
    np.testing.assert_array_equal(again.decode(z, labels), again.decode(model.encode(images, 3), 3))
    bits = again.bits_per_dim(images, 0, labels)
    alone = model.bits_per_dim(images, 0, int(labels[0]))
    assert bits[0] == pytest.approx(alone[0], rel=1e-5)
    assert (model.sample(2, context=3) == again.sample(2, context=np.array([3, 3]))).all()
    assert (model.sample(2, context=3) != model.sample(2, context=4)).any()
    with pytest.raises(ValueError, match=r"Model.sample.context: expected a context, as the flow"):
        model.sample(2)
    with pytest.raises(ValueError, match=r"Model.log_prob.context: expected one row, or 2 as"):
        model.log_prob(np.zeros((2, 8, 8, 1), np.float32), labels)


def test_programs_take_a_context_last_and_the_card_says_so(model, tmp_path):
    pytest.importorskip("flatbuffers")
    export_programs(model, tmp_path / "programs.safetensors")
    arrays = load_file(tmp_path / "programs.safetensors")
    program = jax.export.deserialize(bytearray(arrays["program.log_prob"].tobytes()))
    numbers = {name: own for name, own in arrays.items() if not name.startswith("program.")}
    x, labels = np.zeros((3, 8, 8, 1), np.float32), np.array([2, 0, 9])
    found = program.call(numbers, x, np.eye(10, dtype=np.float32)[labels])
    np.testing.assert_allclose(found, model.log_prob(x, labels), rtol=1e-4)
    assert "model.encode(images, context=0)" in model.card()
    assert "| classes | 10: `0, 1, 2, 3, 4, 5, 6, 7, 8, 9` |" in model.card()


def test_probabilities_of_classes_are_by_bayes_rule(model):
    images = jnp.asarray(load("digits").examples("test", 2))
    flow, x = model.flow, fg.bin_midpoints(images, n_bits=4)
    prior = jnp.linspace(1.0, 2.0, 10) / 15
    joint = np.stack([model.log_prob(x, label) for label in range(10)], axis=1) + np.log(prior)
    wanted = np.exp(joint - joint.max(1, keepdims=True))
    found = jax.jit(lambda x: fg.class_probabilities(flow, model.params, x, prior))(x)
    np.testing.assert_allclose(found, wanted / wanted.sum(1, keepdims=True), rtol=1e-3, atol=1e-6)
    several = model.class_probabilities(images, draws=2)
    np.testing.assert_allclose(several.sum(1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="class_probabilities: expected a flow that is condition"):
        fg.class_probabilities(fg.ActNorm(), (), x)
    with pytest.raises(ValueError, match="class_probabilities: expected 10 priors, got"):
        fg.class_probabilities(flow, model.params, x, prior[:3])
