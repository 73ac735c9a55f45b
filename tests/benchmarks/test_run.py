"""The benchmark: what a run comes to, and how workers are told what to do; no peer is needed."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import worker
from benchmarks.contenders import CONTENDERS, choose
from benchmarks.crew import Job, Worker, WorkerError
from benchmarks.machine import busy_seconds, peak_resident_mib, resident_mib, versions
from benchmarks.report import report
from benchmarks.run import main
from benchmarks.summary import Summary, spread
from benchmarks.targets import Target, targets
from benchmarks.timing import timed
from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).parents[2]


def turn(seconds: float, others: float | None = 0.0) -> dict:
    return {"seconds": [seconds, seconds], "own": seconds, "others": others, "loss": 4.0}


def start(seconds: float, mib: float) -> dict:
    return {"seconds": seconds, "imported_mib": 100.0, "peak_mib": 100.0 + mib}


def contender(name: str, seconds: float, *, first_step: float, mib: float, **changes) -> dict:
    """Steps of `seconds`; it encodes and samples in half of that. Depth 32 starts 3 s later."""
    entry = CONTENDERS[name]
    record = {
        "ours": entry.is_ours,
        "faithful": entry.faithful,
        "note": entry.note,
        "error": None,
        "versions": {entry.packages[-1]: "1.0"},
        "facts": {"parameters": 1234, "finite_samples": 1.0},
        "starts": {
            workload: [{"cold": start(cold, 2 * mib), "warm": start(first_step, mib)}]
            for workload, cold in (("small", 11.0), ("deep", 13.0), ("shallow", 10.0))
        },
        "rounds": {
            "train": [turn(seconds * scale) for scale in (1.0, 9.0, 1.0)],
            "encode": [turn(seconds / 2)] * 3,
            "sample": [turn(seconds / 2)] * 3,
        },
    }
    return record | changes


def results() -> dict:
    """Three of ours and three peers, batches of 32, a peak of 100 GFLOP/s."""
    counts = {"flops": 2e9, "bytes": 3e9, "temp_bytes": 2**20}
    faster = contender("ours-store", 0.4, first_step=4.0, mib=80.0)
    faster["facts"]["counts"] = counts
    return {
        "command": "python -m benchmarks.run",
        "date": "2026-01-01 00:00:00+0000",
        "machine": {"cpu": "a CPU", "cores": 2, "platform": "an OS", "python": "3.11"},
        "quick": False,
        "workload": "small",
        "workloads": {
            name: dataclasses.asdict(work) | {"nominal_flops": work.nominal_flops}
            for name, work in WORKLOADS.items()
        },
        "contenders": {
            "ours-store": faster,
            "ours-invert": contender("ours-invert", 0.5, first_step=4.0, mib=30.0),
            "normflows": contender("normflows", 0.5, first_step=2.0, mib=100.0),
            "nflows": contender("nflows", 0.64, first_step=2.0, mib=50.0),
            "freia": contender("freia", 0.1, first_step=2.0, mib=200.0),
        },
        "peaks": {"jax": [1e11, 2e10, 9e10], "torch": [9e10, 1e10, 1e11]},
    }


@pytest.fixture(scope="module")
def batches(tmp_path_factory) -> Path:
    return WORKLOADS["small"].quick().save_batches(tmp_path_factory.mktemp("batches"))


def test_rates_are_medians_that_one_disturbed_round_does_not_move():
    summary = Summary(results())
    assert summary.rates("ours-store", "train") == pytest.approx([80.0, 80.0 / 9, 80.0])
    assert summary.rate("ours-store", "train") == pytest.approx(80.0)
    assert summary.rate("ours-store", "encode") == pytest.approx(160.0)


def test_quartiles_surround_the_median():
    assert spread([]) is None
    assert dataclasses.astuple(spread([2.0])) == (2.0, 2.0, 2.0)
    assert dataclasses.astuple(spread([1.0, 2.0, 3.0, 4.0, 5.0])) == (2.0, 3.0, 4.0)


def test_the_fastest_faithful_peer_is_compared_with_the_fastest_of_ours():
    summary = Summary(results())
    assert (summary.ours(), summary.best_peer("train")) == ("ours-store", "normflows")
    assert summary.leanest_peer("deep") == "nflows"


def test_the_peak_is_the_median_over_rounds_of_the_better_framework():
    assert Summary(results()).peak() == 1e11


def test_turns_during_which_others_worked_are_counted():
    disturbed = results()
    disturbed["contenders"]["nflows"]["rounds"]["encode"] = [turn(0.5, 0.3), turn(0.5, None)]
    assert Summary(results()).disturbed() == (0, 45)
    assert Summary(disturbed).disturbed() == (1, 43)


def test_targets_are_computed_from_the_right_figures():
    found = {target.what: target for target in targets(Summary(results()))}
    figures = [target.figure for target in found.values()]
    nominal = 80.0 * WORKLOADS["small"].nominal_flops / 1e11
    assert figures == pytest.approx([1.25, 1.25, 1.25, nominal, 1.3, 11.0, 4.0, 0.6, 1.25])
    assert [target.verdict for target in found.values()] == [
        *("holds", "holds", "missed", "holds"),
        *("holds", "holds", "holds", "missed", "holds"),
    ]


def test_a_target_without_its_figures_is_not_measured():
    alone = results()
    alone["contenders"] = {"ours-store": alone["contenders"]["ours-store"]}
    verdicts = [target.verdict for target in targets(Summary(alone))]
    assert verdicts == ["not measured"] * 3 + ["holds"] * 4 + ["not measured"] * 2


@pytest.mark.parametrize(
    ("figure", "at_least", "verdict"),
    [
        (1.7, True, "holds, goal reached"),
        (1.4, True, "holds"),
        (1.1, True, "missed"),
        (1.1, False, "holds, goal reached"),
        (None, True, "not measured"),
    ],
)
def test_verdicts(figure, at_least, verdict):
    assert Target("x", figure, 1.25, 1.6, at_least=at_least).verdict == verdict


def test_nominal_work_is_that_of_the_coupling_nets():
    small = WORKLOADS["small"]
    assert small.batch * small.nominal_flops == pytest.approx(22.7e9, rel=2e-3)


def test_a_report_has_every_contender_and_every_error(tmp_path):
    made_up = results()
    broken = made_up["contenders"]["freia"]
    broken |= {"error": "ImportError: no FrEIA", "facts": {}, "versions": {}}
    broken["rounds"] = {measure: [] for measure in broken["rounds"]}
    broken["starts"] = {workload: [] for workload in broken["starts"]}
    (tmp_path / "benchmark.json").write_text(json.dumps(made_up))
    text = report(tmp_path)
    assert text == (tmp_path / "table.md").read_text()
    assert "| ours-store | 80 (44.4 .. 80), x 1.25 | 160 (160 .. 160), x 1.25 |" in text
    assert "| ours-store | small | 11 | 4 | 160 | 80 |" in text
    assert "| ours-store | 2 | 3 | 1 |" in text
    assert "| freia | no | **ImportError: no FrEIA** |" in text
    assert "| freia | - | - | - | - | - |" in text
    assert "FrEIA" not in text.split("## Speed")[0]
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_figures_that_are_not_finite_are_told(tmp_path):
    made_up = results()
    made_up["contenders"]["nflows"]["facts"]["finite_samples"] = 0.75
    (tmp_path / "benchmark.json").write_text(json.dumps(made_up))
    assert "standard normal base; 25% of its samples' values are not finite" in report(tmp_path)


def test_a_quick_run_of_ours_measures_everything(tmp_path, capsys):
    command = "--quick --contenders ours-store --rounds 1 --starts 0 --output"
    main([*command.split(), str(tmp_path)])
    record = json.loads((tmp_path / "benchmark.json").read_text())["contenders"]["ours-store"]
    assert record["error"] is None
    assert set(record["versions"]) == {"flowjax_glow", "jax", "jaxlib", "optax"}
    assert record["facts"]["parameters"] > 0
    assert record["facts"]["finite_latents"] == record["facts"]["finite_samples"] == 1
    assert record["facts"]["counts"]["temp_bytes"] > 0
    for turns in record["rounds"].values():
        assert [len(each["seconds"]) > 0 for each in turns] == [True]
    assert "| ours-store |" in capsys.readouterr().out


def test_an_unknown_contender_is_told_before_anything_runs(tmp_path):
    with pytest.raises(SystemExit, match=r"--contenders: expected different ones of ours-store"):
        main(["--contenders", "ours-store,nobody", "--output", str(tmp_path / "none")])
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("names", ["", "nflows,nflows", "nobody"])
def test_contenders_are_different_and_known(names):
    with pytest.raises(ValueError, match="separate them with commas"):
        choose(names)


def test_all_contenders_are_chosen_by_default():
    assert choose(",".join(CONTENDERS)) == list(CONTENDERS)


def test_a_missing_package_is_an_answer_that_names_the_extra(monkeypatch, batches, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    commands = worker.Commands(CONTENDERS["nflows"], WORKLOADS["small"].quick(), batches)
    error = worker.answer(commands, "load")["error"]
    assert error.startswith("ValueError: benchmarks: expected the packages of the extra")
    assert error.endswith("pip install '.[benchmarks]'")
    assert "Traceback" in capsys.readouterr().err


def test_a_worker_that_fails_raises_what_it_said_and_one_that_is_gone_says_so(tmp_path, batches):
    job = Job("ours-store", WORKLOADS["small"].quick(), batches, tmp_path / "cache")
    with Worker(job) as employed:
        with pytest.raises(WorkerError, match=r"^AttributeError: .* has no attribute 'dance'"):
            employed.ask("dance")
        employed._process.kill()
        with pytest.raises(WorkerError, match="the process ended with -9 at `load`"):
            employed.ask("load")


def test_calls_are_timed_one_by_one():
    figures, last = timed(iter([5, 6]).__next__, 0)
    assert last == 5
    assert len(figures["seconds"]) == 1
    assert figures["own"] >= 0


def test_a_package_without_metadata_has_no_version():
    found = versions(["jax", "no_such_package"])
    assert found["jax"][0].isdigit()
    assert found["no_such_package"] == "not installed, from the path"


def test_the_machine_is_looked_at():
    assert 0 < resident_mib() <= peak_resident_mib() + 1
    before = busy_seconds()
    assert before is None or busy_seconds() >= before > 0


def test_batches_are_the_same_for_everybody(batches):
    images = np.load(batches)
    quick = WORKLOADS["small"].quick()
    assert images.shape[1:] == (quick.batch, quick.size, quick.size, 3)
    assert images.dtype == np.uint8


def test_help_needs_no_framework():
    program = (
        "import sys; from benchmarks.run import arguments\n"
        "try: arguments(['--help'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    assert not {"jax", "torch", "numpy", "matplotlib"} & set(output.split())
