"""Neurons over time: a plain kernel that all others are measured against, and those that are fast."""

from sewdsl.snn.kernels.choice import (
    Channels,
    Choice,
    Joint,
    fast,
    integrate,
    join_suits,
    large,
    norm_spikes,
    norm_suits,
    spikes,
    using,
)

__all__ = [
    "Channels",
    "Choice",
    "Joint",
    "fast",
    "integrate",
    "join_suits",
    "large",
    "norm_spikes",
    "norm_suits",
    "spikes",
    "using",
]
