"""Denoisers of published topologies with random weights, and the parts of a pipeline for them."""
