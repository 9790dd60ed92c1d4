"""Models: settings, loading of weights, tasks.

`config` imports neither torch nor diffusers, so that runs are read without them.
"""
