"""A run on labels, from `train --labels` to every command that takes it."""

import json

import jax
import numpy as np
import pytest

from flowjax_glow import data, fitting
from flowjax_glow.commands.diagnose import EXIT_CODES
from flowjax_glow.runs.experiment import read_config
from flowjax_glow.runs.load import load_trained
from flowjax_glow.training import read_metrics
from tests.commands.invoke import invoke
from tests.commands.test_train import TINY
from tests.data import samples

NAMES = ("ape", "bee", "cat")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder for each class; the level of an image tells its class."""
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        (folder / name).mkdir()
        for index in range(60):
            image = noise.integers(80 * number, 80 * number + 40, (8, 8, 3)).astype(np.uint8)
            (folder / name / f"{index}.png").write_bytes(samples.png(image).read())
    return folder


def train(pictures, folder, *further):
    options = (f"--data=folder:{pictures}", "--size=8", "--steps=4", "--batch=8", "--seed=3")
    return invoke("train", *options, f"--output={folder}", *TINY, *further)


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels") / "r"
    code, output = train(pictures, folder, "--labels")
    assert code in EXIT_CODES.values(), output
    assert "8x8x3 images of folder:" in output
    assert " in 3 classes, 1 level" in output
    return folder


def test_a_model_is_trained_on_the_labels_of_a_folder(trained, pictures, monkeypatch):
    """As `fit` trains it, to the bit; with held-out looks at the labels of the images."""
    model = read_config(trained).model
    assert (model.classes, model.top_prior) == (3, "places")
    assert json.loads((trained / "data.json").read_text())["classes"] == list(NAMES)
    loaded = load_trained(trained)
    assert loaded.classes == NAMES
    monkeypatch.setattr(fitting, "INIT_IMAGES", 16)
    source = data.load(f"folder:{pictures}", size=8)
    model = fitting.fit(
        loaded.experiment.model, source, steps=4, batch=8, seed=3, averaged=False, show=False
    )
    pairs = zip(jax.tree.leaves(model.params), jax.tree.leaves(loaded.params), strict=True)
    assert all(np.array_equal(ours, theirs) for ours, theirs in pairs)
    images, labels = source.labelled_examples("test", 8)
    told = next(
        row["held_out"]
        for row in read_metrics(trained / "metrics.jsonl")
        if row["step"] == 4 and "held_out" in row
    )
    assert told == pytest.approx(model.bits_per_dim(images, 1, labels).mean(), rel=1e-2)
