"""Make a compressed .blend self-contained: python repack.py IN.blend OUT.blend"""

from __future__ import annotations

import sys

import bpy

from imagegs_blender.workflow.rebuild import rebuild_tables
from imagegs_blender.workflow.saving import pack_tables

bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
assert rebuild_tables() == []
pack_tables()
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[2], compress=True)
