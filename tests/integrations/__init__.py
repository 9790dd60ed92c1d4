"""Tests of what stands in `integrations/`."""
