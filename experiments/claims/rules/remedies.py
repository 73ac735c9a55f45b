"""C4, C4-tau1, D and D-damped: what is stable, and what it costs."""

from experiments.claims.measures import noise
from experiments.claims.parts import Below, of_none
from experiments.claims.rules.shared import (
    CONTROL,
    REMEDIES,
    held_out,
    late_loss,
    stable_at_zero_and_on_images,
)
from experiments.claims.thresholds import LOSS_MARGIN
from experiments.claims.verdicts import Claim, Evidence, Verdict, conclude, measure


def remedies_are_stable(evidence: Evidence) -> Verdict:
    """C4."""
    return conclude(
        Claim(
            "C4",
            "biased and bounded train no worse than the control and end stable",
            (*REMEDIES, CONTROL),
            (
                "figure4",
                "metrics: window_loss",
                "clipping: zero_max, reconstruction_hit",
                "look: bit_exact",
            ),
        ),
        evidence,
        [
            part
            for remedy in REMEDIES
            for part in (
                late_loss(evidence, remedy, Below(LOSS_MARGIN)),
                held_out(evidence, remedy),
                *stable_at_zero_and_on_images(evidence, remedy),
            )
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
                ("samples that hit the clip", noise.sample_hits),
                ("samples that do not come back", noise.broken_samples),
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
                measure(trained, noise.broken_samples_at_any_tau),
            ),
            of_none(
                f"{variant}: samples that hit the clip",
                measure(trained, noise.sample_hits_at_any_tau),
            ),
            *stable_at_zero_and_on_images(evidence, variant),
        ],
    )
