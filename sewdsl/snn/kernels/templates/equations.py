"""Names and functions of the generated CPU kernels of neurons, see :mod:`sewdsl.snn.kernels.neuron.write_numba`.

A factor is a table of a number for each time-step, or one for all, and each channel, or one for all. A row of
``places`` is its offset, its time-steps and its channels.
"""

import math  # noqa: F401 -- equations use its functions

from numba import int64, types
from numba.extending import intrinsic

from sewdsl.snn.kernels.templates.number_formats import number

two = number(2)
places = int64[:, ::1]
layers = types.float64[:, :, ::1]


@intrinsic
def rint(context, a):
    """The nearest whole number; of two equally near, the even one."""

    def generate(context, builder, signature, values):
        return builder.call(builder.module.declare_intrinsic("llvm.rint", [values[0].type]), values)

    return a(a), generate
