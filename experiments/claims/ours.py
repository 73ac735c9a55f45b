"""Claims of our own, a function each."""

from experiments.claims import measures
from experiments.claims.criteria import Above, Below, of_none, of_rate
from experiments.claims.shared import (
    CONTROL,
    REMEDIES,
    held_out,
    late_loss,
    stable_at_zero_and_on_images,
)
from experiments.claims.thresholds import LOSS_MARGIN, MOST, RARE_RATE
from experiments.claims.verdicts import Claim, Evidence, Verdict, conclude, measure

#: Reported beside C5-lost: what redrawn permutations do to models with a floor or our bound.
WITH_A_FLOOR = ("randomized-bounded", "randomized-damped")


def samples_cannot_be_decoded(evidence: Evidence) -> Verdict:
    """C1-tau1."""
    controls = evidence.trained(CONTROL)
    return conclude(
        Claim(
            "C1-tau1",
            "the control cannot decode some samples at tau = 1",
            (CONTROL,),
            ("look: max_activation, z_error",),
            ours=True,
        ),
        evidence,
        [
            of_rate(
                "rate of samples that hit the clip",
                measure(controls, measures.sample_hits),
                Above(RARE_RATE),
            ),
            of_rate(
                "rate of samples that do not come back",
                measure(controls, measures.broken_samples),
            ),
        ],
    )


def remedies_are_exact_at_full_noise(evidence: Evidence) -> Verdict:
    """C4-tau1."""
    return conclude(
        Claim(
            "C4-tau1",
            "biased and bounded are exact on samples at tau = 1, too",
            REMEDIES,
            ("look: max_activation, z_error",),
            ours=True,
        ),
        evidence,
        [
            of_none(f"{remedy}: {what}", measure(evidence.trained(remedy), of))
            for remedy in REMEDIES
            for what, of in (
                ("samples that hit the clip", measures.sample_hits),
                ("samples that do not come back", measures.broken_samples),
            )
        ],
    )


def depth_scaled_is_free_and_stable(evidence: Evidence) -> Verdict:
    """D."""
    return _free_and_stable(evidence, "D", "depth-scaled")


def damped_is_free_and_stable(evidence: Evidence) -> Verdict:
    """D-damped."""
    return _free_and_stable(evidence, "D-damped", "damped")


def _free_and_stable(evidence: Evidence, claim: str, variant: str) -> Verdict:
    trained = evidence.trained(variant)
    return conclude(
        Claim(
            claim,
            f"{variant} trains no worse than the control and is stable at every noise level",
            (variant, CONTROL),
            (
                "figure4",
                "metrics: window_loss",
                "clipping: zero_max, reconstruction_hit",
                "look: z_error, max_activation, bit_exact",
            ),
            ours=True,
        ),
        evidence,
        [
            late_loss(evidence, variant, Below(LOSS_MARGIN)),
            held_out(evidence, variant),
            of_none(
                f"{variant}: samples that do not come back",
                measure(trained, measures.broken_samples_at_any_tau),
            ),
            of_none(
                f"{variant}: samples that hit the clip",
                measure(trained, measures.sample_hits_at_any_tau),
            ),
            *stable_at_zero_and_on_images(evidence, variant),
        ],
    )


def lost_permutations_break(evidence: Evidence) -> Verdict:
    """C5-lost."""
    finished, trained = evidence.finished("randomized"), evidence.trained("randomized")
    return conclude(
        Claim(
            "C5-lost",
            "permutations that a reload has lost: no clip reconstructs an image",
            ("randomized",),
            ("figure5", "clipping: reconstruction_error, redrawn_error"),
            ours=True,
        ),
        evidence,
        [
            of_rate(
                "broken after training with redrawn permutations, best clip or none",
                measure(trained, measures.lost_after),
                Above(MOST),
            ),
            of_none(
                "broken before training with its own permutations, worst clip",
                measure(finished, measures.broken_before_anywhere),
            ),
            of_rate(
                "broken before training with redrawn permutations, no clip",
                measure(finished, measures.lost_before_unclipped),
            ),
            of_rate(
                "broken after training with its own permutations, worst clip",
                measure(trained, measures.broken_after_anywhere),
            ),
            *(
                of_rate(
                    f"{variant}: broken after training with redrawn permutations, no clip",
                    measure(evidence.trained(variant), measures.lost_after_unclipped),
                )
                for variant in WITH_A_FLOOR
            ),
        ],
    )
