"""FitSettings: every option of a fit, the presets, and their validation. Names follow Image-GS where it has the option."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from .errors import ImageGSError
from .gaussians import MAX_TOPK


@dataclass(frozen=True)
class QuantizeBits:
    """Bits of each parameter's uniform code, 4..16. What is stored is entropy-coded and smaller.

    pos    per axis, over the texture; None: so many that a cell is a quarter of a texel or less
    scale  per axis, over the logarithm of the range in use
    rot    over half a turn, for a Gaussian four times longer than wide; rounder ones use fewer levels, needles more
    feat   over 0..1, for every component of the decorrelated features
    """

    pos: int | None = 16
    scale: int = 12
    rot: int = 10
    feat: int = 12

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name == "pos":
                continue
            if not (isinstance(value, int) and 4 <= value <= 16):
                raise ImageGSError(f"{field.name}-bits {value}: choose a whole number from 4 to 16")

    def at(self, width: int, height: int) -> QuantizeBits:
        """The same with pos chosen for a texture of this size, if it is None."""
        quarter_texel = min(max((max(width, height) - 1).bit_length() + 2, 4), 16)
        return self if self.pos is not None else replace(self, pos=quarter_texel)


@dataclass(frozen=True)
class FitSettings:
    """How a stack is fitted. Immutable; make one with FitSettings.preset(name, option=value, ...).

    Amount: num_gaussians; or any of bpp = 8 x file bytes / (width x height of the largest map), max_bytes, target_psnr
    (dB over all channels, 8-bit): the smallest file that reaches the PSNR, never over the bytes, or else the file that
    fills the bytes.
    time_budget     seconds after which the fit ends with a valid result; with it, results depend on the machine

    init_scale      standard deviation of new Gaussians, texels; None: from the density, 0.78 sqrt(area / (pi N))
    add_scale       standard deviation of Gaussians added later, in units of the initial one
    inverse_scale   optimise 1 / scale (Image-GS) instead of log scale
    pos_lr          Adam rate of the mean, texture coordinates; with relative_lr in units of the initial scale
    scale_lr, rot_lr, feat_lr, bias_lr   Adam rates of 1/scale or log scale, radians, plane values, q; bias_lr 0: no bias
    l1, l2, ssim    loss ratios
    initial_ratio   share of the Gaussians placed at the start; the rest in add_times additions every add_steps steps
    add_steps       None: the additions are spread over the first half of the steps
    error_power     additions are drawn with probability |error|^error_power
    plateau_steps   tenfold decay of the rates, then early stop, when PSNR and SSIM stall for so many steps; 0: instead the
                    rates fall to 1/30 over the last decay_ratio of the steps
    settle_ratio    share of the steps spent refitting while one parameter after another is frozen to its code
    """

    name: str = "balanced"
    num_gaussians: int | None = None
    bpp: float | None = None
    max_bytes: int | None = None
    target_psnr: float | None = None
    time_budget: float | None = None
    seed: int = 0
    max_steps: int = 1000
    topk: int = 4
    init_mode: str = "gradient"
    init_random_ratio: float = 0.3
    init_scale: float | None = None
    add_scale: float = 0.25
    color_init: bool = True
    inverse_scale: bool = False
    relative_lr: bool = True
    pos_lr: float = 0.04
    scale_lr: float = 0.03
    rot_lr: float = 0.03
    feat_lr: float = 0.012
    bias_lr: float = 0.02
    l1: float = 0.0
    l2: float = 1.0
    ssim: float = 0.0
    initial_ratio: float = 0.5
    add_times: int = 5
    add_steps: int | None = None
    error_power: float = 2.0
    plateau_steps: int = 0
    decay_ratio: float = 0.3
    settle_ratio: float = 0.25
    bits: QuantizeBits = QuantizeBits(None, 6, 6, 6)

    @classmethod
    def preset(cls, name: str, **options: Any) -> FitSettings:
        """The preset `name` with some options changed. Raises ImageGSError for an unknown preset or a bad value."""
        if name not in PRESETS:
            raise ImageGSError(f"preset {name!r} is unknown: choose one of {', '.join(PRESETS)}")
        options = {key: value for key, value in options.items() if value is not None}
        if not any(amount in options for amount in AMOUNTS):
            options["bpp"] = DEFAULT_BPP
        return replace(PRESETS[name], **options)

    def __post_init__(self) -> None:
        others = [a for a in AMOUNTS[1:] if getattr(self, a) is not None]
        if self.num_gaussians is not None and others:
            raise ImageGSError(f"num-gaussians and {others[0].replace('_', '-')} are both set: choose one")
        if self.num_gaussians is not None and self.num_gaussians < 1:
            raise ImageGSError(f"num-gaussians {self.num_gaussians}: at least one Gaussian is needed")
        if self.num_gaussians is not None and self.num_gaussians > MAX_GAUSSIANS:
            raise ImageGSError(f"num-gaussians {self.num_gaussians}: at most {MAX_GAUSSIANS} can be stored")
        if self.bpp is not None and not 0 < self.bpp <= 64:
            raise ImageGSError(f"bpp {self.bpp}: choose a number above 0, at most 64")
        if self.max_bytes is not None and self.max_bytes < 1:
            raise ImageGSError(f"max-bytes {self.max_bytes}: choose a positive number")
        if self.target_psnr is not None and not 5 <= self.target_psnr <= 70:
            raise ImageGSError(f"target-psnr {self.target_psnr:g}: choose 5 to 70 dB")
        if self.time_budget is not None and not self.time_budget > 0:
            raise ImageGSError(f"time-budget {self.time_budget:g}: choose a positive number of seconds")
        if not 0 <= self.topk <= MAX_TOPK:
            raise ImageGSError(f"topk {self.topk}: choose 1 to {MAX_TOPK}, or 0 for the plain sum")
        if self.init_mode not in INIT_MODES:
            raise ImageGSError(f"init-mode {self.init_mode!r} is unknown: choose one of {', '.join(INIT_MODES)}")
        if self.max_steps < 1:
            raise ImageGSError(f"max-steps {self.max_steps}: at least one step is needed")
        if self.seed < 0:
            raise ImageGSError(f"seed {self.seed}: choose 0 or a positive number")


AMOUNTS = ("num_gaussians", "bpp", "max_bytes", "target_psnr")
INIT_MODES = ("gradient", "random")
MAX_GAUSSIANS = 1 << 22
DEFAULT_BPP = 0.75

PRESETS = {
    "fast": FitSettings(name="fast", max_steps=300, add_times=4),
    "balanced": FitSettings(name="balanced", max_steps=1000),
    "high": FitSettings(name="high", max_steps=4000, add_times=8),
    "paper": FitSettings(
        name="paper",
        max_steps=10_000,
        topk=10,
        init_scale=5.0,
        add_scale=1.0,
        inverse_scale=True,
        relative_lr=False,
        pos_lr=5e-4,
        scale_lr=2e-3,
        rot_lr=2e-3,
        feat_lr=5e-3,
        bias_lr=0.0,
        l1=1.0,
        l2=0.0,
        ssim=0.1,
        add_times=4,
        add_steps=500,
        error_power=1.0,
        plateau_steps=1000,
        settle_ratio=0.0,
        bits=QuantizeBits(),
    ),
}
