"""The laws of the contracts, to hold bijectors, nets and scales of one's own to, as ours are."""

from flowjax_glow.testing.bijectors import BIJECTOR_LAWS, Case, check_bijector, prepare
from flowjax_glow.testing.laws import LawError, perturbed, relative_error
from flowjax_glow.testing.nets import check_net
from flowjax_glow.testing.scales import check_scale

__all__ = [
    "BIJECTOR_LAWS",
    "Case",
    "LawError",
    "check_bijector",
    "check_net",
    "check_scale",
    "perturbed",
    "prepare",
    "relative_error",
]
