"""`flowjax-glow train`: one model on one's own images, and what can be said of it."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import jax

from flowjax_glow.commands.configure import BY_IMAGES, OnOneModel, listing
from flowjax_glow.commands.diagnose import Diagnose
from flowjax_glow.commands.distributed import heard_once, join, taken
from flowjax_glow.commands.errors import DIVERGED, end_on_sigterm
from flowjax_glow.commands.pictures import save_curves, save_samples
from flowjax_glow.errors import expected
from flowjax_glow.fitting import check_classes
from flowjax_glow.runs import images
from flowjax_glow.runs.compilation import keep_compiled_programs
from flowjax_glow.runs.experiment import Experiment, read_config
from flowjax_glow.runs.folder import check_same, has_begun, holds_run, is_complete
from flowjax_glow.runs.images import check_builds, fit_to_data, source_of
from flowjax_glow.runs.load import load_trained
from flowjax_glow.runs.processes import is_first
from flowjax_glow.runs.run import run
from flowjax_glow.runs.tracking import check_tracker
from flowjax_glow.training import Preemption, keep_freed_memory


@dataclass(frozen=True, kw_only=True)
class Train(OnOneModel):
    """Train a model on images, draw samples and judge its inverse.

      flowjax-glow train --data=digits --steps=200
      flowjax-glow train --data=folder:pictures --size=32 --set=model.depth=16
      flowjax-glow train --data=folder:pictures --size=32 --labels

    The same command again goes on where it was interrupted, and trains nothing where all is done;
    with more --steps it trains on. OUTPUT becomes a run folder: `sample`, `diagnose` and the other
    commands take it. In it are the curves of the training (training.png), samples (samples.png),
    and a stability report (diagnosis/); `figures` draws more. `plan` says beforehand how long it
    takes. Exits as `diagnose` does, and with 4 if the training diverged. SIGTERM and Ctrl-C end it
    after a save, with 75.

    With --distributed several processes train one model, on all of their devices: start the same
    command in each. OUTPUT must be a folder that all of them see. SIGTERM to any of them ends all
    after a save. Nothing is drawn or judged then; `diagnose` and `sample` do.
    """

    seed: int | None = None
    """The seed of the initial parameters, the order of the images and their noise; 0, or the
    config's."""

    output: Path | None = None
    """The run folder; runs/PRESET-DATA-seedS if none is given."""

    restart: bool = False
    """Set the old run aside and start over."""

    track: str | None = None
    """Show the training in tensorboard or wandb, too; `flowjax-glow track` does so afterwards."""

    distributed: bool = False
    """Be one of several processes that train one model: a job of SLURM, Open MPI, Kubernetes."""

    coordinator: str | None = None
    """HOST:PORT of the first process, where nothing tells it; with --processes and --process."""

    processes: int | None = None
    """How many processes there are."""

    process: int | None = None
    """Which of them this is, from 0."""

    def __call__(self) -> int:
        if self.list:
            print(listing(self.choices()))
            return 0
        self._join()
        with heard_once():
            return self._train()

    def _join(self) -> None:
        told = (self.coordinator, self.processes, self.process)
        if self.distributed:
            join(*told)
        elif told != (None, None, None):
            raise expected(
                "--coordinator, --processes, --process",
                "--distributed beside them",
                got="none",
                advice="add it, or leave them out",
            )

    def _train(self) -> int:
        wanted = self.experiment()
        if self.seed is not None:
            wanted = dataclasses.replace(wanted, seed=self.seed)
        source = source_of(wanted)
        output = self.output or self._default_output(wanted)
        check_output(output)
        goes_on = not self.restart and (output / "config.json").exists()
        earlier = read_config(output) if goes_on else None
        experiment = fit_to_data(wanted, source, earlier)
        if earlier is not None and has_begun(output):
            experiment = self._going_on(experiment, earlier)
        if self.track is not None:
            check_tracker("--track", self.track)
        check_classes("model.classes", experiment.model, source)
        check_builds(experiment, source.shape, jax.device_count(), jax.local_device_count())
        if not self.distributed:  # else JAX watches for it
            end_on_sigterm()
        keep_compiled_programs()
        keep_freed_memory()
        with taken(output, self.restart):
            check_same(output, experiment)  # a finished run would be taken as it is
            if experiment.dataset == "photos" and not self._names("dataset", self.data):
                print("no --data: crops of six photographs of packages; folder:PATH takes yours")
            print(f"{output}: {described(experiment, source.shape)}")
            print(f"{images.described(source)}; {experiment.held_out} held out for looks")
            if self.track is not None and is_complete(output, experiment):
                shows = f"flowjax-glow track {output} --to={self.track}"
                print(f"{output}: all is trained, and --track has nothing to do; {shows} shows it")
            with Preemption() as preemption:
                summary = run(experiment, output, track=self.track, preemption=preemption)
        if is_first():
            save_curves(output)
        if summary["status"] != "done":
            return DIVERGED  # which was told
        print(
            f"{output}: {summary['steps']} steps, {float(summary['bits_per_dim']):.3f} bits/dim on "
            f"{experiment.held_out} held-out images ({experiment.n_bits} bits)"
        )
        if jax.process_count() > 1:  # the others have nothing to add to what follows
            print(f"{output}: flowjax-glow diagnose {output} judges its inverse")
            return 0
        save_samples(load_trained(output))
        return Diagnose(run=output, tier="fast")()

    def _default_output(self, experiment: Experiment) -> Path:
        place = self.place(experiment)
        return place.with_name(f"{place.name}-seed{experiment.seed}")

    def _names(self, field: str, option: str | None = None) -> bool:
        """Whether the command line says what a field is to be."""
        return bool(
            option or self.config or field in [each.partition("=")[0].strip() for each in self.set]
        )

    def _going_on(self, experiment: Experiment, earlier: Experiment) -> Experiment:
        """A recommended warm-up follows from the planned steps; a run that goes on keeps its own.

        So more steps train on. One that is as long as the steps is left to be refused.
        """
        if self.preset != BY_IMAGES or self._names("optimizer.warmup_steps"):
            return experiment
        steps = min(earlier.optimizer.warmup_steps, experiment.steps - 1)
        optimizer = dataclasses.replace(experiment.optimizer, warmup_steps=steps)
        return dataclasses.replace(experiment, optimizer=optimizer)


def check_output(folder: Path) -> None:
    """Raises unless `folder` is a run folder, or has nothing that a run would mix with."""
    inside = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if "sweep.json" in inside or (inside - {"lock"} and not holds_run(folder)):
        raise expected(
            f"--output={folder}",
            "a run folder, an empty one or none yet",
            got="a sweep folder" if "sweep.json" in inside else "a folder of other files",
            advice="choose another --output",
        )


def described(experiment: Experiment, shape: tuple[int, int, int]) -> str:
    """The images, the model and its recipe in a line."""
    model, (height, width, channels) = experiment.model, shape
    classes = f" in {model.classes} classes" if model.classes else ""
    return (
        f"{height}x{width}x{channels} images of {experiment.dataset}{classes}, "
        f"{model.levels} level{'s' * (model.levels > 1)} of {model.depth} steps, "
        f"width {model.width}, {experiment.steps} steps of {experiment.batch} images"
    )
