"""A model that is trained, and looked at on the way."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import numpy as np

from benchmarks.accelerator.call import Deadline
from benchmarks.accelerator.looks import Looker
from flowjax_glow.combinators import MultiScale
from flowjax_glow.data import Images
from flowjax_glow.data.indexed import ArraySource
from flowjax_glow.density import bits_per_dim
from flowjax_glow.pixels import dequantize
from flowjax_glow.rebuild import with_net_precision
from flowjax_glow.training import (
    OptimizerConfig,
    StepFn,
    copy_state,
    data_mesh,
    initial_state,
    make_optimizer,
    make_train_step,
    replicate,
    shard_batch,
)
from flowjax_glow.types import Key, Params

#: Steps whose losses make one number.
WINDOW = 30

#: So many steps skipped one after another end a training: parameters that give no finite gradient
#: stay as they are.
GIVE_UP = 50

#: A look may take this many times as long as the last one; so much time is kept for it, but not
#: more than this share of the whole: the first look is slow where something else compiles.
SLACK, KEPT = 1.5, 0.25


@dataclass(frozen=True)
class Plan:
    """How all models of a phase are trained, and looked at.

    Attributes:
      looks: the steps after which the inverse is looked at; also at the start and the end.
      held_out: test images that are reconstructed.
      samples: of noise, per level.
      chunk: examples per compiled call of a look.
    """

    steps: int
    batch: int
    looks: tuple[int, ...]
    held_out: int = 100
    samples: int = 256
    chunk: int = 64
    n_bits: int = 5
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    clip_norm: float | None = 100.0
    seed: int = 0

    @property
    def optimizer(self) -> OptimizerConfig:
        return OptimizerConfig(
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
            clip_norm=self.clip_norm,
        )


class Study:
    """A model, built, compiled and looked at once.

    It is trained with its nets in the precision that `flow` has, TF32 on a GPU by default there,
    and inverted with nets in float32.
    """

    def __init__(self, flow: MultiScale, source: ArraySource, plan: Plan) -> None:
        begun = time.monotonic()
        self.plan = plan
        self._source = source
        self._mesh = data_mesh(jax.devices()[:1])
        self.looker = Looker(
            with_net_precision(flow, "highest"),
            source.examples("test", plan.held_out),
            plan.n_bits,
            plan.samples,
            plan.chunk,
        )
        optimizer = make_optimizer(plan.optimizer, plan.steps)
        images = source.batch("train", seed=2**31 + plan.seed, step=0, size=plan.chunk)
        params = _init(flow, jax.random.key(plan.seed), images, plan.n_bits)
        state = initial_state(params, optimizer, jax.random.key(plan.seed + 1))
        self.state = replicate(self._mesh, state)
        self._step = _step(flow, plan.optimizer, plan.steps, plan.n_bits)
        with ThreadPoolExecutor() as pool:  # both compile
            step = pool.submit(self._step, copy_state(self.state), self._batch(0))
            self.looker.compile(self.state.params)
            jax.block_until_ready(step.result())
        self._looks: list[dict[str, Any]] = []
        self._arrays: list[dict[str, np.ndarray]] = []
        self._training: dict[str, Any] = {}
        self._look(0)
        self.seconds_prepared = time.monotonic() - begun

    def train(self, deadline: Deadline, tell: Callable[[], None] = lambda: None) -> None:
        """Trains until all steps are done or skipped, or there is just time for a last look.

        Args:
          tell: called after every look.
        """
        losses, waiting = _Losses(), deque[Any]()
        begun, looking = time.monotonic(), 0.0
        done, kept = 0, KEPT * max(deadline.left, 0.0)
        while (
            done < self.plan.steps
            and losses.skipped_last < GIVE_UP
            and deadline.left > min(SLACK * self._looks[-1]["seconds"], kept)
        ):
            self.state, metrics = self._step(self.state, self._batch(done))
            done += 1
            waiting.append(metrics)
            if len(waiting) > 2:  # enough to keep the device busy
                losses.add(waiting.popleft())
            if done in self.plan.looks and done < self.plan.steps:
                looking += self._look(done)
                tell()
        while waiting:
            losses.add(waiting.popleft())
        self._training = {
            "steps": done,
            "seconds_training": time.monotonic() - begun - looking,
            "losses": losses.windows(),
            "skipped_steps": losses.skipped,
        }
        if done > self._looks[-1]["step"]:
            self._look(done)
        tell()

    def found(self) -> dict[str, Any]:
        """What is known by now, as JSON."""
        return {
            "seconds_prepared": self.seconds_prepared,
            "looks": self._looks,
            **self._training,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Those of all looks, stacked."""
        return {
            "steps": np.array([look["step"] for look in self._looks]),
            **{name: np.stack([a[name] for a in self._arrays]) for name in self._arrays[0]},
        }

    def _look(self, step: int) -> float:
        """Looks, and returns how many seconds that took."""
        found, arrays = self.looker.look(self.state.params, step)
        self._looks.append(found)
        self._arrays.append(arrays)
        return found["seconds"]

    def _batch(self, step: int) -> Any:
        plan = self.plan
        images = self._source.batch("train", seed=plan.seed, step=step, size=plan.batch)
        return shard_batch(self._mesh, images)


@partial(jax.jit, static_argnums=(0, 3))
def _init(flow: MultiScale, key: Key, images: Images, n_bits: int) -> Params:
    init_key, noise_key = jax.random.split(key)
    return flow.init(init_key, dequantize(noise_key, images, n_bits=n_bits))


@cache  # one program for all that differ in their data alone
def _step(flow: MultiScale, optimizer: OptimizerConfig, steps: int, n_bits: int) -> StepFn:
    def loss(params: Params, key: Key, images: Images) -> jax.Array:
        return bits_per_dim(flow, params, key, images, n_bits=n_bits).mean()

    mesh = data_mesh(jax.devices()[:1])
    return make_train_step(loss, make_optimizer(optimizer, steps), mesh, ema_decay=0.0)


class _Losses:
    """Losses, read from the device."""

    def __init__(self) -> None:
        self._each: list[float] = []
        self.skipped = 0
        self.skipped_last = 0  # one after another

    def add(self, metrics: Any) -> None:
        metrics = jax.device_get(metrics)
        self._each.append(float(metrics["loss"]))
        skipped = not metrics["update_finite"]
        self.skipped += skipped
        self.skipped_last = self.skipped_last + 1 if skipped else 0

    def windows(self) -> list[float]:
        """Means over `WINDOW` steps each; the last one may be of fewer."""
        starts = range(0, len(self._each), WINDOW)
        return [float(np.mean(self._each[start : start + WINDOW])) for start in starts]
