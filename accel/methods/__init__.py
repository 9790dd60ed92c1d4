"""The acceleration methods, in the order in which they are attached."""

from accel.method import Attach
from accel.methods import deepcache, tome

METHODS: dict[str, Attach] = {"deepcache": deepcache.attach, "tome": tome.attach}
