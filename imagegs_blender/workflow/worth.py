"""What is worth compressing: stacks that take less of a file as a stream and its decoders, and still show their picture."""

from __future__ import annotations

from dataclasses import replace

from ..core.encoding.rate import fixed_bytes
from ..core.settings import FitSettings
from ..scene import cost
from ..scene.cost import Cost
from ..scene.material_stack import Plan, StackPlan
from ..scene.skipped import Skipped

DECODER_BYTES = 3000
"""Bytes that a decoder takes in a saved file beside its stream; tests/workflow/lean_size.py measures them."""


def now(stack: StackPlan) -> Cost:
    """What the originals take in the file, packed or as they would be packed, and in memory."""
    return cost.images(ref.find() for ref in {m.image for m in stack.maps})


def stream_bytes(stack: StackPlan, settings: FitSettings) -> int | None:
    """Bytes that the stack's stream will have at most; None where quality or a number of Gaussians decides."""
    settings = stack.settings(settings)
    limits = [settings.max_bytes, None if settings.bpp is None else int(settings.bpp * stack.texels / 8)]
    return min((limit for limit in limits if limit is not None), default=None)


def loss(stack: StackPlan, stream: int | None) -> str | None:
    """Why a stream of so many bytes is not worth it, in words; None where it is, or where that is not known yet."""
    takes = now(stack).disk
    if stream is None or stream + DECODER_BYTES * len(stack.samplings) < takes:
        return None
    return f"would not get smaller: {max(1, round(takes / 1000))} KB as it is"


def too_small(stack: StackPlan, stream: int | None) -> str | None:
    """Why a stream of so many bytes can't show the stack, in words: most of it would be its head; None where it can."""
    channels = {m.name: len(m.channels) for m in stack.maps}
    if stream is None or stream >= 2 * fixed_bytes(channels, sum(channels.values())):
        return None
    size = stack.largest
    return f"too small for this rate: {size.width} x {size.height} would get {stream} bytes"


def sifted(plan: Plan, settings: FitSettings) -> Plan:
    """The plan without the stacks that would not get smaller or would show little; they stay as they are, with that reason."""
    for stack in plan.stacks:
        stream = stream_bytes(stack, settings)
        reason = loss(stack, stream) or too_small(stack, stream)
        if reason is not None:
            plan = without(plan, stack, reason)
    return plan


def without(plan: Plan, stack: StackPlan, reason: str) -> Plan:
    """The plan without a stack, which is left as it is for this reason."""
    images = ", ".join(sorted(m.image.name for m in stack.maps))
    left = tuple(Skipped(material, images, reason) for material in stack.materials)
    return replace(plan, stacks=tuple(s for s in plan.stacks if s != stack), skipped=(*plan.skipped, *left))
