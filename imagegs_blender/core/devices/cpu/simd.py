"""Sixteen float32 lanes as one value inside Numba kernels.

Numba vectorizes a loop only where LLVM can prove that arrays do not alias; in kernels that walk many short rows it often
can't. Here a row of sixteen texels is one value of type `f32x16` (LLVM's <16 x float>), and each function below emits the
vector instruction it names. LLVM lowers it to one AVX-512, two AVX2 or four NEON registers, so one kernel serves every
processor.

    load(a, i), store(a, i, v)    sixteen consecutive elements of a contiguous one-dimensional float32 array
    full(x), lane_index()         x in every lane; 0, 1, ... 15
    spread(a, i)                  element i of such an array in every lane
    v + w, v - w, v * w, v / w    lane by lane
    fma(v, w, z)                  v * w + z
    minimum, maximum, select_le(v, w, x, y)      x where v <= w, else y
    any_le(v, w)                  True where v <= w in some lane
    exp_neg(q)                    e^-q for 0 <= q <= 80, relative error below 1e-6
    total(v)                      sum of the lanes
    repeat(v, like), insert(t, v), last(t)       a sorted tuple of len(like) rows; v sorted into it lane by lane, the largest
                                  of each lane dropped; its last row. The tuple lives in registers.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model

LANES = 16
_F32 = ir.FloatType()
_I32 = ir.IntType(32)
_V = ir.VectorType(_F32, LANES)
_VI = ir.VectorType(_I32, LANES)


class F32x16(types.Type):
    """Numba's name for LLVM's <16 x float>; exists inside kernels only."""

    def __init__(self) -> None:
        super().__init__(name="f32x16")


f32x16 = F32x16()


@register_model(F32x16)
class _F32x16Model(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _V)


def _constant(value: float, kind: ir.VectorType = _V) -> ir.Constant:
    return ir.Constant(kind, [value] * LANES)


def _splat(builder: ir.IRBuilder, scalar: ir.Value) -> ir.Value:
    one = builder.insert_element(ir.Constant(_V, ir.Undefined), scalar, _I32(0))
    return builder.shuffle_vector(one, ir.Constant(_V, ir.Undefined), ir.Constant(_VI, [0] * LANES))


def _call(builder: ir.IRBuilder, name: str, result: ir.Type, *args: ir.Value) -> ir.Value:
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(function, args)


def _pointer(context, builder, array_type, array, index, index_type):
    data = context.make_array(array_type)(context, builder, array).data
    offset = context.cast(builder, index, index_type, types.intp)
    return builder.bitcast(builder.gep(data, [offset]), _V.as_pointer())


def _check_array(array) -> None:
    if not (
        isinstance(array, types.Array) and array.dtype == types.float32 and array.ndim == 1 and array.layout == "C"
    ):
        raise TypeError(f"lanes are read from one-dimensional contiguous float32 arrays, not {array}")


@intrinsic
def load(typingctx, array, index):
    _check_array(array)

    def code(context, builder, signature, args):
        pointer = _pointer(context, builder, array, args[0], args[1], index)
        return builder.load(pointer, align=4)

    return f32x16(array, index), code


@intrinsic
def store(typingctx, array, index, value):
    _check_array(array)

    def code(context, builder, signature, args):
        pointer = _pointer(context, builder, array, args[0], args[1], index)
        builder.store(args[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, index, f32x16), code


@intrinsic
def full(typingctx, scalar):
    def code(context, builder, signature, args):
        return _splat(builder, args[0])

    return f32x16(types.float32), code


@intrinsic
def spread(typingctx, array, index):
    _check_array(array)

    def code(context, builder, signature, args):
        data = context.make_array(array)(context, builder, args[0]).data
        offset = context.cast(builder, args[1], index, types.intp)
        return _splat(builder, builder.load(builder.gep(data, [offset])))

    return f32x16(array, index), code


@intrinsic
def lane_index(typingctx):
    def code(context, builder, signature, args):
        return ir.Constant(_V, [float(i) for i in range(LANES)])

    return f32x16(), code


@intrinsic
def fma(typingctx, a, b, c):
    def code(context, builder, signature, args):
        return _call(builder, f"llvm.fmuladd.v{LANES}f32", _V, *args)

    return f32x16(f32x16, f32x16, f32x16), code


def _pick(compare: str):
    def code(context, builder, signature, args):
        a, b = args
        return builder.select(builder.fcmp_ordered(compare, a, b), a, b)

    return code


@intrinsic
def minimum(typingctx, a, b):
    return f32x16(f32x16, f32x16), _pick("<")


@intrinsic
def maximum(typingctx, a, b):
    return f32x16(f32x16, f32x16), _pick(">")


@intrinsic
def select_le(typingctx, a, b, x, y):
    def code(context, builder, signature, args):
        a, b, x, y = args
        return builder.select(builder.fcmp_ordered("<=", a, b), x, y)

    return f32x16(f32x16, f32x16, f32x16, f32x16), code


@intrinsic
def any_le(typingctx, a, b):
    def code(context, builder, signature, args):
        mask = builder.fcmp_ordered("<=", args[0], args[1])
        bits = builder.bitcast(mask, ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.IntType(LANES)(0))

    return types.boolean(f32x16, f32x16), code


@intrinsic
def total(typingctx, a):
    def code(context, builder, signature, args):
        value = args[0]
        width = LANES
        while width > 1:  # pairwise, in a fixed order: the same sum on every processor
            width //= 2
            half = ir.VectorType(_F32, width)
            undefined = ir.Constant(value.type, ir.Undefined)
            low = builder.shuffle_vector(value, undefined, ir.Constant(ir.VectorType(_I32, width), list(range(width))))
            high = builder.shuffle_vector(
                value, undefined, ir.Constant(ir.VectorType(_I32, width), list(range(width, 2 * width)))
            )
            value = builder.fadd(low, high)
            assert value.type == half
        return builder.extract_element(value, _I32(0))

    return types.float32(f32x16), code


@intrinsic
def exp_neg(typingctx, q):
    """e^-q = 2^n 2^f with n = round(-q log2 e), |f| <= 1/2; 2^f by the degree-6 Taylor polynomial of e^(f ln 2)."""

    def code(context, builder, signature, args):
        t = builder.fmul(args[0], _constant(-1.4426950408889634))
        n = _call(builder, f"llvm.rint.v{LANES}f32", _V, t)
        f = builder.fmul(builder.fsub(t, n), _constant(0.6931471805599453))
        power = _constant(1 / 720)
        for factor in (1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0):
            power = _call(builder, f"llvm.fmuladd.v{LANES}f32", _V, power, f, _constant(factor))
        exponent = builder.shl(builder.fptosi(n, _VI), _constant(23, _VI))
        return builder.bitcast(builder.add(builder.bitcast(power, _VI), exponent), _V)

    return f32x16(f32x16), code


@intrinsic
def repeat(typingctx, value, like):
    result = types.UniTuple(f32x16, len(like))

    def code(context, builder, signature, args):
        return context.make_tuple(builder, result, [args[0]] * len(like))

    return result(f32x16, like), code


@intrinsic
def insert(typingctx, rows, value):
    def code(context, builder, signature, args):
        carried, kept = args[1], []
        for row in cgutils.unpack_tuple(builder, args[0], len(rows)):
            smaller = builder.fcmp_ordered("<", carried, row)
            kept.append(builder.select(smaller, carried, row))
            carried = builder.select(smaller, row, carried)
        return context.make_tuple(builder, rows, kept)

    return rows(rows, f32x16), code


@intrinsic
def last(typingctx, rows):
    def code(context, builder, signature, args):
        return builder.extract_value(args[0], len(rows) - 1)

    return f32x16(rows), code


def _operator(symbol, instruction: str) -> None:
    @intrinsic
    def apply(typingctx, a, b):
        def code(context, builder, signature, args):
            return getattr(builder, instruction)(*args)

        return f32x16(f32x16, f32x16), code

    @overload(symbol)
    def lanes(a, b):
        if isinstance(a, F32x16) and isinstance(b, F32x16):
            return lambda a, b: apply(a, b)  # noqa: PLW0108  Numba compiles functions, no intrinsics
        return None


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
_operator(operator.truediv, "fdiv")
