"""The choice of learning rates and the comparison at them, on summaries made up."""

import json
import math

import pytest

from experiments import rates
from experiments.rates import CANDIDATES, RATES, STAGES, Rates, Study, best_rate, compare
from experiments.variants import VARIANTS
from flowjax_glow.commands.children import Ended, Machine
from flowjax_glow.config import glow
from flowjax_glow.runs.presets import SMOKE
from tests.commands.invoke import invoke

DIVERGES = 3e-3


def summary(experiment):
    """Lowest at 1e-3; damped is better by 0.05, and its highest rate diverges in one seed."""
    rate, variant = experiment.optimizer.learning_rate, experiment.variant
    if rate == DIVERGES and variant == "damped" and experiment.seed == 111:
        return {"status": "diverged", "steps": 7}
    bits = 1.5 + abs(math.log(rate / 1e-3)) - 0.05 * (variant == "damped")
    bits += 0.001 * (experiment.seed % 10)
    return {
        **{"status": "done", "steps": experiment.steps},
        **{"bits_per_dim": bits + 0.1, "bits_per_dim_averaged": bits},
        **{"broken": {"1": 0.25}, "max_activation": {"1": "Infinity"}},
    }


@pytest.fixture
def trained(monkeypatch):
    """Names of the runs that were trained, which end at once."""
    names = []

    def run_in_children(todo, on, jobs=None, *, brief=False):
        for job in todo:
            names.append(str(job.folder))
            job.folder.mkdir(parents=True, exist_ok=True)
            (job.folder / "summary.json").write_text(json.dumps(summary(job.experiment)))
            yield Ended(job, "done")

    monkeypatch.setattr("experiments.rates.run_in_children", run_in_children)
    monkeypatch.setattr("experiments.rates.machine", lambda: Machine("cpu", 1))
    return names


def test_the_stages_and_their_choice(tmp_path, trained):
    options = ["--preset=smoke", "--only=control, damped", f"--output={tmp_path}"]
    code, output = invoke(Rates, *options)
    assert code == 0, output
    assert len(set(trained)) == len(trained) == 2 * len(RATES) * 2 + 2 * 5
    table = json.loads((tmp_path / "table.json").read_text())
    assert table["best_rates"] == {"control": 1e-3, "damped": 1e-3}
    assert {row["rate"] for row in table["stage2"]} == {1e-3}
    (_, damped) = table["compared"]
    assert damped["seeds"] == list(STAGES[2].seeds)
    assert damped["mean"] == pytest.approx(-0.05)
    assert damped["interval"] == pytest.approx([-0.05, -0.05])
    assert damped["lost"] == [5 * SMOKE.final_samples // 4, 5 * SMOKE.final_samples]
    assert damped["largest"] == "Infinity"
    assert "-0.050 [-0.050, -0.050]" in output
    _, output = invoke(Rates, *options, "--than=damped")
    assert "+0.050 [+0.050, +0.050]" in output


def test_a_stage_alone_and_candidates_one_by_one(tmp_path, trained):
    def run(*options):
        return invoke(Rates, "--preset=smoke", f"--output={tmp_path}", *options)

    assert run("--stage=1", "--only=control")[0] == 0
    assert len(trained) == 6
    _, output = run("--stage=2", "--only=control,damped")
    assert "left out: damped, whose stage 1 has not ended well" in output
    assert len(trained) == 11
    table = json.loads((tmp_path / "table.json").read_text())
    assert [row["candidate"] for row in table["compared"]] == ["control"]


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ({3e-4: [1.6, 1.6], 1e-3: [1.5, 1.6], 3e-3: [1.4, math.inf]}, 1e-3),
        ({3e-4: [1.6, 1.6], 1e-3: [math.nan, 1.0], 3e-3: [1.7, 1.7]}, 3e-4),
        ({3e-4: [math.inf, 1.0], 1e-3: [1.0, math.nan], 3e-3: [math.inf, math.inf]}, None),
    ],
)
def test_the_best_rate_is_the_lowest_mean_of_rates_that_never_fail(values, best):
    rows = [{"rate": rate, "averaged": bits} for rate, pair in values.items() for bits in pair]
    assert best_rate(rows) == best


def test_what_diverged_in_stage_2_leaves_the_comparison_open():
    def row(seed, averaged, **other):
        done = {"status": "done", "raw": 1.0, "lost": 0, "samples": 64, "largest": 5.0}
        return {"seed": seed, "rate": 1e-3, "averaged": averaged, **done, **other}

    lost = row(2, math.inf, status="diverged", lost=None)
    found = compare("damped", [row(1, 1.0), lost], [row(1, 1.5), row(2, 1.5), row(3, 1.5)])
    assert found["diverged"] == 1
    assert found["differences"] == {1: -0.5, 2: math.inf}
    assert found["interval"] == (-math.inf, math.inf)
    assert found["lost"] == [0, 64]
    lines = rates.second_table([found], "control")
    assert "1 diverged" in lines[-1]
    assert max(map(len, lines)) <= 80


def test_candidates_build_and_train_as_stated(tmp_path):
    study = Study(tmp_path, SMOKE)
    for name, (variant, changes) in CANDIDATES.items():
        assert variant in VARIANTS
        first, *_ = study.places(1, [name])
        experiment, folder = study.job(first)
        glow(experiment.model)
        assert experiment.steps == 2 * SMOKE.steps
        assert experiment.optimizer.schedule == "cosine"
        assert experiment.optimizer.learning_rate == 3e-4
        assert experiment.penalty == changes.get("penalty", 0.0)
        assert folder == tmp_path / "stage1" / name / "rate-0.0003" / f"{variant}-seed110"


def test_no_seed_is_used_twice():
    seeds = [seed for stage in STAGES.values() for seed in stage.seeds]
    assert len(set(seeds)) == len(seeds)


def test_an_end_of_the_grid_is_marked():
    rows = [{"rate": rate, "averaged": 1 + rate} for rate in RATES]
    (_, line) = rates.first_table({"control": rows}, {"control": RATES[0]})
    assert line.endswith("0.0003, end of grid")
    assert len(line) <= 80


@pytest.mark.parametrize("option", ["--only=nonsense", "--preset=nonsense", "--than=nonsense"])
def test_what_is_not_there_is_refused(tmp_path, option):
    code, output = invoke(Rates, option, f"--output={tmp_path / 'none'}")
    assert code == 2
    assert "expected one of" in output
    assert not (tmp_path / "none").exists()
