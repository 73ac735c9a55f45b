"""One tiny run, trained by inversion, and the commands that read it back."""

import dataclasses
import json
import re
import shutil
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tyro.conf import UseAppendAction

from flowjax_glow import data
from flowjax_glow.commands import diagnose, mixing, repair
from flowjax_glow.commands.command import OnRuns, name_with_options
from flowjax_glow.config import RECOMMENDED, GlowConfig, glow
from flowjax_glow.density import bits_per_dim
from flowjax_glow.files import write_json
from flowjax_glow.model import Model
from flowjax_glow.pixels import dequantize
from flowjax_glow.runs import repairing
from flowjax_glow.runs.exporting import model_of
from flowjax_glow.runs.load import load_trained, trained_models
from flowjax_glow.runs.presets import SMOKE
from flowjax_glow.runs.results import run_folders
from flowjax_glow.runs.run import Training, run
from flowjax_glow.scales import DepthScaled, Exponential
from flowjax_glow.testing import perturbed
from flowjax_glow.training import CheckpointError, OptimizerConfig, data_mesh, read_metrics
from tests.commands.invoke import invoke

TINY = dataclasses.replace(
    SMOKE,
    model=GlowConfig(levels=1, depth=1, width=4, scale="bounded", memory="invert"),
    optimizer=OptimizerConfig(learning_rate=1e-3),
    batch=8,
    steps=3,
    init_images=16,
    held_out=8,
    look_every=3,
    look_samples=8,
    final_samples=8,
    clip_samples=8,
    chunk=8,
    guard_every=2,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep") / "control-seed0"
    assert run(TINY, folder)["status"] == "done"
    return folder


@pytest.fixture(scope="module")
def two_levels(tmp_path_factory):
    """The file of a model with a latent for each of two levels, at its start."""
    config = dataclasses.replace(TINY.model, levels=2)
    x = dequantize(jax.random.key(0), data.load("photos", size=8).examples("train", 16), n_bits=5)
    params = jax.jit(glow(config).init)(jax.random.key(1), x)
    file = tmp_path_factory.mktemp("levels") / "model.safetensors"
    Model(config, params, (8, 8, 3), 5).save(file)
    return file


def test_the_drift_is_measured_early_and_recorded(trained):
    rows = [row for row in read_metrics(trained / "metrics.jsonl") if "drift" in row]
    assert [row["step"] for row in rows] == [0, 1, 2]
    for row in rows:
        assert not row["drifted"]
        assert len(row["drift"]) == 1
        assert 0 < max(row["drift"]) < 1e-5


def test_a_broken_inverse_goes_on_without_it():
    source = data.load(TINY.dataset, size=TINY.image_size)
    guard = Training(TINY).guarded_step(data_mesh(), source.examples("test", 8))
    state = Training(TINY).start(source)
    squeeze, (actnorm, conv, net) = state.params["levels"][0]
    weight = conv["weight"]
    near_singular = weight.at[..., 0].set(weight[..., 1] + 1e-6 * weight[..., 0])
    broken_level = (squeeze, (actnorm, {**conv, "weight": near_singular}, net))
    broken = dataclasses.replace(state, params={**state.params, "levels": (broken_level,)})
    with pytest.warns(UserWarning, match="level 0 gives its input back with a relative error"):
        row = guard.observe(broken)
    assert row is not None
    assert row["drifted"]
    _, metrics = guard(broken, source.batch("train", seed=0, step=0, size=8))
    assert metrics["update_finite"]


def test_the_model_comes_back_from_its_folder(trained):
    read = load_trained(trained)
    assert read.experiment == TINY
    assert read.step == 3
    assert run_folders(trained) == [trained]


def test_a_save_under_way_is_left_alone(trained):
    half_written = trained / "checkpoints/4.orbax-checkpoint-tmp"
    half_written.mkdir()
    assert load_trained(trained).step == 3
    assert half_written.exists()


def test_a_model_away_from_its_data_names_the_way_out(trained):
    away = dataclasses.replace(TINY, dataset="folder:gone")
    message = r"^folder:gone: .*no folder at gone; .* --data, where a command has it, names anot"
    with pytest.raises(data.DataError, match=message):
        dataclasses.replace(load_trained(trained), experiment=away).images(None, 3)


def test_samples_are_drawn_and_only_overwritten_when_told(trained):
    code, output = invoke("sample", trained, "--count=11", "--temperature=0.7", "--chunk=4")
    assert code == 0, output
    file = trained / "samples/temperature-0.7-seed-0.npz"
    with np.load(file) as arrays:
        images, finite = arrays["images"], arrays["finite"]
    assert (finite.shape, finite.all()) == ((11,), True)
    assert output.split() == [str(file), str(file.with_suffix(".png"))]
    assert images.shape == (11, 8, 8, 3)
    assert images.dtype == np.uint8
    assert file.with_suffix(".png").exists()
    code, output = invoke("sample", trained, "--temperature=0.7")
    assert code == 2
    assert "expected no such file yet, got one; use another --seed, or --overwrite" in output
    again = ("--count=3", "--temperature=0.7", "--chunk=4", "--overwrite")
    assert invoke("sample", trained, *again)[0] == 0
    with np.load(file) as arrays:
        assert (arrays["images"] == images[:3]).all()
    assert invoke("sample", trained, "--temperature=0.7", "--averaged")[0] == 0
    for command in ("sample", "mixing", "attack"):
        code, output = invoke(command, trained, "--temperature=-1")
        assert code == 2
        assert re.search("--temperature: expected a .*, got -1.0", output)


def test_levels_are_mixed(two_levels):
    code, output = invoke("mixing", two_levels, "--data=photos", "--count=3", "--samples=16")
    assert code == 0, output
    (file,) = two_levels.parent.glob("model-findings/mixing/*-count-3-data-photos-samples-16.json")
    told = json.loads(file.read_text())
    assert told["read_channels_that_leave"] == [[6, 6]]  # the noise is what the last net read
    assert told["shares"]["size"] == [96, 96]
    assert "Variance of samples by latent" in output
    assert file.with_suffix(".png").stat().st_size > 1000


def test_what_lies_between_images_is_drawn(two_levels, tmp_path):
    """Ends of ways are the images themselves, as are styles of one image."""
    dark = tmp_path / "dark.npz"
    np.savez(dark, images=np.zeros((20, 8, 8, 3), np.uint8))
    sides = (f"--having=npz:{dark}", "--lacking=photos", "--examples=2")
    options = ("--data=photos", "--count=3", "--columns=3")
    code, output = invoke("explore", two_levels, *options, *sides)
    assert code == 0, output
    (folder,) = two_levels.parent.glob("model-findings/explore/*")
    assert "-count-3-columns-3-data-photos-having-npz-" in folder.name
    with np.load(folder / "arrays.npz") as file:
        arrays = dict(file)
    names = {f"{name}.png" for name in arrays} | {"arrays.npz"}
    assert {file.name for file in folder.iterdir()} == names
    back = arrays["reconstructions"][:, 1]
    close = partial(np.testing.assert_allclose, atol=1e-5)
    close(back, arrays["reconstructions"][:, 0])
    for way in ("straight-ways", "spherical-ways"):
        close(arrays[way][:, 0], back)
        close(arrays[way][:, 2], np.roll(back, -1, axis=0))
    close(arrays["styles"][np.arange(3), np.arange(3)], back)
    close(arrays["attribute"][:, 1], back)
    assert (arrays["attribute"][:, 2] < back).mean() > 0.8  # towards dark
    still = arrays["temperatures"][:, 0]  # tau = 0
    close(still, still[:1].repeat(3, 0))
    code, output = invoke("explore", two_levels, "--having=photos")
    assert (code, "--having and --lacking: expected both or neither" in output) == (2, True)


@pytest.mark.parametrize(
    ("placement", "reads", "first"),
    [("every_step", "noise", True), ("level_end", "signal", False)],
)
def test_which_channels_leave_is_read_off_the_last_permutation(placement, reads, first):
    config = GlowConfig(levels=2, depth=3, width=4, reads=reads, permutation=placement)
    flow = glow(config)
    params = jax.jit(flow.init)(jax.random.key(7), jnp.zeros((1, 8, 8, 3)))
    level = params["levels"][0]
    indices = level[2] if placement == "level_end" else level[1][3]
    indices = np.asarray(jax.tree.leaves(indices)[0]).reshape(-1, 12)[-1]
    leaving = indices[:6] if first else indices[6:]  # the halves that a net reads and moves
    assert mixing.read_channels_that_leave(flow, params) == [[int((leaving < 6).sum()), 6]]


def test_inverted_gradients_are_compared_with_exact_ones(trained):
    code, output = invoke("gradients", trained, "--count=8")
    assert code == 0, output
    name, step, relative_error, angle, *drift = output.splitlines()[-1].split()
    assert (name, step) == ("control-seed0", "3")
    assert 0 < float(relative_error) < 1e-3
    assert 0 < float(angle) < 0.1
    assert len(drift) == 1


@pytest.mark.parametrize("command", ["sample", "gradients"])
def test_a_folder_without_runs_is_refused(command, tmp_path):
    code, output = invoke(command, tmp_path)
    assert code == 2
    wanted = "expected a sweep folder (with sweep.json) or a run folder (with config.json)"
    assert f"{wanted}, got neither" in output


def test_a_run_without_a_checkpoint_is_refused(trained, tmp_path):
    (tmp_path / "config.json").write_text((trained / "config.json").read_text())
    with pytest.raises(CheckpointError, match="expected a checkpoint, got none; wait for"):
        load_trained(tmp_path)


@pytest.mark.parametrize("name", ["../elsewhere", "/etc", "", 3])
def test_a_sweep_names_folders_beside_it_alone(tmp_path, name):
    (tmp_path / "sweep.json").write_text(json.dumps({"runs": [name]}))
    code, output = invoke("sample", tmp_path)
    assert (code, "sweep.json: expected `runs` to be names, got" in output) == (2, True), output


def test_runs_of_a_sweep_without_a_checkpoint_are_named_and_left_out(trained, tmp_path, capsys):
    empty = tmp_path / "biased-seed0"
    empty.mkdir()
    (empty / "config.json").write_text((trained / "config.json").read_text())
    (tmp_path / "control-seed0").symlink_to(trained)
    (tmp_path / "sweep.json").write_text(json.dumps({"runs": ["biased-seed0", "control-seed0"]}))
    assert [found.folder.name for found in trained_models(tmp_path)] == ["control-seed0"]
    assert "left out: " in (said := capsys.readouterr().err)
    assert "biased-seed0: expected a checkpoint, got none" in said
    with pytest.raises(CheckpointError):
        next(trained_models(empty))
    code, output = invoke("sample", tmp_path, "--count=4", "--temperature=0.25")
    assert code == 0, output
    assert (trained / "samples/temperature-0.25-seed-0.npz").exists()


def test_a_trained_run_is_attacked(trained):
    options = ("--count=4", "--steps=1", "--objective=smallest scale")
    code, output = invoke("attack", trained, *options)
    assert code == 0, output
    name = "000003-count-4-objective-smallest-scale-steps-1.json"
    told = json.loads((trained / "attack" / name).read_text())
    assert told["searches"]["search"] == ["cube, smallest scale", "ball, smallest scale"]
    assert told["other_images"]["images"][0] == "given"
    assert "Searches for points that do not come back" in output


def test_files_are_named_after_the_options_that_are_not_at_their_defaults():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Some(OnRuns):
        tier: str = "full"
        taus: str = "0,1"
        seed: int = 0
        objective: UseAppendAction[tuple[str, ...]] = ()
        averaged: bool = False
        tables: bool = False

        def __call__(self):
            print(name_with_options(self, f"{self.tier}-7", but=("tier", "tables")))

    def name(*options):
        return invoke(Some, "run", *options)[1].strip()

    assert name() == name("--seed=0", "--taus=0,1", "--tables") == "full-7"
    assert name("--tier=fast", "--taus=0,0.5") == "fast-7-taus-0-0.5"
    assert name("--averaged", "--seed=3") == "full-7-seed-3-averaged"
    assert name("--objective=a b", "--objective=c/d") == "full-7-objective-a-b+c-d"
    assert name("--taus=folder:a-b") == "full-7-taus-folder-a-b" != name("--taus=folder:a/b")
    long = [name(f"--taus={'0.5,' * 100}{last}") for last in (1, 2)]
    assert long[0] != long[1]
    assert max(map(len, long)) < 100
    wide = name(*(f"--objective={'ы' * 50}{word}" for word in "abcd"))
    assert len(wide.encode()) < 220


def test_one_noise_level_is_diagnosed_in_a_file_of_its_own(trained):
    code, output = invoke("diagnose", trained, "--tier=fast", "--count=8", "--taus=0.5")
    report = json.loads((trained / "diagnosis/fast-000003-count-8-taus-0.5.json").read_text())
    assert report["taus"] == report["tables"]["samples"]["tau"] == [0.5]
    assert code == diagnose.EXIT_CODES[report["verdict"]]
    code, output = invoke("diagnose", trained, "--taus=1,hot")
    assert code == 2
    assert "--taus: expected noise levels with commas, got '1,hot'; write 0,0.5,1" in output


def test_images_of_another_shape_are_refused(trained):
    code, output = invoke("diagnose", trained, "--data=digits", "--tier=fast")
    assert code == 3
    assert output.count("\n") == 1
    assert "error: digits: expected images of 8x8x3 as " in output


def test_a_trained_run_is_diagnosed(trained):
    exit_code, output = invoke("diagnose", trained, "--tier=fast", "--count=8")
    report = json.loads((trained / "diagnosis/fast-000003-count-8.json").read_text())
    assert exit_code == diagnose.EXIT_CODES[report["verdict"]]
    assert f"verdict: {report['verdict']}" in output
    assert report["count"] == 8
    assert (trained / "diagnosis/fast-000003-count-8.png").stat().st_size > 1000


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The model file of a run that was judged."""
    code, output = invoke("diagnose", trained, "--tier=fast", "--count=8")
    assert code in diagnose.EXIT_CODES.values(), output
    folder = tmp_path_factory.mktemp("exported")
    file, card = folder / "model.safetensors", folder / "README.md"
    code, output = invoke("export", trained, file, f"--card={card}")
    assert (code, output.split()) == (0, [str(file), str(card)])
    return file


def test_a_run_is_exported_with_its_record_and_its_verdict(trained, exported):
    model, run_of = Model.load(exported), load_trained(trained)
    assert (model.config, model.n_bits, model.event_shape) == (TINY.model, 5, (8, 8, 3))
    assert jax.tree.all(jax.tree.map(np.array_equal, model.params, run_of.params))
    held_out = [
        row["held_out"] for row in read_metrics(trained / "metrics.jsonl") if "held_out" in row
    ]
    assert model.record["bits_per_dim"] == held_out[-1]
    assert (model.record["step"], model.record["averaged"]) == (3, False)
    report = json.loads((trained / "diagnosis/fast-000003-count-8.json").read_text())
    assert model.verdict is not None
    assert model.verdict["verdict"] == report["verdict"]
    assert (model.verdict["count"], model.verdict["images"]) == (8, "photos")
    # whose parameters a report is about stands in it, whatever the name of its images
    file = trained / f"diagnosis/full-{3:06}-images-folder-averaged.json"
    write_json(file, {"verdict": "broken", "statement": "", "averaged": False})
    found = load_trained(trained)
    assert model_of(found).verdict == {"verdict": "broken", "statement": ""}
    assert model_of(found, averaged=True).verdict is None
    file.unlink()
    assert "tables" not in model.verdict
    assert load_trained(exported).experiment == TINY
    card = (exported.parent / "README.md").read_text()
    assert f"**{report['verdict']}**" in card
    assert f"{held_out[-1]:.3f}, on 8 held-out images" in card


def test_nothing_is_exported_over_anything(trained, exported, tmp_path):
    before = exported.read_bytes()
    code, output = invoke("export", trained, exported)
    assert (code, "expected no such file yet, got one; choose ano" in output) == (2, True), output
    card = exported.parent / "README.md"
    code, output = invoke("export", trained, tmp_path / "new.safetensors", f"--card={card}")
    assert (code, "README.md: expected no such file yet" in output) == (2, True), output
    assert not list(tmp_path.iterdir())
    assert exported.read_bytes() == before
    averaged = tmp_path / "averaged.safetensors"
    assert invoke("export", trained, averaged, "--averaged")[0] == 0
    assert Model.load(averaged).verdict is None  # that of the last parameters is not theirs
    assert invoke("export", averaged, averaged, "--averaged", "--overwrite")[0] == 0
    code, output = invoke("export", exported, averaged, "--averaged", "--overwrite")
    assert (code, "got " in output, "has the last ones alone" in output) == (2, True, True), output


@pytest.mark.parametrize(
    ("command", "options", "kind"),
    [
        ("sample", ("--count=4", "--temperature=0.5"), "samples/temperature-0.5-seed-0.npz"),
        ("gradients", ("--count=8",), None),
        ("mixing", ("--count=3", "--samples=16"), "mixing/000003-count-3-samples-16.json"),
    ],
)
def test_commands_take_a_model_file(trained, exported, command, options, kind):
    """And find what they find of its run."""
    if kind is None or not (trained / kind).exists():
        _, of_run = invoke(command, trained, *options)
    _, of_file = invoke(command, exported, *options)
    if kind is None:
        assert of_file.splitlines()[-1].split()[1:] == of_run.splitlines()[-1].split()[1:]
        return
    ours, theirs = trained / kind, exported.parent / "model-findings" / kind
    assert theirs.exists(), of_file
    if kind.endswith(".npz"):
        with np.load(ours) as one, np.load(theirs) as other:
            np.testing.assert_array_equal(one["images"], other["images"])
    else:
        assert json.loads(ours.read_text()) == json.loads(theirs.read_text())


def test_a_repair_starts_from_a_file_as_from_its_run(trained, exported):
    starts = []
    for path in (trained, exported):
        after = repairing.repaired(repair._experiment_of(path), None, 8, 1e-4)
        training = repairing.Repairing(after, load_trained(path))
        source = load_trained(path).source
        starts.append((after, training.start(source), training.batch(source, 2)))
    assert starts[0][0] == starts[1][0]
    assert jax.tree.all(jax.tree.map(np.array_equal, *(rest for _, *rest in starts)))


def test_a_file_that_is_no_model_is_refused(trained):
    code, output = invoke("sample", trained / "config.json")
    assert code == 2
    assert "config.json: expected a model file of flowjax_glow, got SafetensorError" in output
    assert output.count("\n") == 1
    for command in ("track", "figures"):
        code, output = invoke(command, trained / "config.json")
        assert (code, "(with config.json), got a file; train with" in output) == (2, True), output


@pytest.fixture
def moved(trained, tmp_path):
    """The run on a machine that has not got its pictures."""
    folder = tmp_path / "moved"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("samples", "diagnosis"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"dataset": "folder:/nowhere", "image_size": None}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("noted", [True, False])
def test_a_run_opens_without_its_data_set(moved, trained, noted):
    if not noted:  # as versions did that did not note the shape
        (moved / "data.json").unlink()
    code, output = invoke("sample", moved, "--count=4", "--temperature=0.9")
    assert code == 0, output
    code, output = invoke("gradients", moved)
    assert (code, "error: folder:/nowhere: expected " in output) == (3, True), output
    code, output = invoke("gradients", moved, "--data=photos", "--count=8")
    assert code == 0, output
    code, output = invoke("gradients", moved, "--data=digits")
    assert (code, "error: digits: expected images of 8x8x3 as" in output) == (3, True), output


def test_a_run_that_does_not_tell_its_shape_asks_for_its_data_set(moved):
    (moved / "data.json").unlink()
    shutil.rmtree(moved / "arrays")
    code, output = invoke("sample", moved)
    assert (code, "error: folder:/nowhere: expected " in output) == (3, True), output
    (moved / "data.json").write_text('{"shape": [8, "8", 3]}')
    code, output = invoke("sample", moved)
    assert (code, "data.json: expected `shape` of type (height," in output) == (2, True), output


@pytest.mark.parametrize("what", ["trained", "exported"])
def test_a_sound_model_is_not_repaired_unless_told_to(what, request, tmp_path, monkeypatch):
    path, measure = request.getfixturevalue(what), diagnose.Diagnose.report

    def sound(*those):  # so small a model is at risk for want of training
        return dataclasses.replace(measure(*those), verdict="trustworthy")

    monkeypatch.setattr(diagnose.Diagnose, "report", sound)
    output = tmp_path / "repaired"
    code, text = invoke("repair", path, "--steps=4", "--count=8", f"--output={output}")
    assert code == 0, text
    assert text.startswith("  ")  # what it measures, on the way
    assert "before: " in text
    assert f"{path}: nothing is broken, and nothing was trained; --force does so" in text
    assert not output.exists()


@pytest.fixture(scope="module")
def led(trained, tmp_path_factory):
    """A run that was led to another scale, and the command's options but for the folder."""
    output = tmp_path_factory.mktemp("repair") / "repaired"
    options = ("--scale=depth-scaled:1", "--steps=4", "--count=8", "--force")
    before = (trained / "metrics.jsonl").read_bytes()
    code, text = invoke("repair", trained, *options, f"--output={output}")
    after = json.loads((output / "repair.json").read_text())["after"]
    assert code == diagnose.EXIT_CODES[after["verdict"]], text
    assert (trained / "metrics.jsonl").read_bytes() == before
    return output, options, text


def test_a_trained_run_is_led_to_another_scale(led):
    output, _, text = led
    told = json.loads((output / "repair.json").read_text())
    assert told["scale"] == "depth-scaled:1"
    assert {"verdict", "bits_per_dim", "tables"} <= set(told["before"]) & set(told["after"])
    model = load_trained(output).experiment.model
    assert model.scale == DepthScaled(1.0)
    assert model.memory == "invert"
    assert len([r for r in read_metrics(output / "metrics.jsonl") if "loss" in r]) == 4
    assert json.loads((output / "summary.json").read_text())["status"] == "done"
    assert f"after: {told['after']['bits_per_dim']:.3f} bits/dim (5 bits)\nverdict: " in text


def test_a_repair_is_advised_where_it_would_change_something():
    names = {"scale": RECOMMENDED["scale"], "damped": RECOMMENDED["damped"]}
    advised = {
        scale: repairing.can_be_repaired(dataclasses.replace(SMOKE, model=GlowConfig(**model)))
        for scale, model in {
            "control": {},
            "recommended": names,
            "additive": {"scale": "additive"},
        }.items()
    }
    assert advised == {"control": True, "recommended": False, "additive": False}


def test_a_repaired_run_has_what_a_trained_one_has(led):
    output, _, _ = led
    for name in ("training.png", "samples.png", "diagnosis/fast-000004-count-8.png"):
        assert (output / name).stat().st_size > 1000
    report = json.loads((output / "diagnosis/fast-000004-count-8.json").read_text())
    assert report["verdict"] == json.loads((output / "repair.json").read_text())["after"]["verdict"]


def test_a_repair_writes_over_nothing_and_goes_on(led, trained, tmp_path, monkeypatch):
    output, options, _ = led
    (tmp_path / "thesis.txt").write_text("mine")
    for taken, message in (
        (output, "expected no such run yet, got one; choose --output"),
        (trained, "expected no such run yet, got one; choose --output"),
        (tmp_path, "got a folder of other files"),
    ):
        code, text = invoke("repair", trained, *options, f"--output={taken}")
        assert (code, message in text) == (2, True), text
    verdict = json.loads((output / "repair.json").read_text())["after"]["verdict"]
    monkeypatch.setitem(diagnose.EXIT_CODES, verdict, 99)  # its own, to tell it from success
    (output / "repair.json").unlink()  # as if it had been interrupted before its end
    code, text = invoke("repair", trained, *options, f"--output={output}", "--steps=8")
    assert code == 2
    assert "'steps': 4" in text
    code, _ = invoke("repair", trained, *options, f"--output={output}")
    assert json.loads((output / "repair.json").read_text())["after"]["verdict"] == verdict
    assert code == 99


def test_a_repair_that_never_began_is_in_nobodys_way(trained, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / repair.START).write_text('{"run": "elsewhere", "step": 1, "steps": 2}')
    repair._check_output(tmp_path, trained)
    after = repairing.repaired(TINY, None, 8, 1e-4)
    repair._check_start(tmp_path, trained, load_trained(trained), after)
    assert json.loads((tmp_path / repair.START).read_text())["steps"] == 8


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ("additive", "--scale=additive: expected a scale that nets give a number for"),
        ("boundet", "scale: expected one of additive"),
    ],
)
def test_a_scale_that_cannot_be_reached_leaves_nothing_behind(trained, tmp_path, scale, message):
    code, text = invoke("repair", trained, f"--scale={scale}", f"--output={tmp_path / 'r'}")
    assert (code, message in text) == (2, True), text
    assert not (tmp_path / "r").exists()


def test_a_repair_takes_one_run(trained, tmp_path):
    (tmp_path / "sweep.json").write_text('{"runs": []}')
    code, text = invoke("repair", tmp_path)
    assert (code, "expected a run folder, got one of many" in text) == (2, True), text


def test_a_repair_leads_to_what_is_recommended():
    assert repairing.repaired(TINY, None, 8, 1e-4).model == dataclasses.replace(
        TINY.model, scale=RECOMMENDED["scale"], damped="sqrt"
    )
    learned = dataclasses.replace(
        TINY,
        model=dataclasses.replace(TINY.model, levels=2, split_prior="learned", memory="store"),
    )
    after = repairing.repaired(learned, None, 8, 1e-4)
    assert after.model.prior_scale == RECOMMENDED["prior_scale"]
    assert repairing.repaired(learned, "tanh", 8, 1e-4).model.prior_scale == Exponential()

    start = Training(learned).start(data.load(TINY.dataset, size=TINY.image_size))
    params = perturbed(start.params)
    pixels = np.zeros((8, 8, 8, 3), np.uint8)
    loss = jax.jit(repairing.BlendedBitsPerDim(learned, after))
    bits = jax.jit(partial(bits_per_dim, n_bits=5), static_argnums=0)
    for weight, model in ((0.0, learned.model), (1.0, after.model)):
        batch = {"images": jnp.asarray(pixels), "weight": jnp.full(8, weight)}
        wanted = bits(glow(model), params, jax.random.key(1), batch["images"])
        assert loss(params, jax.random.key(1), batch) == pytest.approx(float(wanted.mean()), 1e-5)


def test_scales_move_in_equal_parts_and_then_stay(trained):
    source = data.load(TINY.dataset, size=TINY.image_size)
    punished = dataclasses.replace(TINY, penalty=0.1)
    experiment = repairing.repaired(punished, "depth-scaled", steps=8, learning_rate=1e-4)
    assert experiment.penalty == 0  # as the loss of the fine-tuning has none
    trained = load_trained(trained)
    training = repairing.Repairing(experiment, trained)
    weights = [training.batch(source, step)["weight"][0] for step in range(8)]
    assert weights == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]
    images = source.batch("train", seed=experiment.seed, step=3 + 2, size=experiment.batch)
    np.testing.assert_array_equal(training.batch(source, 2)["images"], images)


def test_a_pace_is_led_to_without_changing_the_model():
    old = GlowConfig(levels=1, depth=4, width=4, scale="bounded")
    before, after = (glow(dataclasses.replace(old, damped=pace)) for pace in (False, "sqrt"))
    x = jnp.asarray(np.random.default_rng(0).uniform(-0.5, 0.5, (4, 4, 4, 3)), jnp.float32)
    params = perturbed(jax.jit(before.init)(jax.random.key(0), x))
    slowed = repairing.paced(before, after, params)
    kernel, slow = (own["levels"][0][1][2]["last"]["kernel"] for own in (params, slowed))
    np.testing.assert_allclose(slow, 2 * kernel)  # and an update of it counts half
    given, got = jax.jit(before.forward)(params, x), jax.jit(after.forward)(slowed, x)
    for z, same in zip(given, got, strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), z, same)
