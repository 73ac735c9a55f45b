"""`flowjax-glow diagnose`: can the inverse of a trained model be trusted?"""

import math
import sys
from dataclasses import dataclass
from pathlib import Path

from flowjax_glow.commands.command import OnModels
from flowjax_glow.commands.labels import only_label
from flowjax_glow.data.source import Images, Labels
from flowjax_glow.diagnostics import StabilityReport, stability_report
from flowjax_glow.diagnostics.rates import LOST_BELOW, enough
from flowjax_glow.diagnostics.stability import EXTENTS, Tier
from flowjax_glow.diagnostics.thresholds import VERDICTS, Verdict
from flowjax_glow.errors import check_count, expected
from flowjax_glow.files import write_json
from flowjax_glow.runs.compilation import keep_compiled_programs
from flowjax_glow.runs.load import Trained, trained_models
from flowjax_glow.runs.repairing import can_be_repaired
from flowjax_glow.training import keep_freed_memory

#: Exit codes by verdict.
EXIT_CODES: dict[Verdict, int] = {
    "trustworthy": 0,
    "not enough samples": 12,
    "at risk": 10,
    "broken": 11,
}


@dataclass(frozen=True, kw_only=True)
class Diagnose(OnModels):
    """Judge whether the inverse of trained models can be trusted.

    Prints a verdict, what it rests on and the layer to blame, and writes the whole report as
    RUN/diagnosis/TIER-STEP.json and a figure beside it; options other than the defaults join the
    name. A model with classes is judged on images at their own labels and on samples of every
    class in turn. Exits with 0 if every inverse is trustworthy, with 12 if one had not enough
    samples to say so, with 10 if one is at risk, with 11 if one is broken; the worst of several
    decides.
    """

    data: str | None = None
    """A data set, as `train` takes it; the model's own if none."""

    label: str | None = None
    """A class by name or number, to judge its images and samples alone."""

    count: int | None = None
    """Held-out images to measure on; 256, or all of a data set that has fewer."""

    lost_below: float = LOST_BELOW
    """Trustworthy promises that a smaller share of samples is lost, at 95 % confidence."""

    samples: int | None = None
    """Samples at every noise level; as many as --lost-below takes if none, 512 for 0.01."""

    taus: str | None = None
    """Noise levels, with commas; 0,0.7,1 in the fast tier if none, 0,0.1,0.25,0.5,0.7,1 in the full
    one."""

    tier: Tier = "full"
    """Fast takes seconds, full minutes."""

    averaged: bool = False
    """Use the moving average of the parameters."""

    tables: bool = False
    """Print every table, not the measurements alone."""

    seed: int = 0
    """The seed of the samples."""

    def __call__(self) -> int:
        if self.count is not None:
            check_count("--count", self.count)
        if self.samples is not None:
            check_count("--samples", self.samples)
        enough(self.lost_below)  # complains
        self._taus()  # complains before anything is read
        keep_compiled_programs()
        keep_freed_memory()
        found = [VERDICTS.index(self._judge(trained)) for trained in trained_models(self.run)]
        if not found:
            raise expected(f"{self.run}", "a checkpoint", got="none", advice="wait for the first")
        return EXIT_CODES[VERDICTS[max(found)]]

    def _taus(self) -> list[float]:
        return list(EXTENTS[self.tier].taus) if self.taus is None else parse_taus(self.taus)

    def _judge(self, trained: Trained) -> Verdict:
        images, labels = self.images_of(trained)
        self.report_file(trained)  # its folder is made, or it is told before anything is measured
        report = self.report(trained, images, labels)
        print(f"{trained.path}\n{report}")
        if self.tables:
            print("\n" + "\n\n".join(str(table) for table in report.tables.values()))
        print(f"  {self.keep(trained, report, len(images))}\n")
        if report.verdict == "broken" and can_be_repaired(trained.experiment):
            print(f"if a scale is to blame: flowjax-glow repair {trained.path} bounds it\n")
        return report.verdict

    def images_of(self, trained: Trained) -> tuple[Images, Labels | None]:
        """Those that a model is measured on, and their labels if it has classes."""
        return trained.labelled_images(self.data, self.count, self._label(trained))

    def _label(self, trained: Trained) -> int | None:
        """The one that is looked at alone."""
        if self.label is None:
            return None
        return only_label(trained, self.label)

    def report(self, trained: Trained, images: Images, labels: Labels | None) -> StabilityReport:
        """Measures a model on images; nothing is written."""
        alone = self._label(trained)
        return stability_report(
            trained.flow,
            trained.parameters(self.averaged),
            images,
            n_bits=trained.experiment.n_bits,
            tier=self.tier,
            lost_below=self.lost_below,
            samples=self.samples,
            taus=self._taus(),
            seed=self.seed,
            on_part=lambda part: print(f"  {part} ...", file=sys.stderr),
            context=labels if alone is None else alone,
        )

    def report_file(self, trained: Trained) -> Path:
        """What `keep` writes, in a folder that is there."""
        first = f"{self.tier}-{trained.step:06}"
        return self.file(trained.folder, "diagnosis", first, but=("tier", "tables"))

    def keep(self, trained: Trained, report: StabilityReport, count: int) -> Path:
        """Writes a report on `count` images into the run folder, and its figure beside it."""
        file = self.report_file(trained)
        about = {
            "images": self.data or trained.experiment.dataset,
            "count": count,
            "samples": int(report.rates.samples.max(initial=1)),
            "taus": self._taus(),
            "seed": self.seed,
            "averaged": self.averaged,
            **({} if self.label is None else {"label": self._label(trained)}),
        }
        write_json(file, {**about, **report.to_json()})
        report.plot().savefig(file.with_suffix(".png"), dpi=150)
        return file


def parse_taus(text: str, option: str = "--taus") -> list[float]:
    """`0,0.5,1` as numbers."""
    try:
        levels = [float(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if not levels or not all(0 <= tau < math.inf for tau in levels):
        raise expected(option, "noise levels with commas", got=repr(text), advice="write 0,0.5,1")
    return levels
