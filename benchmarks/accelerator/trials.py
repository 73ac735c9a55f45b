"""Phases in which models are trained and looked at."""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax

from benchmarks.accelerator.call import Ahead, Deadline, Record
from benchmarks.accelerator.looks import summary
from benchmarks.accelerator.rules import first_claim, lost_permutations
from benchmarks.accelerator.study import Plan, Study
from flowjax_glow.combinators import MultiScale
from flowjax_glow.data.indexed import ArraySource
from flowjax_glow.diagnostics import redraw_permutations

#: Draws of permutations anew.
DRAWS = 3


@dataclass(frozen=True)
class Trials:
    """Models that are trained one after another, each in its share of the time.

    The next one is built and compiled while one trains: all at once, four of them were ready after
    two minutes, one by itself after 40 s. One that fails leaves the others.

    Attributes:
      studies: what gives a flow when it is needed, and how it is trained, by name.
      source: of the images.
    """

    studies: Mapping[str, tuple[Callable[[], MultiScale], Plan]]
    source: Callable[[], ArraySource]

    def prepare(self) -> Ahead:
        """The first study, ready or failed."""
        first = Ahead(partial(self._study, next(iter(self.studies))))
        first.wait()
        return first

    def run(self, first: Ahead, record: Record, deadline: Deadline) -> None:
        """Trains all; what is known of a model is written down after each of its looks.

        Raises:
          RuntimeError: at the end, if any has failed.
        """
        names, ahead, faults = list(self.studies), first, []
        for index, name in enumerate(names):
            own = ahead
            if index + 1 < len(names):
                ahead = Ahead(partial(self._study, names[index + 1]))
            try:
                study: Study = own.result()
                tell = partial(_tell, record, name, study)
                tell()
                study.train(deadline.share(1 / (len(names) - index)), tell)
            except Exception as error:
                traceback.print_exc()
                faults.append(f"{name}: {type(error).__name__}: {error}")
        if faults:
            raise RuntimeError("; ".join(faults))

    def _study(self, name: str) -> Study:
        flow, plan = self.studies[name]
        return Study(flow(), self.source(), plan)


def _tell(record: Record, name: str, study: Study) -> None:
    found = study.found()
    record.note(**{name: found | {"first_claim": first_claim(found["looks"])}})
    record.keep(**{f"{name}/{key}": array for key, array in study.arrays().items()})


@dataclass(frozen=True)
class LostPermutations:
    """A model with randomized splits, decoded with its permutations and with others."""

    flow: Callable[[], MultiScale]
    plan: Plan
    source: Callable[[], ArraySource]

    def prepare(self) -> tuple[Study, dict[str, Any]]:
        """The study, and its reconstructions before training."""
        study = Study(self.flow(), self.source(), self.plan)
        return study, _reconstructions(study)

    def run(self, ready: tuple[Study, dict[str, Any]], record: Record, deadline: Deadline) -> None:
        """Trains, and decodes again."""
        study, before = ready
        record.note(before=before)
        study.train(deadline.share(0.75))
        after = _reconstructions(study)
        verdict = lost_permutations(
            before["own"]["broken"], [draw["broken"] for draw in after["redrawn"]]
        )
        record.note(after=after, lost_permutations=verdict, **study.found())


def _reconstructions(study: Study) -> dict[str, Any]:
    """With the model's own permutations and with `DRAWS` others, in both directions alike."""
    looker, params = study.looker, study.state.params
    keys = map(jax.random.key, range(DRAWS))
    drawn = [redraw_permutations(looker.flow, params, key) for key in keys]
    own, *others = (summary(looker.reconstruct(each)[0]) for each in (params, *drawn))
    return {"own": own, "redrawn": others}
