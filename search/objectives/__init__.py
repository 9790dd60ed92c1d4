"""Objectives, constraints and metrics of a search; no study, no strategy."""
