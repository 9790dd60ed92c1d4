"""Benchmarks of the search engine itself: its loop, its workers, its predictions."""
