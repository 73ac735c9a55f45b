"""A run of digits that is over in seconds: two layers, and one level, so that it compiles fast."""

import dataclasses

from flowjax_glow.runs.presets import SMOKE
from flowjax_glow.training import OptimizerConfig

TINY = dataclasses.replace(
    SMOKE,
    model=dataclasses.replace(SMOKE.model, levels=1, depth=2, width=4),
    optimizer=OptimizerConfig(),
    dataset="digits",
    image_size=None,
    batch=8,
    init_images=16,
    steps=8,
    held_out=8,
    look_samples=8,
    final_samples=8,
    clip_samples=8,
    chunk=8,
)
