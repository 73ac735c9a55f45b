"""What is measured of one run: a number or a count, None where the run does not tell."""
