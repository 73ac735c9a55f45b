"""What a measurement is held against: every number's only home.

The claims of the experiments keep copies of their own, written down before the runs they judge.
"""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

#: Noise levels at which the inverse is looked at.
TAUS = (0.0, 0.1, 0.25, 0.5, 0.7, 1.0)

#: A sample is lost if its latents come back with a larger relative error, or not finite. An image
#: that is as far off has not come back either.
LOST = 1e-2

#: What comes back less exactly than this is at risk.
AT_RISK = LOST / 10

#: The clip that the paper's figures look at, and the smallest of its list that leaves a healthy
#: model alone: there an activation is of order one. Verdicts do not rest on it.
LIMIT = 50.0

#: Beyond this activation float32 has less than three digits left for an image of order one.
OVERWHELMED = 1e4

#: An activation is far beyond those of images where it is so many times the largest of them at the
#: same sub-layer: rounding it to float32 moves it by 2^-24 of itself, 6e-6 of what images need, and
#: 1e-5 is all that a round trip may miss. A ratio does not change if the flow is rescaled inside.
FAR = 100.0

#: A value far outside of the colors, which span [-0.5, 0.5): twice as far from the middle as any.
OUT_OF_RANGE = 1.0

Verdict: TypeAlias = Literal["trustworthy", "not enough samples", "at risk", "broken"]

#: All verdicts, from the best to the worst.
VERDICTS: tuple[Verdict, ...] = ("trustworthy", "not enough samples", "at risk", "broken")


@dataclass(frozen=True)
class Threshold:
    """Bounds that grade a measurement: at risk above `at_risk`, broken above `broken` or if NaN."""

    at_risk: float
    broken: float

    def grade(self, value: float) -> Verdict:
        """What `value` says of the inverse."""
        if not value <= self.broken:
            return "broken"
        return "trustworthy" if value <= self.at_risk else "at risk"


#: The measurement that tells of lost state.
MOMENTS = "mean square of an image's latents, off 1 by a factor of"

#: What rounding may grow to in the worst sub-layer, on its own.
CONDITION = "condition of a layer at images, times 2^-24"

#: Permutations, actnorms and couplings that images say were trained otherwise.
STATE = "sub-layers whose state seems lost"

LOG_DETS = "log-det of a layer off its Jacobian's, nats/dim"

#: What each measurement of a report is held against.
THRESHOLDS: dict[str, Threshold] = {
    # A sub-layer with a parameter that is not finite has no inverse.
    "layers with parameters that are not finite": Threshold(0, 0),
    # From bin midpoints, so a value has to be off by half a bin to leave its own.
    "images that do not come back in the same bins": Threshold(0, 0.01),
    "worst relative error of an image": Threshold(AT_RISK, LOST),
    # One point, so it comes back or not; samples with noise have rates, see `rates`.
    "relative error of z = 0": Threshold(AT_RISK, LOST),
    "activations from z = 0, over those of images": Threshold(FAR, math.inf),
    # Maximum likelihood drives it to 1; far from there it was trained on other images, or is not
    # the model that was trained. Sound models of the laptop size, 23 of them, are within a factor
    # of 1.43, 27 with lost permutations beyond 7 (docs/figure5.md).
    MOMENTS: Threshold(2, 10),
    STATE: Threshold(0, math.inf),
    "log-dets of both directions, bits/dim apart": Threshold(1e-3, 1e-2),
    # Per sub-layer, so the sum over a hundred of them is what a likelihood is off by.
    LOG_DETS: Threshold(1e-4, 1e-3),
    CONDITION: Threshold(1e-3, 1e-1),
    # The error that float32's rounding may grow to, by singular values and as measured.
    "condition number, at least, times 2^-24": Threshold(1e-3, 1e-1),
    "float32 off float64, tau <= 1": Threshold(1e-3, 1e-2),
}

#: What each measurement of a pair of functions is held against, of which nothing else is known.
PAIR_THRESHOLDS: dict[str, Threshold] = {
    # Dropout, added noise, statistics of the batch: then there is no one function to invert.
    "an example in another batch, relative difference": Threshold(AT_RISK, LOST),
    "worst relative error of an example": Threshold(AT_RISK, LOST),
    "relative error of z = 0": Threshold(AT_RISK, LOST),
    "values from z = 0, over those of examples": Threshold(FAR, math.inf),
    "mean square of an example's latents, off 1 by a factor of": Threshold(2, 10),
    "log-dets of both directions, nats/dim apart": Threshold(1e-3, 1e-2),
    # Of what two step sizes agree on, so that the error of finite differences does not count.
    "log-det off its Jacobian's, at least, nats/dim": Threshold(1e-3, 1e-2),
    "condition number, at least, times the rounding": Threshold(1e-3, 1e-1),
}
