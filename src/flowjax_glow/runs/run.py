"""One experiment, from its folder's first file to its summary."""

import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias

import jax
from jax.sharding import Mesh
from jaxtyping import Array, Float

from flowjax_glow import data
from flowjax_glow.combinators import Memory, MultiScale
from flowjax_glow.config import glow
from flowjax_glow.context import Context
from flowjax_glow.diagnostics import Monitor, drift, redraw_permutations
from flowjax_glow.files import write_arrays, write_json
from flowjax_glow.fitting import HELD_OUT_KEY, INIT_SEED, check_classes, initial_params
from flowjax_glow.pixels import bin_midpoints
from flowjax_glow.runs.clipping import clipping
from flowjax_glow.runs.compilation import make_room_for_programs
from flowjax_glow.runs.experiment import NUDGE, Experiment
from flowjax_glow.runs.folder import Status, check_starts, is_complete, open_run, summary_of
from flowjax_glow.runs.images import check_images, note_images, source_of
from flowjax_glow.runs.looks import look
from flowjax_glow.runs.loss import (
    BitsPerDim,
    exact_flow,
    images_and_labels,
    redraws_permutations,
    rows_of,
    training_loss,
)
from flowjax_glow.runs.measure import ChunkedModel
from flowjax_glow.runs.processes import Locally, is_first, local_mesh, own_copy
from flowjax_glow.runs.summary import summarize
from flowjax_glow.runs.tracking import TRACKERS, ShowsModel, look_of
from flowjax_glow.trainable import merge, trainable
from flowjax_glow.training import (
    Batch,
    Checkpoints,
    Diverged,
    DriftGuard,
    LossFn,
    MetricsLog,
    Observer,
    OptimizerConfig,
    Preemption,
    Progress,
    StepFn,
    TrainState,
    data_mesh,
    evaluate_state,
    fitting_decay,
    initial_state,
    make_optimizer,
    make_train_step,
    progress,
    shard_batch,
    train,
)
from flowjax_glow.training.metrics import Row
from flowjax_glow.types import Event, Key, Params

#: Shows how far a run of so many steps and that name gets, while the ``with`` statement lasts.
Show: TypeAlias = Callable[[int, str], AbstractContextManager[Progress]]


@cache
def compiled_step(
    loss: LossFn, optimizer: OptimizerConfig, steps: int, accumulate: int, mesh: Mesh
) -> StepFn:
    """One compiled step for all seeds of a variant."""
    return make_train_step(
        loss,
        make_optimizer(optimizer, steps),
        mesh,
        ema_decay=fitting_decay(steps),
        accumulate=accumulate,
    )


@partial(jax.jit, static_argnums=0)
def _drift(
    flow: MultiScale, params: Params, x: Event, labels: Context | None
) -> Float[Array, " levels"]:
    return drift(flow, flow.given(params, labels), x)


@jax.jit
def nudged(params: Params, key: Key) -> Params:
    """Every float parameter times ``1 + NUDGE N(0, 1)``."""
    leaves, structure = jax.tree.flatten(trainable(params))
    keys = jax.random.split(key, len(leaves))
    moved = [
        leaf * (1 + NUDGE * jax.random.normal(key, leaf.shape, leaf.dtype))
        for key, leaf in zip(keys, leaves, strict=True)
    ]
    return merge(params, jax.tree.unflatten(structure, moved))


@dataclass(frozen=True)
class Training:
    """What a run trains with: where it starts, its loss, its batches.

    A run of another kind subclasses this and answers anew.
    """

    experiment: Experiment

    def start(self, source: data.Source) -> TrainState:
        """The state before the first step; a function of the experiment alone."""
        experiment = self.experiment
        key = jax.random.key(experiment.seed)
        images = source.batch(
            "train", seed=INIT_SEED + experiment.seed, step=0, size=experiment.init_images
        )
        flow = glow(experiment.model)
        params = initial_params(flow, jax.random.fold_in(key, 0), images, experiment.n_bits)
        if redraws_permutations(experiment):
            # what is evaluated is a draw like those of the batches, not the one params started on
            params = redraw_permutations(flow, params, jax.random.fold_in(key, 3))
        if experiment.nudge:
            params = nudged(params, jax.random.key(experiment.nudge))
        optimizer = make_optimizer(experiment.optimizer, experiment.steps)
        return initial_state(params, optimizer, jax.random.fold_in(key, 1))

    def loss(self, memory: Memory) -> LossFn:
        """The loss under a memory policy; equal ones are one value, so that programs are shared."""
        return training_loss(self.experiment, memory)

    def drawn(self, step: int) -> dict[str, Any]:
        """The arguments of `Source.batch` that draw the images of the step after `step` others."""
        size, seed = self.experiment.batch, self.experiment.seed
        return {"split": "train", "seed": seed, "step": step, "size": size}

    def batch(self, source: data.Source, step: int) -> Batch:
        """What that step trains on; of several processes, the share of this one.

        Images, or images and labels, of a model with classes.
        """
        hosts, host = jax.process_count(), jax.process_index()
        draw = source.labelled_batch if self.experiment.model.classes else source.batch
        return draw(**self.drawn(step), hosts=hosts, host=host)

    def guarded_step(self, mesh: Mesh, shown: Batch) -> DriftGuard:
        """The step; the drift is that of the images `shown`, at the midpoints of their bins."""
        experiment = self.experiment
        flow = glow(experiment.model)
        images, labels = images_and_labels(shown)

        def step(memory: Memory) -> StepFn:
            return compiled_step(
                self.loss(memory),
                experiment.optimizer,
                experiment.steps,
                experiment.accumulate,
                mesh,
            )

        def measure(state: TrainState) -> Float[Array, " levels"]:
            x = bin_midpoints(images, n_bits=experiment.n_bits)
            return _drift(flow, state.params, x, labels)

        return DriftGuard(step(experiment.model.memory), lambda: step("remat"), measure)


def run(
    experiment: Experiment,
    folder: Path,
    show: Show = progress,
    training: Training | None = None,
    track: str | None = None,
    preemption: Preemption | None = None,
) -> dict[str, Any]:
    """Trains, looks at the inverse on the way, and returns the summary it wrote last.

    A run that was interrupted goes on; one that is finished returns its summary at once. A run
    that diverges ends with the status `diverged`; anything else that goes wrong is raised, with the
    status `failed`. Nothing is written before it is known where the run goes on.

    Several processes of `jax.distributed` share the steps of one run. Each measures by itself, and
    the first one writes what is measured.

    Args:
        training: of `experiment`; by default that of a run from the start.
        track: a name in `tracking.TRACKERS`, to be shown there, too.
        preemption: what tells that the process is to end; the run then saves, notes the status
            `preempted`, and raises.

    Raises:
        CheckpointError: if no checkpoint is usable, or there is none though there must be.
        ConfigChangedError: if the folder holds a run of another configuration.
        Preempted: as `preemption` tells.
    """
    if is_complete(folder, experiment):
        summary = summary_of(folder)
        if summary["status"] == "diverged":
            _tell(folder, f"diverged at step {summary['steps']}, and nothing is left to train")
        return summary
    make_room_for_programs()
    with own_copy(folder) as own:
        return _run(experiment, own, show, training or Training(experiment), track, preemption)


def _run(
    experiment: Experiment,
    folder: Path,
    show: Show,
    training: Training,
    track: str | None,
    preemption: Preemption | None,
) -> dict[str, Any]:
    source, labelled = source_of(experiment), experiment.model.classes > 0
    check_classes("model.classes", experiment.model, source)
    check_images(folder, source, labelled=labelled)
    examples = source.labelled_examples if labelled else source.examples
    held_out = examples("test", experiment.held_out)
    with Checkpoints(folder / "checkpoints") as checkpoints:
        state = training.start(source)
        saved = checkpoints.restore(state)
        if saved is None:
            check_starts(folder)
            (folder / "metrics.jsonl").unlink(missing_ok=True)  # of steps that nobody has saved
        state = saved or state
        open_run(folder, experiment)
        note_images(folder, source, labelled=labelled)
        status = Status(folder, int(state.step))
        attempt = _Attempt(training, source, held_out, folder, checkpoints, status, preemption)
        try:
            with status.running():
                status.write("done", attempt.train(state, show, track))
        except Diverged as error:
            write_json(folder / "diverged.json", _dump(training, error))
            _tell(folder, f"{error}; diverged.json has the gradients by leaf")
    summary = summarize(folder)
    write_json(folder / "summary.json", summary)
    return summary


def _tell(folder: Path, what: str) -> None:
    """One line of the first process, whose folder is no copy."""
    if is_first():
        print(f"{folder}: {what}", file=sys.stderr)


def _dump(training: Training, error: Diverged) -> dict[str, Any]:
    """What led to the end of a run: the step, its images by what draws them, every leaf."""
    batch = training.drawn(error.step - 1)
    return {"step": error.step, **error.measured, "batch": batch, "leaves": error.leaves}


@dataclass(frozen=True, eq=False)
class _Attempt:
    """What a run trains with and writes to, this time."""

    training: Training
    source: data.Source
    held_out: Batch
    folder: Path
    checkpoints: Checkpoints
    status: Status
    preemption: Preemption | None

    def train(self, state: TrainState, show: Show, track: str | None) -> int:
        """Trains from `state` to the end; returns the number of steps done."""
        experiment, folder, held_out = self.training.experiment, self.folder, self.held_out
        flow, mesh, local = exact_flow(experiment), data_mesh(), local_mesh()
        shown = shard_batch(local, rows_of(held_out, 0, experiment.chunk))
        guard = self.training.guarded_step(mesh, shown)
        images, labels = images_and_labels(shown)
        monitor = Monitor(
            flow,
            images,
            n_bits=experiment.n_bits,
            samples=experiment.chunk,
            seed=experiment.seed,
            context=labels,
        )
        observers: list[tuple[Observer, Collection[int]]] = [
            (Locally(guard), experiment.guard_steps),
            (Locally(monitor), experiment.monitor_steps),
            (
                Locally(_Looks(experiment, folder, self.status, held_out, local)),
                experiment.look_steps,
            ),
        ]
        with ExitStack() as opened:
            display = None
            if is_first():
                display = opened.enter_context(show(experiment.steps, experiment.name))
            also = None
            if track is not None and is_first():
                # the model at the start is shown again if no step was saved, so it must go, too
                tracker = TRACKERS[track](folder, experiment, int(state.step) or -1)
                also = opened.enter_context(tracker).row
                look = look_of(experiment, self.source.shape)
                shows = Locally(ShowsModel(tracker, flow, look))
                observers.append((shows, experiment.look_steps))
            log = opened.enter_context(MetricsLog(folder / "metrics.jsonl", also=also))
            state = train(
                state,
                guard,
                lambda step: self.training.batch(self.source, step),
                steps=experiment.steps,
                mesh=mesh,
                log=log,
                checkpoints=self.checkpoints,
                save_every=experiment.save_every,
                observers=observers,
                progress=display,
                preemption=self.preemption,
            )
        return int(state.step)


@dataclass(frozen=True, eq=False)
class _Looks(Observer):
    """Writes the arrays that figures rest on; their files are all that it remembers."""

    experiment: Experiment
    folder: Path
    status: Status
    held_out: Batch
    mesh: Mesh

    def observe(self, state: TrainState) -> dict[str, float]:
        experiment, step = self.experiment, int(state.step)
        flow = exact_flow(experiment)
        images, labels = images_and_labels(self.held_out)
        measurement = ChunkedModel(flow, state.params, experiment, images, self.mesh, labels)
        last = step == experiment.steps
        samples = experiment.final_samples if last else experiment.look_samples
        arrays = look(measurement, samples, last=last)
        write_arrays(self.folder / f"arrays/look-{step:06}.npz", arrays)
        if last or step == 0:
            write_arrays(self.folder / f"arrays/clipping-{step:06}.npz", clipping(measurement))
        self.status.write("running", step)
        loss = BitsPerDim(flow, experiment.n_bits)
        starts = range(0, len(images), experiment.chunk)
        batches = [rows_of(self.held_out, start, experiment.chunk) for start in starts]
        return evaluate_state(loss, state, jax.random.key(HELD_OUT_KEY), batches, mesh=self.mesh)

    def resume(self, rows: Sequence[Row]) -> None:
        del rows
