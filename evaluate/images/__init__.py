"""Images and the prompts that they come from: generation, files, references.

Knows no metric.
"""
