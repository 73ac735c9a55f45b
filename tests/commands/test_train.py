"""`flowjax-glow train` from options to a verdict, and how a command line is read."""

import json
import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass
from importlib.metadata import version

import jax
import matplotlib.image
import numpy as np
import pytest

from flowjax_glow import commands, data, fitting
from flowjax_glow.commands.catalog import COMMANDS
from flowjax_glow.commands.command import Command
from flowjax_glow.commands.diagnose import EXIT_CODES
from flowjax_glow.commands.errors import one_line_warnings
from flowjax_glow.commands.pictures import draw_training
from flowjax_glow.commands.train import Train
from flowjax_glow.config import RECOMMENDED, GlowConfig
from flowjax_glow.data.folder import is_test
from flowjax_glow.runs.experiment import read_config, to_json
from flowjax_glow.runs.load import experiment_of, load_trained
from flowjax_glow.runs.presets import PRESETS, SMOKE, recommended
from flowjax_glow.runs.results import load_run
from tests.commands.invoke import invoke
from tests.commands.test_streams import closed_pipe

#: Small enough for a test; a user sets these as well as any others.
TINY = [
    f"--set={setting}"
    for setting in (
        "model.depth=1",
        "model.width=4",
        "init_images=16",
        "held_out=8",
        "look_samples=8",
        "final_samples=8",
        "clip_samples=8",
        "chunk=8",
    )
]


def test_what_is_not_finite_has_a_cross_in_the_curves(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(to_json(SMOKE)))
    rows = [
        {"step": 0, "held_out": 4.0, "largest_activation": 2.0},
        {"step": 9, "largest_activation": "Infinity"},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, inverse = draw_training(load_run(tmp_path)).axes
    line, crosses = inverse.lines
    assert line.get_xdata().tolist() == [0, 9]
    assert (crosses.get_marker(), crosses.get_xdata().tolist()) == ("x", [9])
    assert 0 < crosses.get_ydata()[0] < 1  # a share of the height, so that it is seen


def train(folder, *further):
    """With further options, which may be the same with other values."""
    options = ("--data=digits", "--steps=4", "--batch=8", "--seed=3", f"--output={folder}")
    names = {each.partition("=")[0] for each in further} - {"--set"}
    first = [each for each in options if each.partition("=")[0] not in names]
    return invoke("train", *first, *TINY, *further)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train") / "r"
    code, output = train(folder)
    return folder, code, output


def test_a_model_is_trained_sampled_and_judged(trained):
    folder, code, output = trained
    (report,) = folder.glob("diagnosis/*.json")
    verdict = json.loads(report.read_text())["verdict"]
    assert code == EXIT_CODES[verdict]
    described = "8x8x1 images of digits, 1 level of 1 steps, width 4, 4 steps of 8 images"
    assert output.startswith(f"{folder}: {described}\n")
    assert "bits/dim on 8 held-out images (8 bits)" in output
    assert f"verdict: {verdict}" in output
    for name in ("training.png", "samples.png", "summary.json"):
        assert (folder / name).exists()
    experiment = read_config(folder)
    assert (experiment.seed, experiment.dataset, experiment.model.depth) == (3, "digits", 1)
    assert experiment.model.scale == RECOMMENDED["scale"]


def test_fit_gives_what_the_command_trains(trained, monkeypatch):
    """To the bit, and tells the same of it."""
    folder, _, _ = trained
    run = load_trained(folder)
    monkeypatch.setattr(fitting, "INIT_IMAGES", 16)
    for averaged in (False, True):
        model = fitting.fit(
            run.experiment.model,
            data.load("digits"),
            steps=4,
            batch=8,
            seed=3,
            averaged=averaged,
            show=False,
        )
        pairs = zip(jax.tree.leaves(model.params), jax.tree.leaves(run.parameters(averaged)))
        assert all(np.array_equal(ours, theirs) for ours, theirs in pairs)
    told = experiment_of(model)
    for name in ("model", "n_bits", "seed", "steps", "batch", "optimizer", "dataset"):
        assert getattr(told, name) == getattr(run.experiment, name)
    assert model.record["held_out_images"] == 179
    assert 0 < model.record["bits_per_dim"] < 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "fit.steps: expected a whole number above 0, got 0"),
        ({"n_bits": 9}, "fit.n_bits: expected one of 1, 2"),
        ({"learning_rate": -1.0}, "learning_rate: expected a number above 0, got -1.0"),
        (
            {"permutation": "every_batch"},
            "fit: expected permutations that stay, got permutation='e",
        ),
        ({"levels": 4}, "squeeze"),
    ],
)
def test_fit_tells_what_it_cannot_train(changes, message):
    own = {name: changes[name] for name in ("permutation", "levels") if name in changes}
    config = GlowConfig(**{"levels": 1, "depth": 1, "width": 4, **own})
    options = {name: value for name, value in changes.items() if name not in own}
    with pytest.raises(ValueError, match=message):
        fitting.fit(config, data.load("digits"), **{"steps": 4, "show": False, **options})


def test_a_data_set_with_few_images_is_judged_on_all_of_them(trained):
    folder, _, _ = trained
    code, _ = invoke("diagnose", folder, "--tier=fast", "--samples=8")
    report = json.loads((folder / "diagnosis/fast-000004-samples-8.json").read_text())
    assert (report["count"], report["samples"]) == (179, 8)
    assert report["verdict"] == "not enough samples"
    assert code == EXIT_CODES["not enough samples"] == 12
    code, output = invoke("diagnose", folder, "--tier=fast", "--count=256")
    assert code == 3
    assert "expected at least 256 images in test, got 179" in output


def test_the_same_command_again_trains_nothing(trained, monkeypatch):
    folder, _, _ = trained
    before = (folder / "metrics.jsonl").read_bytes()
    monkeypatch.setattr(commands.train, "check_tracker", lambda *_: None)  # it may be missing
    _, output = train(folder, "--track=wandb")
    assert (folder / "metrics.jsonl").read_bytes() == before
    assert f"--track has nothing to do; flowjax-glow track {folder} --to=wandb shows it" in output


@pytest.fixture
def planned(monkeypatch):
    """Ends a command where it would train, with what it would train."""

    def stop(experiment, output, **_):
        raise ValueError(
            f"{experiment.steps} steps, {experiment.optimizer.warmup_steps} warming up"
        )

    monkeypatch.setattr(commands.train, "run", stop)


@pytest.mark.usefixtures("planned")
@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (["--steps=80"], "80 steps, 1 warming up"),
        (["--steps=80", "--set=optimizer.warmup_steps=1"], "80 steps, 1 warming up"),
        (["--steps=80", "--set=optimizer.warmup_steps=2"], "optimizer.warmup_steps: 1 -> 2"),
        (["--steps=2"], "steps: 4 done -> 2"),
        (["--steps=1"], "steps: 4 done -> 1"),
    ],
)
def test_more_steps_train_on_with_the_warm_up_that_a_run_has(trained, options, answer):
    folder, _, _ = trained
    code, output = train(folder, *options)
    assert (code, answer in output) == (2, True), output


@pytest.mark.usefixtures("planned")
def test_starting_over_takes_the_warm_up_of_the_new_steps(trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "r")
    assert "80 steps, 20 warming up" in train(folder, "--steps=80", "--restart")[1]


def test_a_start_that_fails_claims_nothing(tmp_path):
    pictures, folder = tmp_path / "pictures", tmp_path / "r"
    pictures.mkdir()
    for number in range(120):
        file = pictures / f"{number}.png"
        if is_test(file.name):
            file.write_bytes(b"no picture")
        else:
            matplotlib.image.imsave(file, np.full((8, 8, 3), number / 120))
    code, output = train(folder, f"--data=folder:{pictures}", "--size=8")
    assert code == 3, output
    assert [path.name for path in folder.iterdir()] == ["lock"]


@pytest.mark.usefixtures("planned")
def test_a_run_that_never_began_is_in_nobodys_way(trained, tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    shutil.copy(trained[0] / "config.json", folder)
    assert "4 steps, 1 warming up" in train(folder, "--set=model.depth=2")[1]
    (folder / "metrics.jsonl").write_text('{"step": 0, "held_out": 8.0}\n')
    assert "4 steps, 1 warming up" in train(folder, "--set=model.depth=2")[1]
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 8.0}\n')  # now it is somebody's
    assert "model.depth: 1 -> 2" in train(folder, "--set=model.depth=2")[1]


@pytest.mark.usefixtures("planned")
def test_a_run_without_its_configuration_starts_over_only_when_told(trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "r")
    (folder / "config.json").unlink()
    code, output = train(folder)
    assert code == 2
    assert "expected config.json beside checkpoints and metrics.jsonl, got none" in output
    assert "4 steps, 1 warming up" in train(folder, "--restart")[1]
    assert len(list(tmp_path.glob("r.replaced-*"))) == 1


@pytest.mark.usefixtures("planned")
def test_bundled_images_are_said_to_be_so_unless_they_were_asked_for(tmp_path):
    told = "no --data: crops of six photographs of packages; folder:PATH takes yours\n"
    for number, (option, says) in enumerate(
        [((), True), (("--data=photos", "--size=8"), False), (("--set=dataset=photos",), False)]
    ):
        _, output = invoke("train", f"--output={tmp_path / str(number)}", *option, *TINY)
        assert output.startswith(told) == says, output


def test_another_configuration_is_refused(trained):
    folder, _, _ = trained
    code, output = invoke(
        "train", f"--config={folder}", "--set=model.width=8", "--seed=3", f"--output={folder}"
    )
    assert code == 2
    assert "model.width: 4 -> 8" in output


def test_other_peoples_folders_are_left_alone(trained, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    assert "got a folder of other files; choose another" in train(tmp_path)[1]
    (tmp_path / "sweep.json").write_text("{}")
    code, output = train(tmp_path)
    assert (code, "got a sweep folder" in output) == (2, True)
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.txt", "sweep.json"}


@pytest.mark.parametrize("setting", ["n_bits=9", "model.levels=5", "batch=9"])
def test_what_cannot_be_built_leaves_nothing_behind(setting, tmp_path):
    folder = tmp_path / "r"
    code, output = invoke(
        "train", "--data=digits", "--steps=4", f"--set={setting}", f"--output={folder}"
    )
    assert code == 2, output
    assert not folder.exists()


def test_a_configuration_stands_in_for_a_preset(trained):
    folder, _, _ = trained
    for path in (folder, folder / "config.json"):
        assert Train(config=path).experiment() == read_config(folder)


def test_what_is_set_decides_what_is_recommended():
    settings = ("dataset=digits", "image_size=none", "steps=50")
    chosen = Train(set=settings).experiment()
    assert chosen == Train(data="digits", steps=50).experiment()
    assert (chosen.model.levels, chosen.steps, chosen.optimizer.warmup_steps) == (1, 50, 12)


def test_the_seed_of_a_configuration_is_kept(trained):
    folder, _, _ = trained
    code, output = invoke("train", f"--config={folder}", f"--output={folder}")
    assert code in (0, 10, 11), output  # the same run, finished


def test_a_preset_and_what_is_set():
    chosen = Train(preset="smoke", data="digits", size=8, set=("model.depth=3",)).experiment()
    assert chosen.dataset == "digits"
    assert chosen.model == GlowConfig(levels=2, depth=3, width=16)
    assert chosen.optimizer == SMOKE.optimizer
    assert Train(data="digits", steps=8).experiment().steps == 8


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((8, 8, 1), (1, 16, 64)),
        ((16, 16, 3), (2, 16, 64)),
        ((28, 28, 1), (2, 32, 128)),
        ((32, 32, 3), (3, 32, 128)),
        ((64, 64, 3), (4, 32, 256)),
        ((256, 128, 3), (4, 32, 256)),
        ((2, 2, 1), (1, 16, 64)),
        ((6, 10, 3), (1, 16, 64)),
    ],
)
def test_the_recommended_model_fits_its_images(shape, sizes):
    model = recommended(shape).model
    assert (model.levels, model.depth, model.width) == sizes
    assert (model.scale, model.damped) == (RECOMMENDED["scale"], RECOMMENDED["damped"])


def test_odd_images_have_no_model():
    with pytest.raises(ValueError, match=r"expected even height and width, got \(7, 8\)"):
        GlowConfig.recommended((7, 8, 3))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["trian"], 2, "error: flowjax-glow: expected a command, got 'trian'; did you mean train?"),
        (["xyzzy"], 2, "see flowjax-glow --help"),
        (["train", "--preset=huge"], 2, "--preset: expected one of recommended, smoke, laptop"),
        (["train", "--stepz", "3"], 2, "got --stepz; did you mean --steps?"),
        (["train", "--step=60"], 2, "flowjax-glow train: expected an option of this command"),
        (["train", "--step=60"], 2, "got --step=60; did you mean --steps?"),
        (["train", "--dat=digits"], 2, "did you mean --data?"),
        (["plan", "--compiled"], 2, "did you mean --compile?"),
        (["sample", "run", "--temprature=1"], 2, "did you mean --temperature?"),
        (["train", "--xyzzy=1"], 2, "got --xyzzy=1; see flowjax-glow train --help"),
        (["train", "digits"], 2, "got digits; see flowjax-glow train --help"),
        (["train", "--steps=many"], 2, "--steps"),
        (["train", "--set=stepz=3"], 2, "did you mean steps"),
        (["train", "--data=folder:/none", "--size=8"], 3, "error: "),
        (["train", "--config=/none"], 2, "expected a run folder or its config.json, got neither"),
        (["train", "--config=/none", "--preset=smoke"], 2, "drop one"),
        (["train", "--help"], 0, "FIELD=VALUE"),
        (["train", "--help"], 0, "flowjax-glow train --data=digits --steps=200"),
        (["train", "--size=15"], 2, "--size=15: expected a multiple of 2, as it is halved 1 time"),
        (
            ["train", "--preset=laptop", "--size=30"],
            2,
            "--size=30: expected a multiple of 4",
        ),
        (["train", "--preset=laptop", "--size=30"], 2, "got 30; use 28 or 32"),
        (["plan", "--data=digits", "--set=model.levels=4"], 2, "--size: expected a multiple of 16"),
        (["--help"], 0, "flowjax-glow COMMAND --help tells more, and flowjax-glow --version"),
        (["--version"], 0, f"flowjax-glow {version('flowjax-glow')}"),
        ([], 0, "usage: flowjax-glow COMMAND"),
    ],
)
def test_command_lines(arguments, code, message):
    ended, output = invoke(*arguments)
    assert (ended, message in output) == (code, True), output
    assert "Traceback" not in output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, output = invoke(name, "--help")
    assert code == 0
    assert max(map(len, output.splitlines()[1:])) <= 80  # but for the usage in one line
    assert (COMMANDS[name].__doc__ or "").splitlines()[0].rstrip(".") in " ".join(output.split())


def test_an_interruption_is_a_line_and_a_code():
    @dataclass(frozen=True, kw_only=True)
    class Interrupted(Command):
        def __call__(self):
            raise KeyboardInterrupt

    assert invoke(Interrupted) == (130, "interrupted; the same command goes on where it was\n")


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("terminal", "start"), [(True, "\n"), (False, "")])
def test_a_warning_has_a_line_of_its_own(capsys, monkeypatch, terminal, start):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with one_line_warnings():
        warnings.warn("an inverse\ndrifts", stacklevel=1)
    assert capsys.readouterr().err == f"{start}warning: an inverse drifts\n"


def test_a_reader_that_has_seen_enough_ends_a_command_in_peace():
    command = [sys.executable, "-m", "flowjax_glow", "plan", "--list"]
    with closed_pipe() as nobody:
        done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["train", "plan"])
def test_what_options_may_say_is_listed(command):
    code, output = invoke(command, "--list", "--data=digits", "--set=model.depth=3")
    assert code == 0, output
    for word in ("recommended", *PRESETS, "folder:PATH", "model.scale", "optimizer.warmup_steps"):
        assert f"  {word} " in output
    assert re.search(r"^  model.depth +3$", output, re.MULTILINE)
    assert re.search(r"^  image_size +none$", output, re.MULTILINE)
