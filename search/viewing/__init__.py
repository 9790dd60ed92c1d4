"""Local page that generates images along the front of a run."""
