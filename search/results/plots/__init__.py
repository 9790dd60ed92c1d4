"""Plots of a run, for papers: the front, its convergence, and the schedules of strategies."""
