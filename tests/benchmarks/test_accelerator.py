"""The benchmark for accelerators: both calls on tiny models, what it counts, and its report."""

import io
import json
import math
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from PIL import Image

import flowjax_glow as fg
from benchmarks import kernels
from benchmarks.accelerator import calls, models, report
from benchmarks.accelerator.__main__ import main
from benchmarks.accelerator.call import Deadline, Phase, Record, run_phases
from benchmarks.accelerator.fast import Row, stated_peaks
from benchmarks.accelerator.looks import CLIPS, TAUS, Looker, outliers, walk
from benchmarks.accelerator.models import Size
from benchmarks.accelerator.pictures import Once, cifar10, faces, unpack
from benchmarks.accelerator.rules import (
    broke_down,
    broken_shares,
    critical_temperature,
    first_claim,
    lost_permutations,
)
from benchmarks.accelerator.study import GIVE_UP, Study, _init
from benchmarks.accelerator.trials import Trials
from benchmarks.net_precision import perturbed
from flowjax_glow.diagnostics import image_round_trip
from flowjax_glow.diagnostics.trace import inverse_with_extremes
from flowjax_glow.glowip import GlowIPConfig
from flowjax_glow.trainable import merge, trainable

ROOT = Path(__file__).parents[2]
AUTHOR, USUAL = models.author, models.usual


def picture(index: int, size: int) -> bytes:
    """Noise that is red in the upper left quarter, blue in the upper right, as a PNG file."""
    values = np.random.default_rng(index).integers(0, 256, (size, size, 3), dtype=np.uint8)
    values[: size // 2, : size // 2] = (250, 0, index)
    values[: size // 2, size // 2 :] = (0, 0, 250)
    content = io.BytesIO()
    Image.fromarray(values).save(content, "PNG")
    return content.getvalue()


def write_zip(path: Path, names: list[str], size: int) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for index, name in enumerate(names):
            archive.writestr(name, picture(index, size))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_zip(folder / "celeba-128.zip", [f"celeba/{i:04}.png" for i in range(24)], 16)
    names = [f"{split}/cat/{i:04}.png" for split in ("train", "test") for i in range(16)]
    write_zip(folder / "cifar10-jpeg.zip", [*names, "train/labels.txt"], 8)
    return folder


@pytest.fixture(scope="module")
def one_flow_per_call() -> Iterator[None]:
    """All models of a call are one and the same, so that it compiles once; shapes are not checked,
    which would take longer than that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "author", lambda size, **_: AUTHOR(size, permutation="every_step"))
        patch.setattr(models, "usual", lambda size, **_: USUAL(size))
        jaxtyping.config.update("jaxtyping_disable", True)
        yield
        jaxtyping.config.update("jaxtyping_disable", False)


def run(call: str, data: Path, folder: Path) -> dict[str, dict]:
    words = [f"--call={call}", f"--data={data}", f"--output={folder}", "--deadline=7200", "--tiny"]
    main(words)
    files = list(folder.iterdir())
    assert len(files) <= 9
    assert all(file.stat().st_size < 2**24 for file in files)
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


@pytest.fixture(scope="module")
def call_a(data, tmp_path_factory, one_flow_per_call) -> tuple[dict[str, dict], Path]:
    folder = tmp_path_factory.mktemp("a")
    return run("A", data, folder), folder


@pytest.fixture(scope="module")
def call_b(data, tmp_path_factory, one_flow_per_call) -> tuple[dict[str, dict], Path]:
    folder = tmp_path_factory.mktemp("b")
    return run("B", data, folder), folder


def check_study(study: dict, steps: list[int]) -> None:
    assert [look["step"] for look in study["looks"]] == steps
    assert study["steps"] == steps[-1]
    assert study["skipped_steps"] == 0
    assert len(study["losses"]) == 1
    for look in study["looks"]:
        assert 0 < look["zero"]["largest"] < 50
        assert look["zero"]["layer"].startswith("level")
        assert [row["tau"] for row in look["noise"]] == list(TAUS)
        assert all(0 < scale["least"] <= scale["quantile"] for scale in look["noise"][0]["scales"])
        assert look["reconstruction"]["clips"][:-1] == list(CLIPS[:-1])
        assert look["reconstruction"]["broken"][-1] == 0
        assert look["reconstruction"]["worst"][-1] < 1e-4


def test_call_a_leaves_a_record_of_every_phase(call_a):
    found, folder = call_a
    phases = ("right", "fast", "author", "larger", "remedies", "figure5")
    assert found["call-A"]["phases"] == dict.fromkeys(phases, "done")
    assert found["call-A"]["environment"]["devices"]
    assert {path.stem for path in folder.glob("*.npz")} == {"author", "remedies"}


def test_the_arithmetic_is_held_against_the_tolerances(call_a):
    right = call_a[0]["right"]
    assert right["float32"]["holds"]
    assert 0 < right["float32"]["gradients"]["invert"] < 1e-4
    assert 0 < right["reference"]["latents"] < 1e-5


def test_ours_are_timed_and_absent_peers_named(call_a):
    (ours,), (peer,) = (call_a[0][phase]["rows"] for phase in ("fast", "larger"))
    assert ours["error"] is None
    assert all(ours[measure] > 0 for measure in ("train", "sample", "first_step"))
    assert 0 < ours["share_of_peak"] < 1
    if peer["error"] is None:
        assert peer["train"] > 0
    else:
        assert peer["error"] in [
            f"skipped: {name} is not installed" for name in ("torch", "normflows")
        ]


def test_call_d_times_a_step_and_tells_its_kernels(data, tmp_path):
    found = run("D", data, tmp_path)
    (row,) = found["forms"]["rows"]
    assert row["error"] is None
    assert row["train"] > 0
    own = row["kernels"]  # a CPU has none
    assert own["wall"] > own["busy"] == sum(kind["count"] for kind in own["kinds"].values()) == 0
    text = report.results(report.read([tmp_path]))
    assert "| ours-store, lax | 4 |" in text
    assert "a kernel runs | convolutions | products" in text


def test_kernels_are_told_apart_by_their_names():
    names = {
        "sm90_xmma_wgrad_indexed_implicit_gemm_f32f32_tf32f32": "convolutions",
        "sm90_xmma_gemm_f32f32_tf32f32_f32_nt_n_tilesize128x128": "products",
        "gemm_fusion_dot_38": "products",
        "loop_dynamic_update_slice_fusion_5": "copies",
        "input_reduce_select_fusion_2": "reductions",
        "loop_convert_fusion": "elementwise",
        "loop_add_fusion_48": "elementwise",
    }
    assert {name: kernels.kind(name) for name in names} == names
    assert kernels.covered([(5.0, 6.0), (0.0, 2.0), (1.0, 3.0), (1.5, 2.0)]) == 4.0


def test_the_author_s_model_and_its_remedies_are_trained_and_looked_at(call_a):
    found, folder = call_a
    check_study(found["author"]["control"], [0, 2, 4])
    for name in ("bounded", "damped"):
        check_study(found["remedies"][name], [0, 2, 4])
    arrays = np.load(folder / "author.npz")
    assert arrays["control/noise_largest"].shape == (3, len(TAUS), 8)
    assert arrays["control/reconstruction_error"].shape == (3, len(CLIPS), 8)
    assert arrays["control/noise_images"].dtype == np.uint8


def test_lost_permutations_are_drawn_before_and_after(call_a):
    figure5 = call_a[0]["figure5"]
    assert figure5["before"]["own"]["broken"][-1] == 0
    assert len(figure5["before"]["redrawn"]) == len(figure5["after"]["redrawn"]) == 3
    assert figure5["lost_permutations"] in (True, False)
    assert figure5["after"]["redrawn"][0]["worst"] != figure5["after"]["own"]["worst"]


def test_call_b_trains_both_models_with_and_without_a_warm_up(call_b):
    found, _ = call_b
    assert found["call-B"]["phases"] == {"cifar": "done"}
    for name in ("control", "damped", "control-no-warmup", "damped-no-warmup"):
        check_study(found["cifar"][name], [0, 2, 4])
    losses = {name: found["cifar"][name]["losses"][0] for name in ("control", "control-no-warmup")}
    assert losses["control"] != losses["control-no-warmup"]


def test_the_report_replaces_what_is_between_the_markers(call_a, call_b, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(report.PAGE.read_text())
    report.main([str(call_a[1]), str(call_b[1]), "--page", str(page)])
    text = page.read_text()
    before, rest = text.split(report.BEGIN)
    assert before == report.PAGE.read_text().split(report.BEGIN)[0]
    for title, (names, _) in report.PHASES.items():
        elsewhere = names[0].endswith("-slow") or names[0] == "forms"  # calls C and D
        assert (f"### {title}" in rest) != elsewhere
    assert "**Tiny models: these numbers mean nothing.**" in rest
    assert "None yet" not in rest
    assert "| ours-store, default | 4 | 1 |" in rest
    slow = tmp_path / "slow"  # call C has the phases of call A at another rate
    slow.mkdir()
    for name in ("author", "remedies", "figure5"):
        content = json.loads((call_a[1] / f"{name}.json").read_text())
        (slow / f"{name}-slow.json").write_text(json.dumps(content))
    (slow / "call-C.json").write_text((call_a[1] / "call-A.json").read_text())
    report.main([str(slow), "--page", str(page)])
    assert "### Lost permutations at that rate" in page.read_text()
    assert page.read_text().count("**damped**: 4 steps in") == 1
    report.main([str(call_b[1]), "--page", str(page)])
    assert "Lost permutations" not in page.read_text().split(report.BEGIN)[1]


def test_a_report_needs_a_call_and_a_page_with_markers(tmp_path):
    with pytest.raises(ValueError, match=r"report: expected the JSON of a call, got"):
        report.read([tmp_path])
    with pytest.raises(ValueError, match="report: expected <!-- results --> and"):
        report.put("a page", "text")


def test_goals_are_ratios_within_the_call():
    def row(contender, kind, batch=64, depth=32, **facts):
        return {"contender": contender, "kind": kind, "batch": batch, "depth": depth, **facts}

    mib = 5 * 4 * 2**20 / 2**20
    rows = [
        row("ours-store", "default", train=300.0, sample=600.0),
        row("ours-store", "default", batch=256, share_of_peak=0.3),
        row("ours-invert", "default", train=250.0, train_device_mib=mib + 100, parameters=2**20),
        row(
            *("ours-invert", "default"),
            depth=64,
            train_device_mib=2 * mib + 105,
            parameters=2 * 2**20,
        ),
        row("normflows", "plain", train=100.0, sample=200.0),
    ]
    measured = [(goal[2], goal[3]) for goal in report._goals(rows)]
    assert measured == [
        ("3", "holds"),
        ("-", "not measured"),
        ("3", "holds"),
        ("0.3", "**missed**"),
        ("1.2", "holds"),
        ("1.05", "holds"),
    ]


def test_a_deadline_that_has_passed_leaves_records_and_success(data, tmp_path):
    words = ["--call=A", f"--data={data}", f"--output={tmp_path}", "--deadline=0", "--tiny"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.accelerator", *words],
        cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": f"{ROOT / 'src'}", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    phases = json.loads((tmp_path / "call-A.json").read_text())["phases"]
    assert set(phases.values()) == {"skipped"}
    assert len(phases) == 6
    for name in phases:
        assert json.loads((tmp_path / f"{name}.json").read_text()) == {
            "phase": name,
            "status": "skipped",
            "reason": "the deadline had passed",
        }


def test_training_ends_with_the_deadline_and_looks_once_more(data, one_flow_per_call):
    plan = calls.TINY.cifar
    study = Study(models.usual(calls.TINY.cifar_model), cifar10(data, 8), plan)
    now = [0.0]

    class Slow(Deadline):
        @property
        def left(self) -> float:
            now[0] += 300.0  # as a step takes
            return super().left

    study.train(Slow(1000.0, lambda: now[0]))
    assert [look["step"] for look in study.found()["looks"]] == [0, 2]


def test_training_ends_when_steps_are_skipped_for_good(data, one_flow_per_call):
    plan = replace(calls.TINY.cifar, steps=1000, looks=())
    study = Study(models.usual(calls.TINY.cifar_model), cifar10(data, 8), plan)
    lost = jax.tree.map(lambda values: jnp.nan * values, trainable(study.state.params))
    study.state = replace(study.state, params=merge(study.state.params, lost))
    study.train(Deadline(math.inf, lambda: 0.0))
    found = study.found()
    assert GIVE_UP <= found["skipped_steps"] == found["steps"] < GIVE_UP + 4
    assert broke_down(found["looks"])


def test_a_model_that_fails_leaves_the_others(data, tmp_path, one_flow_per_call, capsys):
    def fails():
        raise MemoryError("too large")

    plan = replace(calls.TINY.cifar, steps=2, looks=())
    flows = {"bad": (fails, plan), "good": (lambda: models.usual(calls.TINY.cifar_model), plan)}
    trials = Trials(flows, Once(lambda: cifar10(data, 8)))
    (record,) = run_phases([Phase("both", 1, trials.prepare, trials.run)], tmp_path, 1e4)
    assert record.fields["status"] == "failed"
    assert record.fields["reason"] == "RuntimeError: bad: MemoryError: too large"
    assert record.fields["good"]["steps"] == 2
    assert "too large" in capsys.readouterr().err


def test_a_slow_first_look_does_not_keep_the_time_of_training(data, one_flow_per_call):
    plan = replace(calls.TINY.cifar, steps=3, looks=())
    study = Study(models.usual(calls.TINY.cifar_model), cifar10(data, 8), plan)
    study._looks[0]["seconds"] = 1e6
    study.train(Deadline(1000.0, lambda: 0.0))
    assert study.found()["steps"] == 3


def test_a_phase_that_fails_leaves_the_others_and_what_it_has_alone(tmp_path, capsys):
    def fail():
        raise RuntimeError("no\nmemory")

    def fail_later(ready, record, deadline):
        record.note(seen=1)
        raise ValueError("not here")

    phases = [
        Phase("first", 1, fail, fail_later),
        Phase("second", 1, lambda: None, fail_later),
        Phase("third", 1, lambda: 5, lambda ready, record, deadline: record.note(ready=ready)),
    ]
    first, second, third = (record.fields for record in run_phases(phases, tmp_path, 100.0))
    assert (first["status"], first["reason"]) == ("failed", "RuntimeError: no memory")
    assert (second["status"], second["seen"]) == ("failed", 1)
    assert second["reason"] == "ValueError: not here"
    assert (third["status"], third["ready"]) == ("done", 5)
    assert json.loads((tmp_path / "third.json").read_text()) == third
    assert "no\nmemory" in capsys.readouterr().err


@pytest.mark.parametrize("quiet", [False, True])
def test_the_next_phase_is_prepared_meanwhile_unless_it_must_be_quiet(tmp_path, quiet):
    begun = threading.Event()

    def work(ready, record, deadline):
        record.note(meanwhile=begun.wait(0.5 if quiet else 60))

    def prepare():
        begun.set()

    phases = [
        Phase("first", 1, lambda: None, work, quiet),
        Phase("second", 1, prepare, lambda ready, record, deadline: None),
    ]
    first, second = (record.fields for record in run_phases(phases, tmp_path, 100.0))
    assert first["meanwhile"] != quiet
    assert second["status"] == "done"


def test_a_quiet_phase_begins_when_what_has_been_started_is_prepared(tmp_path):
    begun, done = threading.Event(), threading.Event()

    def prepare():
        begun.set()
        done.wait(60)

    def first(ready, record, deadline):
        assert begun.wait(60)  # the third is prepared already, past the second, which is quiet
        threading.Timer(0.1, done.set).start()

    def second(ready, record, deadline):
        record.note(undisturbed=done.is_set())

    phases = [
        Phase("first", 1, lambda: None, first),
        Phase("second", 1, lambda: None, second, quiet=True),
        Phase("third", 1, prepare, lambda ready, record, deadline: None),
    ]
    records = run_phases(phases, tmp_path, 100.0)
    assert [record.fields["status"] for record in records] == ["done"] * 3
    assert records[1].fields["undisturbed"]
    assert records[1].fields["disturbed_by"] == []


def test_a_quiet_phase_names_what_may_disturb_it(tmp_path):
    begun, done = threading.Event(), threading.Event()

    def prepare():
        begun.set()
        done.wait(60)

    def first(ready, record, deadline):
        assert begun.wait(60)

    def second(ready, record, deadline):
        done.set()

    phases = [
        Phase("first", 1, lambda: None, first),
        Phase("second", 1, lambda: None, second, quiet=True),
        Phase("third", 1, prepare, lambda ready, record, deadline: None),
    ]
    records = run_phases(phases, tmp_path, 1.0)
    assert records[1].fields["disturbed_by"] == ["third"]
    assert "this was still compiled: third." in report._status(records[1].fields)[0]


def test_time_that_a_phase_leaves_is_the_next_one_s(tmp_path):
    def tell(ready, record, deadline):
        record.note(left=deadline.left)

    phases = [Phase("first", 1, lambda: None, tell), Phase("second", 3, lambda: None, tell)]
    first, second = (record.fields for record in run_phases(phases, tmp_path, 100.0))
    assert 20 < first["left"] <= 25
    assert 90 < second["left"] <= 100


def test_a_deadline_is_shared_out():
    deadline = Deadline(100.0, lambda: 60.0)
    assert deadline.share(0.25).left == 10
    assert Deadline(50.0, lambda: 60.0).share(0.25).left == -10


def test_a_record_is_on_the_disk_after_every_entry(tmp_path):
    record = Record(tmp_path, "phase")
    record.note(value=math.inf)
    assert json.loads((tmp_path / "phase.json").read_text())["value"] == "Infinity"
    record.keep(a=np.arange(3))
    record.keep(b=np.arange(2))
    assert sorted(np.load(tmp_path / "phase.npz").files) == ["a", "b"]


def test_pictures_come_upright_in_order_and_mirrored(data):
    source = faces(data, 8)
    assert (source.count("train"), source.count("test")) == (24, 12)
    train, mirrored = source.images["train"][:12], source.images["train"][12:]
    assert train[:, 0, 0, 0].tolist() == [250] * 12
    assert train[:, 0, 0, 2].tolist() == list(range(12))
    np.testing.assert_array_equal(mirrored, train[:, :, ::-1])
    assert source.images["test"][:, 0, 0, 2].tolist() == list(range(12, 24))
    splits = cifar10(data, 8)
    assert (splits.count("train"), splits.count("test")) == (16, 16)


def test_missing_pictures_are_told(data, tmp_path):
    with pytest.raises(ValueError, match=r"accelerator: expected the pictures in none\.zip, got"):
        unpack(tmp_path / "none.zip", 8)
    with pytest.raises(ValueError, match="accelerator: expected pictures named dog/, got none in"):
        unpack(data / "cifar10-jpeg.zip", 8, "dog/")


@pytest.fixture(scope="module")
def looked_at(one_flow_per_call):
    flow = models.usual(calls.TINY.cifar_model)  # with the programs of call B
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    params = perturbed(_init(flow, jax.random.key(0), images[:8], 8), 0.05)
    looker = Looker(fg.with_net_precision(flow, "highest"), images, n_bits=8, samples=12, chunk=8)
    looker.compile(params)
    return looker, params


def test_a_walk_is_the_inverse_with_its_largest_activation(looked_at):
    looker, params = looked_at
    z = fg.sample_latents(looker.flow, params, jax.random.key(1), (8, 8, 8, 3))
    seen = walk(looker.flow, params, z, np.float32(np.inf), np.float32(0.5))
    half = jax.tree.map(lambda leaf: 0.5 * leaf, z)
    x, _ = jax.jit(looker.flow.inverse)(params, half)
    np.testing.assert_allclose(seen.x, x, atol=1e-5)
    walked = jax.jit(inverse_with_extremes, static_argnums=0)(looker.flow, params, half)
    wanted = np.max(walked[2].largest, axis=0)
    np.testing.assert_allclose(np.max(seen.largest, axis=0), wanted, rtol=1e-5)
    row, column, channel, border = np.asarray(seen.place)[-1, 0]  # of the images themselves
    assert abs(seen.x[0, row, column, channel]) == seen.largest[-1, 0]
    assert border == (row in (0, 7) or column in (0, 7))


def test_reconstructions_equal_the_library_s_for_every_image(looked_at):
    looker, params = looked_at
    errors, bits = looker.reconstruct(params)
    x = fg.bin_midpoints(jnp.asarray(looker.images), n_bits=8)
    z, log_det = jax.jit(looker.flow.forward)(params, x)
    wanted = image_round_trip(x, jax.jit(looker.flow.inverse)(params, z)[0]).relative
    assert errors.shape == (len(CLIPS), 12)
    np.testing.assert_allclose(errors[-1], wanted, atol=1e-5)
    squares = sum(np.square(leaf).reshape(12, -1).sum(1) for leaf in z)
    nats = log_det - squares / 2 - 96 * math.log(2 * math.pi)
    np.testing.assert_allclose(bits, 8 - nats / (192 * math.log(2)), rtol=1e-4)


def test_a_look_tells_of_zero_noise_and_images(looked_at):
    looker, params = looked_at
    found, arrays = looker.look(params, 7)
    assert found["step"] == 7
    assert found["zero"]["largest"] == arrays["zero_largest"].max()
    assert found["zero"]["layer"].split("/")[-1] in (
        *("AffineCoupling", "ActNorm", "InvertibleConv", "Squeeze", "Split"),
    )
    assert arrays["noise_largest"].shape == (len(TAUS), 12)
    assert [row["largest"] for row in found["noise"]] == arrays["noise_largest"].max(1).tolist()
    assert len(found["noise"][0]["scales"]) == 1  # one split
    json.dumps(found)


def test_outliers_of_s_are_found_where_they_are():
    log_s = np.zeros((2, 4, 4, 3))
    log_s[1, 0, 2, 1] = -3.0
    found = outliers(log_s)
    assert found["least"] == found["quantile"] == pytest.approx(math.exp(-3))
    assert (found["border"], found["channel"], found["channel_share"]) == (1.0, 1, 1.0)
    assert found["border_pixels"] == 12 / 16
    log_s[0, 1, 1, 2] = np.nan  # the inverse has overflowed there
    assert outliers(log_s)["least"] == 0
    assert outliers(log_s)["border"] == 0


def test_the_critical_temperature_is_bracketed_and_halved():
    def share_over(tau: float) -> float:
        return 0.02 if tau >= 0.83 else 0.0

    known = {tau: share_over(tau) for tau in TAUS}
    assert 0.83 <= critical_temperature(share_over, known) < 0.85
    assert critical_temperature(lambda tau: 0.0, dict.fromkeys(TAUS, 0.0)) is None
    assert critical_temperature(lambda tau: 1.0, dict.fromkeys(TAUS, 1.0)) == 0
    above = critical_temperature(lambda tau: float(tau > 1.5), dict.fromkeys(TAUS, 0.0))
    assert 1.5 < above < 1.53


def looks(*points: tuple[int, object]) -> list[dict]:
    return [{"step": step, "zero": {"largest": value}} for step, value in points]


def test_the_first_claim_holds_by_its_last_two_looks_alone():
    assert first_claim(looks((0, 1.0), (10, 60.0), (20, "Infinity")))["holds"] is True
    assert first_claim(looks((0, 1.0), (10, 40.0), (20, 60.0)))["holds"] is False
    assert first_claim(looks((0, 60.0), (10, 60.0)))["holds"] is None


def test_otherwise_its_slope_and_crossing_are_reported():
    growing = first_claim(looks((0, 9.0), (100, 1.0), (400, 2.0), (1600, 4.0)))
    assert growing["slope"] == pytest.approx(0.5)
    assert growing["crossing"] == pytest.approx(1600 * (50 / 4) ** 2)
    assert first_claim(looks((1, 4.0), (2, 4.0)))["crossing"] is None
    assert first_claim(looks((1, 4.0), (2, "NaN")))["slope"] is None


def test_lost_permutations_must_break_everything_and_only_afterwards():
    errors = np.array([[0.2, 0.05, np.inf], [0.0, 0.1, np.nan]])
    assert broken_shares(errors) == pytest.approx([2 / 3, 1 / 3])
    assert lost_permutations([1.0, 0.0], [[0.6, 0.9], [0.7, 0.6]])
    assert not lost_permutations([1.0, 0.1], [[0.6, 0.9]])
    assert not lost_permutations([1.0, 0.0], [[0.6, 0.9], [0.5, 0.6]])


def test_the_full_size_is_that_of_the_run_sheet(data):
    phases = {phase.name: phase.seconds for phase in calls.call_a(data, calls.FULL)}
    assert sum(phases.values()) == 530
    slow = calls.call_c(data, calls.FULL)
    assert sum(phase.seconds for phase in slow) == 530
    assert {phase.name for phase in slow} <= {
        name for names, _ in report.PHASES.values() for name in names
    }
    assert calls.FULL.face_model == Size(levels=4, depth=32, width=512)
    assert calls.FULL.author.optimizer.clip_norm == 100
    assert Row("ours-store", 64, "default") in [
        Row(row.contender, row.batch, row.kind) for row in calls.FULL.fast.rows
    ]
    assert {row.batch for row in calls.FULL.larger.rows} == {64, 256}


def test_models_are_those_of_the_library_in_the_device_s_fastest_precision():
    size, nets = Size(2, 2, 8), {"net_precision": "default"}
    damped = fg.GlowConfig(2, 2, 8, **nets, **models.REMEDIES["damped"])
    assert USUAL(size, **models.REMEDIES["damped"]) == fg.glow(damped)
    assert USUAL(size) == fg.glow(fg.GlowConfig(2, 2, 8, **nets))
    bounded = GlowIPConfig(2, 2, 8, **nets, **models.REMEDIES["bounded"])
    assert AUTHOR(size, **models.REMEDIES["bounded"]) == fg.glow(bounded)


def test_peaks_are_known_by_the_device_s_name():
    assert stated_peaks("NVIDIA H100 80GB HBM3")["TF32"] == 494.7e12
    assert stated_peaks("cpu") is None
