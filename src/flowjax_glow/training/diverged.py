"""The end of a run that left the finite numbers."""

from collections.abc import Mapping


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
