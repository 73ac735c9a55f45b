"""C5 and C5-lost: randomized splits, and what becomes of them when their state is lost."""

from experiments.claims.measures import images
from experiments.claims.parts import Above, Below, Within, of_mean, of_none, of_rate
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


#: Reported beside C5-lost: what redrawn permutations do to models with a floor or our bound.
WITH_A_FLOOR = ("randomized-bounded", "randomized-damped")


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
                measure(trained, images.lost_after),
                Above(MOST),
            ),
            of_none(
                "broken before training with its own permutations, worst clip",
                measure(finished, images.broken_before_anywhere),
            ),
            of_rate(
                "broken before training with redrawn permutations, no clip",
                measure(finished, images.lost_before_unclipped),
            ),
            of_rate(
                "broken after training with its own permutations, worst clip",
                measure(trained, images.broken_after_anywhere),
            ),
            *(
                of_rate(
                    f"{variant}: broken after training with redrawn permutations, no clip",
                    measure(evidence.trained(variant), images.lost_after_unclipped),
                )
                for variant in WITH_A_FLOOR
            ),
        ],
    )
