"""C5: randomized splits."""

from experiments.claims.measures import images
from experiments.claims.parts import Above, Below, Within, of_mean, of_rate
from experiments.claims.rules.shared import CONTROL, held_out, late_loss
from experiments.claims.thresholds import LOSS_MARGIN, MORE_BROKEN, MOST
from experiments.claims.verdicts import Claim, Evidence, Verdict, compare, conclude, measure


def randomized_splits_break(evidence: Evidence) -> Verdict:
    """C5."""
    finished, trained = evidence.finished("randomized"), evidence.trained("randomized")
    controls = evidence.trained(CONTROL)
    return conclude(
        Claim(
            "C5",
            "randomized splits train like the control, and then no clip reconstructs an image",
            ("randomized", CONTROL),
            ("figure4", "figure5", "metrics: window_loss", "clipping: reconstruction_error"),
        ),
        evidence,
        [
            late_loss(evidence, "randomized", Within(LOSS_MARGIN)),
            held_out(evidence, "randomized"),
            of_rate(
                "broken before training, worst clip",
                measure(finished, images.broken_before),
                Below(MOST),
            ),
            of_rate(
                "broken after training, best clip",
                measure(trained, images.broken_after),
                Above(MOST),
            ),
            of_mean(
                "broken more than the control",
                compare(trained, controls, images.broken_share_difference),
                Above(MORE_BROKEN),
                limits=(-1.0, 1.0),
            ),
        ],
    )
