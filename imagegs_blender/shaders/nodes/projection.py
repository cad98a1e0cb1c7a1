"""The projections of an Image Texture node as shader nodes: from a point in space to texture coordinates.

The formulas are Blender's own (Cycles: kernel/svm/image.h), so that a decoder shows its texture where the Image Texture
node showed it. With p = 2 vector - 1,

    SPHERE  u = 1/2 - atan2(p_x, p_y) / (2 pi),  v = 1 - acos(p_z / |p|) / pi;  u = 0 on the z axis, v = 0 in its middle
    TUBE    u = 1/2 - atan2(p_x, p_y) / (2 pi),  v = vector_z;                  u = v = 0 on the z axis

acos(p_z / |p|) is taken as atan2(|p_xy|, p_z), which is as exact near the poles as it is at the equator.
"""

from __future__ import annotations

from math import pi

from ...blend.properties import FLAT
from .graph import Value

_ZERO = 1e-30
"""Lengths below are none: a direction can't be told."""


def projected(vector: Value, projection: str) -> Value:
    """Texture coordinates (u, v, any), v up, of what is linked to the Vector of an Image Texture node."""
    if projection == FLAT:
        return vector
    return _sphere(vector) if projection == "SPHERE" else _tube(vector)


def _sphere(vector: Value) -> Value:
    graph = vector.graph
    point = vector.times_plus(2.0, -1.0)
    radius, _, u = _around(point)
    in_the_middle = _length(point).less_than(_ZERO)
    angle = graph.math("ARCTAN2", radius, point.lanes[2] + in_the_middle)  # from the upper pole, 0..pi
    v = angle.times_plus(-1 / pi, 1.0 - in_the_middle)
    return graph.combine(u, v)


def _tube(vector: Value) -> Value:
    graph = vector.graph
    _, on_axis, u = _around(vector.times_plus(2.0, -1.0))
    return graph.combine(u, vector.lanes[2] * (1.0 - on_axis))


def _around(point: Value) -> tuple[Value, Value, Value]:
    """The distance of a point from the z axis, 1 where there is none (else 0), and u, which is 0 there.

    atan2(0, 0) is undefined on some GPUs: on the axis it is atan2(0, 1).
    """
    graph = point.graph
    radius = _length(point * (1, 1, 0))
    on_axis = radius.less_than(_ZERO)
    x, y, _ = point.lanes
    turn = graph.math("ARCTAN2", x, y + on_axis)
    return radius, on_axis, on_axis.times_plus(-0.5, turn.times_plus(-0.5 / pi, 0.5))


def _length(vector: Value) -> Value:
    return vector.graph.vector_math("LENGTH", vector, result="Value")
