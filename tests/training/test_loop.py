"""The loop: resuming, stopping, observers, and the order in which things reach the disk."""

import itertools
import re

import numpy as np
import pytest

from flowjax_glow.training import (
    Calling,
    Checkpoints,
    Diverged,
    MetricsLog,
    Observer,
    Preempted,
    Preemption,
    Progress,
    copy_state,
    read_metrics,
    train,
)
from flowjax_glow.training.display import Screen
from tests.training import toy


class Killed(Exception):  # noqa: N818 - not an error of the program
    """What a killed process would be, seen from inside."""


def run(folder, *, steps=toy.STEPS, loss=toy.noisy_loss, batches=toy.batch, devices=2, **options):
    """A run with everything made anew, as a new process would; it resumes if it can."""
    mesh = toy.mesh_of(devices)
    with MetricsLog(folder / "metrics.jsonl", window=5) as log, Checkpoints(folder / "c") as saved:
        state = saved.restore(toy.start(mesh)) or toy.start(mesh)
        return train(
            state,
            toy.make_step(mesh, loss),
            batches,
            steps=steps,
            mesh=mesh,
            log=log,
            checkpoints=saved,
            **options,
        )


def rows(folder):
    return read_metrics(folder / "metrics.jsonl")


def measure(steps):
    """An observer that leaves a row behind."""
    return [(Calling(lambda state: {"held_out": float(state.step)}), steps)]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Final state and metrics of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("straight")
    final = toy.host(run(folder, observers=measure([0, 7])))
    return final, (folder / "metrics.jsonl").read_text()


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, straight):
    """Seven steps and five in new objects give the bits, and the file, of twelve."""
    final, metrics = straight
    run(tmp_path, steps=7, observers=measure([0, 7]))
    toy.assert_equal(run(tmp_path, observers=measure([0, 7])), final)
    assert (tmp_path / "metrics.jsonl").read_text() == metrics
    assert [row["step"] for row in rows(tmp_path) if "loss" in row] == list(range(1, 13))


def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path, straight):
    final, metrics = straight

    def deadly(index):
        if index == 9:
            raise Killed
        return toy.batch(index)

    with pytest.raises(Killed):
        run(tmp_path, save_every=4, observers=measure([0, 7]), batches=deadly)
    assert [row["step"] for row in rows(tmp_path) if "loss" in row][-1] < 12
    toy.assert_equal(run(tmp_path, save_every=4, observers=measure([0, 7])), final)
    assert (tmp_path / "metrics.jsonl").read_text() == metrics


def test_killed_before_any_checkpoint_it_starts_over(tmp_path):
    def deadly(index):
        raise Killed

    with pytest.raises(Killed):
        run(tmp_path, observers=measure([0]), batches=deadly)
    run(tmp_path, observers=measure([0]))
    assert sum("held_out" in row for row in rows(tmp_path)) == 1


def test_a_finished_run_does_nothing(tmp_path):
    run(tmp_path, observers=measure([0, toy.STEPS]))
    before = (tmp_path / "metrics.jsonl").stat()

    def never(argument):
        raise AssertionError

    state = run(tmp_path, loss=never, batches=never, observers=[(Calling(never), (0, toy.STEPS))])
    assert int(state.step) == toy.STEPS
    after = (tmp_path / "metrics.jsonl").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


@pytest.mark.parametrize("broken_step", [1, 5, toy.STEPS])
def test_it_stops_at_the_step_that_is_not_finite(tmp_path, broken_step):
    def poisoned(index):
        rows = toy.batch(index).astype(np.float32)
        return rows * np.float32(np.nan) if index + 1 == broken_step else rows

    with pytest.raises(Diverged) as caught:
        run(tmp_path, batches=poisoned, save_every=4)
    assert caught.value.step == broken_step
    assert np.isnan(caught.value.measured["loss"])
    assert caught.value.leaves.keys() == {"bias", "weights"}
    for leaf in caught.value.leaves.values():
        assert np.isnan(leaf["gradient_norm"])
        assert not leaf["finite_after"]
    assert str(caught.value) == (
        "train: expected a finite loss and gradient, got loss = nan, grad_norm = nan at step "
        f"{broken_step}; lower learning_rate, add warmup_steps or set clip_norm"
    )
    last = [row for row in rows(tmp_path) if "loss" in row][-1]
    assert last["step"] == broken_step
    assert np.isnan(last["loss"])
    assert not last["update_finite"]
    with Checkpoints(tmp_path / "c") as saved:
        latest = saved.latest_step() or 0
        assert latest == (broken_step - 1) // 4 * 4


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # of the rate
def test_an_update_that_is_not_finite_is_never_saved(tmp_path):
    mesh = toy.mesh_of(1)
    with (
        MetricsLog(tmp_path / "metrics.jsonl") as log,
        Checkpoints(tmp_path / "c") as saved,
        pytest.raises(
            Diverged, match="train: expected an update that leaves all parameters finite"
        ) as caught,
    ):
        train(
            toy.start(mesh),
            toy.make_step(mesh, learning_rate=1e39),
            toy.batch,
            steps=2,
            mesh=mesh,
            log=log,
            checkpoints=saved,
            save_every=1,
        )
    assert saved.latest_step() is None
    (row,) = rows(tmp_path)
    assert np.isfinite([row["loss"], row["grad_norm"]]).all()
    assert not row["update_finite"]
    norms = [leaf["gradient_norm"] for leaf in caught.value.leaves.values()]
    np.testing.assert_allclose(np.linalg.norm(norms), row["grad_norm"], rtol=1e-6)
    assert not any(leaf["finite_after"] for leaf in caught.value.leaves.values())


class Told(Preemption):
    """Is told to end after some step, or while an observer looks at it."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def due(self, step):
        return step >= self.step


@pytest.mark.parametrize("end", [3, 7, toy.STEPS])
def test_a_run_that_is_told_to_end_saves_and_goes_on(tmp_path, straight, end):
    """Also where an observer is due to the state that was saved, which then sees it later."""
    final, metrics = straight
    with pytest.raises(Preempted) as caught:
        run(tmp_path, observers=measure([0, 7]), preemption=Told(end))
    assert caught.value.step == end
    with Checkpoints(tmp_path / "c") as saved:
        assert saved.latest_step() == end
    assert [row["step"] for row in rows(tmp_path) if "held_out" in row] == (
        [0, 7] if end > 7 else [0]
    )
    toy.assert_equal(run(tmp_path, observers=measure([0, 7])), final)
    assert (tmp_path / "metrics.jsonl").read_text() == metrics


def test_an_observer_that_is_interrupted_looks_again(tmp_path, straight):
    final, metrics = straight

    class Interrupted(Calling):
        def observe(self, state):
            if int(state.step) == 7:
                raise Preempted
            return super().observe(state)

    (measuring, steps) = measure([0, 7])[0]
    with pytest.raises(Preempted):
        run(tmp_path, observers=[(Interrupted(measuring.function), steps)])
    toy.assert_equal(run(tmp_path, observers=measure([0, 7])), final)
    assert (tmp_path / "metrics.jsonl").read_text() == metrics


def test_rows_that_are_missing_are_told(tmp_path):
    run(tmp_path, steps=7)
    (tmp_path / "metrics.jsonl").unlink()
    message = (
        f"{tmp_path / 'metrics.jsonl'}: expected rows of the 7 steps before the checkpoint, got 0; "
        "the others stay missing"
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$"):
        run(tmp_path)
    assert [row["step"] for row in rows(tmp_path) if "loss" in row] == [8, 9, 10, 11, 12]


def test_observers_see_the_state_of_their_step(tmp_path):
    seen = {}

    def keep(state):
        seen[int(state.step)] = copy_state(state)

    final = run(tmp_path, observers=[(Calling(keep), (0, 5, toy.STEPS))])
    assert sorted(seen) == [0, 5, toy.STEPS]
    toy.assert_equal(seen[0].params, toy.params())
    toy.assert_equal(seen[toy.STEPS], final)


def test_observers_that_meet_give_one_row(tmp_path):
    a, b = Calling(lambda state: {"a": int(state.step)}), Calling(lambda state: {"b": 3})
    silent = Calling(lambda state: None)
    run(tmp_path, observers=[(a, (0, 2)), (b, (2, 4)), (silent, (4, 6))])
    seen = [row for row in rows(tmp_path) if not {"loss", "window_loss"} & row.keys()]
    assert seen == [{"step": 0, "a": 0}, {"step": 2, "a": 2, "b": 3}, {"step": 4, "b": 3}]


def test_two_observers_that_return_the_same_field_are_refused(tmp_path):
    twice = [(Calling(lambda state: {"a": 1}), [2]), (Calling(lambda state: {"a": 2}), [2])]
    with pytest.raises(ValueError, match="observers that return fields of different names"):
        run(tmp_path, observers=twice)


def test_without_a_log_an_observer_keeps_what_it_knows():
    class Remembers(Observer):
        resumed = 0

        def observe(self, state):
            return None

        def resume(self, rows):
            self.resumed += 1

    observer, mesh = Remembers(), toy.mesh_of(1)
    options = {"mesh": mesh, "observers": [(observer, (0, 2))]}
    state = train(toy.start(mesh), toy.make_step(mesh), toy.batch, steps=2, **options)
    train(state, toy.make_step(mesh), toy.batch, steps=4, **options)
    assert observer.resumed == 1


def test_observers_get_the_rows_that_are_left(tmp_path):
    got = []

    class Remembers(Observer):
        def observe(self, state):
            return {"seen": int(state.step)}

        def resume(self, rows):
            got.append([row["step"] for row in rows if "seen" in row])

    run(tmp_path, steps=7, observers=[(Remembers(), (0, 3, 7))])
    run(tmp_path, observers=[(Remembers(), (0, 3, 7))])
    assert got == [[], [0, 3, 7]]


def test_what_observers_return_is_logged_after_their_step(tmp_path):
    run(tmp_path, observers=[(Calling(lambda state: {"held_out": float("inf")}), [5])])
    around = [row for row in rows(tmp_path) if row["step"] == 5]
    assert [set(row) - {"step"} for row in around] == [
        {"loss", "grad_norm", "update_finite"},
        {"window_loss", "window"},
        {"held_out"},
    ]
    assert around[-1] == {"step": 5, "held_out": float("inf")}


def test_it_runs_without_log_checkpoints_or_display():
    mesh = toy.mesh_of(1)
    state = train(toy.start(mesh), toy.make_step(mesh), toy.batch, steps=3, mesh=mesh)
    assert int(state.step) == 3


def test_a_state_from_anywhere_is_placed_on_the_mesh():
    mesh = toy.mesh_of(8)
    state = train(toy.start(), toy.make_step(mesh), toy.batch, steps=2, mesh=mesh)
    assert len(state.params["weights"].sharding.device_set) == 8


def test_every_step_is_shown_in_order(tmp_path):
    shown = []

    class Recorder(Progress):
        def update(self, step, *, loss, images):
            shown.append((step, images, loss))

    run(tmp_path, steps=6, progress=Recorder(6, Screen()))
    losses = [row["loss"] for row in rows(tmp_path) if "loss" in row]
    assert shown == list(zip(range(1, 7), itertools.repeat(toy.BATCH), losses))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"save_every": 0},
            "train: expected save_every of at least 1, got 0; use None to save at the end only",
        ),
        (
            {"observers": [(Calling(print), (13, -1, 2))]},
            "train: expected observers at steps 0 .. 12, got [-1, 13]; "
            "leave these out or train longer",
        ),
    ],
)
def test_wrong_settings(tmp_path, options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run(tmp_path, **options)
