"""C1, C1-tau1 and C2: what goes wrong in the control's inverse."""

import math

from experiments.claims.measures import noise, tails
from experiments.claims.parts import Above, Part, of_mean, of_rate, of_seeds
from experiments.claims.rules.shared import CONTROL
from experiments.claims.thresholds import RARE_RATE, TAIL_FACTOR
from experiments.claims.verdicts import Claim, Evidence, Verdict, conclude, measure

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
                measure(controls, noise.zero_breaks),
            ),
            of_mean(
                "log10 of the largest activation at z = 0",
                measure(controls, noise.zero_activation),
                limits=noise.LOG10_ACTIVATIONS,
            ),
            of_mean(
                "difference between clips",
                measure(controls, noise.clip_dependence),
                limits=_SHARE,
            ),
        ],
    )


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
                measure(controls, noise.sample_hits),
                Above(RARE_RATE),
            ),
            of_rate(
                "rate of samples that do not come back",
                measure(controls, noise.broken_samples),
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
