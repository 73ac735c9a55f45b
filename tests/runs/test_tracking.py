"""Runs in TensorBoard and Weights & Biases: what is shown, and that nothing is shown twice."""

import dataclasses
import struct
from collections import Counter

import numpy as np
import pytest

from flowjax_glow.runs.load import load_trained
from flowjax_glow.runs.presets import SMOKE
from flowjax_glow.runs.run import Training, run
from flowjax_glow.runs.tracking import TRACKERS, look_of, open_tracker
from flowjax_glow.training import OptimizerConfig, read_metrics
from tests.commands.invoke import invoke

TINY = dataclasses.replace(
    SMOKE,
    model=dataclasses.replace(SMOKE.model, levels=2, depth=1, width=4),
    optimizer=OptimizerConfig(),
    dataset="digits",
    image_size=None,
    batch=8,
    init_images=16,
    steps=8,
    save_every=4,
    look_every=3,
    held_out=8,
    look_samples=8,
    final_samples=8,
    clip_samples=8,
    chunk=8,
)


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
        run(TINY, folder, training=Dies(TINY), track="tensorboard")
    before = shown(folder)
    run(TINY, folder, track="tensorboard")
    return folder, before


def test_every_number_of_the_metrics_is_shown_at_its_step(tracked):
    folder, _ = tracked
    values = {
        (name, step): v.simple_value
        for kind, name, step, v in events(folder)
        if kind == "simple_value"
    }
    for row in read_metrics(folder / "metrics.jsonl"):
        for name in row.keys() - {"step"}:
            assert values[name, row["step"]] == pytest.approx(float(row[name]), rel=1e-6)


def test_a_run_that_goes_on_shows_nothing_twice(tracked):
    folder, before = tracked
    assert before["simple_value", "loss", 5] == 1  # shown, but not saved
    assert set(shown(folder).values()) == {1}
    assert before.keys() <= shown(folder).keys()


def test_looks_show_samples_and_the_scales_of_every_layer(tracked):
    folder, _ = tracked
    seen = shown(folder)
    layers = {name for kind, name, _ in seen if kind == "histo"}
    assert layers == {"log s/level0/step0/AffineCoupling", "log s/level1/step0/AffineCoupling"}
    for step in (0, 3, 6, 8):
        assert all(seen["histo", layer, step] for layer in layers)
        assert seen["image", "samples", step]


def test_histograms_count_the_scales_of_the_model(tracked):
    folder, _ = tracked
    trained = load_trained(folder)
    _, scales = look_of(trained.experiment, trained.source.shape).at(
        trained.flow, trained.state.params
    )
    last = {name: v.histo for kind, name, step, v in events(folder) if (kind, step) == ("histo", 8)}
    for name, values in scales:
        histogram = last[f"log s/{name}"]
        assert histogram.num == sum(histogram.bucket) == values.size
        assert histogram.min == pytest.approx(float(values.min()), abs=1e-6)
        assert histogram.sum / histogram.num == pytest.approx(
            float(values.mean()), abs=float(np.ptp(values)) / 64
        )


@pytest.mark.parametrize("kind", sorted(TRACKERS))
def test_a_finished_run_is_converted(tracked, kind, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    folder, _ = tracked
    code, output = invoke("track", folder, f"--to={kind}")
    assert code == 0, output
    if kind == "tensorboard":
        seen = shown(folder)
        assert set(seen.values()) == {1}
        assert seen["simple_value", "loss", 8]
        assert seen["image", "samples", 8]
        assert not seen["image", "samples", 3]  # of the last checkpoint alone
    else:
        (file,) = (folder / "wandb").glob("offline-run-*/run-*.wandb")
        for word in (b"held_out", b"grad_norm", b"log s/level0/step0/AffineCoupling", b"samples"):
            assert word in file.read_bytes()


def test_a_torn_file_is_mended(tracked):
    folder, _ = tracked
    whole = shown(folder)
    file = max((folder / "tensorboard").iterdir(), key=lambda file: file.stat().st_size)
    file.write_bytes(file.read_bytes() + b"\x10\0\0\0\0\0\0\0torn")
    with open_tracker("tensorboard", folder, TINY, 8) as tracker:
        tracker.row(
            {"step": 9, "loss": 1.5, "drift": [1e-6, 2e-6], "update_finite": True, "a": "b"}
        )
    new = shown(folder) - whole
    assert {(name, step) for _, name, step in new} == {
        ("loss", 9),
        ("drift/0", 9),
        ("drift/1", 9),
        ("update_finite", 9),
    }


def test_unknown_trackers_and_missing_packages_are_named(tracked, monkeypatch):
    folder, _ = tracked
    code, output = invoke("train", "--data=digits", "--track=tensorbord")
    assert code == 2
    assert "--track: expected one of tensorboard, wandb, got 'tensorbord'" in output
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    code, output = invoke("track", folder)
    assert code == 2
    assert "expected the package tensorboardX, got none; install the extra" in output
