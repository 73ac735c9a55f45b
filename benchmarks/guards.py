"""What the guards of a training step cost: the step of the library beside one without them.

    python -m benchmarks.guards --rounds=30

Printed: the median of the ratios of processor time of both, which take turns; and the processor
time of the fingerprints of a save, per step of the preset. docs/performance.md has the results.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np
import optax

from flowjax_glow.runs.cost.workload import Workload
from flowjax_glow.runs.images import source_of
from flowjax_glow.runs.loss import training_loss
from flowjax_glow.runs.presets import PRESETS
from flowjax_glow.runs.run import Training
from flowjax_glow.trainable import merge, trainable
from flowjax_glow.training import (
    Batch,
    StepFn,
    TrainState,
    copy_state,
    data_mesh,
    fitting_decay,
    make_optimizer,
    shard_batch,
)
from flowjax_glow.training.average import update_average
from flowjax_glow.training.stored import arguments_to_save
from flowjax_glow.types import Params

#: Steps of each kind in a round.
STEPS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="laptop", choices=tuple(PRESETS))
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    experiment = PRESETS[options.preset].control
    source = source_of(experiment)
    training, mesh = Training(experiment), data_mesh(jax.devices()[:1])
    start = training.start(source)
    batch = shard_batch(mesh, training.batch(source, 0))
    kinds: dict[str, StepFn] = {
        "guarded": Workload(experiment, source.shape, experiment.batch).step,
        "bare": bare_step(training),
    }
    programs = {name: jax.jit(step, donate_argnums=0) for name, step in kinds.items()}
    states = {name: programs[name](copy_state(start), batch)[0] for name in programs}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(options.rounds):
        for name in list(programs)[:: 1 if turn % 2 else -1]:

            def steps(name: str = name) -> None:
                for _ in range(STEPS):
                    states[name], _ = programs[name](states[name], batch)
                jax.block_until_ready(states[name])

            seconds[name].append(processor_seconds(steps) / STEPS)
    ratios = np.divide(seconds["guarded"], seconds["bare"])
    low, median, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    step = np.median(seconds["guarded"])
    save = np.median([processor_seconds(lambda: arguments_to_save(start)) for _ in range(10)])
    print(
        f"{options.preset}: guarded over bare {median:.4f} (quartiles {low:.4f} to {high:.4f}, "
        f"{options.rounds} rounds), {step:.3f} s a step; fingerprints {save:.3f} s a save, "
        f"{save / experiment.save_every / step:.5f} of a step at one save in "
        f"{experiment.save_every} steps"
    )


def bare_step(training: Training) -> StepFn:
    """The same update with no look at whether anything is finite."""
    experiment = training.experiment
    loss = training_loss(experiment)
    optimizer = make_optimizer(experiment.optimizer, experiment.steps)
    told, decay = optax.with_extra_args_support(optimizer), fitting_decay(experiment.steps)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        values = trainable(state.params)

        def of_values(values: Params) -> jax.Array:
            return loss(merge(state.params, values), key, batch)

        value, gradients = jax.value_and_grad(of_values)(values)
        updates, optimizer_state = told.update(gradients, state.optimizer, values, value=value)
        moved = optax.apply_updates(values, updates)
        after = replace(
            state,
            step=state.step + 1,
            params=merge(state.params, moved),
            optimizer=optimizer_state,
            average=update_average(state.average, moved, decay),
        )
        return after, {"loss": value, "grad_norm": optax.tree.norm(gradients)}

    return step


def processor_seconds(call: Callable[[], object]) -> float:
    """Of this process, all threads."""
    begin = time.process_time()
    call()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
