"""Neurons over time: a plain kernel that all others are measured against, and those that are fast."""

from sewdsl.snn.kernels.choice import Choice, integrate, spikes, using

__all__ = ["Choice", "integrate", "spikes", "using"]
