"""Kernels for numba on CPUs and for Triton on CUDA devices, in a room for each subject.

* ``neuron``: batch norm, neurons over time and joins. ``tapes`` has surrogates and joins as texts, ``plan_kernel`` a
  layer on one tape and what its kernels save and sum, ``write_numba`` and ``write_triton`` the text of kernels,
  ``on_cpu`` and ``on_cuda`` their calls, ``operators`` the operators of torch. ``reference`` is the plain loop that all
  kernels are measured against.
* ``convolution``: of active inputs alone, and by Winograd's algorithm.
* ``pooling``: max pooling that keeps positions of maxima.
* ``packed_bits``: whole numbers in a few bits.

They share ``dispatch``, which chooses the kernel, ``render_kernels``, which makes the text of a kernel from
``templates``, and what compiles and launches a text: ``compile_kernel`` (at first use), ``compile_ahead`` (all kernels
of a network, by processes of ``compile_worker``), ``compile_cache`` (on disk), ``thread_blocks`` and ``memory_layout``.
"""

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
