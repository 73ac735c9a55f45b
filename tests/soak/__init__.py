"""What a run, its files and its readers survive, by the thousand: ``python -m tests.soak``."""
