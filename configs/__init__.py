"""Settings that come with the package: YAML files of models, spaces and searches. No code."""
