"""Figures of trained runs: a function of the runs gives each, and the arrays drawn in it."""
