"""Replacing methods of single objects and putting them back exactly.

Nothing here knows a denoiser, a method or a call.
"""
