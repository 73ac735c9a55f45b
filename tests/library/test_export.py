"""Programs of a model run for any number of images, and without this library."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors import safe_open

import flowjax_glow as fg
from flowjax_glow.export import PLATFORMS, export_programs
from flowjax_glow.testing import perturbed
from tests.pages import blocks

PAGE = Path(__file__).parents[2] / "docs/models.md"
SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def model():
    config = fg.GlowConfig(
        levels=2, depth=2, width=4, scale="bounded", conv1x1="lu", memory="invert"
    )
    flow = fg.glow(config)
    images = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), np.uint8)
    x = fg.dequantize(jax.random.key(0), images)
    return fg.Model(config, perturbed(jax.jit(flow.init)(jax.random.key(1), x)), SHAPE)


def test_programs_run_where_this_library_is_not(model, tmp_path):
    pytest.importorskip("flatbuffers")
    file = tmp_path / "programs.safetensors"
    export_programs(model, file)
    before = file.read_bytes()
    with pytest.raises(ValueError, match="expected no such file yet, got one"):
        export_programs(model, file)
    assert file.read_bytes() == before
    with safe_open(file, framework="numpy") as opened:
        told = json.loads(opened.metadata()["flowjax_glow_programs"])
    assert told == {"event_shape": [8, 8, 1], "n_bits": 8, "platforms": list(PLATFORMS)}
    block = blocks(PAGE)[-1]  # the lines that the page promises are all it takes
    assert len([line for line in block.splitlines() if line.strip()]) <= 12
    program = f"""import sys
sys.modules["flowjax_glow"] = None
{block}
x = (images + np.float32(0.5)) / 256 - np.float32(0.5)
np.savez("found.npz", log_prob=log_prob(arrays, x), *latents)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    images = np.zeros((3, *SHAPE), np.uint8)
    wanted = (*model.encode(images), model.log_prob((images + np.float32(0.5)) / 256 - 0.5))
    with np.load(tmp_path / "found.npz") as found:
        for name, theirs in zip(("arr_0", "arr_1", "log_prob"), wanted, strict=True):
            np.testing.assert_allclose(found[name], theirs, rtol=1e-4, atol=1e-4)


def test_without_flatbuffers_a_line_says_what_to_install(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    monkeypatch.setitem(sys.modules, "jax._src.export.serialization", None)
    with pytest.raises(ValueError, match=r"expected the package flatbuffers, .*\[export\]'$"):
        export_programs(model, tmp_path / "programs.safetensors")
    assert not list(tmp_path.iterdir())
