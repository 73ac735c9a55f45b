"""Checkpoints: what comes back is what was saved, or an error that says what is wrong."""

import builtins
import errno
import gc
import itertools
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

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
from flowjax_glow.training.fingerprints import fingerprint
from tests.training import toy


def at_step(state, step):
    return replace(state, step=jnp.array(step, jnp.int32))


def trained(mesh, steps=1):
    """A state that looks as if it had been trained."""
    state = jax.tree.map(lambda leaf: leaf + jnp.ones_like(leaf), toy.start())
    return replicate(mesh, at_step(state, steps))


def complaint(folder, reason):
    """What is said of a folder whose only checkpoint, of step 1, is not usable."""
    where = f"checkpoints in {folder}: expected one that is whole and of this configuration"
    return pytest.raises(CheckpointError, match=f"^{re.escape(f'{where}, got step 1, {reason}')}")


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
from pathlib import Path
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
    with Checkpoints(tmp_path, keep=1) as saved:
        saved.save(trained(toy.mesh_of(1), 1))

        def slow(source, *arguments):
            if source.name == "1":
                saved.save(trained(toy.mesh_of(1), 2))
            return copytree(source, *arguments)

        monkeypatch.setattr(shutil, "copytree", slow)
        assert int(read_checkpoint(tmp_path, toy.start()).step) == 2


def test_one_that_is_always_replaced_is_given_up(tmp_path, monkeypatch):
    steps = itertools.count()
    monkeypatch.setattr(checkpoints, "_steps", lambda folder: [next(steps)])
    message = (
        f"checkpoints in {tmp_path}: expected one that stays while it is copied, got 20 that were "
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


def flip_a_bit(step):
    """Of weights, which do not compress, so that the format itself takes any bits for good ones."""
    largest = max((step / "state").rglob("*"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)


def truncate(step):
    largest = max((step / "state").rglob("*"), key=lambda path: path.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)


def lose(name):
    return lambda step: shutil.rmtree(step / name)


def spoil(content):
    return lambda step: (step / "leaves" / "metadata").write_text(content)


def empty(step):
    shutil.rmtree(step)
    step.mkdir()


def a_file(step):
    shutil.rmtree(step)
    step.write_text("a file where a folder should be")


def other_weights(step):
    """Whole, but not of this configuration: so it cannot be of this run."""
    shutil.rmtree(step)
    with Checkpoints(step.parent / "elsewhere") as saved:
        other = initial_state({"weights": jnp.zeros(3)}, toy.optimizer(), jax.random.key(3))
        saved.save(at_step(other, int(step.name)))
    (step.parent / "elsewhere" / step.name).rename(step)


DAMAGE = {
    "flipped bit": (flip_a_bit, "damaged: other values than were saved in "),
    "truncated": (truncate, "it cannot be read, "),
    "state missing": (lose("state"), "it cannot be read, "),
    "description missing": (lose("leaves"), "it cannot be read, "),
    "torn": (spoil("{"), "it cannot be read, "),
    "garbage": (spoil("[1, 2]"), "it cannot be read, "),
    "empty": (empty, "it cannot be read, "),
    "a file": (a_file, "it cannot be "),
    "another": (other_weights, "of another configuration: "),
}


def weighty(step):
    weights = jax.random.normal(jax.random.key(step), (20_000,))
    state = initial_state({"weights": weights}, toy.optimizer(), jax.random.key(3))
    return at_step(state, step)


@pytest.fixture(scope="module", autouse=True)
def little_garbage():
    """A damaged checkpoint is read with the garbage collector, which looks at all there is."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    """Checkpoints of the steps 1 and 2."""
    folder = tmp_path_factory.mktemp("two")
    with Checkpoints(folder) as saved:
        saved.save(weighty(1))
        saved.save(weighty(2))
    return folder


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_broken_checkpoint_gives_way_to_the_one_before(tmp_path, two_steps, kind):
    folder = shutil.copytree(two_steps, tmp_path / "checkpoints")
    damage, reason = DAMAGE[kind]
    damage(folder / "2")
    told = re.escape(f"checkpoint of step 2 in {folder} is not usable ({reason}")
    before = entries(folder)
    with pytest.warns(UserWarning, match=f"^{told}.*: step 1 is read in its place$"):
        toy.assert_equal(read_checkpoint(folder, weighty(0)), weighty(1))
    assert entries(folder) == before
    with Checkpoints(folder) as saved:
        with pytest.warns(
            UserWarning, match=rf"^{told}.*: set aside as 2\.corrupt-.*; it goes on from 1$"
        ):
            toy.assert_equal(saved.restore(weighty(0)), weighty(1))
        saved.save(weighty(2))
        toy.assert_equal(saved.restore(weighty(0)), weighty(2))
    names = sorted(path.name for path in folder.iterdir())
    assert [name.partition("corrupt")[0] for name in names if name != "elsewhere"] == [
        "1",
        "2",
        "2.",
    ]


def test_a_reading_that_fails_leaves_nothing_that_reports_later(tmp_path, two_steps, monkeypatch):
    late = []
    monkeypatch.setattr(sys, "unraisablehook", late.append)
    folder = Path(shutil.copytree(two_steps, tmp_path / "checkpoints"))
    truncate(folder / "2")
    for _ in range(2):  # which of the leaves fails first is a race
        with pytest.warns(UserWarning, match="is not usable"):
            read_checkpoint(folder, weighty(0))
        gc.collect()
    assert late == []


def test_with_no_usable_checkpoint_all_are_named_and_stay(tmp_path, two_steps):
    folder = shutil.copytree(two_steps, tmp_path / "checkpoints")
    flip_a_bit(folder / "2")
    empty(folder / "1")
    before = entries(folder)
    message = (
        rf"^checkpoints in {folder}: expected one that is whole and of this configuration, "
        r"got step 2, damaged: .*; step 1, it cannot be read, .*; put a copy back if there is one, "
        r"or move the run folder away \(train and sweep: --restart\)$"
    )
    with Checkpoints(folder) as saved, pytest.raises(CheckpointError, match=message):
        saved.restore(weighty(0))
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(folder, weighty(0))
    assert entries(folder) == before


def test_a_step_set_aside_after_a_save_can_be_saved_again(tmp_path):
    with Checkpoints(tmp_path) as saved:
        saved.save(weighty(1))
        saved.save(weighty(2))
        flip_a_bit(tmp_path / "2")
        with pytest.warns(UserWarning, match="step 2 .* is not usable"):
            saved.restore(weighty(0))
        saved.save(weighty(2))
    toy.assert_equal(read_checkpoint(tmp_path, weighty(0)), weighty(2))


def test_a_save_that_fails_leaves_both_of_those_before(tmp_path, two_steps, monkeypatch):
    folder = shutil.copytree(two_steps, tmp_path / "checkpoints")
    with Checkpoints(folder) as saved:
        monkeypatch.setattr(os, "rename", full)  # what completes a save
        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            saved.save(weighty(3))
    assert {"1", "2"} <= {path.name for path in folder.iterdir()}
    toy.assert_equal(read_checkpoint(folder, weighty(0)), weighty(2))


def full(*arguments, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_many_changed_leaves_are_counted(tmp_path):
    state = trained(toy.mesh_of(1))
    with Checkpoints(tmp_path) as saved:
        saved.save(state)
    description = tmp_path / "1" / "leaves" / "metadata"
    spoiled = re.sub(r'"fingerprint": \d+', '"fingerprint": 0', description.read_text())
    description.write_text(spoiled)
    leaves = len(jax.tree.leaves(state))
    with pytest.raises(
        CheckpointError, match=f"saved in [^,]+, [^,]+, [^,]+ and {leaves - 3} more; "
    ):
        read_checkpoint(tmp_path, state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"weights": jnp.zeros(5)},
            "params.weights is float32[4] in place of float32[5]; ",
        ),
        (
            {"weights": jnp.zeros(4, jnp.float16)},
            "params.weights is float32[4] in place of float16[4]; ",
        ),
        ({"more": jnp.array([1])}, "params.more is no such leaf in place of int32[1]; "),
    ],
)
def test_another_configuration_is_refused(tmp_path, change, message):
    with Checkpoints(tmp_path) as saved:
        saved.save(trained(toy.mesh_of(1)))
        example = toy.start()
        changed = jax.tree_util.tree_map(lambda leaf: leaf, example)
        changed.params.update(change)
        with complaint(tmp_path, f"of another configuration: {message}"):
            saved.restore(changed)


def test_a_leaf_too_many_is_refused(tmp_path):
    with Checkpoints(tmp_path) as saved:
        saved.save(trained(toy.mesh_of(1)))
        fewer = {name: leaf for name, leaf in toy.params().items() if name != "order"}
        example = initial_state(fewer, toy.optimizer(), jax.random.key(3))
        with complaint(
            tmp_path,
            "of another configuration: params.order is int32[4] in place of no such leaf; ",
        ):
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
        "No module named 'orbax'; install it: in a clone pip install '.[experiments]', from a "
        "file pip install 'FILE.whl[experiments]'"
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
