"""`flowjax-glow train`: one model on one's own images, and what can be said of it."""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from flowjax_glow.commands.configure import OnOneModel
from flowjax_glow.commands.diagnose import Diagnose
from flowjax_glow.commands.errors import SOME_RUNS_FAILED, end_on_sigterm
from flowjax_glow.commands.sample import COLUMNS, ROWS, save_picture
from flowjax_glow.density import sample_pixels
from flowjax_glow.errors import expected
from flowjax_glow.runs import images
from flowjax_glow.runs.compilation import keep_compiled_programs
from flowjax_glow.runs.experiment import Experiment, read_config
from flowjax_glow.runs.folder import check_same, claimed, set_aside
from flowjax_glow.runs.images import check_builds, fit_to_data, source_of
from flowjax_glow.runs.load import Trained, load_trained
from flowjax_glow.runs.results import Run, load_run
from flowjax_glow.runs.run import run
from flowjax_glow.runs.tracking import check_tracker
from flowjax_glow.training import keep_freed_memory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Train(OnOneModel):
    """Train a model on images, draw samples and judge its inverse.

    The same command again goes on where it was interrupted, and trains nothing where all is done.
    OUTPUT becomes a run folder: `sample`, `diagnose` and the other commands take it. In it are the
    curves of the training (training.png), samples (samples.png), and a stability report
    (diagnosis/); `figures` draws more. Exits as `diagnose` does, and with 1 if the training
    diverged.
    """

    seed: int | None = None
    """Of the initial parameters, the order of the images and their noise; 0, or the config's."""

    output: Path | None = None
    """The run folder; runs/PRESET-DATA-seedS if none is given."""

    restart: bool = False
    """Set the old run aside and start over."""

    track: str | None = None
    """Show the training in tensorboard or wandb, too; `flowjax-glow track` does so afterwards."""

    def __call__(self) -> int:
        wanted = self.experiment()
        if self.seed is not None:
            wanted = dataclasses.replace(wanted, seed=self.seed)
        source = source_of(wanted)
        output = self.output or self._default_output(wanted)
        check_output(output)
        goes_on = not self.restart and (output / "config.json").exists()
        experiment = fit_to_data(wanted, source, read_config(output) if goes_on else None)
        if self.track is not None:
            check_tracker("--track", self.track)
        check_builds(experiment, source.shape, jax.device_count())
        end_on_sigterm()
        keep_compiled_programs()
        keep_freed_memory()
        if self.restart and (output / "config.json").exists():
            with claimed(output):
                pass  # nobody trains in it
            set_aside(output)
        with claimed(output):
            check_same(output, experiment)  # a finished run would be taken as it is
            print(f"{output}: {described(experiment)}")
            print(f"{images.described(source)}; {experiment.held_out} held out for looks")
            summary = run(experiment, output, track=self.track)
        draw(load_run(output)).savefig(output / "training.png", dpi=150)
        if summary["status"] != "done":
            print(f"{output}: the training diverged at step {summary['steps']}", file=sys.stderr)
            return SOME_RUNS_FAILED
        print(
            f"{output}: {summary['steps']} steps, {float(summary['bits_per_dim']):.3f} bits/dim on "
            f"{experiment.held_out} held-out images ({experiment.n_bits} bits)"
        )
        draw_samples(load_trained(output), output / "samples.png")
        return Diagnose(run=output, tier="fast")()

    def _default_output(self, experiment: Experiment) -> Path:
        place = self.place(experiment)
        return place.with_name(f"{place.name}-seed{experiment.seed}")


def check_output(folder: Path) -> None:
    """Raises unless `folder` is a run folder, or has nothing that a run would mix with."""
    inside = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if "sweep.json" in inside or (inside - {"lock"} and "config.json" not in inside):
        raise expected(
            f"--output={folder}",
            "a run folder, an empty one or none yet",
            got="a sweep folder" if "sweep.json" in inside else "a folder of other files",
            advice="choose another --output",
        )


def described(experiment: Experiment) -> str:
    """The model and its recipe in a line."""
    model = experiment.model
    return (
        f"{model.levels} levels of {model.depth} steps, width {model.width}, "
        f"{experiment.dataset}, {experiment.steps} steps of {experiment.batch} images"
    )


def draw_samples(trained: Trained, file: Path) -> None:
    """A picture of samples at temperature 1."""
    count = ROWS * COLUMNS
    images = sample_pixels(
        trained.flow,
        trained.state.params,
        jax.random.key(0),
        count,
        trained.source.shape,
        n_bits=trained.experiment.n_bits,
        chunk=count,
    )
    save_picture(file, np.asarray(images))
    print(file)


def draw(trained: Run) -> "Figure":
    """The loss, and how the inverse fared, over training."""
    from flowjax_glow import plotting

    with plotting.context():
        figure = plotting.new_figure(2.6)
        loss, inverse = figure.subplots(1, 2)
        _line(loss, trained.metrics, "window_loss", "training, mean of 30 steps")
        _line(loss, trained.metrics, "held_out", "held out", marker="o")
        _line(loss, trained.metrics, "held_out_averaged", "held out, averaged weights", marker="s")
        loss.set(xlabel="step", ylabel="bits/dim")
        loss.legend()
        for name, label in (
            ("latent_error", "error of a sample, there and back"),
            ("image_error", "error of an image, there and back"),
            ("largest_activation", "largest activation"),
        ):
            _line(inverse, trained.metrics, name, label, marker=".")
        inverse.set(
            xlabel="step", yscale="log", title="the inverse, worst of a batch; x: not finite"
        )
        inverse.legend()
    return figure


def _line(axes: "Axes", rows: Sequence[Any], name: str, label: str, **style: Any) -> None:
    """One quantity over steps; a cross at the upper edge where it is not finite."""
    known = [(row["step"], float(row[name])) for row in rows if name in row]
    if not known:
        return
    steps, values = np.array(known).T
    finite = np.isfinite(values)
    below_others = 0.97 - 0.03 * len(axes.lines)
    (line,) = axes.plot(steps, np.where(finite, values, np.nan), label=label, **style)
    edge, crosses = axes.get_xaxis_transform(), np.full(np.sum(~finite), below_others)
    axes.plot(steps[~finite], crosses, "x", color=line.get_color(), transform=edge)
