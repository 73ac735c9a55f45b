"""A run survives what happens to its folder and its process, or says what it needs."""

import dataclasses
import json
import os
import re
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow.runs import run as module
from flowjax_glow.runs.folder import ConfigChangedError, is_complete
from flowjax_glow.runs.images import source_of
from flowjax_glow.runs.load import load_trained
from flowjax_glow.runs.run import Training, run
from flowjax_glow.training import (
    CheckpointError,
    Preempted,
    Preemption,
    latest_step,
    read_metrics,
)
from flowjax_glow.training.step import leaf_names
from tests.commands.invoke import invoke
from tests.runs.tiny import TINY
from tests.training.test_checkpoints import entries

#: With labels, which a run that goes on must draw again, too.
SAVED = dataclasses.replace(
    TINY,
    model=dataclasses.replace(TINY.model, classes=10),
    save_every=3,
    look_every=4,
    monitor_every=4,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing has happened to; it keeps the checkpoints of the steps 6 and 8."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert run(SAVED, folder)["status"] == "done"
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["6", "8"]
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of it, of which the summary was not written any more."""
    copy = shutil.copytree(whole, tmp_path / "run")
    (copy / "summary.json").unlink()
    return copy


def assert_same_run(folder, whole):
    """The same losses, observations and weights, to the bit."""
    assert (folder / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    marks = [
        json.loads((each / "checkpoints/8/leaves/metadata").read_text()) for each in (folder, whole)
    ]
    assert marks[0] == marks[1]
    for look in (whole / "arrays").iterdir():
        assert (folder / "arrays" / look.name).read_bytes() == look.read_bytes()


def status(folder):
    return json.loads((folder / "status.json").read_text())


def set_status(folder, **fields):
    (folder / "status.json").write_text(json.dumps(status(folder) | fields))


def keep_steps(folder, last):
    """Cuts the log as a kill after this step would have left it."""
    rows = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    kept = [row for row in rows if json.loads(row)["step"] <= last]
    (folder / "metrics.jsonl").write_text("".join(kept))


def test_a_run_goes_on_from_the_checkpoint_before_a_broken_one(folder, whole):
    shutil.rmtree(folder / "checkpoints/8/state")
    with pytest.warns(UserWarning, match="step 8 in .* is not usable .*; it goes on from 6"):
        run(SAVED, folder)
    assert_same_run(folder, whole)
    names = sorted(path.name.partition("-")[0] for path in (folder / "checkpoints").iterdir())
    assert names == ["6", "8", "8.corrupt"]


def test_a_reader_of_a_broken_checkpoint_takes_the_one_before(folder):
    shutil.rmtree(folder / "checkpoints/8/state")
    before = entries(folder)
    with pytest.warns(UserWarning, match="step 8 in .* is not usable .*: step 6 is read"):
        assert load_trained(folder).step == 6
    assert entries(folder) == before


def test_without_a_usable_checkpoint_nothing_is_lost_and_the_code_is_5(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "run")
    for step in ("6", "8"):
        shutil.rmtree(folder / "checkpoints" / step / "state")
    before = entries(folder)
    code, output = invoke("train", f"--config={folder}", "--steps=9", f"--output={folder}")
    assert code == 5, output
    why = "it cannot be read, .*"
    assert re.search(
        rf"got step 8, {why}; step 6, {why} move the run folder away \(train and sweep: --re",
        output,
    )
    changed = {path.name for path, when in entries(folder).items() if before.get(path) != when}
    assert changed <= {"lock", "run"}  # the lock, and the folder that it is in


@pytest.mark.parametrize(
    ("fields", "last"),
    [
        ({"status": "done", "step": 8}, 0),
        ({"status": "preempted", "step": 2}, 2),
        ({"status": "running", "step": 0}, 4),  # beyond the first save
        ({"status": "running", "step": 0, "resumed_from": 3}, 0),
    ],
)
def test_checkpoints_that_were_there_are_missed(folder, fields, last):
    shutil.rmtree(folder / "checkpoints")
    set_status(folder, **fields)
    keep_steps(folder, last)
    before = entries(folder)
    with pytest.raises(
        CheckpointError, match=r"checkpoints: expected a checkpoint, .*--restart\)$"
    ):
        run(SAVED, folder)
    assert entries(folder) == before


def test_a_run_killed_before_its_first_save_starts_anew(folder, whole):
    shutil.rmtree(folder / "checkpoints")
    set_status(folder, status="running", step=0)
    keep_steps(folder, 3)
    run(SAVED, folder)
    assert_same_run(folder, whole)


def test_what_lacks_its_configuration_is_refused(folder, whole, tmp_path):
    (folder / "config.json").unlink()
    message = r"expected config.json beside checkpoints and metrics.jsonl, got none; .*--restart\)$"
    with pytest.raises(ConfigChangedError, match=message):
        run(SAVED, folder)
    finished = shutil.copytree(whole, tmp_path / "finished")
    with pytest.raises(ConfigChangedError, match="batch: 8 -> 16"):
        is_complete(finished, dataclasses.replace(SAVED, batch=16))


@pytest.mark.parametrize("last", [None, 5])
def test_a_log_that_lacks_steps_is_told(folder, last):
    if last is None:
        (folder / "metrics.jsonl").unlink()
    else:
        keep_steps(folder, last)
    message = f"expected rows of the 8 steps before the checkpoint, got {last or 0}; the others"
    with pytest.warns(UserWarning, match=message):
        assert run(SAVED, folder)["status"] == "done"
    # the last look is taken again, so that the summary has its numbers
    assert [row["step"] for row in read_metrics(folder / "metrics.jsonl") if "held_out" in row][
        -1
    ] == 8


class Signalled(Training):
    """A training that is told to end while it works on step 6."""

    def batch(self, source, step):
        if step == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().batch(source, step)


def preempted(folder, training=None):
    with Preemption() as preemption, pytest.raises(Preempted) as caught:
        run(SAVED, folder, training=training, preemption=preemption)
    told = status(folder)
    assert (told["status"], told["step"]) == ("preempted", caught.value.step)
    return caught.value.step


def test_a_signal_ends_a_run_after_a_save_and_it_goes_on(tmp_path, whole):
    folder = tmp_path / "run"
    assert preempted(folder, Signalled(SAVED)) == 7
    assert (folder / "checkpoints/7").is_dir()
    run(SAVED, folder)
    assert_same_run(folder, whole)


def test_a_signal_interrupts_a_look_which_is_taken_when_it_goes_on(tmp_path, whole, monkeypatch):
    folder, evaluate_state = tmp_path / "run", module.evaluate_state

    def signalled(loss, state, *arguments, **options):
        if int(state.step) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return evaluate_state(loss, state, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(module, "evaluate_state", signalled)
        assert preempted(folder) == 4
    rows = read_metrics(folder / "metrics.jsonl")
    assert [row["step"] for row in rows if "held_out" in row] == [0]
    run(SAVED, folder)
    assert_same_run(folder, whole)


def test_a_signal_before_the_first_step_leaves_nothing_to_save(tmp_path, monkeypatch):
    def signalled(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(module.Monitor, "observe", signalled)
    assert preempted(tmp_path / "run") == 0
    assert not (tmp_path / "run/checkpoints").exists()


class Poisoned(Training):
    """A training whose loss of step 7 is not a number, known by images that are all white."""

    def loss(self, memory):
        sound = super().loss(memory)
        return lambda params, key, batch: jnp.where(
            batch[0].min() == 255, jnp.nan, sound(params, key, batch)
        )

    def batch(self, source, step):
        images, labels = super().batch(source, step)
        return (np.full_like(images, 255) if step == 6 else images), labels


def test_a_run_that_diverges_leaves_what_led_there_and_its_last_checkpoint(folder, whole, capsys):
    shutil.rmtree(folder / "checkpoints/8")
    keep_steps(folder, 6)
    summary = run(SAVED, folder, training=Poisoned(SAVED))
    assert (summary["status"], summary["steps"]) == ("diverged", 7)
    assert "; diverged.json has the gradients by leaf\n" in capsys.readouterr().err
    code, again = invoke("train", f"--config={folder}", f"--output={folder}")
    told = f"{folder}: diverged at step 7, and nothing is left to train\n"
    assert (code, told in again) == (4, True), again
    assert latest_step(folder / "checkpoints") == 6
    dump = json.loads((folder / "diverged.json").read_text())
    assert (dump["step"], dump["loss"]) == (7, "NaN")
    source = source_of(SAVED)
    drawn = source.labelled_batch(**dump["batch"])
    for ours, theirs in zip(drawn, Training(SAVED).batch(source, 6), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    trains = leaf_names(load_trained(folder).params)
    assert list(dump["leaves"]) == trains
    assert all(leaf.keys() == {"gradient_norm", "finite_after"} for leaf in dump["leaves"].values())


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("jax_default_prng_impl", "rbg", "JAX_DEFAULT_PRNG_IMPL: threefry2x32 -> rbg"),
        ("jax_threefry_partitionable", False, "JAX_THREEFRY_PARTITIONABLE: True -> False"),
    ],
)
def test_a_run_does_not_go_on_with_other_random_numbers(folder, option, value, told):
    before, was = entries(folder), jax.config.values[option]
    jax.config.update(option, value)
    try:
        with pytest.raises(ConfigChangedError, match=f"got {told} .an option of jax.; choose"):
            run(dataclasses.replace(SAVED, steps=9), folder)
    finally:
        jax.config.update(option, was)
    assert entries(folder) == before
