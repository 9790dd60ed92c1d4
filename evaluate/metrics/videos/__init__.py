"""Metrics of videos, which compare frames with each other."""
