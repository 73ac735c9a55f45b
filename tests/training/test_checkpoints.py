"""Checkpoints: what comes back is what was saved, or an error that says what is wrong."""

import builtins
import itertools
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow.training import (
    CheckpointError,
    Checkpoints,
    checkpoints,
    initial_state,
    read_checkpoint,
    replicate,
    shard_batch,
)
from flowjax_glow.training.checkpoints import fingerprint
from tests.training import toy


def at_step(state, step):
    return replace(state, step=jnp.array(step, jnp.int32))


def trained(mesh, steps=1):
    """A state that looks as if it had been trained."""
    state = jax.tree.map(lambda leaf: leaf + jnp.ones_like(leaf), toy.start())
    return replicate(mesh, at_step(state, steps))


def complaint(folder, message):
    where = f"checkpoint {folder / '1'}: "
    return pytest.raises(CheckpointError, match=f"^{re.escape(where + message)}")


@pytest.mark.parametrize("devices", [1, 8])
def test_a_state_saved_on_two_devices_comes_back_on_any_number(tmp_path, devices):
    with Checkpoints(tmp_path) as saved:
        assert saved.restore(toy.start()) is None
        state = trained(toy.mesh_of(2))
        saved.save(state)
    with Checkpoints(tmp_path) as saved:
        assert saved.latest_step() == 1
        example = toy.start(toy.mesh_of(devices))
        restored = saved.restore(example)
    toy.assert_equal(restored, state)
    assert restored.params["order"].sharding == example.params["order"].sharding
    assert not example.params["order"].is_deleted()


def test_shapes_suffice_as_example(tmp_path):
    state = trained(toy.mesh_of(1))
    with Checkpoints(tmp_path) as saved:
        saved.save(state)
        toy.assert_equal(saved.restore(jax.eval_shape(toy.start)), state)


@pytest.mark.parametrize(("keep", "left"), [(1, ["3"]), (2, ["2", "3"])])
def test_only_the_latest_are_kept(tmp_path, keep, left):
    mesh = toy.mesh_of(1)
    with Checkpoints(tmp_path, keep=keep) as saved:
        for steps in (1, 2, 3):
            saved.save(trained(mesh, steps))
    assert sorted(path.name for path in tmp_path.iterdir()) == left


def test_remains_of_a_killed_save_are_removed(tmp_path):
    with Checkpoints(tmp_path) as saved:
        saved.save(trained(toy.mesh_of(1)))
    remains = tmp_path / "2.orbax-checkpoint-tmp"
    remains.mkdir()
    with Checkpoints(tmp_path) as saved:
        assert saved.latest_step() == 1
        saved.save(at_step(trained(toy.mesh_of(1)), 2))  # waits until all is clean
        assert saved.latest_step() == 2
    assert not remains.exists()


#: Saves every step of a state whose weights tell the step, until it is stopped.
SAVING = """
import itertools, sys
from dataclasses import replace
import jax.numpy as jnp
from flowjax_glow.training import Checkpoints, initial_state
from tests.training import toy
from tests.training.test_checkpoints import at_step

with Checkpoints(sys.argv[1]) as saved:
    for step in itertools.count(1):
        params = {**toy.params(), "weights": jnp.full(4, step, jnp.float32)}
        saved.save(at_step(initial_state(params, toy.optimizer(), toy.start().key), step))
        print(step, flush=True)
"""


def test_a_run_that_saves_every_step_can_be_read(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SAVING, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.readline() == "1\n"
            states = [read_checkpoint(tmp_path, toy.start()) for _ in range(30)]
            saved = int(run.stdout.readline())  # the run goes on to save
            while saved <= int(states[-1].step):
                saved = int(run.stdout.readline())
            assert run.poll() is None
        finally:
            run.kill()
    steps = [int(state.step) for state in states]
    assert steps == sorted(steps)
    assert len(set(steps)) > 3
    for state in states:
        np.testing.assert_array_equal(state.params["weights"], np.full(4, int(state.step)))


def test_a_checkpoint_that_is_replaced_while_it_is_copied_gives_way(tmp_path, monkeypatch):
    copytree = shutil.copytree
    with Checkpoints(tmp_path) as saved:
        saved.save(trained(toy.mesh_of(1), 1))

        def slow(source, *arguments):
            if source.name == "1":
                saved.save(trained(toy.mesh_of(1), 2))
            return copytree(source, *arguments)

        monkeypatch.setattr(shutil, "copytree", slow)
        assert int(read_checkpoint(tmp_path, toy.start()).step) == 2


def test_one_that_is_always_replaced_is_given_up(tmp_path, monkeypatch):
    steps = itertools.count()
    monkeypatch.setattr(checkpoints, "latest_step", lambda folder: next(steps))
    message = (
        f"checkpoint in {tmp_path}: expected one that stays while it is copied, got 20 that were "
        "replaced meanwhile; try again when the run saves less often"
    )
    with pytest.raises(CheckpointError, match=f"^{re.escape(message)}$"):
        read_checkpoint(tmp_path, toy.start())


def entries(folder):
    """All that is below a folder, and when it last changed."""
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_reading_changes_nothing(tmp_path):
    folder = tmp_path / "checkpoints"
    assert read_checkpoint(folder, toy.start()) is None
    assert not folder.exists()
    state = trained(toy.mesh_of(1))
    with Checkpoints(folder) as saved:
        saved.save(state)
    (folder / "2.orbax-checkpoint-tmp/state.orbax-checkpoint-tmp").mkdir(parents=True)
    folder.chmod(0o555)
    before = entries(folder)
    toy.assert_equal(read_checkpoint(folder, toy.start()), state)
    assert entries(folder) == before
    folder.chmod(0o755)


def test_a_checkpoint_that_cannot_be_copied_is_an_error(tmp_path):
    (tmp_path / "1").write_text("a file where a folder should be")
    with pytest.raises(NotADirectoryError):
        read_checkpoint(tmp_path, toy.start())


def test_a_bit_flipped_on_disk_is_noticed(tmp_path):
    """Random weights do not compress, so that the format itself takes any bits for good ones."""
    weights = jax.random.normal(jax.random.key(0), (100_000,))
    state = at_step(initial_state({"weights": weights}, toy.optimizer(), jax.random.key(3)), 1)
    with Checkpoints(tmp_path) as saved:
        saved.save(state)
    largest = max((tmp_path / "1" / "state").rglob("*"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    with (
        Checkpoints(tmp_path) as saved,
        complaint(tmp_path, "expected the values that were saved, got others in "),
    ):
        saved.restore(state)


def test_a_missing_file_is_one_clear_error(tmp_path):
    with Checkpoints(tmp_path) as saved:
        saved.save(trained(toy.mesh_of(1)))
    (tmp_path / "1" / "leaves" / "metadata").write_text("{")
    damaged = "expected a complete checkpoint, got"
    with Checkpoints(tmp_path) as saved, complaint(tmp_path, damaged):
        saved.restore(toy.start())
    with complaint(tmp_path, damaged):
        read_checkpoint(tmp_path, toy.start())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"weights": jnp.zeros(5)},
            "expected params.weights to be float32[5], got float32[4]; ",
        ),
        (
            {"weights": jnp.zeros(4, jnp.float16)},
            "expected params.weights to be float16[4], got float32[4]; ",
        ),
        ({"more": jnp.array([1])}, "expected params.more to be int32[1], got no such leaf; "),
    ],
)
def test_another_configuration_is_refused(tmp_path, change, message):
    with Checkpoints(tmp_path) as saved:
        saved.save(trained(toy.mesh_of(1)))
        example = toy.start()
        changed = jax.tree_util.tree_map(lambda leaf: leaf, example)
        changed.params.update(change)
        advice = "it belongs to another configuration: restore it with that one, or use another"
        with complaint(tmp_path, message + advice):
            saved.restore(changed)


def test_a_leaf_too_many_is_refused(tmp_path):
    with Checkpoints(tmp_path) as saved:
        saved.save(trained(toy.mesh_of(1)))
        fewer = {name: leaf for name, leaf in toy.params().items() if name != "order"}
        example = initial_state(fewer, toy.optimizer(), jax.random.key(3))
        with complaint(tmp_path, "expected params.order to be no such leaf, got int32[4]; "):
            saved.restore(example)


def test_saving_goes_forward_only(tmp_path):
    state = trained(toy.mesh_of(1))
    with Checkpoints(tmp_path) as saved:
        saved.save(state)
        message = (
            f"Checkpoints.save: expected a step beyond 1, the latest in {tmp_path}, got step 1; "
            "restore the latest checkpoint first, or use an empty folder"
        )
        with pytest.raises(CheckpointError, match=f"^{re.escape(message)}$"):
            saved.save(state)


def test_keep_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match=r"^Checkpoints.keep: expected a number above 0, got 0; "):
        Checkpoints(tmp_path, keep=0)


def test_without_orbax_it_says_how_to_get_it(tmp_path, monkeypatch):
    real_import = builtins.__import__

    def without_orbax(name, *arguments, **options):
        if name.startswith("orbax"):
            raise ModuleNotFoundError("No module named 'orbax'")
        return real_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_orbax)
    message = (
        "Checkpoints: expected the package orbax-checkpoint, got ModuleNotFoundError: "
        "No module named 'orbax'; run: pip install \"flowjax-glow[experiments]\""
    )
    with pytest.raises(CheckpointError, match=f"^{re.escape(message)}$"):
        Checkpoints(tmp_path)


@pytest.mark.parametrize("dtype", ["bool", "int8", "float16", "bfloat16", "int32", "float32"])
def test_fingerprint_tells_every_single_change(dtype):
    array = np.arange(24).reshape(4, 6) % 2
    changed = [array ^ (np.arange(24).reshape(4, 6) == index) for index in range(24)]
    marks = {int(fingerprint(jnp.asarray(variant, dtype))) for variant in [array, *changed]}
    assert len(marks) == 25


def test_fingerprint_in_double_precision_and_in_pieces():
    with jax.enable_x64(True):
        array = jnp.linspace(0, 1, 16, dtype=jnp.float64)
        assert int(fingerprint(array)) != int(fingerprint(array.at[3].add(1e-16)))
    whole = toy.batch(0)
    split = shard_batch(toy.mesh_of(8), whole)
    assert int(jax.jit(fingerprint)(split)) == int(fingerprint(jnp.asarray(whole)))
