"""Neurons over time: a plain kernel that all others are measured against, and those that are fast."""

from sewdsl.snn.kernels.dispatch import (
    ChannelAffine,
    Choice,
    Joint,
    StepKernel,
    find_norm_equations,
    find_norm_kernel,
    fusible_join,
    kernels_run_on,
    may_run,
    run_equations,
    run_neurons,
    run_neurons_from,
    run_norm_neurons,
    use_kernels,
)

__all__ = [
    "ChannelAffine",
    "Choice",
    "Joint",
    "StepKernel",
    "find_norm_equations",
    "find_norm_kernel",
    "fusible_join",
    "kernels_run_on",
    "may_run",
    "run_equations",
    "run_neurons",
    "run_neurons_from",
    "run_norm_neurons",
    "use_kernels",
]
