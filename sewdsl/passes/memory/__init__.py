"""How much memory a training step takes, and how to make it take less; all from the network, before anything runs."""

from sewdsl.passes.memory.choosing import RecomputationChoice, choose_recomputation
from sewdsl.passes.memory.sizes import TrainingLoad, training_load
from sewdsl.passes.memory.timeline import Moment, PeakMemory, peak_memory

__all__ = [
    "Moment",
    "PeakMemory",
    "RecomputationChoice",
    "TrainingLoad",
    "choose_recomputation",
    "peak_memory",
    "training_load",
]
