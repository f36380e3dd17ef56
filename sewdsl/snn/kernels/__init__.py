"""Neurons over time: a plain kernel that all others are measured against, and those that are fast."""

from sewdsl.snn.kernels.choice import Channels, Choice, fast, integrate, large, norm_spikes, norm_suits, spikes, using

__all__ = ["Channels", "Choice", "fast", "integrate", "large", "norm_spikes", "norm_suits", "spikes", "using"]
