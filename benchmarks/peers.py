"""Other codecs on the same maps: bytes and decoded pixels. Each decodes what it encoded; nothing is estimated."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

Maps = dict[str, np.ndarray]
"""Map name -> (h, w, 1 | 3 | 4) uint8."""


def curves(maps: Maps) -> Iterator[tuple[str, str, int, Maps]]:
    """(codec, setting, bytes, decoded maps) of every peer at every setting."""
    for quality in (5, 10, 20, 35, 50, 75, 90):
        yield "jpeg", f"q{quality}", *_pillow(maps, "JPEG", quality=quality, subsampling=0)
    for quality in (1, 5, 15, 30, 50, 75, 90):
        yield "webp", f"q{quality}", *_pillow(maps, "WEBP", quality=quality)
    for quality in (5, 12, 20, 30, 40, 55, 70):
        yield "avif 4:4:4", f"q{quality}", *_pillow(maps, "AVIF", quality=quality, subsampling="4:4:4")
    for block in (12, 8):
        yield f"astc {block}x{block}", "medium", *_each(maps, lambda pixels, b=block: _astc(pixels, b))
    yield "bc7", "etcpak", *_each(maps, _bc7)


def _each(maps: Maps, codec: Callable[[np.ndarray], tuple[int, np.ndarray]]) -> tuple[int, Maps]:
    sizes, decoded = 0, {}
    for name, pixels in maps.items():
        size, rgba = codec(_rgba(pixels))
        sizes += size
        channels = pixels.shape[2]
        decoded[name] = rgba[..., :1] if channels == 1 else rgba[..., :channels]
    return sizes, decoded


def _pillow(maps: Maps, kind: str, **options: object) -> tuple[int, Maps]:
    size, decoded = 0, {}
    for name, pixels in maps.items():
        buffer = io.BytesIO()
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        if kind == "JPEG" and pixels.shape[2] == 4:
            image = image.convert("RGB")
        image.save(buffer, kind, **options)
        size += len(buffer.getvalue())
        mode = {1: "L", 3: "RGB", 4: "RGBA"}[pixels.shape[2]]
        found = np.asarray(Image.open(buffer).convert(mode))
        decoded[name] = found[..., None] if found.ndim == 2 else found
    return size, decoded


def _rgba(pixels: np.ndarray) -> np.ndarray:
    """(h, w, 4) uint8, sides padded to multiples of 4 by repeating the last texel."""
    channels = pixels.shape[2]
    rgb = np.repeat(pixels, 3, axis=2) if channels == 1 else pixels[..., :3]
    alpha = pixels[..., 3:] if channels == 4 else np.full((*pixels.shape[:2], 1), 255, np.uint8)
    return np.ascontiguousarray(np.concatenate([rgb, alpha], axis=2))


def _astc(rgba: np.ndarray, block: int) -> tuple[int, np.ndarray]:
    from astc_encoder import ASTCConfig, ASTCContext, ASTCImage, ASTCProfile, ASTCSwizzle, ASTCType

    height, width = rgba.shape[:2]
    config = ASTCConfig(ASTCProfile.LDR, block, block, 1, 60.0)
    context, swizzle = ASTCContext(config), ASTCSwizzle.from_str("RGBA")
    data = context.compress(ASTCImage(ASTCType.U8, width, height, 1, rgba.tobytes()), swizzle)
    image = context.decompress(data, ASTCImage(ASTCType.U8, width, height, 1), swizzle)
    return len(data), np.frombuffer(image.data, np.uint8).reshape(height, width, 4)


def _bc7(rgba: np.ndarray) -> tuple[int, np.ndarray]:
    import etcpak
    import texture2ddecoder

    height, width = rgba.shape[:2]
    padded = np.pad(rgba, [(0, -height % 4), (0, -width % 4), (0, 0)], mode="edge")
    data = etcpak.compress_bc7(padded.tobytes(), padded.shape[1], padded.shape[0])
    bgra = np.frombuffer(texture2ddecoder.decode_bc7(data, padded.shape[1], padded.shape[0]), np.uint8)
    return len(data), bgra.reshape(padded.shape)[:height, :width, [2, 1, 0, 3]]
