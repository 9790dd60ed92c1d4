"""Base class of metrics, and parts that metrics of one kind share."""
