"""Pipelines of diffusers: which one is calling, how it guides, when a generation starts.

Imports `patching` alone; the clock asks these modules.
"""
