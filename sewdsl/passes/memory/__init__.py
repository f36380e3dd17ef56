"""How much memory a training step takes, and how to make it take less; all from the network, before anything runs."""

from sewdsl.passes.memory.choosing import Choice, choose
from sewdsl.passes.memory.sizes import Load, load_of
from sewdsl.passes.memory.timeline import Moment, Peak, peak

__all__ = ["Choice", "Load", "Moment", "Peak", "choose", "load_of", "peak"]
