"""Costs of a search: the latency table, predictions from it, and the budget."""
