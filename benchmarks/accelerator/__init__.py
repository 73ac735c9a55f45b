"""What can only be measured on an accelerator, by `python -m benchmarks.accelerator`."""
