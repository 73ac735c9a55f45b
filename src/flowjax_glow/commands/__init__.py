"""`flowjax-glow`, a file per command: train, plan, and what reads trained models."""
