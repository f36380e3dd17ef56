"""Common definitions of all CPU kernels: dtypes, 16-bit conversions, sums and exponentials.

``number`` is the dtype of computations: float32 for 16-bit formats.
"""

import numpy as np
from llvmlite import ir
from numba import float64, int64, njit, types
from numba.core.compiler import Compiler
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from sewdsl.snn.kernels.templates.variant import CACHE_LINE_BYTES, STORED, STREAMED_BYTES

WIDTH = 8 if STORED == "float64" else 4 if STORED == "float32" else 2
CACHE_LINE_ELEMENTS, STREAMED_ELEMENTS = CACHE_LINE_BYTES // WIDTH, STREAMED_BYTES // WIDTH
STREAMED_LANES = CACHE_LINE_ELEMENTS // 2
inner = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class Disjoint(Compiler):
    """Compiler that assumes that written arrays do not overlap other arrays."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.state.flags.noalias = True


# Without this assumption, LLVM would check for overlaps at run time, or not vectorise.
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
    """Return a + b, with permission to reorder sums."""

    def generate(context, builder, signature, values):
        return builder.fadd(*values, flags=["reassoc"])

    return float64(float64, float64), generate


@intrinsic
def prefetch(context, row, index):
    """Prefetch the cache line of an element, which may be out of bounds."""

    def generate(context, builder, signature, values):
        address = builder.gep(context.make_array(signature.args[0])(context, builder, values[0]).data, [values[1]])
        kind = ir.FunctionType(ir.VoidType(), [address.type, *[ir.IntType(32)] * 3])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(ask, [address, *(ir.Constant(ir.IntType(32), argument) for argument in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(row, int64), generate


@intrinsic
def part(context, row, low, n):
    """Return ``row[low : low + n]`` without bounds checks.

    A slice of numba handles negative indices, clips to the row and counts references. Compiling a kernel with twenty
    slices takes twice as long.
    """

    def generate(context, builder, signature, values):
        array = context.make_array(row)(context, builder, values[0])
        view = context.make_array(row)(context, builder)
        start = builder.gep(array.data, [values[1]])
        populate_array(view, start, [values[2]], [array.itemsize], array.itemsize, None)
        return view._getvalue()  # noqa: SLF001 -- as numba's own intrinsics do

    return row(row, int64, int64), generate


@njit(**inner)
def fill(row, value):
    """Set all elements of a row."""
    for i in range(row.size):
        row[i] = value


@njit(**inner)
def fetch(row, low, n):
    """Prefetch elements that are needed soon."""
    # Time-steps are too far apart in memory for hardware prefetchers.
    for i in range(low, low + n if row.size else low, CACHE_LINE_ELEMENTS):
        prefetch(row, i)


@intrinsic
def address(context, row):
    """Return the memory address of a row."""

    def generate(context, builder, signature, values):
        return builder.ptrtoint(context.make_array(row)(context, builder, values[0]).data, ir.IntType(64))

    return int64(row), generate


def store_past_caches(builder, vector, place, align):
    """Store a vector with a non-temporal store, which does not read the cache line first."""
    stored = builder.store(vector, builder.bitcast(place, vector.type.as_pointer()), align=align)
    stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))


@intrinsic
def move_past_caches(context, row, k, line, i):
    """Copy STREAMED_LANES elements of a line into a row with a non-temporal store."""

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
    """Wait until non-temporal stores are visible to other threads."""

    def generate(context, builder, signature, values):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@njit(**inner)
def streams(row, step):
    """Return whether a sequence is written with non-temporal stores."""
    # It has to exceed the caches, and its vectors have to be aligned.
    return row.size >= STREAMED_ELEMENTS and step % STREAMED_LANES == 0 and address(row) % 32 == 0


@njit(**apart)
def stream(line, row, low):
    """Copy a line into a row with non-temporal stores. Its length is a multiple of STREAMED_LANES."""
    for i in range(0, line.size, STREAMED_LANES):
        move_past_caches(row, low + i, line, i)


@njit(**inner)
def total(row):
    """Return the sum of a row."""
    total = 0.0
    for i in range(row.size):
        total = plus(total, float64(row[i]))
    return total


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

            # Adding 0x7FFF, or 0x8000 if the upper half is odd, rounds to nearest even.
            bits = builder.bitcast(values[0], ir.IntType(32))
            even = builder.and_(builder.lshr(bits, constant(16)), constant(1))
            nearest = builder.lshr(builder.add(builder.add(bits, constant(0x7FFF)), even), constant(16))
            # The addition could turn a NaN into another value.
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
        """Return 2**exponent for an integer exponent from -126 to 127."""

        def generate(context, builder, signature, values):
            shifted = builder.add(values[0], ir.Constant(ir.IntType(32), 127))
            return builder.bitcast(builder.shl(shifted, ir.Constant(ir.IntType(32), 23)), ir.FloatType())

        return types.float32(types.int32), generate

    @njit(**inner)
    def exp(x):
        """Return e**x to within a few units in the last place (S. Moshier, Cephes, expf)."""
        # Beyond these limits, the result is 0 or infinity.
        # Branch-free, so that loops are vectorised.
        x = number(-104) if x < number(-104) else x
        x = number(89) if x > number(89) else x
        # Adding and subtracting 1.5 · 2^23 rounds to the nearest integer.
        n = (x * number(1.44269504088896341) + number(12582912)) - number(12582912)
        # ln 2 in two parts: the product of n and the first part is exact.
        r = (x - n * number(0.693359375)) - n * number(-2.12194440e-4)
        p = number(1.9875691500e-4) * r + number(1.3981999507e-3)
        p = p * r + number(8.3334519073e-3)
        p = p * r + number(4.1665795894e-2)
        p = p * r + number(1.6666665459e-1)
        p = p * r + number(5.0000001201e-1)
        p = (p * (r * r) + r) + one
        exponent = np.int32(n)
        # Two factors, since 2^n may exceed the range of the exponent.
        half = exponent >> np.int32(1)
        return (p * power_of_two(half)) * power_of_two(np.int32(exponent - half))
