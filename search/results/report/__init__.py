"""`RUN/report.html`: one page that shows a run, in any browser and without a network."""

from search.results.report.render import FILE, write

__all__ = ["FILE", "write"]
