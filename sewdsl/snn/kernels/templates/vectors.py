"""Vectors of LLVM for intrinsics. LLVM splits vectors that are wider than a register."""

from llvmlite import ir
from numba.core import cgutils

from sewdsl.snn.kernels.templates.variant import VECTOR

I32, I64, FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()
VALUES, INDICES = ir.VectorType(FLOAT, VECTOR), ir.VectorType(I32, VECTOR)


def whole(number):
    """Return a constant index."""
    return ir.Constant(I64, number)


def pointer(context, builder, kind, array, index):
    """Return the address of an element."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def load(builder, place, kind, align=4):
    """Load a vector from memory."""
    vector = builder.load(builder.bitcast(place, kind.as_pointer()))
    vector.align = align
    return vector


def store(builder, value, place):
    """Store a vector in memory."""
    element = value.type.element
    align = element.width // 8 if isinstance(element, ir.IntType) else 4
    builder.store(value, builder.bitcast(place, value.type.as_pointer())).align = align


def spread(builder, number, kind):
    """Return a vector with all elements equal to a number."""
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(I32, VECTOR), [0] * VECTOR))


def multiply_add(builder, a, b, c):
    """Return a · b + c, rounded once."""
    kind = ir.FunctionType(VALUES, [VALUES] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{VECTOR}f32")
    return builder.call(function, [a, b, c])
