"""Procedural textures as Python formulas: arithmetic on a Value adds shader nodes, Cycles bakes what they describe."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from PIL import Image

SIZE = 1024
Number = Any  # float, or Value


class Value:
    """A float socket of a node tree."""

    def __init__(self, tree: bpy.types.NodeTree, socket: bpy.types.NodeSocket) -> None:
        self.tree, self.socket = tree, socket

    def math(self, operation: str, *others: Number) -> Value:
        return _math(self.tree, operation, self, *others)

    def __add__(self, other: Number) -> Value:
        return self.math("ADD", other)

    def __sub__(self, other: Number) -> Value:
        return self.math("SUBTRACT", other)

    def __mul__(self, other: Number) -> Value:
        return self.math("MULTIPLY", other)

    def __truediv__(self, other: Number) -> Value:
        return self.math("DIVIDE", other)

    def __pow__(self, other: Number) -> Value:
        return self.math("POWER", other)

    def __rsub__(self, other: float) -> Value:
        return _math(self.tree, "SUBTRACT", other, self)

    def __abs__(self) -> Value:
        return self.math("ABSOLUTE")

    __radd__, __rmul__ = __add__, __mul__

    def fract(self) -> Value:
        return self.math("FRACT")

    def floor(self) -> Value:
        return self.math("FLOOR")

    def sqrt(self) -> Value:
        return self.math("SQRT")

    def sin(self) -> Value:
        return self.math("SINE")

    def cos(self) -> Value:
        return self.math("COSINE")

    def min(self, other: Number) -> Value:
        return self.math("MINIMUM", other)

    def max(self, other: Number) -> Value:
        return self.math("MAXIMUM", other)

    def step(self, low: float, high: float) -> Value:
        """0 below low, 1 above high, smooth between; falling where high < low."""
        if high < low:
            return 1 - self.step(high, low)
        node = self.tree.nodes.new("ShaderNodeMapRange")
        node.interpolation_type = "SMOOTHSTEP"
        node.inputs["From Min"].default_value, node.inputs["From Max"].default_value = low, high
        self.tree.links.new(self.socket, node.inputs["Value"])
        return Value(self.tree, node.outputs["Result"])

    def mix(self, low: Number, high: Number) -> Value:
        """low where self is 0, high where it is 1."""
        return low + (high - low) * self

    def color(self, low: Color, high: Color) -> bpy.types.NodeSocket:
        """The same for colors: linear RGB triples, or results of color()."""
        node = self.tree.nodes.new("ShaderNodeMix")
        node.data_type = "RGBA"
        self.tree.links.new(self.socket, node.inputs[0])
        for socket, value in ((node.inputs[6], low), (node.inputs[7], high)):
            if isinstance(value, tuple):
                socket.default_value = (*value, 1.0)
            else:
                self.tree.links.new(value, socket)
        return node.outputs[2]


Color = tuple[float, float, float] | bpy.types.NodeSocket


def srgb(code: str) -> tuple[float, float, float]:
    """A color written as #rrggbb, as linear RGB."""
    bytes_ = (int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in bytes_)
    return red, green, blue


def new_material(name: str) -> bpy.types.Material:
    """A material with Blender's default nodes."""
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    return material


def new_texture(name: str) -> tuple[Value, Value]:
    """The texture coordinates (u, v), v upwards, of a new procedural material."""
    material = new_material(name)
    tree = material.node_tree
    tree.nodes.clear()
    split = tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(tree.nodes.new("ShaderNodeUVMap").outputs[0], split.inputs[0])
    return Value(tree, split.outputs[0]), Value(tree, split.outputs[1])


def noise(x: Value, y: Value, scale: float, detail: float = 2.0, seed: float = 0.0) -> Value:
    """Fractal noise, mean 0, about -0.5..0.5, `scale` features across the texture."""
    return _noise(x, y, seed, 0.0, scale, detail)


def tiling_noise(u: Value, v: Value, scale: float, detail: float = 2.0) -> Value:
    """Noise that repeats exactly with period 1 in u and v: both coordinates are circles in four dimensions."""
    turn_u, turn_v = u * math.tau, v * math.tau
    return _noise(turn_u.cos(), turn_u.sin(), turn_v.cos(), turn_v.sin(), scale / math.tau, detail)


def image_channels(tree: bpy.types.NodeTree, image: bpy.types.Image) -> tuple[Value, Value, Value]:
    """The channels of an image at the texture coordinates."""
    split = tree.nodes.new("ShaderNodeSeparateColor")
    tree.links.new(_image_node(tree, image).outputs["Color"], split.inputs[0])
    red, green, blue = (Value(tree, socket) for socket in split.outputs)
    return red, green, blue


def evaluate(*values: Number) -> tuple[Value, Value, Value]:
    """Up to three values, the same but computed once: antialiased into a float image that later formulas look up."""
    tree = values[0].tree
    positive = _combine(tree, tuple(value + 1 for value in values))  # light is not negative
    image = _bake_emission(tree, positive, "evaluated", "Non-Color", 4, is_float=True)
    red, green, blue = (value - 1 for value in image_channels(tree, image))
    return red, green, blue


def bake_color(color: bpy.types.NodeSocket, name: str, samples: int = 1) -> bpy.types.Image:
    return _bake_emission(color.id_data, color, name, "sRGB", samples)


def bake_data(name: str, *values: Number) -> bpy.types.Image:
    """Up to three values as the channels of a Non-Color image; one value fills all three."""
    tree = next(v.tree for v in values if isinstance(v, Value))
    return _bake_emission(tree, _combine(tree, values), name, "Non-Color", 1)


def bake_normal(height: Value, depth: float, name: str) -> bpy.types.Image:
    """The tangent-space normals of a height field 0..1 that is `depth` texture widths deep."""
    tree = height.tree
    bump, surface = tree.nodes.new("ShaderNodeBump"), tree.nodes.new("ShaderNodeBsdfDiffuse")
    bump.inputs["Distance"].default_value = depth
    tree.links.new(height.socket, bump.inputs["Height"])
    tree.links.new(bump.outputs[0], surface.inputs["Normal"])
    return _bake(tree, surface.outputs[0], name, "NORMAL", "Non-Color", 1)


def bake_objects(objects: list[bpy.types.Object], name: str) -> bpy.types.Image:
    """The emission of objects lying between z = 0 and 0.1 over the unit square, seen from above."""
    image = _new_image(name, "Non-Color")
    material = new_material(name)
    material.node_tree.nodes.active = _image_node(material.node_tree, image)
    sheet = _sheet(material)
    for item in objects:
        item.select_set(True)
    bpy.context.scene.cycles.samples = 8
    bpy.ops.object.bake(type="EMIT", use_selected_to_active=True, cage_extrusion=0.2, margin=0)
    bpy.data.objects.remove(sheet)
    return image


def save(image: bpy.types.Image, alpha: bpy.types.Image | None, folder: Path) -> None:
    """Write folder/NAME.png; gray where the channels are equal, with alpha from another image where one is given."""
    pixels = _bytes(image)[..., :3]
    if alpha is not None:
        pixels = np.dstack([pixels, _bytes(alpha)[..., 0]])
    elif (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    Image.fromarray(pixels).save(folder / f"{image.name}.png")


def _bytes(image: bpy.types.Image) -> np.ndarray:
    """(height, width, 4) uint8, row 0 at the top."""
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    return np.rint(pixels.reshape(*image.size, 4)[::-1] * 255).astype(np.uint8)


def _math(tree: bpy.types.NodeTree, operation: str, *values: Number) -> Value:
    node = tree.nodes.new("ShaderNodeMath")
    node.operation = operation
    for socket, value in zip(node.inputs, values, strict=False):
        _feed(tree, socket, value)
    return Value(tree, node.outputs[0])


def _feed(tree: bpy.types.NodeTree, socket: bpy.types.NodeSocket, value: Number) -> None:
    if isinstance(value, Value):
        tree.links.new(value.socket, socket)
    else:
        socket.default_value = value


def _noise(x: Number, y: Number, z: Number, w: Number, scale: float, detail: float) -> Value:
    tree = x.tree
    node, vector = tree.nodes.new("ShaderNodeTexNoise"), tree.nodes.new("ShaderNodeCombineXYZ")
    node.noise_dimensions = "4D"
    node.inputs["Scale"].default_value, node.inputs["Detail"].default_value = scale, detail
    for socket, value in zip((*vector.inputs, node.inputs["W"]), (x, y, z, w), strict=True):
        _feed(tree, socket, value)
    tree.links.new(vector.outputs[0], node.inputs["Vector"])
    return Value(tree, node.outputs[0]) - 0.5


def _combine(tree: bpy.types.NodeTree, values: tuple[Number, ...]) -> bpy.types.NodeSocket:
    node = tree.nodes.new("ShaderNodeCombineColor")
    for socket, value in zip(node.inputs, values * 3 if len(values) == 1 else values, strict=False):
        _feed(tree, socket, value)
    return node.outputs[0]


def _bake_emission(
    tree: bpy.types.NodeTree, color: bpy.types.NodeSocket, name: str, space: str, samples: int, is_float: bool = False
) -> bpy.types.Image:
    emission = tree.nodes.new("ShaderNodeEmission")
    tree.links.new(color, emission.inputs["Color"])
    return _bake(tree, emission.outputs[0], name, "EMIT", space, samples, is_float)


def _bake(
    tree: bpy.types.NodeTree,
    shader: bpy.types.NodeSocket,
    name: str,
    kind: str,
    space: str,
    samples: int,
    is_float: bool = False,
) -> bpy.types.Image:
    image = _new_image(name, space, is_float)
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    output.is_active_output = True
    tree.links.new(shader, output.inputs["Surface"])
    target = _image_node(tree, image)
    tree.nodes.active = target
    sheet = _sheet(next(m for m in bpy.data.materials if m.node_tree == tree))
    bpy.context.scene.cycles.samples = samples
    bpy.ops.object.bake(type=kind, margin=0)
    bpy.data.objects.remove(sheet)
    tree.nodes.remove(output)
    tree.nodes.remove(target)
    return image


def _new_image(name: str, space: str, is_float: bool = False) -> bpy.types.Image:
    image = bpy.data.images.new(name, SIZE, SIZE, float_buffer=is_float)
    image.colorspace_settings.name = space
    return image


def _image_node(tree: bpy.types.NodeTree, image: bpy.types.Image) -> bpy.types.Node:
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = image
    return node


def _sheet(material: bpy.types.Material) -> bpy.types.Object:
    """The unit square with that material, active and alone selected."""
    mesh = bpy.data.meshes.new("sheet")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], [], [(0, 1, 2, 3)])
    for corner, uv in zip(mesh.uv_layers.new().data, [(0, 0), (1, 0), (1, 1), (0, 1)], strict=True):
        corner.uv = uv
    mesh.materials.append(material)
    sheet = bpy.data.objects.new("sheet", mesh)
    bpy.context.scene.collection.objects.link(sheet)
    bpy.ops.object.select_all(action="DESELECT")
    sheet.select_set(True)
    bpy.context.view_layer.objects.active = sheet
    return sheet
