"""Measurements of how far an inverse can be trusted; they read any `Bijector`."""

from flowjax_glow.diagnostics.blame import Suspect
from flowjax_glow.diagnostics.certificates import (
    Certificate,
    certificate,
    log_inverse_gain,
    net_gains,
)
from flowjax_glow.diagnostics.condition_numbers import Conditions, conditions
from flowjax_glow.diagnostics.error_bars import DecodedWithError, decode_with_error
from flowjax_glow.diagnostics.examination import activation_trace, examine, scale_statistics
from flowjax_glow.diagnostics.failures import FirstFailures
from flowjax_glow.diagnostics.gains import (
    BiLipschitz,
    SingularValues,
    bi_lipschitz,
    finite_difference_penalty,
    singular_values,
)
from flowjax_glow.diagnostics.gradients import GradientFidelity, drift, gradient_fidelity
from flowjax_glow.diagnostics.judge_pair import judge
from flowjax_glow.diagnostics.layer_tables import (
    ActivationTrace,
    CouplingStretch,
    Examination,
    LayerChecks,
    ScaleStatistics,
    Ways,
)
from flowjax_glow.diagnostics.log_dets import LogDetChecks, check_log_dets, smallest_crop
from flowjax_glow.diagnostics.lost_state import OnTheWay, on_the_way
from flowjax_glow.diagnostics.moments import DataMoments, data_moments, largest_on_images
from flowjax_glow.diagnostics.monitor import Monitor, median_slope
from flowjax_glow.diagnostics.noise_trips import LatentRoundTrips, latent_round_trips
from flowjax_glow.diagnostics.pair_report import Judgement, PairLogDets, PairTrips, WorstPoints
from flowjax_glow.diagnostics.permutations import redraw_permutations
from flowjax_glow.diagnostics.precision import (
    PrecisionGap,
    PrecisionLadder,
    precision_gap,
    precision_ladder,
    refine,
)
from flowjax_glow.diagnostics.rates import Rates, Share
from flowjax_glow.diagnostics.report import Measurement, StabilityReport
from flowjax_glow.diagnostics.round_trips import (
    LATENT_FLOOR,
    ImageRoundTrip,
    Reconstruction,
    image_round_trip,
    latent_round_trip,
    reconstruction,
)
from flowjax_glow.diagnostics.searches import Attack, attack
from flowjax_glow.diagnostics.sobol import LatentShares, latent_shares, mixed_images
from flowjax_glow.diagnostics.stability import stability_report
from flowjax_glow.diagnostics.table import Result
from flowjax_glow.diagnostics.thresholds import THRESHOLDS, Threshold
from flowjax_glow.diagnostics.trace import (
    Decoded,
    Layer,
    Observation,
    clip_and_observe,
    decode_observed,
    scales_after_splits,
    stack,
    summed_log_det,
)
from flowjax_glow.diagnostics.typical_set import (
    Strangeness,
    Typicality,
    area_under_curve,
    typicality,
)
from flowjax_glow.diagnostics.unusual_images import OutOfDistribution, out_of_distribution

__all__ = [
    "LATENT_FLOOR",
    "THRESHOLDS",
    "ActivationTrace",
    "Attack",
    "BiLipschitz",
    "Certificate",
    "Conditions",
    "CouplingStretch",
    "DataMoments",
    "Decoded",
    "DecodedWithError",
    "Examination",
    "FirstFailures",
    "GradientFidelity",
    "ImageRoundTrip",
    "Judgement",
    "LatentRoundTrips",
    "LatentShares",
    "Layer",
    "LayerChecks",
    "LogDetChecks",
    "Measurement",
    "Monitor",
    "Observation",
    "OnTheWay",
    "OutOfDistribution",
    "PairLogDets",
    "PairTrips",
    "PrecisionGap",
    "PrecisionLadder",
    "Rates",
    "Reconstruction",
    "Result",
    "ScaleStatistics",
    "Share",
    "SingularValues",
    "StabilityReport",
    "Strangeness",
    "Suspect",
    "Threshold",
    "Typicality",
    "Ways",
    "WorstPoints",
    "activation_trace",
    "area_under_curve",
    "attack",
    "bi_lipschitz",
    "certificate",
    "check_log_dets",
    "clip_and_observe",
    "conditions",
    "data_moments",
    "decode_observed",
    "decode_with_error",
    "drift",
    "examine",
    "finite_difference_penalty",
    "gradient_fidelity",
    "image_round_trip",
    "judge",
    "largest_on_images",
    "latent_round_trip",
    "latent_round_trips",
    "latent_shares",
    "log_inverse_gain",
    "median_slope",
    "mixed_images",
    "net_gains",
    "on_the_way",
    "out_of_distribution",
    "precision_gap",
    "precision_ladder",
    "reconstruction",
    "redraw_permutations",
    "refine",
    "scale_statistics",
    "scales_after_splits",
    "singular_values",
    "smallest_crop",
    "stability_report",
    "stack",
    "summed_log_det",
    "typicality",
]
