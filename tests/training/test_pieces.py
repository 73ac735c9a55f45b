"""Optimizers, schedules, the average's decay, the mesh, and what trains at all."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType

from flowjax_glow.trainable import merge, trainable
from flowjax_glow.training import (
    OptimizerConfig,
    data_mesh,
    evaluate,
    evaluate_state,
    fitting_decay,
    make_optimizer,
    shard_batch,
)
from flowjax_glow.training.mesh import batch_size
from flowjax_glow.training.optimizer import _clipping, learning_rate
from tests.training import toy


def raises(message):
    return pytest.raises(ValueError, match=f"^{re.escape(message)}")


def test_trainable_and_merge_are_inverse():
    params = {"a": jnp.ones(2), "b": [jnp.arange(3), None, jnp.array([True])], "c": ()}
    values = trainable(params)
    assert values["b"] == [None, None, None]
    merged = merge(params, jax.tree.map(lambda leaf: leaf + 1, values))
    np.testing.assert_array_equal(merged["a"], [2, 2])
    assert merged["b"] == params["b"]
    assert jax.tree.structure(merged) == jax.tree.structure(params)


@pytest.mark.parametrize("name", ["adam", "adamax"])
def test_first_update_of_either_optimizer_is_the_learning_rate(name):
    optimizer = make_optimizer(OptimizerConfig(name, learning_rate=0.25), steps=10)
    params = {"a": jnp.array([1.0, -2.0]), "b": None}
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = optimizer.update(params, optimizer.init(params), params)
    np.testing.assert_allclose(updates["a"], [-0.25, 0.25], rtol=1e-5)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("warmup_steps", [0, 4])
def test_learning_rate_follows_its_formula(schedule, warmup_steps):
    steps, peak = 20, 0.5
    rate = learning_rate(OptimizerConfig("adam", peak, schedule, warmup_steps), steps)
    with jax.numpy_dtype_promotion("standard"):
        rates = [float(rate(step)) for step in range(steps + 1)]
    warmup = [peak * (step + 1) / (warmup_steps + 1) for step in range(warmup_steps)]
    np.testing.assert_allclose(rates[:warmup_steps], warmup, rtol=1e-6)
    settled = np.full(steps + 1 - warmup_steps, peak)
    if schedule == "cosine":
        settled = peak * (1 + np.cos(np.linspace(0, np.pi, len(settled)))) / 2
    np.testing.assert_allclose(rates[warmup_steps:], settled, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"name": "sgd"},
            "OptimizerConfig.name: expected one of adam, adamax, got 'sgd'; choose one of these",
        ),
        (
            {"schedule": "linear"},
            "OptimizerConfig.schedule: expected one of constant, cosine, plateau, got 'linear'; ",
        ),
        ({"learning_rate": 0.0}, "OptimizerConfig.learning_rate: expected a number above 0, got"),
        ({"clip_norm": -1.0}, "OptimizerConfig.clip_norm: expected a number above 0, got -1.0; "),
        ({"clip_value": 0.0}, "OptimizerConfig.clip_value: expected a number above 0, got 0.0; "),
        ({"patience": 0}, "OptimizerConfig.patience: expected a whole number above 0, got 0; "),
        (
            {"warmup_steps": -1},
            "OptimizerConfig.warmup_steps: expected a number of steps, got -1; "
            "use 0 for no warm-up",
        ),
    ],
)
def test_wrong_optimizer(changes, message):
    with raises(message):
        OptimizerConfig(**changes)


def updates_of(config, losses, gradient=1.0, steps=1000):
    """The size of the update after every loss, the gradient being always the same."""
    optimizer = optax.with_extra_args_support(make_optimizer(config, steps))
    params = {"a": jnp.zeros(2)}
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    sizes = []
    with jax.numpy_dtype_promotion("standard"):
        for loss in losses:
            gradients = {"a": jnp.full(2, gradient)}
            updates, state = update(gradients, state, params, value=jnp.float32(loss))
            sizes.append(-float(updates["a"][0]))
    return np.array(sizes)


def test_a_plateau_halves_the_rate_down_to_its_lowest():
    config = OptimizerConfig(learning_rate=0.5, schedule="plateau", patience=2)
    losses = [3.0, 2.0, 1.99999, 2.5, 2.0, 1.5, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6]
    # 1.99999 is no better by 1e-4 of 2, so updates 2, 3 and 4 make a plateau, as do 6, 7 and 8
    halvings = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3])
    np.testing.assert_allclose(updates_of(config, losses), 0.5 * 0.5**halvings, rtol=1e-4)
    lowest = OptimizerConfig(learning_rate=3e-8, schedule="plateau", patience=1)
    np.testing.assert_allclose(updates_of(lowest, [1.0] * 9)[-4:], [1e-8] * 4, rtol=1e-4)


def test_no_plateau_is_seen_during_the_warmup():
    config = OptimizerConfig(learning_rate=0.5, schedule="plateau", patience=1, warmup_steps=4)
    rates = [0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.25, 0.25, 0.125]
    losses = [0.1, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]  # the low one is forgotten as well
    np.testing.assert_allclose(updates_of(config, losses), rates, rtol=1e-4)


def test_entries_are_clipped_one_by_one_and_then_their_norm():
    config = OptimizerConfig(learning_rate=0.25, clip_value=5.0, clip_norm=10.0)
    clipping = optax.chain(*_clipping(config))
    gradients = {"a": jnp.array([-8.0, 1.0, 300.0]), "b": jnp.full(6, 4.0)}
    clipped, _ = clipping.update(gradients, clipping.init(gradients))
    by_hand = {"a": np.array([-5.0, 1.0, 5.0]), "b": np.full(6, 4.0)}
    norm = np.sqrt(sum((leaf**2).sum() for leaf in by_hand.values()))
    assert norm > 10
    for name, leaf in by_hand.items():
        np.testing.assert_allclose(clipped[name], leaf * 10 / norm, rtol=1e-6)


def test_warmup_must_end():
    with raises(
        "OptimizerConfig.warmup_steps: expected fewer than the 5 planned steps, got 5; "
        "shorten the warm-up or train longer"
    ):
        make_optimizer(OptimizerConfig(warmup_steps=5), steps=5)


def test_decay_fits_the_length_of_the_run():
    assert fitting_decay(1) == 0
    assert fitting_decay(500) == pytest.approx(0.98)
    assert fitting_decay(10**6) == 0.999
    assert fitting_decay(10**6, max_decay=0.9999) == 0.9999
    with raises("fitting_decay: expected a number above 0, got 0; "):
        fitting_decay(0)
    with raises("fitting_decay: expected a decay in [0, 1), got 1.0; use fitting_decay(steps)"):
        fitting_decay(5, max_decay=1.0)


def test_mesh_has_one_automatic_axis():
    mesh = data_mesh()
    assert mesh.axis_names == ("data",)
    assert mesh.axis_types == (AxisType.Auto,)
    assert mesh.size == jax.device_count() == 8
    assert data_mesh(jax.devices()[2:5]).size == 3


def test_each_device_gets_its_rows():
    batch = toy.batch(0)
    split = shard_batch(toy.mesh_of(4), batch)
    assert split.dtype == np.uint8
    for shard in split.addressable_shards:
        np.testing.assert_array_equal(shard.data, batch[shard.index])
        assert shard.data.shape == (4, 4)


def test_devices_must_divide_the_batch():
    with raises(
        "shard_batch: expected a batch size that 8 devices divide, got 12 examples; "
        "use a multiple of 8, or give data_mesh fewer devices"
    ):
        shard_batch(data_mesh(), toy.batch(0, size=12))


@pytest.mark.parametrize(
    ("batch", "sizes"),
    [
        ((np.zeros(3), np.zeros(4)), "[(3,), (4,)]"),
        (np.zeros(()), "[()]"),
        ((), "[]"),
    ],
)
def test_arrays_of_a_batch_must_agree(batch, sizes):
    with raises(
        "batch_size: expected arrays with one common leading batch axis, "
        f"got leading axes {sizes}; give every array of the batch as many rows"
    ):
        batch_size(batch)


def test_evaluation_is_the_mean_over_all_examples():
    batches = [toy.batch(0, size=8), toy.batch(1, size=24)]
    mean = evaluate(toy.losses, toy.params(), jax.random.key(0), batches, mesh=data_mesh())
    all_losses = toy.losses(toy.params(), jax.random.key(0), jnp.concatenate(batches))
    assert mean == pytest.approx(float(all_losses.mean()), rel=1e-6)


def test_evaluation_draws_the_same_noise_each_time():
    def noise(params, key, batch):
        return jax.random.uniform(key, batch.shape[:1])

    def evaluated(devices):
        mesh = toy.mesh_of(devices)
        batches = [toy.batch(0), toy.batch(0)]
        return evaluate(noise, toy.params(), jax.random.key(1), batches, mesh=mesh)

    keys = [jax.random.fold_in(jax.random.key(1), index) for index in range(2)]
    expected = np.mean([jax.random.uniform(key, (toy.BATCH,)) for key in keys])
    assert evaluated(1) == pytest.approx(expected, rel=1e-6)
    assert evaluated(8) == pytest.approx(evaluated(1), rel=1e-6)


def test_evaluation_never_drops_a_nan():
    def one_nan(params, key, batch):
        return jnp.where(jnp.arange(len(batch)) == 3, jnp.nan, toy.losses(params, key, batch))

    mean = evaluate(one_nan, toy.params(), jax.random.key(0), [toy.batch(0)], mesh=data_mesh())
    assert np.isnan(mean)


def test_evaluation_of_raw_and_averaged_parameters():
    mesh = data_mesh()
    state, step = toy.start(mesh), toy.make_step(mesh)
    for index in range(5):
        state, _ = step(state, shard_batch(mesh, toy.batch(index)))
    row = evaluate_state(toy.losses, state, jax.random.key(0), [toy.batch(9)], mesh=mesh)
    assert set(row) == {"held_out", "held_out_averaged"}
    assert row["held_out"] < row["held_out_averaged"]  # the average lags behind


def test_wrong_evaluation():
    with raises("evaluate: expected at least one example, got none; check the data set"):
        evaluate(toy.losses, toy.params(), jax.random.key(0), [], mesh=data_mesh())
    with raises(
        "evaluate: expected a loss of shape (16,), got (); "
        "return one number per example, not their mean"
    ):
        evaluate(
            lambda params, key, batch: toy.loss(params, key, batch),
            toy.params(),
            jax.random.key(0),
            [toy.batch(0)],
            mesh=data_mesh(),
        )
