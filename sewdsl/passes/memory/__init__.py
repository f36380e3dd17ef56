"""Prediction of the memory of a training step, and selection of recomputed values to reduce it."""

from sewdsl.passes.memory.choose_recomputation import RecomputationChoice, choose_recomputation
from sewdsl.passes.memory.step_timeline import Moment, PeakMemory, peak_memory
from sewdsl.passes.memory.value_sizes import TrainingLoad, training_load

__all__ = [
    "Moment",
    "PeakMemory",
    "RecomputationChoice",
    "TrainingLoad",
    "choose_recomputation",
    "peak_memory",
    "training_load",
]
