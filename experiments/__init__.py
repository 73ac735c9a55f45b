"""The paper's experiments: variants, sweeps, claims, figures."""
