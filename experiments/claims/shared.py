"""Parts that several claims have."""

import math

from experiments.claims import measures
from experiments.claims.criteria import Ask, Below, Part, of_every, of_mean, of_none
from experiments.claims.thresholds import CLIP
from experiments.claims.verdicts import Evidence, compare, measure

CONTROL = "control"
REMEDIES = ("biased", "bounded")
UNIT = "bits/dim"


def late_loss(evidence: Evidence, variant: str, ask: Ask | None = None) -> Part:
    """The loss of late training; see docs/claims.md."""
    return of_mean(
        f"{variant}: late loss minus control",
        compare(
            evidence.finished(variant), evidence.finished(CONTROL), measures.late_loss_difference
        ),
        ask,
        unit=UNIT,
    )


def held_out(evidence: Evidence, variant: str) -> Part:
    """Held-out bits/dim, reported beside the training loss."""
    return of_mean(
        f"{variant}: held-out minus control",
        compare(evidence.trained(variant), evidence.trained(CONTROL), measures.held_out_difference),
        unit=UNIT,
    )


def stable_at_zero_and_on_images(evidence: Evidence, variant: str) -> list[Part]:
    """No clip hit from z = 0 and from images, and every image bit for bit."""
    trained = evidence.trained(variant)
    return [
        of_every(
            f"{variant}: log10 of the largest activation at z = 0",
            measure(trained, measures.zero_activation),
            Below(math.log10(CLIP)),
            limits=measures.LOG10_ACTIVATIONS,
        ),
        of_none(f"{variant}: images that hit the clip", measure(trained, measures.image_hits)),
        of_none(f"{variant}: images not bit-exact", measure(trained, measures.inexact_images)),
    ]
