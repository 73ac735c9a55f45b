"""The rules of docs/claims.md, one function per claim."""

from collections.abc import Sequence

from experiments.claims.rules.control import (
    samples_cannot_be_decoded,
    tail_grows_near_the_origin,
    zero_cannot_be_decoded,
)
from experiments.claims.rules.noise_path import noise_takes_a_path
from experiments.claims.rules.randomized import lost_permutations_break, randomized_splits_break
from experiments.claims.rules.remedies import (
    damped_is_free_and_stable,
    depth_scaled_is_free_and_stable,
    remedies_are_exact_at_full_noise,
    remedies_are_stable,
)
from experiments.claims.rules.training import additive_harms, remedies_are_faster
from experiments.claims.verdicts import Evidence, Verdict
from flowjax_glow.runs.results import Run

RULES = (
    zero_cannot_be_decoded,
    samples_cannot_be_decoded,
    tail_grows_near_the_origin,
    additive_harms,
    remedies_are_stable,
    remedies_are_faster,
    remedies_are_exact_at_full_noise,
    randomized_splits_break,
    lost_permutations_break,
    noise_takes_a_path,
    depth_scaled_is_free_and_stable,
    damped_is_free_and_stable,
)


def judge(runs: Sequence[Run]) -> list[Verdict]:
    """A verdict per claim, in the order of docs/claims.md; nothing is trained."""
    evidence = Evidence(runs)
    return [rule(evidence) for rule in RULES]
