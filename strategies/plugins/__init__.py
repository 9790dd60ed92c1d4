"""Plug-ins of other packages, found by their entry points."""
