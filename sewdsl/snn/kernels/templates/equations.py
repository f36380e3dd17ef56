"""Names and functions of the generated CPU kernels of neurons.

The generator is :mod:`sewdsl.snn.kernels.neuron.write_numba`. A factor is a table with one or T rows and one or C
columns. A row of ``places`` has its offset, its number of time-steps and its number of channels.
"""

import math  # noqa: F401 -- equations use its functions

from numba import int64, types
from numba.extending import intrinsic

from sewdsl.snn.kernels.templates.number_formats import number

two = number(2)
places = int64[:, ::1]
layers = types.float64[:, :, ::1]


def unary(name):
    """Return a function of LLVM for floating-point numbers."""

    @intrinsic
    def call(context, a):
        def generate(context, builder, signature, values):
            return builder.call(builder.module.declare_intrinsic(f"llvm.{name}", [values[0].type]), values)

        return a(a), generate

    return call


# Nearest integer, with ties rounded to even. The functions of math return integers of 64 bits.
rint, floor, ceil = unary("rint"), unary("floor"), unary("ceil")
