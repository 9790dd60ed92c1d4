"""Differences between the versions of diffusers and transformers that Stratagem works with."""
