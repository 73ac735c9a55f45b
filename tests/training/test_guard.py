"""The guard: when it hands over, what it says and leaves behind, and that a resumed run agrees."""

import warnings

import jax.numpy as jnp
import pytest

from flowjax_glow.training import Checkpoints, DriftGuard, MetricsLog, read_metrics, train
from tests.training import toy

NAMES = ("inverting", "steady")
LEVELS = {True: jnp.array([1e-6, 0.5]), False: jnp.array([1e-6, 2e-6])}


def make_guard(mesh, used, breaks_at):
    """A guard over two steps with different losses, that note in `used` which of them ran."""
    losses = dict(zip(NAMES, (toy.loss, toy.noisy_loss)))

    def noting(name):
        step = toy.make_step(mesh, losses[name])

        def call(state, batch):
            used.append(name)
            return step(state, batch)

        return call

    return DriftGuard(
        noting("inverting"),
        lambda: noting("steady"),
        lambda state: LEVELS[int(state.step) >= breaks_at],
    )


def run(folder, *, steps=toy.STEPS, breaks_at=6, save_every=None):
    """A run that looks after every third step; which steps it took, and its last state."""
    mesh, used = toy.mesh_of(2), []
    guard = make_guard(mesh, used, breaks_at)
    with MetricsLog(folder / "metrics.jsonl") as log, Checkpoints(folder / "c") as saved:
        state = saved.restore(toy.start(mesh)) or toy.start(mesh)
        state = train(
            state,
            guard,
            toy.batch,
            steps=steps,
            mesh=mesh,
            log=log,
            checkpoints=saved,
            save_every=save_every,
            observers=[(guard, range(0, steps + 1, 3))],
        )
    return used, toy.host(state)


def drift_rows(folder):
    return [row for row in read_metrics(folder / "metrics.jsonl") if "drift" in row]


def test_it_hands_over_once_warns_of_the_level_and_leaves_a_row(tmp_path):
    with pytest.warns(UserWarning, match=r"step 6: level 1 .* error of 5.0e-01, above 0.001"):
        used, _ = run(tmp_path)
    assert used == ["inverting"] * 6 + ["steady"] * 6
    rows = drift_rows(tmp_path)
    assert [(row["step"], row["drifted"]) for row in rows] == [(0, False), (3, False), (6, True)]
    assert rows[-1]["drift"] == pytest.approx([1e-6, 0.5])


def test_a_sound_inverse_is_never_left(tmp_path):
    used, _ = run(tmp_path, breaks_at=100)
    assert used == ["inverting"] * 12


@pytest.mark.parametrize("stop", [4, 6, 8])
def test_a_resumed_run_does_as_the_uninterrupted_one(tmp_path, stop):
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    straight.mkdir()
    resumed.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        used, final = run(straight)
        before, _ = run(resumed, steps=stop)
        after, end = run(resumed)
    assert before + after == used
    toy.assert_equal(end, final)
    assert drift_rows(resumed) == drift_rows(straight)


def test_rows_beyond_the_checkpoint_do_not_count(tmp_path):
    """A run whose log went further than its last checkpoint trains those steps again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(tmp_path, steps=4)
        with MetricsLog(tmp_path / "metrics.jsonl") as log:
            log.append(6, {"drift": [1.0, 1.0], "drifted": True})
        used, _ = run(tmp_path, breaks_at=100)
    assert used == ["inverting"] * 8


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf])
def test_what_is_not_finite_is_drift(value):
    guard = DriftGuard(
        toy.make_step(toy.mesh_of(1)),
        lambda: toy.make_step(toy.mesh_of(1)),
        lambda state: jnp.array([value, 0.5]),
    )
    with pytest.warns(UserWarning, match="level 0"):
        row = guard.observe(toy.start())
    assert row is not None
    assert row["drifted"]
    assert guard.observe(toy.start()) is None
