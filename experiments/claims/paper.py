"""The paper's claims, C1 to C6, a function each."""

import math

from experiments.claims import measures, tails
from experiments.claims.criteria import Above, Ask, Below, Part, Within, of_mean, of_rate, of_seeds
from experiments.claims.shared import (
    CONTROL,
    REMEDIES,
    UNIT,
    held_out,
    late_loss,
    stable_at_zero_and_on_images,
)
from experiments.claims.thresholds import (
    LOSS_MARGIN,
    MORE_BROKEN,
    MOST,
    SEEDS_FOR_SHARES,
    TAIL_FACTOR,
)
from experiments.claims.verdicts import Claim, Evidence, Verdict, compare, conclude, measure

MIXED, SIGNAL = "randomized-level-end", "signal"

#: What else the laboratory compares, reported beside the claim: the same two changes under a
#: learned prior and with s in (0.5, 1), and models that are the same in distribution.
BESIDE = (
    ("level-end-learned", "learned"),
    ("openai", "learned"),
    ("level-end-bounded", "bounded"),
    ("signal-bounded", "bounded"),
    ("level-end-signal", MIXED),
    ("randomized", MIXED),
)

_SHARE = (0.0, 1.0)


def zero_cannot_be_decoded(evidence: Evidence) -> Verdict:
    """C1."""
    controls = evidence.trained(CONTROL)
    return conclude(
        Claim(
            "C1",
            "the control cannot decode z = 0, and the image depends on the clip",
            (CONTROL,),
            ("figure1", "clipping: zero_max, zero_images"),
        ),
        evidence,
        [
            of_seeds(
                "z = 0 passes the clip and its image depends on it",
                measure(controls, measures.zero_breaks),
            ),
            of_mean(
                "log10 of the largest activation at z = 0",
                measure(controls, measures.zero_activation),
                limits=measures.LOG10_ACTIVATIONS,
            ),
            of_mean(
                "difference between clips",
                measure(controls, measures.clip_dependence),
                limits=_SHARE,
            ),
        ],
    )


def tail_grows_near_the_origin(evidence: Evidence) -> Verdict:
    """C2."""
    controls = evidence.trained(CONTROL)
    tail = of_mean(
        "fall of log10 s (1e-5 quantile) as one split's own noise falls from tau = 1 to 0.1",
        measure(controls, tails.own_tail_growth),
        Above(math.log10(TAIL_FACTOR)),
    )
    beside = {
        "outliers under low noise: share at the border": tails.outliers_at_border,
        "outliers under low noise: share in one channel": tails.outliers_in_one_channel,
        "fall of log10 s (1e-3 quantile), all noise from tau = 1 to 0.1": tails.tail_growth,
        "fall of log10 s (1e-3 quantile), all noise from tau = 1 to 0": tails.tail_growth_to_zero,
        "trend of that quantile with tau (Kendall)": tails.tail_trend,
        "P(s < 1e-2) at tau = 1": tails.near_zero_at_one,
        "P(s < 1e-2) at tau = 0.1": tails.near_zero_at_low,
    }
    return conclude(
        Claim(
            "C2",
            "after a split, outliers of the control's s emerge as the noise level falls",
            (CONTROL,),
            ("figure3", "look: own_tail, own_min, s_quantiles, s_below"),
        ),
        evidence,
        [
            tail,
            of_mean(
                "the same of the smallest s",
                measure(controls, tails.own_minimum_growth),
                Above(math.log10(TAIL_FACTOR)),
            ),
            *(of_mean(name, measure(controls, of)) for name, of in beside.items()),
        ],
        [_direction(tail)],
    )


def _direction(tail: Part) -> str:
    """In words, what the interval of the tail's growth says."""
    lower, upper = tail.measurement["interval"]
    if lower > 0:
        return "the tail grows"
    return "the tail shrinks" if upper < 0 else "no direction is shown"


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
                    measures.run_loss_difference,
                ),
                Below(-LOSS_MARGIN),
                unit=UNIT,
            )
            for remedy in REMEDIES
        ],
    )


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
                measure(finished, measures.broken_before),
                Below(MOST),
            ),
            of_rate(
                "broken after training, best clip",
                measure(trained, measures.broken_after),
                Above(MOST),
            ),
            of_mean(
                "broken more than the control",
                compare(trained, controls, measures.broken_images_difference),
                Above(MORE_BROKEN),
                limits=(-1.0, 1.0),
            ),
        ],
    )


def noise_takes_a_path(evidence: Evidence) -> Verdict:
    """C6."""
    return conclude(
        Claim(
            "C6",
            "fixed channels of noise, read by the next net, keep the inverse stable (noise path)",
            (MIXED, SIGNAL, CONTROL),
            ("noise_path", "metrics: window_loss", "look: z_error"),
        ),
        evidence,
        [
            late_loss(evidence, MIXED, Within(LOSS_MARGIN)),
            held_out(evidence, MIXED),
            _broken_more(evidence, MIXED, CONTROL, Above(MORE_BROKEN)),
            late_loss(evidence, SIGNAL),
            held_out(evidence, SIGNAL),
            _broken_more(evidence, SIGNAL, CONTROL, Above(MORE_BROKEN)),
            *(_broken_more(evidence, variant, than) for variant, than in BESIDE),
        ],
        fewest=SEEDS_FOR_SHARES,
    )


def _broken_more(evidence: Evidence, variant: str, than: str, ask: Ask | None = None) -> Part:
    """How much larger the share of samples at tau = 1 is that do not come back."""
    return of_mean(
        f"{variant}: share of broken samples minus {than}'s",
        compare(
            evidence.trained(variant), evidence.trained(than), measures.broken_samples_difference
        ),
        ask,
        limits=(-1.0, 1.0),
    )
