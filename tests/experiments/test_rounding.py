"""Nudged starts, and the spread of what comes of them, without training."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.rounding import Rounding, deviation, spread, transposed
from flowjax_glow.commands.children import Ended, Machine
from flowjax_glow.runs.experiment import NUDGE, differences, from_json, to_json
from flowjax_glow.runs.presets import SMOKE
from flowjax_glow.runs.run import nudged
from flowjax_glow.training import MetricsLog
from tests.commands.invoke import invoke


def test_a_nudge_moves_every_float_by_rounding_and_nothing_else():
    params = {
        "kernel": jnp.linspace(-2, 2, 1001, dtype=jnp.float32),
        "zeros": jnp.zeros(3, jnp.float32),
        "index": jnp.arange(4),
    }
    moved = nudged(params, jax.random.key(1))
    relative = np.asarray(moved["kernel"] / params["kernel"] - 1)[params["kernel"] != 0]
    assert np.std(relative) == pytest.approx(NUDGE, rel=0.1)
    assert np.abs(relative).max() < 6 * NUDGE
    np.testing.assert_array_equal(moved["zeros"], params["zeros"])
    np.testing.assert_array_equal(moved["index"], params["index"])
    again, other = (nudged(params, jax.random.key(key))["kernel"] for key in (1, 2))
    np.testing.assert_array_equal(again, moved["kernel"])
    assert (other != again).mean() > 0.9


def test_a_nudge_is_part_of_the_experiment_and_of_its_name():
    run = dataclasses.replace(SMOKE, nudge=2)
    assert (SMOKE.name, run.name) == ("control-seed0", "control-seed0-nudge2")
    assert from_json(to_json(run)) == run
    assert differences(SMOKE, run) == ["nudge: 0 -> 2"]
    old = to_json(SMOKE)
    del old["nudge"]  # as written before there were any
    assert from_json(old) == SMOKE
    with pytest.raises(ValueError, match=r"^Experiment.nudge: expected a whole number above 0"):
        dataclasses.replace(SMOKE, nudge=-1)


def test_deviations_are_within_groups():
    values = {0: {0: 1.0, 1: 3.0}, 5: {0: 11.0, 1: 15.0}}
    assert deviation(values) == pytest.approx(math.sqrt((2 + 8) / 2))
    assert deviation(transposed(values)) == pytest.approx(math.sqrt((50 + 72) / 2))
    assert math.isnan(deviation({0: {0: 1.0}}))
    assert math.isnan(deviation({}))


def test_a_seed_with_a_run_that_is_not_done_is_left_out():
    rows = [
        {
            **{"variant": "control", "seed": seed, "nudge": nudge, "status": "done"},
            **{"bits_per_dim": 1.0 + nudge, "late_loss": 2.0, "lost": 0.5},
        }
        for seed in (0, 1)
        for nudge in (0, 1)
    ]
    rows[-1] = rows[-1] | {"status": "diverged"}
    found = spread("control", rows)
    assert (found["seeds"], found["left_out"], found["nudges"]) == ([0], [1], 2)
    assert found["bits_per_dim"]["over_nudges"] == pytest.approx(math.sqrt(0.5))
    assert math.isnan(found["bits_per_dim"]["over_seeds"])


def test_every_run_is_trained_printed_and_written(tmp_path, monkeypatch):
    def run_in_children(todo, on, jobs=None, *, brief=False):
        for job in reversed(todo):
            job.folder.mkdir(parents=True)
            run = job.experiment
            bits = 2 + 0.1 * run.seed + 0.01 * run.nudge
            summary = {
                "status": "done",
                "steps": run.steps,
                "bits_per_dim": bits,
                "broken": {"1": 0.5},
            }
            (job.folder / "config.json").write_text(json.dumps(to_json(run)))
            (job.folder / "summary.json").write_text(json.dumps(summary))
            with MetricsLog(job.folder / "metrics.jsonl") as log:
                for step, loss in ((30, 9.0), (60, 2.0), (90, 1.5)):
                    log.append(step, {"window_loss": loss})
            yield Ended(job, "done")

    monkeypatch.setattr("experiments.rounding.run_in_children", run_in_children)
    monkeypatch.setattr("experiments.rounding.machine", lambda: Machine("cpu", 1))
    options = ["--variant=control,damped", "--seeds=0,7", "--nudges=3", "--preset=smoke"]
    code, output = invoke(Rounding, *options, f"--output={tmp_path}")
    assert code == 0, output
    table = json.loads((tmp_path / "table.json").read_text())
    assert len(table["rows"]) == 12
    control, damped = table["spreads"]
    assert (control["variant"], damped["variant"]) == ("control", "damped")
    assert control["bits_per_dim"]["over_nudges"] == pytest.approx(0.01)
    assert control["bits_per_dim"]["over_seeds"] == pytest.approx(0.7 / math.sqrt(2))
    assert control["late_loss"] == {"mean": 1.5, "over_nudges": 0.0, "over_seeds": 0.0}
    assert "  2.360        0.0100        0.4950" in output
    assert max(map(len, output.splitlines())) <= 80


@pytest.mark.parametrize("option", ["--nudges=1", "--preset=nonsense", "--variant=nonsense"])
def test_what_makes_no_sense_is_refused(tmp_path, option):
    code, output = invoke(Rounding, option, f"--output={tmp_path / 'none'}")
    assert code == 2
    assert "expected" in output
    assert not (tmp_path / "none").exists()
