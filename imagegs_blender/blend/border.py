"""Blender's data under the types that it has, where its annotations say less.

They call every pointer optional, know sockets, links' ends and new nodes by their base class only, and take arrays for
single numbers. Each function here says once what Blender itself is sure of, and fails where that is not so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import bpy
import numpy as np

from ..core.textures.texture_stack import ColorSpace

Result = set[Literal["RUNNING_MODAL", "CANCELLED", "FINISHED", "PASS_THROUGH", "INTERFACE"]]
"""What an operator or a gizmo tells Blender about its end."""

Scene: Any = bpy.types.Scene
"""The class of scenes, to which properties can be added that its annotations do not know."""


def registered(*classes: type) -> tuple[Callable[[], None], Callable[[], None]]:
    """register() and unregister() of a module that has these classes, in this order, and nothing else."""
    factory: Any = bpy.utils.register_classes_factory  # its annotations say that nothing is returned
    return factory(classes)


def handled(handlers: Mapping[str, Callable[..., None]]) -> tuple[Callable[[], None], Callable[[], None]]:
    """register() and unregister() of a module that has these handlers, by the names of bpy.app.handlers."""

    def register() -> None:
        for name, handler in handlers.items():
            getattr(bpy.app.handlers, name).append(handler)

    def unregister() -> None:
        for name, handler in handlers.items():
            getattr(bpy.app.handlers, name).remove(handler)

    return register, unregister


def scene(context: bpy.types.Context) -> bpy.types.Scene:
    """The scene of a context; only while a file is being opened there is none."""
    assert context.scene is not None
    return context.scene


def window_manager(context: bpy.types.Context) -> bpy.types.WindowManager:
    """The window manager of a context; only while a file is being opened there is none."""
    assert context.window_manager is not None
    return context.window_manager


def layout(panel: bpy.types.Panel | bpy.types.AddonPreferences) -> bpy.types.UILayout:
    """Where a panel draws; it has one while it draws."""
    assert panel.layout is not None
    return panel.layout


def show_tab(region: bpy.types.Region, category: str) -> None:
    """Show a tab of a sidebar that has been drawn with it. Raises TypeError where it has no such tab."""
    anyone: Any = region  # the annotations know no tabs, which are made at runtime
    anyone.active_panel_category = category


def ours(scene: bpy.types.Scene | None) -> Any:
    """A scene under a type that has the properties which the add-on has added to it."""
    assert scene is not None
    return scene


def new_tree(name: str) -> bpy.types.ShaderNodeTree:
    """An empty shader node group, with a number behind its name where that is taken."""
    tree = bpy.data.node_groups.new(name, "ShaderNodeTree")
    assert isinstance(tree, bpy.types.ShaderNodeTree)
    return tree


def copied(tree: bpy.types.ShaderNodeTree, name: str) -> bpy.types.ShaderNodeTree:
    """A copy of a group, with a number behind its name where that is taken."""
    copy = tree.copy()
    copy.name = name
    return copy


def interface(tree: bpy.types.NodeTree) -> bpy.types.NodeTreeInterface:
    """The sockets that a node group shows; every tree has some, or none of them."""
    assert tree.interface is not None
    return tree.interface


def tree_of(node: bpy.types.ShaderNodeGroup) -> bpy.types.ShaderNodeTree:
    """The group that a node is an instance of; there must be one."""
    assert node.node_tree is not None
    return node.node_tree


def mesh_of(obj: bpy.types.Object) -> bpy.types.Mesh:
    """The mesh of an object of this type."""
    assert isinstance(obj.data, bpy.types.Mesh)
    return obj.data


def owner(node: bpy.types.Node) -> bpy.types.NodeTree:
    """The tree that a node is in."""
    tree = node.id_data
    assert isinstance(tree, bpy.types.NodeTree)
    return tree


def inputs(node: bpy.types.Node) -> list[bpy.types.NodeSocket]:
    """The inputs of a node, in their order."""
    return list(node.inputs)


def outputs(node: bpy.types.Node) -> list[bpy.types.NodeSocket]:
    """The outputs of a node, in their order."""
    return list(node.outputs)


def input_of(node: bpy.types.Node, name: str) -> bpy.types.NodeSocket:
    """An input by its name. Raises KeyError where there is none."""
    return node.inputs[name]


def output_of(node: bpy.types.Node, name: str) -> bpy.types.NodeSocket:
    """An output by its name. Raises KeyError where there is none."""
    return node.outputs[name]


def by_identifier(sockets: Iterable[bpy.types.NodeSocket], identifier: str) -> bpy.types.NodeSocket | None:
    """The socket with this identifier, which is unique on a side of a node, as names are not; None where there is none."""
    return next((socket for socket in sockets if socket.identifier == identifier), None)


def node_of(socket: bpy.types.NodeSocket) -> bpy.types.Node:
    """The node that a socket of a tree's node is on."""
    assert socket.node is not None
    return socket.node


def value(socket: bpy.types.NodeSocket) -> Any:
    """What an input is where nothing is linked to it: a number, or a vector or color as Blender's array."""
    anyone: Any = socket  # only its own class knows the type of its value
    return anyone.default_value


def set_value(socket: bpy.types.NodeSocket, value: float | Sequence[float]) -> None:
    """Let an unlinked input, or an output of a Value node, be a number, a vector or a color."""
    change(socket, default_value=value)


def change(thing: Any, **values: Any) -> None:
    """Give a node, or a part of one, these values where it has others: after each change Blender goes through its tree."""
    for name, value in values.items():
        now = getattr(thing, name)
        if isinstance(value, (int, float, Sequence)) and not isinstance(value, str):
            same = np.array_equal(np.asarray(now, np.float32), np.asarray(value, np.float32))
        else:
            same = now == value
        if not same:
            setattr(thing, name, value)


def links(socket: bpy.types.NodeSocket) -> bpy.types.NodeLinks:
    """The links at a socket."""
    assert socket.links is not None
    return socket.links


def nodes(link: bpy.types.NodeLink) -> tuple[bpy.types.Node, bpy.types.Node]:
    """The nodes at both ends of a link, where it comes from first."""
    assert link.from_node is not None and link.to_node is not None
    return link.from_node, link.to_node


def source(link: bpy.types.NodeLink) -> bpy.types.NodeSocket:
    """The output where a link begins."""
    assert link.from_socket is not None
    return link.from_socket


def target(link: bpy.types.NodeLink) -> bpy.types.NodeSocket:
    """The input where a link ends."""
    assert link.to_socket is not None
    return link.to_socket


SPACES = {ColorSpace.SRGB: "sRGB", ColorSpace.LINEAR: "Linear Rec.709", ColorSpace.RAW: "Non-Color"}
"""Color spaces by their names in Blender's standard configuration."""


def color_space(image: bpy.types.Image) -> bpy.types.ColorManagedInputColorspaceSettings:
    """How the texels of an image are to be understood."""
    assert image.colorspace_settings is not None
    return image.colorspace_settings


def set_color_space(image: bpy.types.Image, name: str) -> None:
    """Choose a color space by its name. Raises TypeError where the file's configuration has no such space."""
    settings: Any = color_space(image)  # the annotations know the spaces of one configuration
    settings.name = name


def local_image(name: str) -> bpy.types.Image:
    """An image of this file, not of a library, by its name. Raises KeyError where there is none."""
    images: Any = bpy.data.images  # the annotations do not know that None stands for this file
    return images[name, None]


def local_material(name: str) -> bpy.types.Material:
    """A material of this file, not of a library, by its name. Raises KeyError where there is none."""
    materials: Any = bpy.data.materials  # the annotations do not know that None stands for this file
    return materials[name, None]


def texels(image: bpy.types.Image, flat: np.ndarray) -> None:
    """Read an image's texels into flat, (width * height * channels,) float32, row 0 at the bottom."""
    array: Any = image.pixels
    array.foreach_get(flat)


def set_texels(image: bpy.types.Image, flat: np.ndarray) -> None:
    """Write an image's texels from flat, (width * height * channels,) float32, row 0 at the bottom."""
    array: Any = image.pixels
    array.foreach_set(flat)


def given_to(modifier: bpy.types.NodesModifier) -> list[Any]:
    """What a person set for the inputs of geometry nodes: numbers, vectors, datablocks. Blender 5 keeps it in another place."""
    anyone: Any = modifier
    if not hasattr(anyone, "properties"):
        return [anyone[key] for key in anyone.keys()]  # noqa: SIM118 - a modifier has keys, and no iterator
    inputs = anyone.properties.inputs
    values = (getattr(inputs, entry.identifier) for entry in inputs.bl_rna.properties)
    return [value.value for value in values if hasattr(value, "value")]
