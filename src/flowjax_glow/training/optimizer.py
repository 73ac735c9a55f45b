"""Optimizers: Adam and Adamax with clipping, warm-up and a schedule, out of optax's pieces."""

from dataclasses import dataclass

import optax

from flowjax_glow.errors import check_choice, check_positive, expected

_OPTIMIZERS = {"adam": optax.adam, "adamax": optax.adamax}
_SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class OptimizerConfig:
    """How gradients become updates.

    Attributes:
      name: ``"adam"``, or ``"adamax"`` as the public code of GLOW uses.
      learning_rate: the peak learning rate.
      schedule: after the warm-up ``"constant"``, or ``"cosine"``, which falls to 0 at the last
        planned step.
      warmup_steps: steps of linear warm-up; 0 for none.
      clip_norm: largest global norm of the gradient, in bits/dim; None never clips.

    Raises:
      ValueError: if a field is none of the above.
    """

    name: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "constant"
    warmup_steps: int = 0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        check_choice("OptimizerConfig.name", self.name, tuple(_OPTIMIZERS))
        check_choice("OptimizerConfig.schedule", self.schedule, _SCHEDULES)
        check_positive("OptimizerConfig.learning_rate", self.learning_rate)
        if self.clip_norm is not None:
            check_positive("OptimizerConfig.clip_norm", self.clip_norm)
        if self.warmup_steps < 0:
            raise expected(
                "OptimizerConfig.warmup_steps",
                "a number of steps",
                got=self.warmup_steps,
                advice="use 0 for no warm-up",
            )


def make_optimizer(config: OptimizerConfig, steps: int) -> optax.GradientTransformation:
    """The optimizer of a run of `steps` planned steps.

    Raises:
      ValueError: if the warm-up fills the whole run.
    """
    clipping = [] if config.clip_norm is None else [optax.clip_by_global_norm(config.clip_norm)]
    return optax.chain(*clipping, _OPTIMIZERS[config.name](learning_rate(config, steps)))


def learning_rate(config: OptimizerConfig, steps: int) -> optax.Schedule:
    r"""The learning rate at update ``t``, counted from 0.

    With peak ``r``, ``w`` warm-up steps and ``n`` planned steps it is ``r (t + 1) / (w + 1)`` for
    ``t < w``, so that the first step already learns, and from there on ``r`` or
    ``r (1 + cos(pi (t - w) / (n - w))) / 2``.

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
    if config.schedule == "cosine":
        settled = optax.cosine_decay_schedule(peak, steps - warmup_steps)
    else:
        settled = optax.constant_schedule(peak)
    if warmup_steps == 0:
        return settled
    warmup = optax.linear_schedule(peak / (warmup_steps + 1), peak, warmup_steps)
    return optax.join_schedules([warmup, settled], [warmup_steps])
