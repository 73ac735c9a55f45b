"""The paper's experiments: variants, presets, runs, figures and verdicts."""
