"""Formulas as shader nodes: sockets with operators, so that the code which builds a group reads like the formula.

A Value is a socket; `a * b + c`, `a.dot(b)`, `a.fraction()` create the Math or Vector Math node and return its result.
Numbers and tuples are constants. Where a scalar meets a vector it acts on all three lanes.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import bpy
import numpy as np

from ...blend import border
from ...blend.properties import FLAT

COLUMN, ROW, MARGIN = 190, 46, 160
"""How far apart nodes stand in the editor, across and down, and frames across."""


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

    def times_plus(self, factor: Operand, term: Operand) -> Value:
        """self * factor + term, as one node."""
        return self.graph.math("MULTIPLY_ADD", self, factor, term)

    def min(self, other: Operand) -> Value:
        return self.graph.math("MINIMUM", self, other)

    def max(self, other: Operand) -> Value:
        return self.graph.math("MAXIMUM", self, other)

    def clamp(self, low: Operand, high: Operand) -> Value:
        return self.max(low).min(high)

    def cross(self, other: Operand) -> Value:
        return self.graph.vector_math("CROSS_PRODUCT", self, other)

    def sqrt(self) -> Value:
        """0 of what is below 0; scalars only."""
        return self.graph.math("SQRT", self)

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

    @property
    def lanes(self) -> tuple[Value, Value, Value]:
        """x, y, z; one node however often it is asked for."""
        return self.graph.separate(self)


Operand = Value | float | Sequence[float]


class Texel:
    """What an image node returns: `rgb` (vector) and `a` (scalar)."""

    def __init__(self, graph: Graph, node: bpy.types.ShaderNodeTexImage) -> None:
        self.node = node
        self.rgb, self.a = (Value(graph, border.output_of(node, name)) for name in ("Color", "Alpha"))


class Graph:
    """Adds nodes to a tree, in the order of the formula.

    copied   the tree is a copy of one that was built alike. Its nodes are taken in their order, and what differs is
             changed, which is several times as fast; from the first node of another kind on, they are replaced
    """

    def __init__(self, tree: bpy.types.ShaderNodeTree, copied: bool = False) -> None:
        self.tree = tree
        self._frame: bpy.types.Node | None = None
        self._lanes: dict[bpy.types.NodeSocket, tuple[Value, Value, Value]] = {}
        self._there = deque(tree.nodes if copied else ())  # not taken yet
        links = tree.links if copied else ()
        self._linked = {link.to_socket: link.from_socket for link in links}  # not asked for yet

    @contextmanager
    def frame(self, label: str) -> Iterator[None]:
        """Nodes created inside belong to one labeled frame."""
        self._frame = self._next("NodeFrame")
        border.change(self._frame, label=label, name=label)
        yield
        self._frame = None

    def node(self, kind: str, label: str = "") -> Any:
        """A node of a kind, by its name in Blender."""
        node = self._next(kind)
        node.hide = True
        node.label = label
        if node.parent != self._frame:
            node.parent = self._frame
        return node

    def _next(self, kind: str) -> Any:
        """The node of the copy whose turn it is, or a new one."""
        if not self._there or self._there[0].bl_idname != kind:
            self._remove_rest()
            return self.tree.nodes.new(kind)
        node = self._there.popleft()
        for key in list(node.keys()):
            del node[key]
        return node

    def _remove_rest(self) -> None:
        while self._there:
            node = self._there.pop()
            self._forget_links(node)
            self.tree.nodes.remove(node)

    def _forget_links(self, node: bpy.types.Node) -> None:
        for socket in node.inputs:
            self._linked.pop(socket, None)

    def link(self, source: bpy.types.NodeSocket, target: bpy.types.NodeSocket) -> None:
        """Let an output be what an input gets."""
        if self._linked.pop(target, None) != source:
            self.tree.links.new(source, target)

    def inputs(self) -> dict[str, Value]:
        """What the group is given, by socket."""
        node = self.node("NodeGroupInput")
        return {socket.name: Value(self, socket) for socket in node.outputs if socket.name}

    def output(self, values: dict[str, Value]) -> None:
        """What the group gives, by socket. A first output without links is for programs that walk node trees."""
        _, node = self.node("NodeGroupOutput", "Average"), self.node("NodeGroupOutput")
        node.is_active_output = True
        for name, value in values.items():
            self.link(value.socket, node.inputs[name])

    def math(self, operation: str, *operands: Operand, clamp: bool = False) -> Value:
        """Math, or Vector Math where any operand is a vector; clamp: scalars are limited to 0..1."""
        if any(o.is_vector if isinstance(o, Value) else not isinstance(o, (int, float)) for o in operands):
            return self.vector_math(operation, *operands)
        node = self.node("ShaderNodeMath")
        border.change(node, operation=operation, use_clamp=clamp)
        return self._apply(node, operands, "Value")

    def vector_math(self, operation: str, *operands: Operand, result: str = "Vector") -> Value:
        """Vector Math; the result is that of its outputs."""
        node = self.node("ShaderNodeVectorMath")
        border.change(node, operation=operation)
        return self._apply(node, operands, result)

    def constant(self, number: float) -> Value:
        """A number as a Value."""
        node = self.node("ShaderNodeValue")
        border.set_value(node.outputs[0], number)
        return Value(self, node.outputs[0])

    def combine(self, x: Operand, y: Operand = 0.0, z: Operand = 0.0) -> Value:
        """The vector of three scalars."""
        return self._apply(self.node("ShaderNodeCombineXYZ"), (x, y, z), "Vector")

    def separate(self, value: Value) -> tuple[Value, Value, Value]:
        """The three scalars of a vector, see Value.lanes."""
        if value.socket not in self._lanes:
            node = self.node("ShaderNodeSeparateXYZ")
            self.link(value.socket, node.inputs[0])
            x, y, z = (Value(self, socket) for socket in node.outputs)
            self._lanes[value.socket] = x, y, z
        return self._lanes[value.socket]

    def limited_plus(self, a: Operand, b: Value, factor: Value) -> Value:
        """a + factor * b, limited to 0..1, as one node."""
        if not b.is_vector:
            return self.math("MULTIPLY_ADD", b, factor, a, clamp=True)
        node = self.node("ShaderNodeMix")
        border.change(node, data_type="RGBA", blend_type="ADD", clamp_factor=False, clamp_result=True)
        sockets = {socket.identifier: socket for socket in node.inputs}
        if isinstance(a, Value):
            self.link(a.socket, sockets["A_Color"])
        else:
            border.set_value(sockets["A_Color"], (*np.broadcast_to(a, 3).tolist(), 1.0))
        self.link(b.socket, sockets["B_Color"])
        self.link(factor.socket, sockets["Factor_Float"])
        return Value(self, next(s for s in node.outputs if s.identifier == "Result_Color"))

    def mix(self, a: Value, b: Value, factor: Value) -> Value:
        """a where factor is 0, b where it is 1. Cycles drops the other one where the factor is a constant 0 or 1."""
        node = self.node("ShaderNodeMix")
        border.change(node, data_type="VECTOR" if a.is_vector else "FLOAT", clamp_factor=False)
        kind = "Vector" if a.is_vector else "Float"
        for name, value in ((f"A_{kind}", a), (f"B_{kind}", b), ("Factor_Float", factor)):
            self.link(value.socket, next(s for s in node.inputs if s.identifier == name))
        return Value(self, next(s for s in node.outputs if s.identifier == f"Result_{kind}"))

    def group(self, tree: bpy.types.ShaderNodeTree, inputs: dict[str, Value]) -> dict[str, Value]:
        """A node group and what it gives, by socket name."""
        node = self.node("ShaderNodeGroup")
        self._forget_links(node)
        border.change(node, node_tree=tree)
        for name, value in inputs.items():
            self.link(value.socket, node.inputs[name])
        return {socket.name: Value(self, socket) for socket in node.outputs}

    def image(self, image: bpy.types.Image, vector: Value, label: str, extension: str, projection: str = FLAT) -> Texel:
        """The closest texel of an image; extension and projection as in Image Texture nodes."""
        node = self.node("ShaderNodeTexImage", label)
        border.change(node, image=image, interpolation="Closest", extension=extension, projection=projection)
        self.link(vector.socket, node.inputs["Vector"])
        return Texel(self, node)

    def _apply(self, node: bpy.types.Node, operands: Sequence[Operand], result: str) -> Value:
        for socket, operand in zip(node.inputs, operands, strict=False):
            if isinstance(operand, Value):
                self.link(operand.socket, socket)
            elif socket.type == "VECTOR" and isinstance(operand, (int, float)):
                border.set_value(socket, (operand,) * 3)
            else:
                border.set_value(socket, operand)
        return Value(self, node.outputs[result])

    def arrange(self) -> None:
        """Lay the frames side by side; in each, a node stands one column right of what it needs."""
        self._remove_rest()
        for link in [link for link in self.tree.links if link.to_socket in self._linked]:
            self.tree.links.remove(link)
        column: dict[bpy.types.Node, int] = defaultdict(int)
        needs: dict[bpy.types.Node, list[bpy.types.Node]] = defaultdict(list)
        for link in self.tree.links:
            start, end = border.nodes(link)
            if start.parent == end.parent:
                needs[end].append(start)
        left = 0
        members: dict[bpy.types.Node, list[bpy.types.Node]] = defaultdict(list)
        places = dict.fromkeys(self.tree.nodes, (0.0, 0.0))
        for node in places:
            if node.parent:
                members[node.parent].append(node)
        for nodes in members.values():
            rows: dict[int, int] = defaultdict(int)
            for node in nodes:
                column[node] = max((column[n] + 1 for n in needs[node]), default=0)
                places[node] = left + COLUMN * column[node], -ROW * rows[column[node]]
                rows[column[node]] += 1
            left += COLUMN * (max(rows) + 1) + MARGIN
        self.tree.nodes.foreach_set("location", np.array(list(places.values()), np.float32).ravel())


def set_sockets(
    tree: bpy.types.ShaderNodeTree, inputs: Sequence[tuple[str, str]], outputs: Sequence[tuple[str, str]]
) -> list[bpy.types.NodeTreeInterfaceSocket]:
    """Let a group have these sockets, (name, type) each; those of a copy stay where their types fit. Returns the inputs."""
    found = _set_side(tree, "INPUT", inputs)
    _set_side(tree, "OUTPUT", outputs)
    return found


def _set_side(
    tree: bpy.types.ShaderNodeTree, side: Literal["INPUT", "OUTPUT"], wanted: Sequence[tuple[str, str]]
) -> list[bpy.types.NodeTreeInterfaceSocket]:
    interface = border.interface(tree)
    sockets = [item for item in interface.items_tree if isinstance(item, bpy.types.NodeTreeInterfaceSocket)]
    there = [item for item in sockets if item.in_out == side]
    if [item.socket_type for item in there] != [kind for _, kind in wanted]:
        for item in there:
            interface.remove(item)
        there = [interface.new_socket(name, in_out=side, socket_type=kind) for name, kind in wanted]
    for item, (name, _) in zip(there, wanted, strict=True):
        border.change(item, name=name)
    return there
