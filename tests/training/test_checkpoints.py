"""Checkpoints: what comes back is what was saved, or an error that says what is wrong."""

import builtins
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow.training import (
    CheckpointError,
    Checkpoints,
    initial_state,
    replicate,
    shard_batch,
)
from flowjax_glow.training.fingerprint import fingerprint
from tests.training import toy


def at_step(state, step):
    return replace(state, step=jnp.array(step, jnp.int32))


def trained(mesh, steps=1):
    """A state that looks as if it had been trained."""
    state = jax.tree.map(lambda leaf: leaf + jnp.ones_like(leaf), toy.start())
    return replicate(mesh, at_step(state, steps))


def complaint(folder, message):
    where = f"Checkpoints.restore({folder / '1'}): "
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
    with Checkpoints(tmp_path) as saved, complaint(tmp_path, "expected a complete checkpoint, got"):
        saved.restore(toy.start())


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
