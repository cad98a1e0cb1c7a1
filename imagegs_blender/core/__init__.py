"""The codec. Nothing below imports Blender."""
