"""`flowjax-glow import`, and what commands do with the model that comes out."""

import dataclasses
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow.commands.importing import Import
from flowjax_glow.config import RECOMMENDED, glow
from flowjax_glow.density import bits_per_dim
from flowjax_glow.interop import LAYOUTS
from flowjax_glow.model import Model
from flowjax_glow.ported import PortedGlowConfig
from flowjax_glow.runs import repairing
from flowjax_glow.runs.load import load_trained
from tests.commands.invoke import invoke
from tests.interop.ported.common import CHANNELS, HEIGHT, SIDE
from tests.interop.ported.openai import openai_state
from tests.interop.ported.rosinality import rosinality_state

ASKED = ("--layout=openai", "--bits=5", f"--size={HEIGHT}x{SIDE}", "--label=1")


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """The printed text, and the file."""
    folder = tmp_path_factory.mktemp("import")
    np.savez(folder / "state.npz", **openai_state())
    images = np.random.default_rng(0).integers(0, 256, (200, HEIGHT, SIDE, CHANNELS), np.uint8)
    np.savez(folder / "images.npz", images=images)
    code, text = invoke(
        "import", folder / "state.npz", *ASKED, f"--data=npz:{folder / 'images.npz'}"
    )
    assert code == 0, text
    return text, folder / "state.safetensors"


def test_every_layout_is_offered():
    (field,) = (field for field in dataclasses.fields(Import) if field.name == "layout")
    assert get_args(field.type) == tuple(LAYOUTS)


def test_a_state_becomes_a_model_file_with_its_data_and_their_bits(imported):
    text, file = imported
    model = Model.load(file)
    assert isinstance(model.config, PortedGlowConfig)
    assert (model.event_shape, model.n_bits) == ((HEIGHT, SIDE, CHANNELS), 5)
    assert model.record["imported"] == {"layout": "openai", "pixel_range": [-0.5, 0.5], "label": 1}
    bits, count = (model.record[name] for name in ("bits_per_dim", "held_out_images"))
    assert f"{bits:.3f} bits/dim on {count} held-out images (5 bits)" in text
    assert "black is -0.5 and white 0.5 as in github.com/openai/glow" in text
    assert "noise has 5: a wrong --bits, --range or --wiring, or other images, give such nu" in text
    trained = load_trained(file)
    assert trained.images(None, 8).shape == (8, HEIGHT, SIDE, CHANNELS)
    code, text = invoke("import", file.with_suffix(".npz"), *ASKED)
    assert (code, "state.safetensors: expected no such file yet, got one" in text) == (2, True)


def test_an_imported_model_is_exported_with_a_card(imported, tmp_path):
    code, text = invoke(
        "export", imported[1], tmp_path / "again.safetensors", f"--card={tmp_path / 'README.md'}"
    )
    assert code == 0, text
    one, other = (Model.load(file) for file in (imported[1], tmp_path / "again.safetensors"))
    assert jax.tree.all(jax.tree.map(np.array_equal, one.params, other.params))
    assert "PortedGlowConfig" in (tmp_path / "README.md").read_text()


def test_a_repair_of_an_imported_model_starts_from_its_map_and_bounds_it(tmp_path):
    np.savez(tmp_path / "state.npz", **rosinality_state())
    asked = ("--layout=rosinality", "--bits=5", f"--size={HEIGHT}x{SIDE}")
    assert invoke("import", tmp_path / "state.npz", *asked)[0] == 0
    trained = load_trained(tmp_path / "state.safetensors")
    after = repairing.repaired(trained.experiment, None, 8, 1e-4)
    assert after.model == dataclasses.replace(trained.experiment.model, **RECOMMENDED)
    pixels = jnp.asarray(np.random.default_rng(0).integers(0, 256, (4, HEIGHT, SIDE, 3), np.uint8))
    start = repairing.paced(trained.flow, glow(after.model), trained.params)
    batch = {"images": pixels, "weight": jnp.zeros(4)}
    loss = jax.jit(repairing.BlendedBitsPerDim(trained.experiment, after))
    found = loss(start, jax.random.key(1), batch)
    key = jax.random.key(1)
    wanted = bits_per_dim(trained.flow, trained.params, key, pixels, n_bits=5)
    assert float(found) == pytest.approx(float(wanted.mean()), rel=1e-5)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--size=8x", "--size: expected 32 or 32x48, got '8x'; write whole numbers"),
        ("--range=1,0", "--range: expected two numbers as 0,1, got '1,0'; black comes first"),
        ("--range=1", "--range: expected two numbers as 0,1, got '1'; black comes first"),
        ("--output=state.npz", "state.npz: expected another file, got STATE; choose --output"),
    ],
)
def test_what_cannot_be_is_told(option, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("state.npz", a=np.zeros(2))
    code, text = invoke("import", "state.npz", *ASKED, option)
    assert (code, text) == (2, f"error: {message}\n")
