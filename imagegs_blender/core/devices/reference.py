"""The mathematics of a step in plain NumPy: the definition that the fast devices are tested against.

Dense: every texel sees every Gaussian, so memory is texels x Gaussians. For small pictures and for reading.
"""

from __future__ import annotations

import numpy as np

from ..gaussians import CUTOFF, EPS, Gaussians
from ..ssim import SSIM_C1, SSIM_C2, SSIM_RADIUS, window
from .types import Grid, Loss, LossWeights, Splats, project


def render(gaussians: Gaussians, width: int | None = None, height: int | None = None) -> np.ndarray:
    """(C, height, width) float32: the picture at any resolution, by definition."""
    splats, grid = project(gaussians, width, height)
    return blend(*weights(splats, grid), splats.feature, grid)


def offsets(splats: Splats, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """dx, dy (height * width, N) float64: texel center minus Gaussian center, the shortest way round where it wraps."""
    y, x = np.divmod(np.arange(grid.width * grid.height), grid.width)
    dx = (x + 0.5)[:, None] - splats.center[None, :, 0].astype(np.float64)
    dy = (y + 0.5)[:, None] - splats.center[None, :, 1].astype(np.float64)
    if grid.wrap:
        dx -= grid.width * np.round(dx / grid.width)
        dy -= grid.height * np.round(dy / grid.height)
    return dx, dy


def weights(splats: Splats, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """w (P, N) with zeros outside the top-K and the cutoff, and the normalizer (P, 1)."""
    dx, dy = offsets(splats, grid)
    a, b, c = splats.conic.astype(np.float64).T
    q = a * dx**2 + b * dx * dy + c * dy**2 + splats.bias
    limit = np.full((len(q), 1), CUTOFF)
    if 0 < grid.topk < q.shape[1]:
        limit = np.minimum(limit, np.partition(q, grid.topk - 1, axis=1)[:, grid.topk - 1 : grid.topk])
    w = np.where(q <= limit, np.exp(-q), 0)
    return w, (w.sum(1, keepdims=True) + EPS if grid.topk else np.ones((len(q), 1)))


def blend(w: np.ndarray, normalizer: np.ndarray, feature: np.ndarray, grid: Grid) -> np.ndarray:
    """sum w f / normalizer as (C, height, width) float32."""
    flat = (w / normalizer) @ feature.astype(np.float64)
    return flat.T.reshape(-1, grid.height, grid.width).astype(np.float32)


MOST_SHARE = 0.99
"""In removal(), what a Gaussian's share of a texel counts as at most. Where it is alone, nothing would be left without it."""


class Reference:
    """What every device must agree with: target (C, H, W) float32; texel_weights (H, W) or None, normalized to mean 1."""

    def __init__(self, target: np.ndarray, grid: Grid, texel_weights: np.ndarray | None = None) -> None:
        self.target, self.grid = target.astype(np.float64), grid
        texels = np.ones(target.shape[1:]) if texel_weights is None else texel_weights.astype(np.float64)
        self.texel_weights = texels / texels.mean()

    def render(self, splats: Splats) -> np.ndarray:
        """(C, height, width) float32."""
        return blend(*weights(splats, self.grid), splats.feature, self.grid)

    def gradient(self, splats: Splats, loss_weights: LossWeights) -> tuple[Loss, Splats]:
        """The loss of splats against the target, and its gradient with respect to each of their numbers, float64."""
        w, normalizer = weights(splats, self.grid)
        feature = splats.feature.astype(np.float64)
        out = (w / normalizer) @ feature  # (P, C)
        loss, g = self._loss(out.T.reshape(self.target.shape), loss_weights)
        g = g.reshape(len(g), -1).T  # dL/dout (P, C)

        g_feature = (w / normalizer).T @ g
        toward = g @ feature.T  # dL/dw_i before normalization: g . f_i
        if self.grid.topk:
            toward = (toward - (g * out).sum(1, keepdims=True)) / normalizer
        gq = -w * toward  # dw/dq = -w
        dx, dy = offsets(splats, self.grid)
        a, b, c = splats.conic.astype(np.float64).T
        g_center = -np.stack([(gq * (2 * a * dx + b * dy)).sum(0), (gq * (b * dx + 2 * c * dy)).sum(0)], 1)
        g_conic = np.stack([(gq * dx * dx).sum(0), (gq * dx * dy).sum(0), (gq * dy * dy).sum(0)], 1)
        return loss, Splats(g_center, g_conic, gq.sum(0), g_feature)

    def removal(self, splats: Splats) -> np.ndarray:
        """(N,) float64: how much the weighted sum of squared errors over all planes would grow without each Gaussian.

        Without Gaussian i, whose share of the weights is s = w_i / (sum w + EPS), a normalized blend is
        out + t (out - f_i) with t = s / (1 - s); a plain sum is out - w_i f_i. Who would take its place among the K
        nearest is not considered. EPS is left out of 1 - s, so the answer is a little off where a texel is hardly reached.
        """
        w, normalizer = weights(splats, self.grid)
        share = w / normalizer
        feature = splats.feature.astype(np.float64)
        out = share @ feature  # (P, C)
        texels = self.texel_weights.reshape(-1)
        difference = out - self.target.reshape(len(self.target), -1).T
        growth = np.empty(len(feature))
        for i, f in enumerate(feature):
            s = np.minimum(share[:, i : i + 1], MOST_SHARE)
            moved = s / (1 - s) * (out - f) if self.grid.topk else -w[:, i : i + 1] * f
            growth[i] = ((moved * (moved + 2 * difference)).sum(1) * texels).sum()
        return growth

    def _loss(self, out: np.ndarray, weights: LossWeights) -> tuple[Loss, np.ndarray]:
        r, texels, count = out - self.target, self.texel_weights, out.size
        l1, l2 = float((np.abs(r) * texels).mean()), float((r * r * texels).mean())
        g = (weights.l1 * np.sign(r) + 2 * weights.l2 * r) * texels / count
        ssim = None
        if weights.ssim:
            ssim, g_ssim = mean_ssim(out, self.target, texels)
            g = g - weights.ssim * g_ssim
        return weights.loss(l1, l2, ssim), g


def mean_ssim(x: np.ndarray, y: np.ndarray, texels: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean SSIM of planes (C, H, W), 11 x 11 Gaussian window, zero padding, and its gradient with respect to x.

    Wang et al. 2004; the gradient flows back through the window, which is its own adjoint.
    """
    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    n1, n2 = 2 * mx * my + SSIM_C1, 2 * cov + SSIM_C2
    d1, d2 = mx * mx + my * my + SSIM_C1, vx + vy + SSIM_C2
    ssim = n1 * n2 / (d1 * d2)
    scale = texels / x.size
    by_vx, by_cov = -ssim / d2, 2 * n1 / (d1 * d2)
    by_mx = 2 * my * n2 / (d1 * d2) - 2 * mx * ssim / d1 - 2 * mx * by_vx - my * by_cov
    gradient = blur(scale * by_mx) + 2 * x * blur(scale * by_vx) + y * blur(scale * by_cov)
    return float((ssim * texels).mean()), gradient


def blur(planes: np.ndarray) -> np.ndarray:
    """Convolve the last two axes with the SSIM window, zeros outside."""
    g, r = window(), SSIM_RADIUS
    padded = np.pad(planes, [(0, 0), (r, r), (r, r)])
    rows = sum(g[k] * padded[:, k : k + planes.shape[1], :] for k in range(2 * r + 1))
    return sum(g[k] * rows[:, :, k : k + planes.shape[2]] for k in range(2 * r + 1))
