"""Settings of ToDo with which Stratagem's laws are checked on it, for six calls."""

NEUTRAL = {"todo": {"todo": {"factor": 1}}}
STRONG = {"todo": {"todo": {"factor": [4, 2, 4, 1, 2, 4], "levels": 3}}}
