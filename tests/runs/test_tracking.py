"""Runs in TensorBoard and Weights & Biases: what is shown, and that nothing is shown twice."""

import dataclasses
import shutil
import struct
import sys
from collections import Counter

import numpy as np
import pytest

from flowjax_glow.runs.folder import claimed
from flowjax_glow.runs.load import load_trained
from flowjax_glow.runs.run import Training, run
from flowjax_glow.runs.tracking import TRACKERS, look_of
from flowjax_glow.training import read_metrics
from tests.commands.invoke import invoke
from tests.runs.tiny import TINY

SHOWN = dataclasses.replace(TINY, save_every=4, look_every=3)


class KilledError(Exception):
    """What ends a run in the middle."""


class Dies(Training):
    """A training that ends before the batch of its last step."""

    def batch(self, source, step):
        if step == 7:
            raise KilledError
        return super().batch(source, step)


def events(folder):
    """What TensorBoard's files have, read record by record: kind, name and step of each."""
    message = pytest.importorskip("tensorboardX.proto.event_pb2").Event
    found = []
    for file in sorted((folder / "tensorboard").iterdir()):
        content, start = file.read_bytes(), 0
        while start < len(content):
            (length,) = struct.unpack_from("<Q", content, start)
            event = message.FromString(content[start + 12 : start + 12 + length])
            found += [(v.WhichOneof("value"), v.tag, event.step, v) for v in event.summary.value]
            start += 12 + length + 4
    return found


def shown(folder):
    return Counter((kind, name, step) for kind, name, step, _ in events(folder))


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A run that was killed after seven steps, of which four were saved, and went on."""
    folder = tmp_path_factory.mktemp("tracked") / "run"
    with pytest.raises(KilledError):
        run(SHOWN, folder, training=Dies(SHOWN), track="tensorboard")
    before = shown(folder)
    run(SHOWN, folder, track="tensorboard")
    return folder, before


def test_every_number_of_the_metrics_is_shown_at_its_step(tracked):
    folder, _ = tracked
    values = {
        (name, step): v.simple_value
        for kind, name, step, v in events(folder)
        if kind == "simple_value"
    }
    tells_nothing = {"step", "window", "update_finite"}
    assert not {name for name, _ in values} & tells_nothing
    for row in read_metrics(folder / "metrics.jsonl"):
        for name in row.keys() - tells_nothing:
            assert values[name, row["step"]] == pytest.approx(float(row[name]), rel=1e-6)


def test_a_run_that_goes_on_shows_nothing_twice(tracked):
    folder, before = tracked
    assert before["simple_value", "loss", 5] == 1  # shown, but not saved
    assert set(shown(folder).values()) == {1}
    assert before.keys() <= shown(folder).keys()


class DiesEarly(Training):
    """A training that ends before its first save."""

    def batch(self, source, step):
        if step == 2:
            raise KilledError
        return super().batch(source, step)


def test_a_run_that_starts_again_shows_its_start_once(tmp_path):
    for _ in range(2):
        with pytest.raises(KilledError):
            run(SHOWN, tmp_path, training=DiesEarly(SHOWN), track="tensorboard")
    assert set(shown(tmp_path).values()) == {1}
    assert shown(tmp_path)["image", "samples", 0] == 1


def test_looks_show_samples_and_the_scales_of_every_layer(tracked):
    folder, _ = tracked
    seen = shown(folder)
    layers = {name for kind, name, _ in seen if kind == "histo"}
    assert layers == {"log s/level0/step0/AffineCoupling", "log s/level0/step1/AffineCoupling"}
    for step in (0, 3, 6, 8):
        assert all(seen["histo", layer, step] for layer in layers)
        assert seen["image", "samples", step]


def test_histograms_count_the_scales_of_the_model(tracked):
    folder, _ = tracked
    trained = load_trained(folder)
    _, scales = look_of(trained.experiment, trained.event_shape).at(trained.flow, trained.params)
    last = {name: v.histo for kind, name, step, v in events(folder) if (kind, step) == ("histo", 8)}
    for name, values in scales:
        histogram = last[f"log s/{name}"]
        assert histogram.num == sum(histogram.bucket) == values.size
        assert histogram.min == pytest.approx(float(values.min()), abs=1e-6)
        assert histogram.sum / histogram.num == pytest.approx(
            float(values.mean()), abs=float(np.ptp(values)) / 64
        )


@pytest.fixture
def copied(tracked, tmp_path):
    return shutil.copytree(tracked[0], tmp_path / "run")


def test_a_finished_run_is_converted_and_keeps_the_looks_that_it_has(copied):
    before = shown(copied)
    code, output = invoke("track", copied)
    assert code == 0, output
    assert shown(copied) == before
    shutil.rmtree(copied / "tensorboard")
    code, output = invoke("track", copied)
    assert code == 0, output
    gone = before - shown(copied)
    assert {(kind, step) for kind, _, step in gone} == {
        (kind, step) for kind in ("image", "histo") for step in (0, 3, 6)
    }


def test_a_run_is_converted_for_weights_and_biases_without_sending_anything(copied, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    for _ in range(2):
        code, output = invoke("track", copied, "--to=wandb")
        assert code == 0, output
    files = sorted((copied / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == 2
    assert {file.stem for file in files} == {f"run-{(copied / 'wandb/id').read_text()}"}
    for word in (
        b"held_out_averaged",
        b"log s/level0/step0/AffineCoupling",
        b"media/images/samples",
    ):
        assert word in files[-1].read_bytes()


def test_the_model_of_a_run_that_diverged_is_shown_at_its_step(copied):
    shutil.rmtree(copied / "tensorboard")
    with (copied / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "loss": "NaN", "grad_norm": "NaN", "update_finite": false}\n')
    assert invoke("track", copied)[0] == 0
    steps = [step for _, _, step, _ in events(copied)]
    assert steps == sorted(steps)
    assert shown(copied)["image", "samples", 8] == shown(copied)["simple_value", "loss", 9] == 1


def test_a_run_that_ended_before_its_summary_keeps_its_numbers(copied):
    whole = shown(copied)
    (copied / "summary.json").unlink()
    run(SHOWN, copied, track="tensorboard")
    assert shown(copied) == whole


def test_a_torn_file_is_mended_and_numbers_are_shown_anew(copied):
    whole = shown(copied)
    file = max((copied / "tensorboard").iterdir(), key=lambda file: file.stat().st_size)
    file.write_bytes(file.read_bytes() + b"\x10\0\0\0\0\0\0\0torn")
    with TRACKERS["tensorboard"](copied, SHOWN, 8) as tracker:
        assert [step for step in range(9) if tracker.shows(step)] == [0, 3, 6, 8]
        for row in read_metrics(copied / "metrics.jsonl"):
            tracker.row(row)
        tracker.row({"step": 9, "drift": [1e-6, 2e-6], "update_finite": True, "a": "b"})
        tracker.row({"step": 9, "window_loss": 2.0, "window": 30})
    new = shown(copied) - whole
    assert whole <= shown(copied)
    assert {(name, step) for _, name, step in new} == {
        ("drift/0", 9),
        ("drift/1", 9),
        ("window_loss", 9),
    }


def test_a_run_that_trains_is_not_converted(copied):
    with claimed(copied):
        code, output = invoke("track", copied)
    assert code == 6, output


def test_unknown_trackers_and_missing_packages_are_named(tracked, monkeypatch):
    folder, _ = tracked
    for command in (("train", "--data=digits", "--track=x"), ("track", folder, "--to=x")):
        code, output = invoke(*command)
        assert code == 2
        assert ": expected one of tensorboard, wandb, got 'x'" in output
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    for command in (("train", "--data=digits", "--track=tensorboard"), ("track", folder)):
        code, output = invoke(*command)
        assert code == 2
        assert "expected the package tensorboardX, got none; install it: in a clone pip" in output
