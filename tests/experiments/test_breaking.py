"""The search for what breaks, without training."""

import json
import math

import pytest

from experiments.breaking import (
    HEAD,
    SETTINGS,
    VARIANTS,
    Breaking,
    broken,
    chain_gain,
    line,
    search,
)
from experiments.variants import apply_variant
from flowjax_glow.commands.children import Ended
from flowjax_glow.config import glow
from flowjax_glow.runs.presets import BREAKING, PRESETS
from flowjax_glow.runs.settings import with_settings
from flowjax_glow.training import MetricsLog
from tests.commands.invoke import invoke


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_builds(name):
    experiment = with_settings(BREAKING, SETTINGS[name])
    for variant in VARIANTS:
        glow(apply_variant(variant, experiment.model))


@pytest.mark.parametrize(
    ("preset", "setting"),
    [
        ("breaks-samples", "warm-up over 20 steps"),
        ("breaks-zero", "as it is"),
        ("breaks-images", "randomized splits, rate 3e-3, 1 step"),
    ],
)
def test_what_was_found_is_a_preset(preset, setting):
    assert PRESETS[preset].control == with_settings(BREAKING, SETTINGS[setting])


def write_gains(folder, gains):
    with MetricsLog(folder / "metrics.jsonl") as log:
        for index, gain in enumerate(gains):
            log.append(10 * index, {"loss": 1.0} if index else {"held_out": 1.0})
            log.append(10 * index, {"chain_gain": gain})


def test_growth_is_the_median_slope(tmp_path):
    write_gains(tmp_path, [0.0, 1.0, 2.0, 30.0])
    found = chain_gain(tmp_path)
    assert found["chain_gain"] == 30
    assert found["chain_gain_per_100_steps"] == pytest.approx(55.0)


def test_an_infinite_gain_has_no_slope(tmp_path):
    write_gains(tmp_path, [math.inf, math.inf])
    found = chain_gain(tmp_path)
    assert found["chain_gain"] == math.inf
    assert math.isnan(found["chain_gain_per_100_steps"])


def test_every_row_is_trained_printed_and_written(tmp_path, monkeypatch, capsys):
    def trained(jobs, on, at_a_time):
        for job in jobs:
            assert job.experiment.held_out == 128  # digits have no 256
            job.folder.mkdir(parents=True, exist_ok=True)
            write_gains(job.folder, [0.0, 3.0])
            summary = {"status": "done", "steps": 60, "bits_per_dim": 2.0, "bit_exact": 1.0}
            summary["broken"] = {"1": 0.5, "0": 0.0}
            (job.folder / "summary.json").write_text(json.dumps(summary))
            yield Ended(job, "done")

    monkeypatch.setattr("experiments.breaking.run_in_children", trained)
    name = "smooth images (digits)"
    search(tmp_path, {name: SETTINGS[name]}, [0, 5])
    search(tmp_path, {name: SETTINGS[name]}, [5])  # adds to the table
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert [(row["setting"], row["seed"], row["variant"]) for row in rows] == [
        (name, seed, variant) for seed in (0, 5) for variant in VARIANTS
    ]
    printed = capsys.readouterr().out
    assert printed.count(name) == 3 * len(VARIANTS)
    assert (tmp_path / "smooth-images-(digits)" / "damped-seed5").is_dir()


def test_a_setting_that_is_not_there_is_refused(tmp_path):
    code, output = invoke(Breaking, "--only=nonsense", f"--output={tmp_path}")
    assert code == 2
    assert "--only: expected a part of a setting's name, got 'nonsense'" in output
    assert not list(tmp_path.iterdir())


def test_rows_tell_what_failed_and_what_diverged(tmp_path):
    write_gains(tmp_path, [0.0, 3.0])
    summary = {
        "status": "done",
        "steps": 60,
        "bits_per_dim": 2.0,
        "broken": {"1": 0.5, "0": 1.0},
        "bit_exact": 0.75,
    }
    names = {"setting": "as it is", "seed": 0, "variant": "control"}
    row = names | broken(summary, tmp_path)
    assert (row["samples"], row["zero"], row["images"]) == (0.5, 1.0, 0.25)
    assert " 50.0%  100.0%   25.0% " in line(row)
    assert max(map(len, [HEAD, *line(row).splitlines()])) <= 80
    lost = names | broken({"status": "diverged", "steps": 7}, tmp_path)
    assert line(lost).endswith("diverged after 7 steps")
