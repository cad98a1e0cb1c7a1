"""The three texture stacks of the sample scene, as formulas: repeating tiles, a lettered label, a cut-out leaf."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import bpy
from formula import (
    Value,
    bake_color,
    bake_data,
    bake_normal,
    bake_objects,
    evaluate,
    image_channels,
    new_material,
    new_texture,
    noise,
    save,
    srgb,
    tiling_noise,
)


def tiles(folder: Path) -> None:
    """Two by two cement tiles that repeat without a seam: color, normal, occlusion-roughness-metallic, height."""
    u, v = new_texture("tiles")
    x, y = abs((u * 2).fract() - 0.5), abs((v * 2).fract() - 0.5)
    edge = (0.5 - x).min(0.5 - y)
    corner = ((0.5 - x) ** 2 + (0.5 - y) ** 2).sqrt()
    center = (x**2 + y**2).sqrt()
    diamond = (x + y) * math.sqrt(0.5)
    cross = x.min(y)
    star = x.max(y).min(diamond)

    wear, stain, _ = evaluate(tiling_noise(u, v, 5, 3), tiling_noise(v, u, 2, 2))
    odd = ((u * 2).floor() + (v * 2).floor()) * 0.5
    odd = (odd.fract() - 0.25).step(0, 0.01)

    def inside(distance: Value, radius: float) -> Value:
        return distance.step(radius + 0.003, radius - 0.003)

    color = inside(corner, 0.34).color(srgb("#e6dcc6"), srgb("#24506b"))
    color = inside(abs(corner - 0.285), 0.012).color(color, srgb("#e6dcc6"))
    color = inside(corner, 0.2).color(color, srgb("#b4553a"))
    color = inside(corner, 0.1).color(color, srgb("#e3b25a"))
    color = (inside(cross, 0.028) * inside(center, 0.4)).color(color, srgb("#24506b"))
    color = inside(star, 0.17).color(color, srgb("#b4553a"))
    color = inside(star, 0.13).color(color, srgb("#e6dcc6"))
    color = inside(center, 0.085).color(color, srgb("#24506b"))
    color = inside(center, 0.035).color(color, srgb("#e3b25a"))
    color = (wear.step(0.02, 0.25) * 0.35 + odd * 0.1).color(color, srgb("#cdbfa6"))
    color = (stain.step(0.0, 0.4) * 0.35).color(color, srgb("#6a5a48"))
    grout = edge.step(0.014, 0.009)
    color = grout.color(color, srgb("#7d756a"))

    body = edge.step(0.006, 0.04)
    height, roughness, occlusion = evaluate(
        body * 0.8 + inside(star, 0.15) * 0.06 + wear * 0.25 * body,
        grout.mix(wear * 0.35 + stain * 0.2 + 0.3, 0.85),
        edge.step(-0.01, 0.035),
    )
    _bake_all(
        folder,
        tiles_color=lambda name: bake_color(color, name, samples=4),
        tiles_normal=lambda name: bake_normal(height, 0.012, name),
        tiles_orm=lambda name: bake_data(name, occlusion, roughness, 0.0),
        tiles_height=lambda name: bake_data(name, height),
    )


def label(folder: Path) -> None:
    """Half the girth of a tea tin, gold and cream on enamel: color, normal, roughness, metallic, height."""
    letters = bake_objects(_lettering(), "letters")
    u, v = new_texture("label")
    red, green, _ = image_channels(u.tree, letters)
    x, y = u - 0.5, v - 0.5

    def line(distance: Value, width: float) -> Value:
        return abs(distance).step(width + 0.0012, width - 0.0012)

    def box(px: Value, py: Value, half_width: float, half_height: float, radius: float) -> Value:
        """Signed distance to a rounded rectangle."""
        dx, dy = abs(px) - (half_width - radius), abs(py) - (half_height - radius)
        outside = (dx.max(0) ** 2 + dy.max(0) ** 2).sqrt()
        return outside + dx.max(dy).min(0) - radius

    plate = box(x, y + 0.11, 0.365, 0.105, 0.05)
    panel = plate.step(0.001, -0.001)
    gold = line(plate - 0.014, 0.0035).max(line(plate - 0.03, 0.0018))

    rosette_y = y - 0.215
    center = (x**2 + rosette_y**2).sqrt()
    for k in range(8):  # level curves of eight Gaussians
        cos, sin = math.cos(k * math.pi / 8), math.sin(k * math.pi / 8)
        along, across = x * cos + rosette_y * sin, rosette_y * cos - x * sin
        ellipse = ((along / 0.165) ** 2 + (across / 0.058) ** 2).sqrt()
        gold = gold.max(line((ellipse - 1) * 0.07, 0.0022))
    gold = gold.max(center.step(0.031, 0.028)).max(line(center - 0.183, 0.003)).max(line(center - 0.195, 0.0015))

    wave = (v * (math.tau * 9)).cos() * 0.022
    column = 0.5 - abs(x) - 0.045
    gold = gold.max(line(column - wave, 0.0028)).max(line(column + wave, 0.0028))
    gold = gold.max(line(abs(column) - 0.034, 0.0022))
    rim = 0.5 - abs(y)
    band = (u * (math.tau * 16)).cos() * 0.011
    trim = line(rim - 0.022 - band, 0.0024).max(line(rim - 0.022 + band, 0.0024)).max(line(rim - 0.043, 0.003))
    clear = rim.step(0.0425, 0.0435)
    gold, panel, dust = evaluate((gold * clear).max(trim).max(green), panel, noise(u, v, 6, 3))
    ink = red

    color = dust.step(-0.3, 0.4).color(srgb("#0d3a40"), srgb("#12484a"))
    color = panel.color(color, srgb("#efe3c8"))
    color = ink.color(color, srgb("#7c1f1c"))
    color = gold.color(color, srgb("#d8a84a"))
    roughness = gold.mix(dust * 0.2 + 0.36, 0.24)
    height = gold * 0.5 + ink * 0.35 + panel * 0.25
    _bake_all(
        folder,
        label_color=lambda name: bake_color(color, name),
        label_normal=lambda name: bake_normal(height, 0.0025, name),
        label_roughness=lambda name: bake_data(name, roughness),
        label_metallic=lambda name: bake_data(name, gold),
        label_height=lambda name: bake_data(name, height),
    )


def leaf(folder: Path) -> None:
    """One leaf with slits: color with alpha, normal, roughness, specular, height. The stalk joins at (0.5, 0.2)."""
    u, v = new_texture("leaf")
    x, y = u * 2 - 1, v
    side = abs(x)
    outline = ((y**0.72 * math.pi).sin().max(0) ** 0.72) * 0.95 * y.step(1.25, 0.6)
    across = side / (outline + 0.001)
    rising = y - side * 0.34 - 0.02
    rib = (rising * 7.5).fract() - 0.5
    slit = abs(rib) * 1.9 + across.step(0.75, 0.3)
    inside = (outline - side).step(0.0, 0.006)
    notch = (0.19 - y) * 0.62 - side
    alpha = inside * slit.step(0.3, 0.36) * notch.step(0.003, -0.003)

    mid = side.step(0.035, 0.008)
    vein = (0.5 - abs(rib)).step(0.06, 0.015) * side.step(0.9, 0.75)
    fine = ((rising * 60).sin() * 0.5 + 0.5) * 0.12
    alpha, vein, mottle = evaluate(alpha, vein, noise(u, v, 9, 2))
    color = mottle.step(-0.3, 0.3).color(srgb("#1f5a2a"), srgb("#3a7d35"))
    color = (across.step(0.55, 1.0) * 0.5).color(color, srgb("#79a13f"))
    color = fine.color(color, srgb("#8fb457"))
    color = (vein * 0.75).color(color, srgb("#9dbd63"))
    color = (mid * 0.9).color(color, srgb("#c3d38a"))
    height = 0.55 + mottle * 0.25 - vein * 0.3 - mid * 0.25 + fine
    roughness = 0.36 + mottle * 0.2 + vein * 0.15
    specular = 0.55 - vein * 0.2 - mid * 0.15 + mottle * 0.1

    _bake_all(
        folder,
        bake_data("leaf_alpha", alpha),
        leaf_color=lambda name: bake_color(color, name),
        leaf_normal=lambda name: bake_normal(height, 0.006, name),
        leaf_roughness=lambda name: bake_data(name, roughness),
        leaf_specular=lambda name: bake_data(name, specular),
        leaf_height=lambda name: bake_data(name, height),
    )


def _bake_all(folder: Path, alpha: bpy.types.Image | None = None, **bakes: Callable[[str], bpy.types.Image]) -> None:
    """Bake and save each map; alpha joins the color."""
    for name, bake in bakes.items():
        print(f"  baking {name}", flush=True)
        save(bake(name), alpha if name.endswith("_color") else None, folder)


def _lettering() -> list[bpy.types.Object]:
    """Text over the unit square: red is printed in ink, green in gold."""
    black = _text("", 0, 0, 0, (0, 0, 0))
    square = bpy.data.meshes.new("paper")
    square.from_pydata([(-1, -1, 0.01), (2, -1, 0.01), (2, 2, 0.01), (-1, 2, 0.01)], [], [(0, 1, 2, 3)])
    square.materials.append(black.data.materials[0])
    paper = bpy.data.objects.new("paper", square)
    bpy.context.scene.collection.objects.link(paper)
    bpy.data.objects.remove(black)
    ink, gold = (1, 0, 0), (0, 1, 0)
    return [
        paper,
        _text("IMAGE-GS", 0.5, 0.41, 0.14, ink),
        _text("FINEST  TEXTURE  TEA", 0.5, 0.327, 0.042, ink),
        _text("every leaf a Gaussian, every texel decoded", 0.5, 0.215, 0.036, gold),
        _text("Nº 1024", 0.5, 0.14, 0.085, gold),
        _text("NET  WEIGHT  ONE  BIT  PER  TEXEL", 0.5, 0.085, 0.026, gold),
    ]


def _text(body: str, x: float, y: float, size: float, color: tuple[float, float, float]) -> bpy.types.Object:
    curve = bpy.data.curves.new(body or "blank", "FONT")
    curve.body, curve.size, curve.align_x, curve.align_y = body, size, "CENTER", "CENTER"
    curve.resolution_u = 8
    material = new_material("letter")
    tree = material.node_tree
    tree.nodes.clear()
    emission = tree.nodes.new("ShaderNodeEmission")
    emission.inputs["Color"].default_value = (*color, 1)
    tree.links.new(emission.outputs[0], tree.nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    curve.materials.append(material)
    item = bpy.data.objects.new(curve.name, curve)
    item.location = (x, y, 0.02)
    bpy.context.scene.collection.objects.link(item)
    return item
