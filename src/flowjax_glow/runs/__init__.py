"""Runs: their configuration, their folders, what trains and measures them, what they cost."""
