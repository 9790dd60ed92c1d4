"""Final scoring: which strategies are scored again on held-out prompts, and what they are worth."""
