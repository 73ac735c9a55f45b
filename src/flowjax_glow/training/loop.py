"""The loop around the step: feeds it, records it, saves it, and never makes it wait."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import TypeAlias

import jax
from jax.sharding import Mesh

from flowjax_glow.errors import expected
from flowjax_glow.training.checkpoints import Checkpoints
from flowjax_glow.training.display import Progress
from flowjax_glow.training.mesh import batch_size, replicate, shard_batch
from flowjax_glow.training.metrics import MetricsLog, read_metrics
from flowjax_glow.training.observer import Observers, shown_to_all
from flowjax_glow.training.state import TrainState
from flowjax_glow.training.step import StepFn
from flowjax_glow.training.types import Batch, Metrics

#: The batch of a step, counted from 0: a pure function, so that a resumed run sees the same ones.
BatchFn: TypeAlias = Callable[[int], Batch]

#: Steps whose metrics may still be on the device. Two keep it busy while the host reads the third;
#: more would only let the host run ahead, and notice later that a step failed.
_PENDING = 2


class Diverged(RuntimeError):  # noqa: N818 - the outcome of a run, not a fault
    """Training met a loss or gradient that is not finite; the parameters never took it in.

    Attributes:
      step: the step that failed, counted from 1.
      measured: its loss and gradient norm, of which at least one is NaN or infinite.
    """

    def __init__(self, step: int, measured: Mapping[str, float]) -> None:
        self.step = step
        self.measured = dict(measured)
        values = ", ".join(f"{name} = {value}" for name, value in self.measured.items())
        super().__init__(
            f"train: expected a finite loss and gradient, got {values} at step {step}; "
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
) -> TrainState:
    """Runs steps ``state.step + 1 .. steps`` and returns the last state.

    A state from `Checkpoints.restore` goes on where its run was interrupted, and arrives at the
    same bits as if it had not been; the log is cut back to it first. With all steps done no step is
    taken. After a step come, in this order, its metrics, its observers, its checkpoint: what a
    checkpoint follows has happened and is on the disk.

    Args:
      state: consumed, as by every step.
      step: as `make_train_step` gives it, for the same `mesh`.
      batches: gives this host's share of the batch of step ``t + 1`` for ``t``.
      steps: the number of steps of the whole run, those already done included.
      mesh: a mesh of `data_mesh`.
      log: takes a row per step and what the observers return.
      checkpoints: takes the state every `save_every` steps and at the end.
      save_every: None saves at the end only.
      observers: who is shown the state after which steps, 0 for the start. What a checkpoint
        followed is not shown again on resuming; each gets the rows that the log has kept.
      progress: shows how far it got.

    Raises:
      Diverged: at a loss or gradient that is not finite. The log ends with that step; the last
        checkpoint comes before it.
      ValueError: if `save_every` is not positive or an observer's step outside of 0 .. `steps`.
    """
    observers = [(observer, frozenset(when)) for observer, when in observers]
    _check(steps, save_every, observers)
    start = int(state.step)
    if log is not None:
        # what is shown at the start is shown again if no step was saved, so its row must go, too
        log.cut_back(start or -1)
    if log is not None or start == 0:
        rows = read_metrics(log.path) if log is not None and log.path.exists() else []
        for observer, _ in observers:
            observer.resume(rows)
    if start >= steps:
        return state
    state = replicate(mesh, state)
    reports = _Reports(log, progress)
    if start == 0:
        _observe(observers, state, 0, log)
    batch = shard_batch(mesh, batches(start))
    for done in range(start + 1, steps + 1):
        state, metrics = step(state, batch)
        reports.add(done, metrics, batch_size(batch))
        if done < steps:
            batch = shard_batch(mesh, batches(done))  # the device works on the step meanwhile
        due = done == steps or (save_every is not None and done % save_every == 0)
        if due or any(done in those for _, those in observers):
            reports.settle(0)
            _observe(observers, state, done, log)
        if due:
            _save(state, log, checkpoints)
        reports.settle(_PENDING)
    return state


class _Reports:
    """Metrics on their way from the device into log and display."""

    def __init__(self, log: MetricsLog | None, progress: Progress | None) -> None:
        self._log = log
        self._progress = progress
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
        values = {name: value.item() for name, value in jax.device_get(metrics).items()}
        if self._log is not None:
            self._log.append(step, values)
        if not values["update_finite"]:
            raise Diverged(step, {name: values[name] for name in ("loss", "grad_norm")})
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
