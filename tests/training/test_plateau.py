"""The rate halved on plateaus: with the loss of the step, and across a resume."""

import jax
import numpy as np
import pytest

from flowjax_glow.training import (
    Checkpoints,
    OptimizerConfig,
    initial_state,
    make_optimizer,
    make_train_step,
    replicate,
    shard_batch,
)
from tests.training import toy

STEPS = 12
CONFIG = OptimizerConfig(learning_rate=1.0, schedule="plateau", patience=1, clip_value=0.5)


def start(mesh):
    optimizer = make_optimizer(CONFIG, STEPS)
    return replicate(mesh, initial_state(toy.params(), optimizer, jax.random.key(3)))


def run(mesh, state, steps, accumulate=1):
    """The state after some steps, and the halvings after each."""
    optimizer = make_optimizer(CONFIG, STEPS)
    step = make_train_step(toy.loss, optimizer, mesh, ema_decay=0.9, accumulate=accumulate)
    scales = []
    for index in steps:
        state, _ = step(state, shard_batch(mesh, toy.batch(index)))
        scales.append(float(state.optimizer[-1].inner_state.scale))
    return state, scales


@pytest.mark.parametrize("devices", [1, 8])
def test_a_resumed_run_ends_like_one_that_never_stopped(tmp_path, devices):
    mesh = toy.mesh_of(devices)
    whole, scales = run(mesh, start(mesh), range(STEPS))
    assert scales[0] == 1
    assert scales[-1] < scales[5] < 1  # plateaus on both sides of the stop
    half, _ = run(mesh, start(mesh), range(6))
    with Checkpoints(tmp_path) as saved:
        saved.save(half)
    with Checkpoints(tmp_path) as saved:
        restored = saved.restore(start(mesh))
    assert restored is not None
    ended, later = run(mesh, restored, range(6, STEPS))
    assert later == scales[6:]
    toy.assert_equal(ended, whole)


def test_plateaus_are_those_of_the_whole_batch_under_accumulation():
    mesh = toy.mesh_of(1)
    whole, scales = run(mesh, start(mesh), range(STEPS))
    parts, scales_of_parts = run(mesh, start(mesh), range(STEPS), accumulate=4)
    assert scales_of_parts == scales
    assert scales[-1] < 1
    np.testing.assert_allclose(whole.params["weights"], parts.params["weights"], rtol=1e-4)


def test_an_update_that_is_skipped_is_no_plateau():
    """A loss that is not finite leaves what the optimizer remembers as it was."""
    mesh = toy.mesh_of(1)
    optimizer = make_optimizer(CONFIG, STEPS)

    def broken(params, key, batch):
        return toy.loss(params, key, batch) * np.nan

    step = make_train_step(broken, optimizer, mesh, ema_decay=0.9)
    before = toy.host(start(mesh).optimizer)
    after, _ = step(start(mesh), shard_batch(mesh, toy.batch(0)))
    toy.assert_equal(after.optimizer, before)
