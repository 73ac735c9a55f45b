"""`flowjax-glow repair`: leads a trained model whose inverse is broken to a bounded scale."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import tyro

from flowjax_glow import data
from flowjax_glow.commands.command import Command
from flowjax_glow.commands.diagnose import EXIT_CODES, Diagnose
from flowjax_glow.commands.errors import DIVERGED, end_on_sigterm
from flowjax_glow.commands.pictures import save_curves, save_samples
from flowjax_glow.commands.train import check_output
from flowjax_glow.config import GlowConfig
from flowjax_glow.data.source import Labels
from flowjax_glow.diagnostics import StabilityReport
from flowjax_glow.diagnostics.stability import Tier
from flowjax_glow.errors import check_count, expected
from flowjax_glow.files import read_json, write_json
from flowjax_glow.fitting import HELD_OUT_KEY
from flowjax_glow.runs.compilation import keep_compiled_programs
from flowjax_glow.runs.experiment import Experiment, read_config
from flowjax_glow.runs.folder import check_same, claimed, has_begun, named
from flowjax_glow.runs.load import Trained, load_trained
from flowjax_glow.runs.loss import BitsPerDim, rows_of
from flowjax_glow.runs.repairing import Repairing, repaired
from flowjax_glow.runs.results import run_folders
from flowjax_glow.runs.run import run
from flowjax_glow.scales import Additive
from flowjax_glow.training import Preemption, data_mesh, evaluate, keep_freed_memory

#: Says what a repair started from, so that one that was interrupted goes on from the same.
START = "repaired_from.json"


@dataclass(frozen=True, kw_only=True)
class Repair(Command):
    """Lead a trained model whose inverse is broken to a bounded scale, and say what it costs.

      flowjax-glow repair runs/laptop-photos/control-seed0

    The model is judged first; where nothing is broken or at risk the command ends there. The
    log-scale of every coupling moves from the one the model was trained with to the new one, in
    equal parts per step over the first half of a short training; the second half is the new
    model's alone. What comes out is a run folder as `train` writes them, with pictures and a
    stability report; its repair.json has the verdicts and the held-out bits/dim before and after.
    RUN stays as it is. Exits with the code of the last verdict, as `diagnose` does.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder, or a model file whose record names its data set."""

    scale: str | None = None
    """The new one, as bounded:0.5,1; without it all that we recommend: scales and nets' pace."""

    output: Path | None = None
    """Folder of the new run; RUN-repaired, or RUN-SCALE where a scale is given."""

    steps: int = 200
    """The number of steps of training; half of them to move."""

    learning_rate: float = 5e-4
    """The learning rate of this training, which has a warm-up of ten steps."""

    count: int | None = None
    """Held-out images to measure on; 256, or all of a data set that has fewer."""

    tier: Tier = "fast"
    """The tier of the stability reports."""

    force: bool = False
    """Train also where nothing is broken."""

    def __call__(self) -> int:
        check_count("--steps", self.steps)
        beside, name = named(self.run), (self.scale or "repaired").replace(":", "-")
        output = self.output or beside.with_name(f"{_stem(beside)}-{name}")
        _check_output(output, self.run)
        before = _experiment_of(self.run)
        after = repaired(before, self.scale, self.steps, self.learning_rate)
        _check_raw(f"--scale={self.scale}", after.model)
        _check_raw(f"{self.run}", before.model)
        end_on_sigterm()
        keep_compiled_programs()
        keep_freed_memory()
        trained = load_trained(self.run)
        first = self._judge(trained)
        bits = f"bits/dim ({before.n_bits} bits)"
        print(f"before: {first.bits_per_dim:.3f} {bits}\n{first.report}")
        if first.report.verdict not in ("at risk", "broken") and not self.force:
            print(f"{self.run}: nothing is broken, and nothing was trained; --force does so")
            return EXIT_CODES[first.report.verdict]
        with claimed(output):
            _check_start(output, self.run, trained, after)
            with Preemption() as preemption:
                training = Repairing(after, trained)
                summary = run(after, output, training=training, preemption=preemption)
        save_curves(output)
        if summary["status"] != "done":
            return DIVERGED  # which was told
        trained = load_trained(output)
        save_samples(trained)
        last = self._judge(trained)
        file = self._diagnosis.keep(trained, last.report, last.images)
        print(f"after: {last.bits_per_dim:.3f} {bits}\n{last.report}\n  {file}")
        about = {"run": str(self.run), "scale": self.scale or "recommended"}
        reports = {"before": first.to_json(), "after": last.to_json()}
        write_json(output / "repair.json", {**about, **reports})
        return EXIT_CODES[last.report.verdict]

    @property
    def _diagnosis(self) -> Diagnose:
        return Diagnose(run=self.run, count=self.count, tier=self.tier)

    def _judge(self, trained: Trained) -> "OnHeldOut":
        images, labels = self._diagnosis.images_of(trained)
        report = self._diagnosis.report(trained, images, labels)
        return OnHeldOut(len(images), held_out_bits(trained, images, labels), report)


class OnHeldOut(NamedTuple):
    """A model on a number of held-out images."""

    images: int
    bits_per_dim: float
    report: StabilityReport

    def to_json(self) -> dict[str, Any]:
        """All of the report, and its text."""
        about = {"bits_per_dim": self.bits_per_dim, "text": str(self.report)}
        return {**about, **self.report.to_json()}


def _experiment_of(run: Path) -> Experiment:
    """Of the one run in a folder, or of the model in a file."""
    if run.is_file():
        return load_trained(run).experiment
    if run_folders(run) != [run]:
        raise expected(f"{run}", "a run folder", got="one of many", advice="name one run in it")
    return read_config(run)


def _stem(run: Path) -> str:
    return run.stem if run.is_file() else run.name


def _check_output(output: Path, run: Path) -> None:
    """A repair that was interrupted goes on; nothing else is written over."""
    interrupted = (output / START).exists() and not (output / "repair.json").exists()
    if output.resolve() == run.resolve() or (has_begun(output) and not interrupted):
        raise expected(f"{output}", "no such run yet", got="one", advice="choose --output")
    check_output(output)


def _check_raw(where: str, model: GlowConfig) -> None:
    """Additive coupling has nets of another size, so there is no way to it or from it."""
    if isinstance(model.scale, Additive):
        raise expected(
            where,
            "a scale that nets give a number for",
            got="additive coupling, which has none",
            advice="take another, as bounded:0.5,1; an additive model needs no repair of its scale",
        )


def _check_start(output: Path, run: Path, trained: Trained, after: Experiment) -> None:
    """Notes what the repair starts from; raises if an earlier attempt started from another."""
    start = {"run": str(run.resolve()), "step": trained.step, "steps": after.steps}
    earlier = read_json(output / START)
    if earlier not in (None, start) and has_begun(output):
        raise expected(
            f"{output}", f"a repair of {earlier}", got=str(start), advice="choose another --output"
        )
    check_same(output, after)
    write_json(output / START, start)


def held_out_bits(trained: Trained, images: data.Images, labels: Labels | None = None) -> float:
    """The bits/dim of a model on images, in batches of one size and what is left."""
    experiment = trained.experiment
    batch = images if labels is None else (images, labels)
    starts = range(0, len(images), experiment.chunk)
    return evaluate(
        BitsPerDim(trained.flow, experiment.n_bits),
        trained.params,
        jax.random.key(HELD_OUT_KEY),
        [rows_of(batch, start, experiment.chunk) for start in starts],
        mesh=data_mesh(jax.local_devices()[:1]),  # which shares any number
    )
