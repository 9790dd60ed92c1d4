"""The folder of a run: how it is made, what it depends on, and whether a resumed one still fits."""
