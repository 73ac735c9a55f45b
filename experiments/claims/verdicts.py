"""How parts make a verdict, and which runs may speak."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from experiments.claims.criteria import Part
from experiments.claims.thresholds import FEWEST_SEEDS
from flowjax_glow.runs.results import Run

Result = Literal["reproduced", "not reproduced", "inconclusive"]
Measured = TypeVar("Measured")


@dataclass(frozen=True)
class Verdict:
    """What the runs say about one claim.

    Attributes:
        claim: its name, as in docs/claims.md.
        title: the claim in a line.
        verdict: `reproduced`, `not reproduced` or `inconclusive`.
        statement: the parts that decided, with their numbers, in a line.
        measurements: by name; each has `per_seed`, `mean` and `interval`, judged ones `asked`,
            `threshold` and `outcome`, shares the `counts` behind them.
        seeds: those that every variant of the claim has finished.
        rests_on: figures and arrays.
        ours: whether it is a claim of this project and not of the paper.
        missing: the runs that it lacks to be judged, in words; empty if it was judged.
    """

    claim: str
    title: str
    verdict: Result
    statement: str
    measurements: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    rests_on: tuple[str, ...] = ()
    ours: bool = False
    missing: str = ""


@dataclass(frozen=True)
class Claim:
    """What is claimed, of which variants, and what it rests on."""

    name: str
    title: str
    variants: tuple[str, ...]
    rests_on: tuple[str, ...]
    ours: bool = False


@dataclass(frozen=True)
class Evidence:
    """The finished runs, by variant and seed."""

    runs: Sequence[Run]

    def finished(self, variant: str) -> dict[int, Run]:
        """Runs that came to their end, be it by diverging."""
        runs = [run for run in self.runs if run.variant == variant and run.is_finished]
        return {run.seed: run for run in sorted(runs, key=lambda run: run.seed)}

    def trained(self, variant: str) -> dict[int, Run]:
        """Runs that ended with a model; one that diverged has none."""
        runs = self.finished(variant)
        return {seed: run for seed, run in runs.items() if run.status == "done"}

    def seeds(self, variants: Sequence[str]) -> tuple[int, ...]:
        """Seeds that all `variants` have finished."""
        first, *others = [set(self.finished(variant)) for variant in variants]
        return tuple(sorted(first.intersection(*others)))

    def diverged(self, variants: Sequence[str]) -> list[str]:
        """Names of the finished runs without a model."""
        return [
            f"{variant} seed {seed}"
            for variant in variants
            for seed, run in self.finished(variant).items()
            if run.status != "done"
        ]


def measure(runs: Mapping[int, Run], of: Callable[[Run], Measured | None]) -> dict[int, Measured]:
    """`of` every run that has it, by seed."""
    measured = {seed: of(run) for seed, run in runs.items()}
    return {seed: value for seed, value in measured.items() if value is not None}


def compare(
    variants: Mapping[int, Run],
    controls: Mapping[int, Run],
    of: Callable[[Run, Run], float | None],
) -> dict[int, float]:
    """`of` every variant and the control of its seed: as many batches, in the same order."""
    paired = {
        seed: of(run, controls[seed])
        for seed, run in variants.items()
        if seed in controls and run.config.get("steps") == controls[seed].config.get("steps")
    }
    return {seed: value for seed, value in paired.items() if value is not None}


def conclude(
    claim: Claim,
    evidence: Evidence,
    parts: Sequence[Part],
    remarks: Sequence[str] = (),
    fewest: int = FEWEST_SEEDS,
) -> Verdict:
    """All parts hold: reproduced. One fails: not reproduced. Fewer than `fewest` seeds: neither."""
    seeds = evidence.seeds(claim.variants)
    enough = len(seeds) >= fewest
    result = _combine(parts) if enough else "inconclusive"
    diverged = evidence.diverged(claim.variants)
    notes = [
        *([] if enough else [f"{len(seeds)} of {fewest} seeds finished"]),
        *remarks,
        *(part.said for part in _deciding(parts)),
        *([f"diverged: {', '.join(diverged)}"] if diverged else []),
    ]
    return Verdict(
        claim.name,
        claim.title,
        result,
        "; ".join(notes),
        {part.name: part.measurement for part in parts},
        seeds,
        claim.rests_on,
        claim.ours,
        "" if enough else f"{len(seeds)} of {fewest} seeds of {', '.join(claim.variants)}",
    )


def _combine(parts: Sequence[Part]) -> Result:
    outcomes = {part.outcome for part in parts} - {None}
    if "fails" in outcomes:
        return "not reproduced"
    return "inconclusive" if "undecided" in outcomes else "reproduced"


def _deciding(parts: Sequence[Part]) -> list[Part]:
    """The parts that made the verdict: those that fail, else the undecided ones, else all."""
    for outcome in ("fails", "undecided", "holds"):
        found = [part for part in parts if part.outcome == outcome]
        if found:
            return found
    return []
