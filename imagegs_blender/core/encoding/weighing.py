"""Maps that count more than others: planes are fitted scaled by the root of their weight, and stored in their own units.

The squared error of a plane scaled by r counts r^2 times. So no step of a fit knows of weights, and what rounds the features
rounds them in the scaled space, where all errors count alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import ImageGSError
from ..gaussians import Gaussians
from ..settings import BY_USE, RENDERED, FitSettings
from ..textures.texture_stack import TextureStack


@dataclass(frozen=True)
class Weighing:
    """root (C,) float32, 0..1: what each plane of a stack is scaled by; the largest is 1."""

    root: np.ndarray

    @classmethod
    def of(cls, stack: TextureStack, settings: FitSettings) -> Weighing | None:
        """By settings.weigh, and by settings.map_weights for the maps that these name; None where all planes weigh alike.

        A plane that several maps share takes the largest. Raises ImageGSError for a map that the stack doesn't have, and where
        renders were to weigh them and there is no Blender.
        """
        if settings.weigh in RENDERED and not settings.map_weights:
            raise ImageGSError(f"weigh {settings.weigh}: only Blender renders materials; choose alike or use")
        weights = {m.name: BY_USE[m.role] if settings.weigh == "use" else 1.0 for m in stack.maps}
        for name in settings.map_weights:
            if name not in weights:
                raise ImageGSError(f"map-weight {name}: no such map; the maps are {', '.join(weights)}")
        weights |= settings.map_weights
        found = np.zeros(len(stack.planes))
        for m in stack.maps:
            for channel in m.sources:
                if channel.kind == "plane":  # Z follows from X and Y, which have planes of their own
                    found[channel.plane] = max(found[channel.plane], weights[m.name])
        found[found == 0] = 1.0
        if found.min() == found.max():
            return None
        return cls(np.sqrt(found / found.max()).astype(np.float32))

    def scaled(self, stack: TextureStack) -> TextureStack:
        """The stack as it is fitted."""
        return replace(stack, planes=stack.planes * self.root[:, None, None])

    def fitted(self, gaussians: Gaussians) -> Gaussians:
        """Gaussians of the stack's own units as the fit has them."""
        return replace(gaussians, feature=gaussians.feature * self.root)

    def own(self, gaussians: Gaussians) -> Gaussians:
        """The inverse of fitted()."""
        return replace(gaussians, feature=gaussians.feature / self.root)
