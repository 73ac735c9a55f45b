"""One step: placement, donation, accumulation, the average, and what it does about NaN."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from flowjax_glow.training import (
    averaged_params,
    copy_state,
    initial_state,
    make_train_step,
    replicate,
    shard_batch,
)
from tests.training import toy


def run(devices, steps=5, loss=toy.noisy_loss, **changes):
    """State and losses after some steps on some devices."""
    mesh = toy.mesh_of(devices)
    state, step = toy.start(mesh), toy.make_step(mesh, loss, **changes)
    recorded = []
    for index in range(steps):
        state, metrics = step(state, shard_batch(mesh, toy.batch(index)))
        recorded.append(float(metrics["loss"]))
    return state, recorded


def test_eight_devices_train_as_one():
    one, losses_of_one = run(1)
    eight, losses_of_eight = run(8)
    np.testing.assert_allclose(losses_of_eight, losses_of_one, rtol=1e-6)
    jax.tree.map(
        lambda left, right: np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-7),
        toy.host(one.params),
        toy.host(eight.params),
    )


def test_loss_falls():
    _, losses = run(1, steps=12, loss=toy.loss)
    assert losses[-1] < losses[0] / 2


def test_a_step_moves_nothing_between_host_and_device():
    mesh = toy.mesh_of(1)
    state, step, batch = toy.start(mesh), toy.make_step(mesh), shard_batch(mesh, toy.batch(0))
    state, _ = step(state, batch)  # compiled, and its constants placed
    with jax.transfer_guard("disallow"):
        state, metrics = step(state, batch)
        with pytest.raises(Exception, match="Disallowed host-to-device"):
            step(state, toy.batch(1))  # the guard does see transfers
    assert np.isfinite(float(metrics["loss"]))


def test_state_is_replicated_and_donated():
    mesh = toy.mesh_of(8)
    state = toy.start(mesh)
    after, metrics = toy.make_step(mesh)(state, shard_batch(mesh, toy.batch(0)))
    everywhere = NamedSharding(mesh, PartitionSpec())
    for leaf in jax.tree.leaves((after, metrics)):
        assert leaf.sharding.is_equivalent_to(everywhere, leaf.ndim)
    assert state.params["weights"].is_deleted()
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.optimizer))
    with pytest.raises(RuntimeError, match="deleted"):
        np.array(state.params["weights"])


def test_copies_outlive_the_step():
    mesh = toy.mesh_of(1)
    params = toy.params()
    state = initial_state(params, toy.optimizer(), jax.random.key(3))
    copy = copy_state(state)
    toy.make_step(mesh)(state, shard_batch(mesh, toy.batch(0)))
    toy.assert_equal(copy.params, params)


@pytest.mark.parametrize("devices", [1, 4])
def test_accumulation_equals_whole_batch(devices):
    whole, losses_of_whole = run(devices, loss=toy.loss)
    parts, losses_of_parts = run(devices, loss=toy.loss, accumulate=4)
    np.testing.assert_allclose(losses_of_parts, losses_of_whole, rtol=1e-6)
    np.testing.assert_allclose(whole.params["weights"], parts.params["weights"], rtol=1e-5)


def test_micro_batches_draw_their_own_noise():
    mesh = toy.mesh_of(1)

    def noise_only(params, key, batch):
        return jax.random.uniform(key) + 0 * params["bias"]

    _, metrics = toy.make_step(mesh, noise_only, accumulate=2)(
        toy.start(mesh), shard_batch(mesh, toy.batch(0))
    )
    key = jax.random.fold_in(jax.random.key(3), 0)
    drawn = [jax.random.uniform(jax.random.fold_in(key, index)) for index in range(2)]
    np.testing.assert_allclose(metrics["loss"], np.mean(drawn), rtol=1e-6)


def test_each_step_draws_from_its_own_key():
    _, losses = run(
        1, steps=2, loss=lambda params, key, batch: jax.random.uniform(key) + 0 * params["bias"]
    )
    keys = [jax.random.fold_in(jax.random.key(3), index) for index in range(2)]
    np.testing.assert_allclose(losses, [jax.random.uniform(key) for key in keys], rtol=1e-6)


def test_integer_leaf_is_never_touched():
    state, _ = run(1)
    np.testing.assert_array_equal(state.params["order"], toy.params()["order"])
    assert state.params["order"].dtype == jnp.int32
    sizes = [leaf.size for leaf in jax.tree.leaves(state.average.values)]
    assert sum(sizes) == 5  # four weights and a bias


def test_average_follows_its_closed_form():
    mesh, decay = toy.mesh_of(1), 0.9
    state, step = toy.start(mesh), toy.make_step(mesh, ema_decay=decay)
    toy.assert_equal(averaged_params(state), state.params)
    seen = []
    for index in range(6):
        state, _ = step(state, shard_batch(mesh, toy.batch(index)))
        seen.append(np.array(state.params["weights"], np.float64))
        shares = (1 - decay) * decay ** np.arange(len(seen))[::-1] / (1 - decay ** len(seen))
        np.testing.assert_allclose(
            averaged_params(state)["weights"], np.tensordot(shares, seen, 1), rtol=1e-5
        )
    np.testing.assert_array_equal(averaged_params(state)["order"], toy.params()["order"])


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # of a rate
@pytest.mark.parametrize("fault", ["loss", "gradient", "overflow", "update"])
def test_non_finite_step_changes_nothing_but_the_count(fault):
    mesh = toy.mesh_of(8)

    def broken(params, key, batch):
        whole = toy.loss(params, key, batch)
        if fault == "loss":
            return whole + jnp.log(-1 - params["bias"] ** 2)
        if fault == "update":
            return whole
        if fault == "gradient":  # finite value, infinite slope at 0
            return whole + jnp.sqrt(jnp.abs(params["bias"]))
        return whole + 1e30 * params["bias"]  # finite slope whose square is not

    rate = 1e39 if fault == "update" else 0.05  # infinite in float32
    state, step = toy.start(mesh), toy.make_step(mesh, broken, learning_rate=rate)
    before = toy.host(state)
    after, metrics = step(state, shard_batch(mesh, toy.batch(0)))
    assert not metrics["update_finite"]
    assert int(after.step) == 1
    for name in ("params", "optimizer", "average", "key"):
        toy.assert_equal(getattr(before, name), getattr(after, name))


def test_gradient_norm_is_measured_before_clipping():
    mesh = toy.mesh_of(1)
    state = initial_state(toy.params(), toy.optimizer(clip_norm=1e-3), jax.random.key(3))
    step = make_train_step(toy.loss, toy.optimizer(clip_norm=1e-3), mesh, ema_decay=0.9)
    _, metrics = step(state, shard_batch(mesh, toy.batch(0)))
    assert metrics["grad_norm"] > 0.1


def test_one_trace_for_all_steps():
    traces = []

    def counted(params, key, batch):
        traces.append(None)
        return toy.loss(params, key, batch)

    run(8, steps=5, loss=counted)
    assert len(traces) == 1


def test_a_batch_of_several_arrays():
    mesh = toy.mesh_of(2)

    def loss(params, key, batch):
        return jnp.mean(toy.losses(params, key, batch["images"]) * batch["weight"])

    batch = {"images": toy.batch(0), "weight": np.ones(toy.BATCH, np.float32)}
    _, metrics = toy.make_step(mesh, loss)(toy.start(mesh), shard_batch(mesh, batch))
    assert np.isfinite(metrics["loss"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"ema_decay": 1.0},
            "make_train_step: expected a decay in [0, 1), got 1.0; use fitting_decay(steps)",
        ),
        (
            {"accumulate": 0},
            "make_train_step: expected accumulate of at least 1, got 0; "
            "use 1 to work through each batch at once",
        ),
    ],
)
def test_wrong_settings(changes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        toy.make_step(toy.mesh_of(1), **changes)


def test_micro_batches_must_divide_the_batch():
    mesh = toy.mesh_of(2)
    message = (
        "make_train_step: expected a batch size that 3 micro-batches on 2 devices divide, "
        "got 16 examples; use a multiple of 6, or change accumulate"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        toy.make_step(mesh, accumulate=3)(toy.start(mesh), shard_batch(mesh, toy.batch(0)))


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_keys_of_every_kind_train(kind):
    """Whatever the default is when the step is taken."""
    key, mesh = jax.random.key(0, impl=kind), toy.mesh_of(1)
    state = replicate(mesh, initial_state(toy.params(), toy.optimizer(), key))
    step = toy.make_step(mesh, toy.noisy_loss)
    _, metrics = step(state, shard_batch(mesh, toy.batch(0)))
    assert np.isfinite(float(metrics["loss"]))
