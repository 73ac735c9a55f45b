"""Variants, presets, configurations and the options of the sweep, without training anything."""

import dataclasses
import functools
import json
import operator
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.sweep import SweepCommand
from experiments.sweeps import Sweep, parse_seeds, plan
from experiments.variants import GROUPS, VARIANTS, apply_variant, resolve
from flowjax_glow import data
from flowjax_glow.commands.shard import Shard, parse_shard
from flowjax_glow.config import GlowConfig, glow
from flowjax_glow.config_json import config_to_json
from flowjax_glow.diagnostics import finite_difference_penalty
from flowjax_glow.files import write_json
from flowjax_glow.glowip import AS_CONTROL, GlowIPConfig
from flowjax_glow.pixels import dequantize
from flowjax_glow.real_nvp import RealNVPConfig
from flowjax_glow.runs.experiment import Experiment, differences, from_json, read_config, to_json
from flowjax_glow.runs.folder import (
    ConfigChangedError,
    FolderInUseError,
    check_same,
    claimed,
    open_run,
    set_aside,
)
from flowjax_glow.runs.images import fit_to_data
from flowjax_glow.runs.loss import BitsPerDim, TrainingLoss
from flowjax_glow.runs.presets import PAPER, PRESETS, SMOKE
from flowjax_glow.runs.run import Training
from flowjax_glow.runs.summary import summarize
from flowjax_glow.scales import DepthScaled
from flowjax_glow.training import MetricsLog, OptimizerConfig
from tests.commands.invoke import invoke

ROOT = Path(__file__).parents[2]


def test_groups_and_names_are_listed_once_and_in_order():
    assert resolve("paper") == ["control", "additive", "biased", "bounded", "randomized"]
    assert resolve("all") == [*GROUPS["paper"], "depth-scaled", "damped"]
    assert resolve("openai, control,paper,openai")[:2] == ["openai", "control"]
    assert len(resolve("openai, control,paper,openai")) == 6


@pytest.mark.parametrize(
    ("name", "advice"), [("contrl", "did you mean control"), ("xyz", "--list describes them")]
)
def test_an_unknown_variant_gets_the_nearest_name_in_a_short_line(name, advice):
    wanted = f"^--variant: expected names of variants or groups, got '{name}'; {advice}"
    with pytest.raises(ValueError, match=wanted) as raised:
        resolve(f"control,{name}")
    assert len(str(raised.value)) < 120


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_builds_and_changes_only_its_row(name):
    control = GlowConfig(levels=2, depth=2, width=4)
    model = apply_variant(name, control)
    unchanged = AS_CONTROL | vars(control)
    for field in dataclasses.fields(model):
        if field.name not in VARIANTS[name][0]:
            assert getattr(model, field.name) == unchanged[field.name]
    glow(model)


def test_the_author_s_variant_is_glowip_and_its_rows_are_its_choices():
    control = GlowConfig(levels=4, depth=48, width=512)
    assert apply_variant("author", control) == GlowIPConfig()
    choices = [VARIANTS[name][0] for name in GROUPS["author"][2:-1]]
    assert VARIANTS["author"][0] == functools.reduce(operator.or_, choices)
    assert len(GROUPS["author"]) == 7
    rows = [apply_variant(name, control) for name in GROUPS["author"]]
    assert len({glow(row) for row in rows}) == 7


def test_the_paper_s_preset_has_the_recipe_of_the_public_code():
    assert apply_variant("author", PAPER.model) == GlowIPConfig(memory="remat")
    assert PAPER.optimizer == OptimizerConfig(
        "adam", 1e-4, "plateau", 10_000, clip_norm=100.0, clip_value=5.0, patience=1000
    )
    assert PAPER.init_images == PAPER.batch


def test_a_fixed_clamp_has_the_same_bound_at_every_depth_and_ours_has_4_over_it():
    control = GlowConfig(levels=2, depth=32, width=4)
    found: dict[str, dict[int, float]] = {"soft-clamp-0.125": {}, "damped": {}}
    for row in GROUPS["fixed-clamp"]:
        name, (level, _) = row.partition("-depth")[0], glow(apply_variant(row, control)).levels
        if name in found:
            repeat = level.bijectors[1]
            found[name][repeat.depth] = repeat.step.bijectors[-1].scale.log_bounds[1]
    depths = (8, 32, 64, 128)
    assert found["soft-clamp-0.125"] == dict.fromkeys(depths, 0.125)
    assert found["damped"] == {depth: 4 / depth for depth in depths}


def test_configurations_from_before_there_was_a_choice_of_pace_can_be_read():
    for variant, damped in (("control", False), ("damped", True)):
        (experiment,) = plan(SMOKE, [variant], [0])
        old = to_json(experiment)
        assert old["model"]["damped"] is damped
        del old["model"]["shift_limit"]
        assert from_json(old) == experiment


def test_the_depth_scaled_variant_is_told_the_depth():
    flow = glow(apply_variant("depth-scaled", GlowConfig(levels=2, depth=32, width=4)))
    assert "DepthScaled(alpha=4.0, steps=32, one_sided=False)" in repr(flow)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_build(name):
    control = PRESETS[name].control
    x = jax.ShapeDtypeStruct((1, control.image_size, control.image_size, 3), np.float32)
    assert jax.eval_shape(glow(control.model).init, jax.random.key(0), x)


def test_the_runs_of_a_sweep_come_seed_by_seed():
    names = [e.name for e in plan(SMOKE, ["control", "biased"], [0, 1])]
    assert names == ["control-seed0", "biased-seed0", "control-seed1", "biased-seed1"]


@pytest.mark.parametrize(
    ("text", "seeds"), [(None, [0, 1, 2]), ("2", [0, 1]), ("5,6", [5, 6]), ("5,", [5])]
)
def test_seeds(text, seeds):
    assert parse_seeds(text, 3) == seeds


@pytest.mark.parametrize("text", ["0", "x", "1,1", "-1,2", ""])
def test_impossible_seeds(text):
    with pytest.raises(ValueError, match="--seeds: expected a count"):
        parse_seeds(text or "0", 3)


def test_configurations_come_back_from_json():
    for variant in VARIANTS:
        (experiment,) = plan(SMOKE, [variant], [3])
        assert from_json(json.loads(json.dumps(to_json(experiment)))) == experiment


def test_a_configuration_says_which_model_it_has(tmp_path):
    experiments = plan(SMOKE, ["control", "author-form"], [0])
    control, author = (to_json(experiment) for experiment in experiments)
    assert control["model"]["type"] == "GlowConfig"
    assert author["model"]["type"] == "GlowIPConfig"
    assert author["model"]["form"] == "scale-first"
    del control["model"]["type"]  # as written before there was another
    assert from_json(control) == experiments[0]
    (tmp_path / "config.json").write_text(json.dumps(author))
    assert read_config(tmp_path) == experiments[1]
    changed = differences(experiments[0], experiments[1])
    assert "model.type: GlowConfig -> GlowIPConfig" in changed


def begin(folder, experiment):
    """What a run leaves that has taken a step."""
    open_run(folder, experiment)
    write_json(folder / "status.json", {"status": "running", "step": 1, "seconds": 1.0})


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_a_cosine_schedule_fixes_the_steps(tmp_path, schedule):
    planned = dataclasses.replace(SMOKE, optimizer=OptimizerConfig(schedule=schedule))
    longer = dataclasses.replace(planned, steps=90)
    begin(tmp_path, planned)
    if schedule == "constant":
        check_same(tmp_path, longer)
        return
    with pytest.raises(
        ConfigChangedError,
        match=r"steps: 60 -> 90 \(a cosine schedule ends at .*choose another --output",
    ):
        check_same(tmp_path, longer)


def test_a_model_that_is_not_known_is_refused():
    fields = to_json(SMOKE)
    fields["model"]["type"] = "SplineConfig"
    with pytest.raises(ValueError, match=r"model.type: expected one of GlowConfig, .* got 'Spline"):
        from_json(fields)
    fields["model"] = config_to_json(RealNVPConfig())
    with pytest.raises(ValueError, match=r"model.type: expected a flow on images, got RealNVP"):
        from_json(fields)


def test_more_steps_go_on_and_other_changes_do_not(tmp_path):
    open_run(tmp_path, SMOKE)
    check_same(tmp_path, dataclasses.replace(SMOKE, batch=32))  # it has not begun
    begin(tmp_path, SMOKE)
    check_same(tmp_path, dataclasses.replace(SMOKE, steps=90))
    assert differences(SMOKE, dataclasses.replace(SMOKE, batch=32)) == ["batch: 16 -> 32"]
    with pytest.raises(ConfigChangedError, match=r"batch: 16 -> 32; choose another --output"):
        check_same(tmp_path, dataclasses.replace(SMOKE, batch=32))
    deeper = dataclasses.replace(SMOKE, model=dataclasses.replace(SMOKE.model, depth=3))
    with pytest.raises(ConfigChangedError, match=r"model\.depth: 2 -> 3"):
        check_same(tmp_path, deeper)


def test_a_folder_is_held_by_one_at_a_time(tmp_path):
    with claimed(tmp_path), pytest.raises(FolderInUseError, match="held by process"):  # noqa: SIM117
        with claimed(tmp_path):
            pass
    with claimed(tmp_path):
        pass


def test_shards_share_a_folder_with_each_other_alone(tmp_path):
    shared = [claimed(tmp_path, shared=True) for _ in range(2)]
    with shared[0], shared[1], pytest.raises(FolderInUseError), claimed(tmp_path):
        pass
    with claimed(tmp_path), pytest.raises(FolderInUseError), claimed(tmp_path, shared=True):
        pass


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_shards_part_the_runs(tmp_path, count):
    shards = [
        Sweep("smoke", SMOKE, ["control", "bounded"], [0, 1], tmp_path, Shard(index, count))
        for index in range(1, count + 1)
    ]
    names = [experiment.name for shard in shards for experiment in shard.experiments]
    assert sorted(names) == sorted(experiment.name for experiment in shards[0].planned)
    assert shards[-1].describe(1).endswith(" MB")  # also where it has none


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/", "a/b", "-1/2"])
def test_impossible_shards(text):
    with pytest.raises(ValueError, match="--shard: expected I/N with I from 1 to N"):
        parse_shard(text)


def test_restarting_keeps_the_old_run(tmp_path):
    folder = tmp_path / "control-seed0"
    open_run(folder, SMOKE)
    set_aside(folder)
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("control-seed0.replaced-")
    assert (kept / "config.json").exists()


@pytest.mark.parametrize("path", [".", "../run", "link"])
def test_a_run_in_this_folder_or_behind_a_link_is_set_aside(path, tmp_path, monkeypatch):
    for name in ("run", "other"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "run")
    Path("link").symlink_to(tmp_path / "other")
    set_aside(Path(path))
    assert (tmp_path / "other").is_dir()  # a link is renamed, not what it points to
    assert not (tmp_path / "run" / path).exists()
    assert len(list(tmp_path.rglob("*.replaced-*"))) == 1


def test_the_default_folder_names_preset_and_data_set():
    sweep = SweepCommand(variant="control", preset="smoke", data="folder:/some/where").sweep()
    assert sweep.folder == Path("runs/smoke-folder--some-where")


def test_the_description_names_everything():
    code, text = invoke(SweepCommand, "--list", "--preset=smoke")
    assert code == 0
    for name in [*VARIANTS, *GROUPS, *PRESETS, "photos", "model.depth"]:
        assert f"  {name} " in text


def test_a_dry_run_writes_nothing(tmp_path):
    sweep = SweepCommand(variant="control", preset="smoke", output=tmp_path / "out").sweep()
    text = sweep.describe()
    assert "in all about" in text
    assert max(map(len, text.replace(str(sweep.folder), "runs").splitlines())) <= 80
    assert not (tmp_path / "out").exists()


#: One level, so that it compiles fast.
FLAT = dataclasses.replace(SMOKE, model=GlowConfig(levels=1, depth=2, width=4))


def test_a_penalty_enters_the_loss_of_training():
    source = data.load("photos", size=8)
    params = Training(FLAT).start(source).params
    images, key = source.batch("train", seed=0, step=0, size=4), jax.random.key(5)
    bits = BitsPerDim(glow(FLAT.model), FLAT.n_bits)
    losses = [jax.jit(TrainingLoss(bits, weight)) for weight in (0.0, 0.5)]
    plain, added = (loss(params, key, images) for loss in losses)
    np.testing.assert_allclose(plain, jax.jit(bits)(params, key, images).mean(), rtol=1e-6)
    x = dequantize(key, images, n_bits=FLAT.n_bits)
    penalty = jax.jit(lambda key: finite_difference_penalty(bits.flow, params, key, x))
    stretches = penalty(jax.random.fold_in(key, 1))
    np.testing.assert_allclose(
        added - plain, 0.5 * sum(stretch.mean() for stretch in stretches), rtol=1e-4
    )


def test_variants_share_their_start():
    """Same seed: same data order, same initializing batch, same keys for what they share."""
    source = data.load("photos", size=8)
    experiments = plan(FLAT, ["control", "bounded", "randomized"], [0])
    control, bounded, randomized = (Training(e).start(source).params for e in experiments)

    def weights(params):
        return params["levels"][0][1][1]["weight"]

    # a scale draws nothing, so rotations agree in all steps; the nets too, before any training
    np.testing.assert_array_equal(weights(control), weights(bounded))
    np.testing.assert_array_equal(weights(control), weights(randomized))
    other = Training(plan(FLAT, ["control"], [1])[0]).start(source).params
    assert not np.array_equal(weights(control), weights(other))


def test_wrong_experiments_fail_before_they_run():
    with pytest.raises(ValueError, match=r"Experiment.held_out: expected a multiple"):
        dataclasses.replace(SMOKE, held_out=65)
    with pytest.raises(ValueError, match=r"Experiment.batch: expected a whole number above 0"):
        Experiment(batch=0)
    with pytest.raises(ValueError, match=r"Experiment.seed: expected a whole number from 0"):
        Experiment(seed=-1)
    with pytest.raises(ValueError, match=r"Experiment.accumulate: expected a number that divides"):
        Experiment(batch=16, accumulate=3)


def sweep(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "experiments.sweep", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variant=glow"], "error: --variant: expected names"),
        (["--preset=huge"], "error: --preset: expected one of smoke"),
        (["--preset=smoke", "--batch=0"], "error: Experiment.batch"),
    ],
)
def test_mistakes_are_one_line_and_a_code(arguments, message, tmp_path):
    code, told = invoke(SweepCommand, *arguments, f"--output={tmp_path / 'out'}")
    assert (code, message in told) == (2, True), told
    assert "Traceback" not in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dataset", ["folder:/nowhere", "tfds:cifar10"])
def test_data_that_is_not_there_is_told_in_one_line_and_a_code(dataset, tmp_path):
    result = sweep(f"--dataset={dataset}", f"--output={tmp_path / 'out'}")
    assert (result.returncode, "error: " in result.stderr) == (3, True), result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_small_data_sets_shrink_the_evaluation():
    sweep_ = SweepCommand(variant="control", preset="laptop", data="digits", size=8).sweep()
    fitted = fit_to_data(sweep_.control, data.load("digits", size=8))
    assert (fitted.held_out, fitted.clip_samples) == (128, 128)


def test_a_handful_of_images_makes_the_chunks_smaller(tmp_path):
    np.savez(tmp_path / "few.npz", images=np.zeros((60, 8, 8, 3), np.uint8))
    source = data.load(f"npz:{tmp_path / 'few.npz'}")
    fitted = fit_to_data(SMOKE, source)
    assert source.count("test") == 6
    assert (fitted.chunk, fitted.held_out, fitted.clip_samples) == (4, 4, 4)


def test_fewer_steps_than_done_are_refused(tmp_path):
    open_run(tmp_path, SMOKE)
    write_json(tmp_path / "status.json", {"status": "running", "step": 60, "seconds": 1.0})
    with pytest.raises(ConfigChangedError, match="steps: 60 done -> 30"):
        check_same(tmp_path, dataclasses.replace(SMOKE, steps=30))


def test_restarting_one_variant_beside_others_is_refused_before_anything_moves(tmp_path):
    for variant in ("control", "biased"):
        (experiment,) = plan(SMOKE, [variant], [0])
        begin(tmp_path / experiment.name, experiment)
    write_json(tmp_path / "sweep.json", {"runs": ["control-seed0", "biased-seed0"]})
    changed = SweepCommand(variant="control", preset="smoke", batch=8, output=tmp_path).sweep()
    with pytest.raises(ConfigChangedError, match=r"biased-seed0: .* batch: 16 -> 8"):
        changed.run(restart=True)
    assert (tmp_path / "control-seed0" / "config.json").exists()


def test_sizes_that_cannot_work_are_told_at_once(tmp_path):
    with pytest.raises(ValueError, match=r"--size=10: expected a multiple of 4, .* use 8 or 12"):
        SweepCommand(
            variant="control", preset="smoke", size=10, output=tmp_path / "out"
        ).sweep().run()
    with pytest.raises(ValueError, match=r"Experiment.batch: expected a multiple of the 8 devices"):
        SweepCommand(
            variant="control", preset="smoke", batch=12, output=tmp_path / "out"
        ).sweep().run()
    assert not (tmp_path / "out").exists()


def test_the_size_of_a_run_can_be_estimated_without_its_data():
    assert "in all about" in SweepCommand(variant="control", preset="paper").sweep().describe()


def test_the_held_out_images_of_the_full_presets_exist():
    assert PRESETS["openai-cifar10"].control.held_out <= 10_000  # CIFAR-10's test set
    assert PRESETS["paper"].control.held_out <= 19_962  # CelebA's


def test_scales_know_their_depth_only_when_told():
    assert DepthScaled(4.0).shared_by(8).limit == 0.5


def test_a_diverged_run_has_losses_and_no_results(tmp_path):
    open_run(tmp_path, SMOKE)
    write_json(tmp_path / "status.json", {"status": "diverged", "step": 31, "seconds": 1.0})
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        log.append(0, {"held_out": 9.0, "held_out_averaged": 9.0})
        for step in range(1, 32):
            log.append(step, {"loss": 5.0 if step < 31 else float("inf")})
    summary = summarize(tmp_path)
    assert summary["window_loss"] == 5.0
    assert summary.get("bits_per_dim") is None
    assert "z_error" not in summary


def test_the_slope_is_the_median_of_all_slopes(tmp_path):
    open_run(tmp_path, SMOKE)
    write_json(tmp_path / "status.json", {"status": "diverged", "step": 150, "seconds": 1.0})
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        for step in range(1, 151):
            log.append(step, {"loss": 5.0 - 0.002 * step + (50.0 if step == 75 else 0.0)})
    # of ten slopes the spoiled third window moves four, two up and two down
    assert summarize(tmp_path)["loss_slope"] == pytest.approx(-0.2)
