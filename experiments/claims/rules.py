"""The rules of docs/claims.md, one function per claim."""

from collections.abc import Sequence

from experiments.claims.ours import (
    damped_is_free_and_stable,
    depth_scaled_is_free_and_stable,
    lost_permutations_break,
    remedies_are_exact_at_full_noise,
    samples_cannot_be_decoded,
)
from experiments.claims.paper import (
    additive_harms,
    noise_takes_a_path,
    randomized_splits_break,
    remedies_are_faster,
    remedies_are_stable,
    tail_grows_near_the_origin,
    zero_cannot_be_decoded,
)
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
