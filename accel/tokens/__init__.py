"""Running on fewer tokens: shared by the methods that merge, prune or select tokens.

May use `caching`; knows no method and no family.
"""
