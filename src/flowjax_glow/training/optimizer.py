"""Optimizers: Adam and Adamax with clipping, warm-up and a schedule, out of optax's pieces."""

from dataclasses import dataclass

import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from flowjax_glow.errors import check_choice, check_count, check_positive, expected

_OPTIMIZERS = {"adam": optax.adam, "adamax": optax.adamax}
_SCHEDULES = ("constant", "cosine", "plateau")

#: A plateau halves the learning rate no further than to this (GlowIP's train_glow.py).
_LOWEST_RATE = 1e-8


@dataclass(frozen=True)
class OptimizerConfig:
    """How gradients become updates.

    Attributes:
        name: ``"adam"``, or ``"adamax"`` as the public code of GLOW uses.
        learning_rate: the peak learning rate.
        schedule: after the warm-up ``"constant"``; or ``"cosine"``, which falls to 0 at the last
            planned step; or ``"plateau"``, which halves the rate whenever the loss of a batch has
            not fallen below its lowest, by 1e-4 of it, for more than `patience` updates.
        warmup_steps: steps of linear warm-up; 0 for none. Losses before its end are no plateau.
        clip_value: largest entry of the gradient, clipped one by one and before the norm, in
            bits/dim; None never clips.
        clip_norm: largest global norm of the gradient, in bits/dim; None never clips.
        patience: of the schedule ``"plateau"``, alone.

    Raises:
        ValueError: if a field is none of the above.
    """

    name: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "constant"
    warmup_steps: int = 0
    clip_norm: float | None = None
    clip_value: float | None = None
    patience: int = 1000

    @classmethod
    def recommended(cls, steps: int, learning_rate: float = 1e-3) -> "OptimizerConfig":
        """Adam after a warm-up of 100 steps, or of a quarter of a run of fewer `steps`."""
        return cls(learning_rate=learning_rate, warmup_steps=min(100, steps // 4))

    def __post_init__(self) -> None:
        check_choice("OptimizerConfig.name", self.name, tuple(_OPTIMIZERS))
        check_choice("OptimizerConfig.schedule", self.schedule, _SCHEDULES)
        check_positive("OptimizerConfig.learning_rate", self.learning_rate)
        for name in ("clip_norm", "clip_value"):
            if getattr(self, name) is not None:
                check_positive(f"OptimizerConfig.{name}", getattr(self, name))
        check_count("OptimizerConfig.patience", self.patience)
        if self.warmup_steps < 0:
            raise expected(
                "OptimizerConfig.warmup_steps",
                "a number of steps",
                got=self.warmup_steps,
                advice="use 0 for no warm-up",
            )


def make_optimizer(
    config: OptimizerConfig, steps: int
) -> optax.GradientTransformation | optax.GradientTransformationExtraArgs:
    """The optimizer of a run of `steps` planned steps.

    With the schedule ``"plateau"`` every update is also told the loss, as `value`; what it has seen
    of the loss is part of its state, so that a run that is resumed goes on as if it never stopped.

    Raises:
        ValueError: if the warm-up fills the whole run.
    """
    pieces = [*_clipping(config), _OPTIMIZERS[config.name](learning_rate(config, steps))]
    if config.schedule == "plateau":
        pieces.append(_halve_on_plateaus(config))
    return optax.chain(*pieces)


def _clipping(config: OptimizerConfig) -> list[optax.GradientTransformation]:
    pieces = []
    if config.clip_value is not None:
        pieces.append(optax.clip(config.clip_value))
    if config.clip_norm is not None:
        pieces.append(optax.clip_by_global_norm(config.clip_norm))
    return pieces


def _halve_on_plateaus(config: OptimizerConfig) -> optax.GradientTransformation:
    """Multiplies updates by 1/2, 1/4, ... once the warm-up is over.

    As PyTorch's `ReduceLROnPlateau`, but that the update which ends a plateau is halved already.
    """
    halving = optax.contrib.reduce_on_plateau(
        factor=0.5,
        patience=config.patience + 1,
        rtol=1e-4,
        min_scale=min(1.0, _LOWEST_RATE / config.learning_rate),
    )

    def warmed_up(step: ArrayLike, **_: object) -> Array:
        return jnp.asarray(step) >= config.warmup_steps

    return optax.conditionally_transform(halving, warmed_up)


def learning_rate(config: OptimizerConfig, steps: int) -> optax.Schedule:
    r"""The learning rate at update ``t``, counted from 0.

    With peak ``r``, ``w`` warm-up steps and ``n`` planned steps it is ``r (t + 1) / (w + 1)`` for
    ``t < w``, so that the first step already learns, and from there on ``r`` or
    ``r (1 + cos(pi (t - w) / (n - w))) / 2``. What plateaus take off comes on top.

    Raises:
        ValueError: if the warm-up fills the whole run.
    """
    peak, warmup_steps = config.learning_rate, config.warmup_steps
    if warmup_steps >= steps:
        raise expected(
            "OptimizerConfig.warmup_steps",
            f"fewer than the {steps} planned steps",
            got=warmup_steps,
            advice="shorten the warm-up or train longer",
        )
    first = peak / (warmup_steps + 1)
    if config.schedule == "cosine":
        return optax.warmup_cosine_decay_schedule(first, peak, warmup_steps, decay_steps=steps)
    return optax.warmup_constant_schedule(first, peak, warmup_steps)
