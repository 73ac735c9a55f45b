"""Measurements of how far an inverse can be trusted; they read any `Bijector`."""

from flowjax_glow.diagnostics.gradients import GradientFidelity, gradient_fidelity
from flowjax_glow.diagnostics.observe import (
    Decoded,
    Layer,
    Observation,
    clip_and_observe,
    decode_observed,
    scales_after_splits,
    stack,
    summed_log_det,
)
from flowjax_glow.diagnostics.reconstruction import drift
from flowjax_glow.diagnostics.round_trip import (
    LATENT_FLOOR,
    ImageRoundTrip,
    image_round_trip,
    latent_round_trip,
)

__all__ = [
    "LATENT_FLOOR",
    "Decoded",
    "GradientFidelity",
    "ImageRoundTrip",
    "Layer",
    "Observation",
    "clip_and_observe",
    "decode_observed",
    "drift",
    "gradient_fidelity",
    "image_round_trip",
    "latent_round_trip",
    "scales_after_splits",
    "stack",
    "summed_log_det",
]
