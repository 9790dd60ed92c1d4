"""Predictions of a strategy's objectives from the evaluations that have finished."""
