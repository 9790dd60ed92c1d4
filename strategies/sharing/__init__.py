"""Strategies in repositories of the Hugging Face Hub: files, model card, provenance."""
