"""The images of a run: as many held out as there are, and the same ones when it goes on."""

import dataclasses
import json

import pytest

from flowjax_glow import data
from flowjax_glow.files import write_json
from flowjax_glow.runs.experiment import Experiment, to_json
from flowjax_glow.runs.folder import ConfigChangedError
from flowjax_glow.runs.images import check_images, described, fit_to_data, note_images
from flowjax_glow.runs.run import run
from tests.data.samples import write_folder


@pytest.fixture
def pictures(tmp_path):
    return write_folder(tmp_path / "pictures", 30)


def opened(pictures):
    return data.load(f"folder:{pictures}", size=8)


def test_thirty_pictures_are_enough(pictures):
    source = opened(pictures)
    fitted = fit_to_data(Experiment(), source)
    assert 0 < fitted.held_out <= source.count("test") < Experiment().held_out
    counts = f"{source.count('train')} train and {source.count('test')} test images"
    assert described(source) == f"{source.name}: {counts}, 8x8x3, parted by their names"


def test_a_run_keeps_what_it_holds_out_when_pictures_are_added(pictures):
    begun = fit_to_data(Experiment(), opened(pictures))
    write_folder(pictures / "more", 200)
    source = opened(pictures)
    assert source.count("test") > begun.held_out
    assert fit_to_data(Experiment(), source, begun) == begun
    assert fit_to_data(Experiment(held_out=64, chunk=64), data.load("photos", size=8)).chunk == 64
    assert fit_to_data(Experiment(), source) != begun


def test_pictures_that_came_or_went_are_told(tmp_path, pictures):
    note_images(tmp_path, opened(pictures))
    check_images(tmp_path, opened(pictures))
    write_folder(pictures / "more", 50)
    with pytest.warns(UserWarning, match=r"other images .*\(train .. -> .., test . -> .*file"):
        check_images(tmp_path, opened(pictures))


@pytest.mark.parametrize("noted", [True, False])
def test_a_run_that_goes_on_keeps_its_split(tmp_path, pictures, noted):
    """Or images that were held out would be trained on; nothing of the run is touched."""
    folder = tmp_path / "run"
    folder.mkdir()
    experiment = Experiment(dataset=f"folder:{pictures}", image_size=8, steps=9)
    write_json(folder / "config.json", to_json(experiment))
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 3.0}\n')
    write_json(folder / "summary.json", {"status": "done", "steps": 4})
    if noted:
        note_images(folder, opened(pictures))
    for number, part in enumerate(("train", "test")):
        (pictures / f"part {number}").rename(pictures / part)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    longer = dataclasses.replace(experiment, steps=20)
    with pytest.raises(ConfigChangedError, match=r"by their names, .* got folder:.* by train/ a"):
        run(longer, folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_the_notes_of_a_run(tmp_path, pictures):
    note_images(tmp_path, opened(pictures))
    assert set(json.loads((tmp_path / "data.json").read_text())) == {
        "shape",
        "train",
        "test",
        "split",
        "files",
    }
    note_images(tmp_path, data.load("photos", size=8))  # endless crops have no count
    assert json.loads((tmp_path / "data.json").read_text()) == {"shape": [8, 8, 3]}
