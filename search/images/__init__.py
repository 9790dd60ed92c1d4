"""Images of a search: requests to generate them, the unaccelerated ones, and kept features."""
