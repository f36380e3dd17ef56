"""Kernels for CPUs (numba) and CUDA devices (Triton), with one subpackage per subject.

* ``neuron``: batch norm, neurons over time and joins. ``tapes`` traces surrogates and joins. ``plan_kernel`` puts a
  layer on one tape and plans saved rows and sums. ``write_numba`` and ``write_triton`` write kernels, ``on_cpu`` and
  ``on_cuda`` call them, and ``operators`` registers PyTorch operators. ``reference`` is the plain loop that tests
  compare all kernels with.
* ``convolution``: event-driven and Winograd convolutions.
* ``pooling``: max pooling that saves positions of maxima.
* ``packed_bits``: packing of small integers into 1, 2, 4 or 8 bits.

They share ``dispatch`` (choice of the kernel), ``render_kernels`` (source text of kernels from ``templates``),
``compile_kernel`` (compilation on first use), ``compile_ahead`` (compilation of all kernels of a network, in processes
of ``compile_worker``), ``compile_cache`` (cache on disk), ``thread_blocks`` and ``memory_layout``.
"""

from sewdsl.snn.kernels.dispatch import (
    Choice,
    Joint,
    StepKernel,
    find_norm_kernel,
    fusible_join,
    kernels_run_on,
    may_run,
    run_neurons,
    run_neurons_from,
    run_norm_neurons,
    use_kernels,
)

__all__ = [
    "Choice",
    "Joint",
    "StepKernel",
    "find_norm_kernel",
    "fusible_join",
    "kernels_run_on",
    "may_run",
    "run_neurons",
    "run_neurons_from",
    "run_norm_neurons",
    "use_kernels",
]
