"""Sweeps: variants of one control, run on the same seeds."""

import dataclasses

from experiments.variants import apply_variant
from flowjax_glow.runs.experiment import Experiment


def plan(control: Experiment, variants: list[str], seeds: list[int]) -> list[Experiment]:
    """One experiment per variant and seed, seed by seed: all variants stand after the first."""
    return [
        dataclasses.replace(
            control, variant=variant, seed=seed, model=apply_variant(variant, control.model)
        )
        for seed in seeds
        for variant in variants
    ]
