"""The figures: a function of the runs gives each and the arrays that are drawn in it."""
