"""Results kept from one call to a later one: shared by the methods that cache.

Knows no method and no family.
"""
