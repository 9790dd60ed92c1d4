"""Base class of metrics, and what metrics of one kind share."""
