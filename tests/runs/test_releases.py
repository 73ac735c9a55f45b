"""Run folders of earlier releases: today's code reads them, and goes on with them.

`releases/VERSION.zip` is a run folder as that version wrote it: digits, a model of one step and
width 2, after two training steps. 0.1.0 is of revision ab30ff2.
"""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from flowjax_glow.arrays import read_npz
from flowjax_glow.runs.experiment import read_config
from flowjax_glow.runs.load import load_trained
from flowjax_glow.runs.run import run
from flowjax_glow.training import read_metrics
from tests.commands.invoke import invoke

RELEASES = sorted((Path(__file__).parent / "releases").glob("*.zip"))


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.stem)
def test_a_run_of_an_earlier_release_is_read_sampled_and_trained_on(release, tmp_path):
    assert release.stat().st_size < 100 * 2**10
    shutil.unpack_archive(release, tmp_path)
    folder = tmp_path / f"run-{release.stem}"
    before = (folder / "metrics.jsonl").read_text()
    assert load_trained(folder).step == 2
    code, output = invoke("sample", folder, "--count=2")
    assert code == 0, output
    (samples,) = (folder / "samples").glob("*.npz")
    assert np.isfinite(read_npz(samples)["images"]).all()
    summary = run(dataclasses.replace(read_config(folder), steps=3), folder)
    assert (summary["status"], summary["steps"]) == ("done", 3)
    assert (folder / "metrics.jsonl").read_text().startswith(before)
    losses = {
        row["step"]: row["loss"] for row in read_metrics(folder / "metrics.jsonl") if "loss" in row
    }
    assert list(losses) == [1, 2, 3]
    assert abs(losses[3] - losses[2]) < 0.5  # it knows what it had learned
