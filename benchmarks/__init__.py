"""Benchmarks, one folder for each question; `python -m benchmarks list` names them."""
