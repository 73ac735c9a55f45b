"""Are faults found? Each is hidden in a trained model at random, and a report must name it.

    python -m benchmarks.plants RUN... --plants=20 --seed=0

RUN is a run folder or a sweep folder. The plants take turns over the runs and over the kinds that a
model can have; every fifth is two at once. One is named if the report blames its layer, for its
kind. What lies behind a fault may be hidden by it, so if one of two is missed, the model is judged
again without the other. First every run is judged without a plant. With --rescaled every step of a
model is given other units inside, which must change nothing. docs/diagnose.md has the results.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.faults import KINDS, Plant, Planting, prepared
from flowjax_glow.combinators import MultiScale
from flowjax_glow.diagnostics import StabilityReport, stability_report
from flowjax_glow.runs.load import Trained, trained_models
from flowjax_glow.types import Params

#: Noise levels of the reports.
TAUS = (0.0, 0.7, 1.0)


class Subject(NamedTuple):
    """A trained model that is ready for faults."""

    trained: Trained
    flow: MultiScale
    params: Params

    def report(self, params: Params, images: int, samples: int) -> StabilityReport:
        """The fast report of the model with other parameters."""
        return stability_report(
            self.flow,
            params,
            self.trained.images(None, images),
            n_bits=self.trained.experiment.n_bits,
            tier="fast",
            samples=samples,
            taus=TAUS,
        )

    def rescaled(self, random: np.random.Generator) -> "Subject":
        """The same map in other units inside."""
        planting = Planting(self.flow, self.params, self.trained.event_shape, random)
        planting.rescale()
        return self._replace(params=planting.params)

    def planted(self, kinds: list, random: np.random.Generator) -> list[tuple[Plant, Params]]:
        """Faults of these kinds at random layers, and its parameters after each of them."""
        planting = Planting(self.flow, self.params, self.trained.event_shape, random)
        return [(planting.plant(kind), planting.params) for kind in kinds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--plants", type=int, default=20)
    parser.add_argument("--kind", choices=KINDS, help="of every plant, instead of each in turn")
    parser.add_argument("--rescaled", action="store_true", help="in other units inside")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    subjects = [ready(trained) for run in options.runs for trained in trained_models(run)]
    if options.rescaled:
        units = np.random.default_rng(options.seed)
        subjects = [subject.rescaled(units) for subject in subjects]
    for subject in subjects:
        report = subject.report(subject.params, options.images, options.samples)
        print(f"{subject.trained.folder.name}, no plant: {told(report)}", flush=True)
    trials, turn = [], 0
    for number in range(options.plants):
        subject = subjects[number % len(subjects)]
        kinds = []
        while len(kinds) < (2 if number % 5 == 4 else 1):
            kind = options.kind or list(KINDS)[turn % len(KINDS)]
            turn += 1
            if kind != "permutation lost" or has_permutations(subject.flow):
                kinds.append(kind)
        trials.append(trial(subject, subject.planted(kinds, random), options))
        print(f"{subject.trained.folder.name}, {trials[-1]}", flush=True)
    faults = [found for each in trials for found in each.faults.values()]
    print(
        f"{faults.count(NAMED)} of {len(faults)} faults in {options.plants} models named, "
        f"{faults.count(LATER)} more once the other was mended"
    )


NAMED, LATER, MISSED = "named", "named once the other was mended", "MISSED"


class Trial(NamedTuple):
    """What came of the faults in a model, and what its report said."""

    faults: dict[Plant, str]
    said: str

    def __str__(self) -> str:
        each = (f"{plant.layer}: {plant.kind} ({word})" for plant, word in self.faults.items())
        return f"{'; '.join(each)}: {self.said}"


def trial(
    subject: Subject, planted: list[tuple[Plant, Params]], options: argparse.Namespace
) -> Trial:
    """Judges a model with its faults; if it misses one of two, without the other, too."""

    def found(report: StabilityReport) -> set[tuple[str, str | None]]:
        return {(suspect.kind, suspect.layer) for suspect in report.suspects}

    report = subject.report(planted[-1][1], options.images, options.samples)
    faults = {plant: NAMED if plant in found(report) else MISSED for plant, _ in planted}
    if sorted(faults.values()) == [MISSED, NAMED]:
        (first, one), (second, both) = planted
        alone = one if faults[first] == MISSED else _without(subject.params, one, both)
        missed = first if faults[first] == MISSED else second
        if missed in found(subject.report(alone, options.images, options.samples)):
            faults[missed] = LATER
    return Trial(faults, told(report))


def _without(sound: Params, one: Params, both: Params) -> Params:
    """The parameters with the second fault alone: where the first changed one, it is sound."""

    def restored(sound: Any, one: Any, both: Any) -> np.ndarray:
        sound, one, both = (np.asarray(leaf) for leaf in (sound, one, both))
        return np.where(sound == one, both, sound)  # a NaN is another, too

    return jax.tree.map(restored, sound, one, both)


def ready(trained: Trained) -> Subject:
    """The same map, with places for faults."""
    return Subject(trained, *prepared(trained.flow, trained.params, trained.event_shape))


def has_permutations(flow: MultiScale) -> bool:
    """Whether there are any that could be lost."""
    return "Permutation" in repr(flow)


def told(report: StabilityReport) -> str:
    """The verdict and what it blames."""
    blamed = [f"{suspect.kind} at {suspect.layer}" for suspect in report.suspects[:3]]
    return f"{report.verdict}; {', '.join(blamed) or 'nothing to blame'}"


if __name__ == "__main__":
    main()
