"""What can only be measured on an accelerator, in two calls: `python -m benchmarks.accelerator`."""
