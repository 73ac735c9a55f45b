"""C6: the noise path, which the paper supposes and does not test."""

from experiments.claims.measures import noise
from experiments.claims.parts import Above, Ask, Part, Within, of_mean
from experiments.claims.rules.shared import CONTROL, held_out, late_loss
from experiments.claims.thresholds import LOSS_MARGIN, MORE_BROKEN, SEEDS_FOR_SHARES
from experiments.claims.verdicts import Claim, Evidence, Verdict, compare, conclude

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
        compare(evidence.trained(variant), evidence.trained(than), noise.broken_share_difference),
        ask,
        limits=(-1.0, 1.0),
    )
