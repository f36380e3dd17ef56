"""What every CPU kernel begins with: dtypes, how 16-bit numbers are read and written, sums, exponentials.

``number`` is the dtype that is computed with, float32 for numbers of 16 bits.
"""

import numpy as np
from llvmlite import ir
from numba import float64, int64, njit, types
from numba.core.compiler import Compiler
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from sewdsl.snn.kernels.templates.variant import CACHE_LINE_ELEMENTS, STORED, STREAMED_ELEMENTS, STREAMED_LANES

inner = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class Disjoint(Compiler):
    """Assumes that no array that is written overlaps another."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.state.flags.noalias = True


apart = {**inner, "pipeline_class": Disjoint}
number = np.float64 if STORED == "float64" else np.float32
one, zero = number(1), number(0)
stored, numbers, table = (
    types.int16[::1],
    types.float64[::1] if STORED == "float64" else types.float32[::1],
    float64[:, ::1],
)
size = int64


@intrinsic
def plus(context, a, b):
    """a + b, in whatever order is fastest."""

    def generate(context, builder, signature, values):
        return builder.fadd(*values, flags=["reassoc"])

    return float64(float64, float64), generate


@intrinsic
def prefetch(context, row, index):
    """Prefetches the cache line of an element, which need not exist."""

    def generate(context, builder, signature, values):
        place = builder.gep(context.make_array(signature.args[0])(context, builder, values[0]).data, [values[1]])
        kind = ir.FunctionType(ir.VoidType(), [place.type, *[ir.IntType(32)] * 3])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
        builder.call(ask, [place, *(ir.Constant(ir.IntType(32), number) for number in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(row, int64), generate


@intrinsic
def part(context, row, low, n):
    """``row[low : low + n]``, which is taken for granted to be there if any of it is read or written.

    A slice of numba's own looks for negative numbers and the row's end, and counts who holds the row: compiling a
    kernel with twenty of them takes twice as long.
    """

    def generate(context, builder, signature, values):
        whole = context.make_array(row)(context, builder, values[0])
        found = context.make_array(row)(context, builder)
        start = builder.gep(whole.data, [values[1]])
        populate_array(found, start, [values[2]], [whole.itemsize], whole.itemsize, None)
        return found._getvalue()  # noqa: SLF001 -- as numba's own intrinsics do

    return row(row, int64, int64), generate


@njit(**inner)
def fill(row, value):
    """Sets all of a row."""
    for i in range(row.size):
        row[i] = value


@njit(**inner)
def fetch(row, low, n):
    """Prefetches elements that are needed soon: time-steps are too far apart for the processor to guess."""
    for i in range(low, low + n if row.size else low, CACHE_LINE_ELEMENTS):
        prefetch(row, i)


@intrinsic
def address(context, row):
    """Where a row begins in memory."""

    def generate(context, builder, signature, values):
        return builder.ptrtoint(context.make_array(row)(context, builder, values[0]).data, ir.IntType(64))

    return int64(row), generate


def store_past_caches(builder, vector, place, align):
    """Stores a vector without reading the memory first, nor keeping it near."""
    stored = builder.store(vector, builder.bitcast(place, vector.type.as_pointer()), align=align)
    stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))


@intrinsic
def move_past_caches(context, row, k, line, i):
    """Stores STREAMED_LANES numbers of a line in a row."""

    def generate(context, builder, signature, values):
        to, low, source, place = values
        start = builder.gep(context.make_array(row)(context, builder, to).data, [low])
        begin = builder.gep(context.make_array(line)(context, builder, source).data, [place])
        kind = ir.VectorType(start.type.pointee, STREAMED_LANES).as_pointer()
        store_past_caches(builder, builder.load(builder.bitcast(begin, kind), align=8), start, align=32)
        return context.get_dummy_value()

    return types.void(row, int64, line, int64), generate


@intrinsic
def finish_stores(context):
    """Waits until what was moved past the caches can be read."""

    def generate(context, builder, signature, values):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@njit(**inner)
def streams(row, step):
    """Whether a sequence is better written past the caches: it is larger than they are, and its lines are aligned."""
    return row.size >= STREAMED_ELEMENTS and step % STREAMED_LANES == 0 and address(row) % 32 == 0


@njit(**apart)
def stream(line, row, low):
    """Writes a line into a row past the caches; its length is a multiple of STREAMED_LANES, as the row's step is."""
    for i in range(0, line.size, STREAMED_LANES):
        move_past_caches(row, low + i, line, i)


@njit(**inner)
def total(row):
    """The sum of a row."""
    found = 0.0
    for i in range(row.size):
        found = plus(found, float64(row[i]))
    return found


if STORED == "bfloat16":

    @intrinsic
    def read(context, value):
        """The number with the given bits, the upper half of a float32."""

        def generate(context, builder, signature, values):
            upper = builder.shl(builder.zext(values[0], ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
            return builder.bitcast(upper, ir.FloatType())

        return types.float32(types.int16), generate

    @intrinsic
    def write(context, value):
        """The bits of the nearest number of 16 bits; of two equally near, the even one."""

        def generate(context, builder, signature, values):
            def constant(number):
                return ir.Constant(ir.IntType(32), number)

            bits = builder.bitcast(values[0], ir.IntType(32))
            even = builder.and_(builder.lshr(bits, constant(16)), constant(1))
            nearest = builder.lshr(builder.add(builder.add(bits, constant(0x7FFF)), even), constant(16))
            none = builder.fcmp_unordered("uno", values[0], values[0])
            return builder.trunc(builder.select(none, constant(0x7FC0), nearest), ir.IntType(16))

        return types.int16(types.float32), generate


elif STORED == "float16":

    @intrinsic
    def read(context, value):
        """The number with the given bits."""

        def generate(context, builder, signature, values):
            return builder.fpext(builder.bitcast(values[0], ir.HalfType()), ir.FloatType())

        return types.float32(types.int16), generate

    @intrinsic
    def write(context, value):
        """The bits of the nearest number of 16 bits; of two equally near, the even one."""

        def generate(context, builder, signature, values):
            return builder.bitcast(builder.fptrunc(values[0], ir.HalfType()), ir.IntType(16))

        return types.int16(types.float32), generate


else:
    stored = numbers

    @intrinsic
    def read(context, value):
        return value(value), lambda _context, _builder, _signature, values: values[0]

    write = read


if STORED == "float64":
    from math import exp

else:

    @intrinsic
    def power_of_two(context, exponent):
        """2**exponent for a whole exponent from -126 to 127."""

        def generate(context, builder, signature, values):
            shifted = builder.add(values[0], ir.Constant(ir.IntType(32), 127))
            return builder.bitcast(builder.shl(shifted, ir.Constant(ir.IntType(32), 23)), ir.FloatType())

        return types.float32(types.int32), generate

    @njit(**inner)
    def exp(x):
        """e**x to within a few units of the last place, without branches (S. Moshier, Cephes, expf)."""
        x = number(-104) if x < number(-104) else x
        x = number(89) if x > number(89) else x
        n = (x * number(1.44269504088896341) + number(12582912)) - number(12582912)
        r = (x - n * number(0.693359375)) - n * number(-2.12194440e-4)
        p = number(1.9875691500e-4) * r + number(1.3981999507e-3)
        p = p * r + number(8.3334519073e-3)
        p = p * r + number(4.1665795894e-2)
        p = p * r + number(1.6666665459e-1)
        p = p * r + number(5.0000001201e-1)
        p = (p * (r * r) + r) + one
        whole = np.int32(n)
        half = whole >> np.int32(1)
        return (p * power_of_two(half)) * power_of_two(np.int32(whole - half))
