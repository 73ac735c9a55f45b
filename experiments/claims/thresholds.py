"""Every number a verdict depends on; docs/claims.md gives the reason for each.

They were written down before the runs they judge. A change here needs new seeds, not a new look.
"""

#: Fewer finished seeds are inconclusive, whatever they show.
FEWEST_SEEDS = 3

#: Seeds that show what a claim says exists: one, and a second that confirms it.
CONFIRMED_BY = 2

#: Seeds for a comparison of shares that differ by several points between equal models.
SEEDS_FOR_SHARES = 16

#: Of every interval, two-sided.
CONFIDENCE = 0.95

#: Bits/dim by which two losses must differ to count as different, and may differ to count as close.
LOSS_MARGIN = 0.02

#: The limit of the activations that the paper's Figure 5 shows.
CLIP = 50.0

#: Larger activations, and those that are not finite, count as this one.
ACTIVATION_CAP = 1e4

#: Mean absolute difference of two images, black to white being 1, that can be seen.
VISIBLE = 1 / 32

#: Share of samples below which something is rare.
RARE_RATE = 0.01

#: Relative L2 error above which a latent did not come back.
BROKEN_ROUND_TRIP = 1e-2

#: Relative L2 error above which an image is visibly damaged.
BROKEN_IMAGE = 0.1

#: Share of images that are most of them.
MOST = 0.5

#: Share of images by which one variant must break more than another.
MORE_BROKEN = 0.1

#: The noise level that is compared with tau = 1.
LOW_TAU = 0.1

#: Factor by which a tail quantile of s must fall.
TAIL_FACTOR = 2.0

#: Smaller scales count as this one.
SMALLEST_S = 1e-7
