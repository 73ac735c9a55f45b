"""A run on labels, from `train --labels` to every command that takes it."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest

from flowjax_glow import LearnedPrior, data, fitting
from flowjax_glow.commands import diagnose
from flowjax_glow.commands.diagnose import EXIT_CODES
from flowjax_glow.commands.labels import label_of
from flowjax_glow.commands.sheets import Decoder, at_labels
from flowjax_glow.context import rows_held
from flowjax_glow.density import bits_per_dim
from flowjax_glow.model import Model
from flowjax_glow.runs import repairing
from flowjax_glow.runs.experiment import read_config
from flowjax_glow.runs.folder import ConfigChangedError
from flowjax_glow.runs.load import load_trained
from flowjax_glow.runs.run import run
from flowjax_glow.training import read_metrics
from tests.commands.invoke import invoke
from tests.commands.test_train import TINY
from tests.data import samples

NAMES = ("ape", "bee", "cat")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder for each class; the level of an image tells its class."""
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        (folder / name).mkdir()
        for index in range(60):
            image = noise.integers(80 * number, 80 * number + 40, (8, 8, 3)).astype(np.uint8)
            (folder / name / f"{index}.png").write_bytes(samples.png(image).read())
    return folder


def train(pictures, folder, *further):
    options = (f"--data=folder:{pictures}", "--size=8", "--steps=4", "--batch=8", "--seed=3")
    return invoke("train", *options, f"--output={folder}", *TINY, *further)


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels") / "r"
    code, output = train(pictures, folder, "--labels")
    assert code in EXIT_CODES.values(), output
    assert "8x8x3 images of folder:" in output
    assert " in 3 classes, 1 level" in output
    return folder


def test_a_model_is_trained_on_the_labels_of_a_folder(trained, pictures, monkeypatch):
    """As `fit` trains it, to the bit; with held-out looks at the labels of the images."""
    model = read_config(trained).model
    assert (model.classes, model.top_prior) == (3, "places")
    assert json.loads((trained / "data.json").read_text())["classes"] == list(NAMES)
    loaded = load_trained(trained)
    assert loaded.classes == NAMES
    monkeypatch.setattr(fitting, "INIT_IMAGES", 16)
    source = data.load(f"folder:{pictures}", size=8)
    model = fitting.fit(
        loaded.experiment.model, source, steps=4, batch=8, seed=3, averaged=False, show=False
    )
    pairs = zip(jax.tree.leaves(model.params), jax.tree.leaves(loaded.params), strict=True)
    assert all(np.array_equal(ours, theirs) for ours, theirs in pairs)
    images, labels = source.labelled_examples("test", 8)
    rows = read_metrics(trained / "metrics.jsonl")
    (told,) = (row["held_out"] for row in rows if row["step"] == 4 and "held_out" in row)
    assert told == pytest.approx(model.bits_per_dim(images, 1, labels).mean(), rel=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--labels", "--data=photos"], "--labels: expected images with labels, got photos, which"),
        (
            ["--set=model.classes=2"],
            "model.classes: expected labels of 2 classes, as in the config",
        ),
        (
            ["--set=model.classes=2", "--data=photos"],
            "got no classes in photos; set classes to the",
        ),
    ],
)
def test_other_labels_are_told_before_anything_is_compiled(pictures, tmp_path, options, message):
    code, output = train(pictures, tmp_path / "r", *options)
    assert code == 2
    assert message in output
    assert not (tmp_path / "r").exists()


def test_a_run_does_not_go_on_with_classes_of_other_names(trained, tmp_path):
    for folder in (tmp_path / "r", tmp_path / "pictures"):
        folder.mkdir()
    for name in ("ape", "bee", "dog"):
        samples.write_folder(tmp_path / "pictures" / name, 4)
    experiment = dataclasses.replace(
        read_config(trained), dataset=f"folder:{tmp_path / 'pictures'}"
    )
    noted = json.loads((trained / "data.json").read_text())
    (tmp_path / "r/data.json").write_text(json.dumps(noted))
    with pytest.raises(ConfigChangedError, match=r"of the classes ape, bee, cat, .* ape, bee, dog"):
        run(experiment, tmp_path / "r")


@pytest.mark.parametrize("told", [["0", "1", "2"], None])
def test_classes_are_compared_by_number_only_where_no_file_names_them(
    trained, pictures, tmp_path, told
):
    """Names that are numbers are names."""
    folder = shutil.copytree(trained, tmp_path / "r")
    noted = {"shape": json.loads((folder / "data.json").read_text())["shape"]}
    names = {} if told is None else {"classes": told}
    (folder / "data.json").write_text(json.dumps({**noted, **names}))
    model = load_trained(folder)
    assert model.classes == ("0", "1", "2")
    if told is None:
        assert len(model.labelled_images(f"folder:{pictures}", 3)[0]) == 3
    else:
        with pytest.raises(data.DataError, match=r"classes 0, 1, 2, .* got ape, bee, cat; choose"):
            model.labelled_images(f"folder:{pictures}", 3)


def test_samples_are_of_the_classes_that_are_named(trained, tmp_path):
    """In turn, a row of the picture for each; without --label those of the model."""
    code, output = invoke("sample", trained, "--label=cat, 0", "--count=25", "--chunk=5")
    assert code == 0, output
    assert output.endswith("rows: cat, ape\n")
    with np.load(trained / "samples/temperature-1-seed-0-label-cat-0.npz") as arrays:
        assert arrays["labels"].tolist() == [2, 0] * 12 + [2]
        images = arrays["images"]
    model = load_trained(trained)
    exported = tmp_path / "m.safetensors"
    assert invoke("export", trained, exported)[0] == 0
    code, output = invoke("sample", exported, "--chunk=5")
    assert code == 0, output
    assert output.endswith("rows: ape, bee, cat\n")
    assert Model.load(exported).record["classes"] == list(NAMES)
    with np.load(tmp_path / "m-findings/samples/temperature-1-seed-0.npz") as arrays:
        assert arrays["labels"].tolist() == [0, 1, 2] * 10
        assert (arrays["images"][8] == images[8]).all()  # of one label and one noise
        assert (arrays["images"][0] != images[0]).any()
        sheet = matplotlib.image.imread(tmp_path / "m-findings/samples/temperature-1-seed-0.png")
        row = arrays["images"][1::3]  # of label 1
    assert sheet.shape[:2] == (3 * 66, 10 * 66)
    wanted = row.repeat(8, 1).repeat(8, 2).transpose(1, 0, 2, 3).reshape(64, 640, 3)
    places = np.arange(660) % 66 < 64
    assert np.abs(sheet[66:130, places, :3] * 255 - wanted).max() < 1
    assert model.classes == load_trained(exported).classes
    code, output = invoke("sample", exported, "--chunk=5", "--count=2", "--seed=1")
    assert (code, output.splitlines()[-1]) == (0, "rows: ape, bee")  # there are no more rows
    code, output = invoke("sample", trained, "--label=dog")
    assert code == 2
    assert (
        "--label: expected one of 3 classes, ape, bee, cat, or a number below 3, got 'dog'"
        in output
    )


def test_a_report_is_of_all_classes_or_of_one(trained, pictures, monkeypatch, tmp_path):
    (file,) = trained.glob("diagnosis/fast-000004.json")
    report = json.loads(file.read_text())
    assert report["tables"]["samples"]["samples"] == [3, 512, 512]  # z = 0 of every class
    seen = []

    def look(flow, params, images, *, context, **options):
        seen.append((images, context))
        raise ValueError("seen")

    monkeypatch.setattr(diagnose, "stability_report", look)
    for options in (["--count=9"], ["--label=cat", "--count=3"]):
        assert invoke("diagnose", trained, *options)[0] == 2
    (every, own), (cats, alone) = seen
    np.testing.assert_array_equal(every.min((1, 2, 3)) // 80, own)
    assert (len(cats), cats.min() >= 160, alone) == (3, True, 2)
    for name in ("ape", "cat"):
        shutil.copytree(pictures / name, tmp_path / "pictures" / name)
    for options, status, told in (
        (["--data=photos"], 3, "got none; choose others, or say what they all are where"),
        (["--label=cat,bee"], 2, "--label: expected one class, got 'cat,bee'"),
        (["--count=999"], 3, "expected at least 999 images in test, got "),
        (
            ["--label=cat", f"--data=folder:{tmp_path / 'pictures'}"],
            3,
            "got ape, cat; choose images of the same classes, or a folder without folders in it,",
        ),
    ):
        code, output = invoke("diagnose", trained, *options)
        assert (code, told in output) == (status, True), output
    code, output = invoke("diagnose", trained, "--label=cat", "--count=99")
    assert "expected at least 99 images of the class cat in test, got " in output
    assert invoke("diagnose", trained, "--label=cat", "--data=photos", "--count=2")[0] == 2
    assert seen[-1][1] == 2  # whatever they are, they are taken for cats


def test_what_lies_between_images_is_at_their_labels(trained):
    options = ("--count=2", "--columns=3", "--examples=3", "--attribute=ape:cat")
    code, output = invoke("explore", trained, *options)
    assert code == 0, output
    with np.load(next((trained / "explore").glob("*/arrays.npz"))) as file:
        arrays = dict(file)
    images, back = np.moveaxis(arrays["reconstructions"], 1, 0)
    np.testing.assert_allclose(back, images, atol=1e-4)
    labels = np.round((images.min((1, 2, 3)) + 0.5) * 256 / 80 - 0.05).astype(int)
    np.testing.assert_allclose(arrays["labels"][[0, 1], labels], back, atol=1e-5)
    assert np.abs(arrays["labels"][[0, 1], (labels + 1) % 3] - back).max() > 1e-4
    np.testing.assert_allclose(arrays["straight-ways"][:, 2], back[::-1], atol=1e-5)
    assert arrays["attribute"][:, 2].mean() > arrays["attribute"][:, 0].mean()  # cats are bright
    for option in ("--attribute=cat", "--attribute=ape:dog", "--attribute=cat:2"):
        assert invoke("explore", trained, option)[0] == 2


def test_a_sheet_with_a_part_of_the_classes_says_so():
    z, sheets = jnp.zeros((2, 4, 4, 3)), []
    for count in (12, 13):
        flow = LearnedPrior(context_features=count)
        decoder = Decoder(flow, flow.init(jax.random.key(0), z))
        sheets.append(at_labels(decoder, z, tuple(map(str, range(count)))))
    assert [sheet.title.partition("; ")[2] for sheet in sheets] == ["", "the first 12 of 13"]
    assert [len(sheet.columns) for sheet in sheets] == [12, 12]


def test_a_number_is_no_label_where_names_are_numbers():
    assert [label_of("--label", name, ("2", "5", "x")) for name in ("5", "x")] == [1, 2]
    assert label_of("--label", "1", NAMES) == 1
    with pytest.raises(ValueError, match=r"one of 3 classes, 2, 5, x, got '0'; name one of these"):
        label_of("--label", "0", ("2", "5", "x"))


@pytest.mark.parametrize(
    "command",
    [
        ("mixing", "--count=2", "--samples=4"),
        ("gradients", "--count=4"),
    ],
)
def test_other_commands_take_a_model_with_classes(trained, command):
    name, *options = command
    code, output = invoke(name, trained, *options)
    assert code == 0, output


def test_an_attack_starts_from_images_at_their_labels(trained, monkeypatch):
    def look(flow, params, images, **options):
        raise ValueError(f"{rows_held(params)} labels of {len(images)} images")

    monkeypatch.setattr("flowjax_glow.commands.attack.attack", look)
    code, output = invoke("attack", trained, "--count=5")
    assert (code, "5 labels of 5 images" in output) == (2, True), output


def test_a_repair_trains_on_labels(trained, pictures):
    model = load_trained(trained)
    after = repairing.repaired(model.experiment, None, 4, 1e-4)
    source = data.load(f"folder:{pictures}", size=8)
    batch = repairing.Repairing(after, model).batch(source, 3)
    np.testing.assert_array_equal(batch["images"].min((1, 2, 3)) // 80, batch["labels"])
    key, images, labels = jax.random.key(0), batch["images"], batch["labels"]
    loss = jax.jit(repairing.BlendedBitsPerDim(model.experiment, model.experiment))
    wanted = bits_per_dim(model.flow, model.params, key, images, context=labels).mean()
    found = loss(model.params, key, jax.tree.map(jnp.asarray, batch))
    assert found == pytest.approx(float(wanted), rel=1e-5)
