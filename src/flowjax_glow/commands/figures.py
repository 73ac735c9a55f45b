"""`flowjax-glow figures`: the figures of trained runs."""

from dataclasses import dataclass

from flowjax_glow.commands.command import OnRuns
from flowjax_glow.runs.results import load_sweep


@dataclass(frozen=True, kw_only=True)
class Figures(OnRuns):
    """Draw the figures of a run, or of all runs of a sweep side by side.

    The loss, samples, activations over training and along the inverse, images and z = 0 there and
    back under clips, the scales s. Nothing is trained and no device is used. The figures go to
    RUN/figures, each as .png, .svg and the arrays that are drawn (.npz).
    """

    def __call__(self) -> None:
        from flowjax_glow.figures import drawing  # matplotlib, a third of a second

        runs = load_sweep(self.run)
        figures = {name: (draw, runs) for name, draw in drawing.FIGURES.items()}
        for file in drawing.draw_figures(figures, self.run / "figures"):
            if file.suffix == ".png":
                print(file)
