"""The loop around the step: feeds it, records it, saves it, and never makes it wait."""

import math
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TypeAlias

import jax
from jax.sharding import Mesh

from flowjax_glow.errors import expected
from flowjax_glow.training.checkpoints import Checkpoints
from flowjax_glow.training.display import Progress
from flowjax_glow.training.mesh import batch_size, replicate, shard_batch
from flowjax_glow.training.metrics import MetricsLog, Row, read_metrics
from flowjax_glow.training.observer import Observers, shown_to_all
from flowjax_glow.training.preemption import Preempted, Preemption
from flowjax_glow.training.state import TrainState
from flowjax_glow.training.step import StepFn, leaf_names
from flowjax_glow.training.types import Batch, Metrics

#: The batch of a step, counted from 0: a pure function, so that a resumed run sees the same ones.
BatchFn: TypeAlias = Callable[[int], Batch]

#: Steps whose metrics may still be on the device. Two keep it busy while the host reads the third;
#: more would only let the host run ahead, and notice later that a step failed.
_PENDING = 2


class Diverged(RuntimeError):  # noqa: N818 - the outcome of a run, not a fault
    """Training met a loss, gradient or update that is not finite; no state took it in.

    Attributes:
        step: the step that failed, counted from 1.
        measured: its loss and gradient norm. If both are finite, the update was not.
        leaves: of every leaf that trains, by name, the ``gradient_norm`` and whether it would be
            ``finite_after`` the update.
    """

    def __init__(
        self,
        step: int,
        measured: Mapping[str, float],
        leaves: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        self.step = step
        self.measured = dict(measured)
        self.leaves = dict(leaves or {})
        values = ", ".join(f"{name} = {value}" for name, value in self.measured.items())
        what = (
            "an update that leaves all parameters finite"
            if all(map(math.isfinite, self.measured.values()))
            else "a finite loss and gradient"
        )
        super().__init__(
            f"train: expected {what}, got {values} at step {step}; "
            "lower learning_rate, add warmup_steps or set clip_norm"
        )


def train(
    state: TrainState,
    step: StepFn,
    batches: BatchFn,
    *,
    steps: int,
    mesh: Mesh,
    log: MetricsLog | None = None,
    checkpoints: Checkpoints | None = None,
    save_every: int | None = None,
    observers: Observers = (),
    progress: Progress | None = None,
    preemption: Preemption | None = None,
) -> TrainState:
    """Runs steps ``state.step + 1 .. steps`` and returns the last state.

    A state from `Checkpoints.restore` goes on where its run was interrupted, and arrives at the
    same bits as if it had not been; the log is cut back to it first, and a warning tells if rows of
    earlier steps are missing. With all steps done no step is taken. After a step come, in this
    order, its metrics, its observers, its checkpoint: what a checkpoint follows has happened and is
    on the disk. When the process is told to end, the step is finished and saved. With a log and one
    process, observers that were due to it, or were interrupted, see it when the run goes on.

    Args:
        state: consumed, as by every step.
        step: as `make_train_step` gives it, for the same `mesh`.
        batches: gives this host's share of the batch of step ``t + 1`` for ``t``.
        steps: the number of steps of the whole run, those already done included.
        mesh: a mesh of `data_mesh`.
        log: takes a row per step and what the observers return.
        checkpoints: takes the state every `save_every` steps and at the end.
        save_every: None saves at the end only.
        observers: who is shown the state after which steps, 0 for the start. On resuming each gets
            the rows that the log has kept, and those are shown the step where it goes on of whose
            observers the log has no row.
        progress: shows how far it got.
        preemption: tells that the process is to end, within its ``with`` statement.

    Raises:
        Diverged: at a loss, gradient or update that is not finite. The log ends with that step; the
            last checkpoint comes before it.
        Preempted: as `preemption` tells.
        ValueError: if `save_every` is not positive or an observer's step outside of 0 .. `steps`.
    """
    observers = [(observer, frozenset(when)) for observer, when in observers]
    _check(steps, save_every, observers)
    preemption = preemption or Preemption()
    start = int(state.step)
    rows = _rows_before(log, start)
    if log is not None or start == 0:
        for observer, _ in observers:
            observer.resume(rows)
    # Whether a log tells, and all processes alike, what an ended run has not shown any more.
    told = log is not None and jax.process_count() == 1
    unseen = start == 0 or (told and not _was_shown(start, rows))
    if unseen and any(start in those for _, those in observers):
        state = replicate(mesh, state)
        _observe(observers, state, start, log)
    if start >= steps:
        return state
    state = replicate(mesh, state)
    reports = _Reports(log, progress, leaf_names(state.params))
    batch = shard_batch(mesh, batches(start))
    with preemption.deferred():
        for done in range(start + 1, steps + 1):
            state, metrics = step(state, batch)
            reports.add(done, metrics, batch_size(batch))
            ending = preemption.due(done)
            if done < steps and not ending:
                batch = shard_batch(mesh, batches(done))  # the device works on the step meanwhile
            saving = done == steps or (save_every is not None and done % save_every == 0)
            showing = any(done in those for _, those in observers)
            if saving or showing or ending:
                reports.settle(0)
            if showing and not (ending and told):
                try:
                    with preemption.immediate() if told else nullcontext():
                        _observe(observers, state, done, log)
                except Preempted:
                    ending = True
            if saving or ending:
                _save(state, log, checkpoints)
            if ending:
                raise Preempted(done)
            reports.settle(_PENDING)
    return state


def _rows_before(log: MetricsLog | None, start: int) -> list[Row]:
    """Cuts the log back to where the run goes on, and gives the rows that are left."""
    if log is None:
        return []
    # what is shown at the start is shown again if no step was saved, so its row must go, too
    log.cut_back(start or -1)
    rows = read_metrics(log.path) if log.path.exists() else []
    known = sum("loss" in row for row in rows)
    if known < start:
        warnings.warn(
            f"{log.path}: expected rows of the {start} steps before the checkpoint, got {known}; "
            "the others stay missing",
            stacklevel=3,
        )
    return rows


def _was_shown(step: int, rows: Sequence[Row]) -> bool:
    """Whether there is a row of the observers after `step`."""
    return any(
        row["step"] == step and not {"loss", "window_loss"} & row.keys() for row in reversed(rows)
    )


class _Reports:
    """Metrics on their way from the device into log and display."""

    def __init__(
        self, log: MetricsLog | None, progress: Progress | None, names: Sequence[str]
    ) -> None:
        self._log = log
        self._progress = progress
        self._names = names
        self._pending: deque[tuple[int, Metrics, int]] = deque()

    def add(self, step: int, metrics: Metrics, images: int) -> None:
        """Takes in what a step measured, without waiting for it."""
        for value in metrics.values():
            value.copy_to_host_async()
        self._pending.append((step, metrics, images))

    def settle(self, pending: int) -> None:
        """Waits until at most `pending` steps are left to be reported; raises Diverged."""
        while len(self._pending) > pending:
            self._report(*self._pending.popleft())

    def _report(self, step: int, metrics: Metrics, images: int) -> None:
        found = jax.device_get(metrics)
        values = {name: value.item() for name, value in found.items() if not value.ndim}
        if self._log is not None:
            self._log.append(step, values)
        if not values["update_finite"]:
            leaves = {
                name: {"gradient_norm": float(norm), "finite_after": bool(finite)}
                for name, norm, finite in zip(
                    self._names, found["leaf_norms"], found["leaf_finite"], strict=True
                )
            }
            raise Diverged(step, {name: values[name] for name in ("loss", "grad_norm")}, leaves)
        if self._progress is not None:
            self._progress.update(step, loss=values["loss"], images=images)


def _observe(observers: Observers, state: TrainState, step: int, log: MetricsLog | None) -> None:
    row = shown_to_all(observers, state, step)
    if row is not None and log is not None:
        log.append(step, row)


def _save(state: TrainState, log: MetricsLog | None, checkpoints: Checkpoints | None) -> None:
    if log is not None:
        log.sync()  # a checkpoint never knows of steps that the log may lose
    if checkpoints is not None:
        checkpoints.save(state)


def _check(steps: int, save_every: int | None, observers: Observers) -> None:
    if save_every is not None and save_every < 1:
        raise expected(
            "train",
            "save_every of at least 1",
            got=save_every,
            advice="use None to save at the end only",
        )
    asked = {step for _, those in observers for step in those}
    outside = sorted(step for step in asked if not 0 <= step <= steps)
    if outside:
        raise expected(
            "train",
            f"observers at steps 0 .. {steps}",
            got=f"{outside}",
            advice="leave these out or train longer",
        )
