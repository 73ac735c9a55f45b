"""C3 and C4-faster: how variants train."""

from experiments.claims.measures import losses
from experiments.claims.parts import Above, Below, of_mean
from experiments.claims.rules.shared import CONTROL, REMEDIES, UNIT, held_out, late_loss
from experiments.claims.thresholds import LOSS_MARGIN
from experiments.claims.verdicts import Claim, Evidence, Verdict, compare, conclude


def additive_harms(evidence: Evidence) -> Verdict:
    """C3."""
    return conclude(
        Claim(
            "C3",
            "additive coupling harms the training loss",
            ("additive", CONTROL),
            ("figure4", "metrics: window_loss"),
        ),
        evidence,
        [late_loss(evidence, "additive", Above(LOSS_MARGIN)), held_out(evidence, "additive")],
    )


def remedies_are_faster(evidence: Evidence) -> Verdict:
    """C4-faster."""
    return conclude(
        Claim(
            "C4-faster",
            "biased and bounded train somewhat faster than the control",
            (*REMEDIES, CONTROL),
            ("figure4", "metrics: window_loss"),
        ),
        evidence,
        [
            of_mean(
                f"{remedy}: loss over the run minus control",
                compare(
                    evidence.finished(remedy),
                    evidence.finished(CONTROL),
                    losses.run_loss_difference,
                ),
                Below(-LOSS_MARGIN),
                unit=UNIT,
            )
            for remedy in REMEDIES
        ],
    )
