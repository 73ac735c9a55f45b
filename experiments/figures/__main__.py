"""``python -m experiments.figures RUN`` draws the figures of a sweep or a run again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from experiments.figures.drawing import draw_all
from flowjax_glow.commands.command import OnRuns, run_command


@dataclass(frozen=True, kw_only=True)
class Figures(OnRuns):
    """Draw the figures of a sweep folder or a run folder again.

    Nothing is trained and no device is used. The figures go to RUN/figures, each as .png, .svg and
    the arrays that are drawn (.npz).
    """

    def __call__(self) -> None:
        for file in draw_all(self.run):
            if file.suffix == ".png":
                print(file)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command and exits; by default with the arguments of this process."""
    run_command(Figures, arguments, prog="python -m experiments.figures")


if __name__ == "__main__":
    main()
