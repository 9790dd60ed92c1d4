"""Files from elsewhere and files that come with the packages: limits, reading, writing.

Knows neither strategies nor methods.
"""
