"""Formulas as shader nodes: sockets with operators, so that the code which builds a group reads like the formula.

A Value is a socket; `a * b + c`, `a.dot(b)`, `a.fraction()` create the Math or Vector Math node and return its result.
Numbers and tuples are constants. Where a scalar meets a vector it acts on all three lanes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import bpy

COLUMN, ROW, MARGIN = 190, 46, 160


class Value:
    """The output of a node: a scalar or a vector."""

    def __init__(self, graph: Graph, socket: bpy.types.NodeSocket) -> None:
        self.graph, self.socket = graph, socket
        self.is_vector = socket.type in ("VECTOR", "RGBA")

    def __add__(self, other: Operand) -> Value:
        return self.graph.math("ADD", self, other)

    def __sub__(self, other: Operand) -> Value:
        return self.graph.math("SUBTRACT", self, other)

    def __rsub__(self, other: Operand) -> Value:
        return self.graph.math("SUBTRACT", other, self)

    def __mul__(self, other: Operand) -> Value:
        return self.graph.math("MULTIPLY", self, other)

    def __truediv__(self, other: Operand) -> Value:
        return self.graph.math("DIVIDE", self, other)

    def __rtruediv__(self, other: Operand) -> Value:
        return self.graph.math("DIVIDE", other, self)

    def __pow__(self, other: Operand) -> Value:
        return self.graph.math("POWER", self, other)

    def __rpow__(self, other: Operand) -> Value:
        return self.graph.math("POWER", other, self)

    def times_plus(self, factor: Operand, term: Operand) -> Value:
        """self * factor + term, as one node."""
        return self.graph.math("MULTIPLY_ADD", self, factor, term)

    def min(self, other: Operand) -> Value:
        return self.graph.math("MINIMUM", self, other)

    def max(self, other: Operand) -> Value:
        return self.graph.math("MAXIMUM", self, other)

    def clamp(self, low: Operand, high: Operand) -> Value:
        return self.max(low).min(high)

    def floor(self) -> Value:
        return self.graph.math("FLOOR", self)

    def fraction(self) -> Value:
        return self.graph.math("FRACTION" if self.is_vector else "FRACT", self)

    def less_than(self, other: Operand) -> Value:
        """1 or 0; scalars only."""
        return self.graph.math("LESS_THAN", self, other)

    def distance(self, other: Operand) -> Value:
        return self.graph.vector_math("DISTANCE", self, other, result="Value")

    def dot(self, other: Operand) -> Value:
        return self.graph.vector_math("DOT_PRODUCT", self, other, result="Value")

    def scale(self, factor: Value) -> Value:
        """A vector times a scalar."""
        node = self.graph.node("ShaderNodeVectorMath")
        node.operation = "SCALE"
        self.graph.tree.links.new(self.socket, node.inputs[0])
        self.graph.tree.links.new(factor.socket, node.inputs["Scale"])
        return Value(self.graph, node.outputs["Vector"])

    @property
    def lanes(self) -> tuple[Value, Value, Value]:
        """x, y, z; one node however often it is asked for."""
        return self.graph.separate(self)


Operand = Value | float | Sequence[float]


class Texel:
    """What an image node returns: `rgb` (vector) and `a` (scalar)."""

    def __init__(self, graph: Graph, node: bpy.types.ShaderNodeTexImage) -> None:
        self.node = node
        self.rgb, self.a = Value(graph, node.outputs["Color"]), Value(graph, node.outputs["Alpha"])


class Graph:
    """Adds nodes to a tree, in the order of the formula.

    ordered   convert scalars to vectors with nodes of their own. Cycles evaluates nodes in the order of their creation,
              but implicit conversions last, which is cheaper but keeps more values alive (its stack holds 255 floats)
    """

    def __init__(self, tree: bpy.types.ShaderNodeTree, ordered: bool) -> None:
        self.tree, self.ordered = tree, ordered
        self._frame: bpy.types.Node | None = None
        self._vectors: dict[bpy.types.NodeSocket, Value] = {}
        self._lanes: dict[bpy.types.NodeSocket, tuple[Value, Value, Value]] = {}

    @contextmanager
    def frame(self, label: str) -> Iterator[None]:
        """Nodes created inside belong to one labelled frame."""
        self._frame = self.tree.nodes.new("NodeFrame")
        self._frame.label = self._frame.name = label
        yield
        self._frame = None

    def node(self, kind: str, label: str = "") -> Any:
        node = self.tree.nodes.new(kind)
        node.hide = True
        node.parent = self._frame
        node.label = label
        return node

    def inputs(self) -> dict[str, Value]:
        node = self.node("NodeGroupInput")
        return {socket.name: Value(self, socket) for socket in node.outputs if socket.name}

    def output(self, values: dict[str, Value]) -> None:
        node = self.node("NodeGroupOutput")
        for name, value in values.items():
            self.tree.links.new(value.socket, node.inputs[name])

    def math(self, operation: str, *operands: Operand) -> Value:
        """Math, or Vector Math where any operand is a vector."""
        if any(o.is_vector if isinstance(o, Value) else not isinstance(o, (int, float)) for o in operands):
            return self.vector_math(operation, *operands)
        node = self.node("ShaderNodeMath")
        node.operation = operation
        return self._apply(node, operands, "Value")

    def vector_math(self, operation: str, *operands: Operand, result: str = "Vector") -> Value:
        wide = [self.broadcast(o) if isinstance(o, Value) else o for o in operands]
        node = self.node("ShaderNodeVectorMath")
        node.operation = operation
        return self._apply(node, wide, result)

    def constant(self, number: float) -> Value:
        node = self.node("ShaderNodeValue")
        node.outputs[0].default_value = number
        return Value(self, node.outputs[0])

    def combine(self, x: Operand, y: Operand = 0.0, z: Operand = 0.0) -> Value:
        return self._apply(self.node("ShaderNodeCombineXYZ"), (x, y, z), "Vector")

    def broadcast(self, value: Value) -> Value:
        """(x, x, x) of a scalar, with a node only where the order of evaluation matters."""
        if value.is_vector or not self.ordered:
            return value
        if value.socket not in self._vectors:
            self._vectors[value.socket] = self.combine(value, value, value)
        return self._vectors[value.socket]

    def separate(self, value: Value) -> tuple[Value, Value, Value]:
        if value.socket not in self._lanes:
            node = self.node("ShaderNodeSeparateXYZ")
            self.tree.links.new(value.socket, node.inputs[0])
            x, y, z = (Value(self, socket) for socket in node.outputs)
            self._lanes[value.socket] = x, y, z
        return self._lanes[value.socket]

    def image(self, image: bpy.types.Image, vector: Value, label: str, extension: str) -> Texel:
        """The closest texel of an image."""
        node = self.node("ShaderNodeTexImage", label)
        node.image, node.interpolation, node.extension = image, "Closest", extension
        self.tree.links.new(self.broadcast(vector).socket, node.inputs["Vector"])
        return Texel(self, node)

    def _apply(self, node: bpy.types.Node, operands: Sequence[Operand], result: str) -> Value:
        for socket, operand in zip(node.inputs, operands, strict=False):
            if isinstance(operand, Value):
                self.tree.links.new(operand.socket, socket)
            elif socket.type == "VECTOR" and isinstance(operand, (int, float)):
                socket.default_value = (operand,) * 3
            else:
                socket.default_value = operand
        return Value(self, node.outputs[result])

    def arrange(self) -> None:
        """Lay the frames side by side; in each, a node stands one column right of what it needs."""
        column: dict[bpy.types.Node, int] = defaultdict(int)
        needs: dict[bpy.types.Node, list[bpy.types.Node]] = defaultdict(list)
        for link in self.tree.links:
            if link.from_node.parent == link.to_node.parent:
                needs[link.to_node].append(link.from_node)
        left = 0
        members: dict[bpy.types.Node, list[bpy.types.Node]] = defaultdict(list)
        for node in self.tree.nodes:
            if node.parent:
                members[node.parent].append(node)
        for nodes in members.values():
            rows: dict[int, int] = defaultdict(int)
            for node in nodes:
                column[node] = max((column[n] + 1 for n in needs[node]), default=0)
                node.location = (left + COLUMN * column[node], -ROW * rows[column[node]])
                rows[column[node]] += 1
            left += COLUMN * (max(rows) + 1) + MARGIN
