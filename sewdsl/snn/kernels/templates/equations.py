"""What CPU kernels of neurons as equations share.

The time-step, its gradient and the loops around them are generated, since how many states and factors there are
differs from neuron to neuron (see :mod:`sewdsl.snn.kernels.render_equations`).

A factor is a table of a number for each time-step, or one for all, and each channel, or one for all. ``place`` says
where it is: its offset, its time-steps and its channels.
"""

from math import cos, log, sin  # noqa: F401 -- equations use them

from numba import int64, njit, types
from numba.extending import intrinsic

from sewdsl.snn.kernels.templates.channels import gather, spread
from sewdsl.snn.kernels.templates.number_formats import fill, inner, number, part, zero

two = number(2)
places = int64[:, ::1]
layers = types.float64[:, :, ::1]


@intrinsic
def rint(context, a):
    """The nearest whole number; of two equally near, the even one."""

    def generate(context, builder, signature, values):
        return builder.call(builder.module.declare_intrinsic("llvm.rint", [values[0].type]), values)

    return a(a), generate


@njit(**inner)
def spread_factor(factors, place, lanes, low, n, block, stride):
    """Sets the lanes of each time-step to a factor's numbers for the channels of a block's neurons."""
    C = place[2]
    for t in range(place[1]):
        first = place[0] + t * C
        spread(part(factors, first, C), part(lanes, t * block, n), low, stride if C > 1 else low + n + 1, C)


@njit(**inner)
def gather_factor(lanes, sums, place, low, n, block, stride):
    """Adds the lanes of each time-step to a factor's sums, and clears them."""
    C = place[2]
    for t in range(place[1]):
        first = place[0] + t * C
        row = part(lanes, t * block, n)
        gather(row, sums[first : first + C], low, stride if C > 1 else low + n + 1, C, int64(0))
    fill(lanes, zero)
