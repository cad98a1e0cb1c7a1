"""FitSettings: every option of a fit, the presets, and their validation. Names follow Image-GS where it has the option."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, field, fields, replace
from typing import Any

from .edition import COMPLETE
from .errors import ImageGSError
from .gaussians import MAX_TOPK

MAX_BITS = 32
"""Most bits of a number: those of a float32."""


@dataclass(frozen=True)
class QuantizeBits:
    """Bits of each parameter's uniform code, 4..32. What is stored is entropy-coded and smaller, unless one is above 16.

    Above 16 bits (wide), every parameter is stored as Image-GS counts it: so many bits each over the range in use, 32
    for float32 as it is.

    pos    per axis, over the texture; None: so many that a cell is a quarter of a texel or less
    scale  per axis, over the logarithm of the range in use
    rot    over half a turn, for a Gaussian four times longer than wide; rounder ones use fewer levels, needles more
    feat   over 0..1, for every component of the decorrelated features; None: so many that a step is about the error of the
           fit, 5 to 8
    """

    pos: int | None = 16
    scale: int = 12
    rot: int = 10
    feat: int | None = 12

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None and each.name in ("pos", "feat"):
                continue
            if not (isinstance(value, int) and 4 <= value <= MAX_BITS):
                raise ImageGSError(f"{each.name}-bits {value}: choose a whole number from 4 to {MAX_BITS}")

    @property
    def wide(self) -> bool:
        """More than entropy coding serves: stored plainly."""
        return max(value for value in astuple(self) if value is not None) > 16

    def at(self, width: int, height: int, error: float = 2.0**-6) -> QuantizeBits:
        """The same with what is None chosen, for a texture of this size and a fit of this root mean square error."""
        pos = min(max((max(width, height) - 1).bit_length() + 2, 4), 16) if self.pos is None else self.pos
        feat = min(max(math.floor(0.7 - math.log2(max(error, 1e-6))), 5), 8) if self.feat is None else self.feat
        return replace(self, pos=pos, feat=feat)


@dataclass(frozen=True)
class FitSettings:
    """How a stack is fitted. Immutable; make one with FitSettings.preset(name, option=value, ...).

    Amount: num_gaussians; or any of bpp = 8 x file bytes / (width x height of the largest map), max_bytes, target_psnr
    (dB over all channels, 8-bit): the smallest file that reaches the PSNR, never over the bytes, or else the file that
    fills the bytes.
    time_budget     seconds after which the fit ends with a valid result; with it, results depend on the machine
    device          DEVICES: "gpu" and "cuda" must be there, "auto" takes one where it is
    adapter         part of the name of the graphics card that "gpu" and "auto" take; empty: the first

    init_mode       where the first Gaussians go: INIT_MODES; "mask" is the stack's importance map
    init_random_ratio   share of them drawn from all texels alike
    smap_filter_size    standard deviation of the Gaussian filter that smooths a computed saliency map, texels
    importance_weight   how much more the loss counts a texel of full importance than one of none; 1: alike
    weigh               how much maps' squared errors count: "alike"; "use", as much as they matter in a lit render (BY_USE);
                        "render", by map_weights that renders of the material gave, and "camera", renders of its scene
                        (both in Blender only)
    map_weights         how much a map's counts, by its name, instead
    init_scale      standard deviation of new Gaussians, texels; None: from the density, 0.78 sqrt(area / (pi N))
    add_scale       standard deviation of Gaussians added later, in units of the initial one
    inverse_scale   optimize 1 / scale (Image-GS) instead of log scale
    gamma           planes are fitted, and stored, raised to this power
    tiles           Image-GS's name for the blocks of a device. False: every texel sees every Gaussian, in plain NumPy;
                    slow, for small pictures
    pos_lr          Adam rate of the mean, texture coordinates; with relative_lr in units of the initial scale
    scale_lr, rot_lr, feat_lr, bias_lr   Adam rates of 1/scale or log scale, radians, plane values, q; bias_lr 0: no bias
    l1, l2, ssim    loss ratios
    initial_ratio   share of the Gaussians placed at the start; the rest in add_times additions every add_steps steps
    add_steps       None: the additions are spread over add_share of the steps
    post_min_steps  steps after the last addition: max_steps is raised where it leaves fewer
    prune_ratio     share of the Gaussians, those that the picture misses least, that each addition moves to where it is needed
    row_stride      a step looks at every row_stride-th row of texels, another one each time: 1, 2, 4, 8 or 16; not with ssim
    error_power     additions are drawn with probability |error|^error_power
    lr_schedule     False: constant rates and no early stop
    check_decay_steps   the rates are divided by decay_ratio when PSNR and SSIM stall for so many steps, max_decay_times
                    times, then the fit ends; 0: instead the rates fall to 1/30 over the last decay_share of the steps
    decay_threshold what counts as a gain: so much SSIM, a hundred times as many dB
    quantize        round every parameter in every step, gradients pass straight through (Bengio et al. 2013)
    settle_ratio    without quantize: share of the steps spent refitting while one parameter after another is frozen to
                    its code
    restore         "l1" or "l2": the picture is damaged; fit with this loss, and stop where what is left is the damage
    noise_sigma     its standard deviation, 8-bit steps; None: estimated
    """

    name: str = "balanced"
    num_gaussians: int | None = None
    bpp: float | None = None
    max_bytes: int | None = None
    target_psnr: float | None = None
    time_budget: float | None = None
    seed: int = 0
    device: str = "auto"
    adapter: str = ""
    max_steps: int = 1100
    topk: int = 6
    init_mode: str = "gradient"
    init_random_ratio: float = 0.3
    smap_filter_size: float = 20.0
    importance_weight: float = 4.0
    weigh: str = "alike"
    map_weights: Mapping[str, float] = field(default_factory=dict, hash=False)
    init_scale: float | None = None
    add_scale: float = 0.25
    color_init: bool = True
    inverse_scale: bool = False
    gamma: float = 1.0
    tiles: bool = True
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
    add_times: int = 12
    add_steps: int | None = None
    add_share: float = 0.5
    post_min_steps: int = 0
    prune_ratio: float = 0.2
    row_stride: int = 1
    error_power: float = 2.0
    lr_schedule: bool = True
    check_decay_steps: int = 0
    decay_ratio: float = 10.0
    max_decay_times: int = 1
    decay_threshold: float = 1e-5
    decay_share: float = 0.3
    quantize: bool = False
    settle_ratio: float = 0.25
    restore: str | None = None
    noise_sigma: float | None = None
    bits: QuantizeBits = QuantizeBits(None, 6, 6, None)

    def changed(self) -> dict[str, Any]:
        """The settings that differ from their defaults, by name, for json.dumps."""
        default = asdict(FitSettings())
        return {name: value for name, value in asdict(self).items() if value != default[name]}

    @classmethod
    def preset(cls, name: str, **options: Any) -> FitSettings:
        """The preset `name` with some options changed. Raises ImageGSError for an unknown preset or a bad value."""
        if name not in PRESETS:
            raise ImageGSError(f"preset {name!r} is unknown: choose one of {', '.join(PRESETS)}")
        options = {key: value for key, value in options.items() if value is not None}
        if not any(amount in options for amount in AMOUNTS):
            options["bpp"] = DEFAULT_BPP
        return replace(PRESETS[name], **(RESTORING if options.get("restore") else {}) | options)

    def with_amount(self, amount: Mapping[str, float]) -> FitSettings:
        """The same with another amount: settings of AMOUNTS by name, in the place of all of them."""
        values: dict[str, Any] = {name: amount.get(name) for name in AMOUNTS}
        return replace(self, **values)

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
        if self.row_stride not in (1, 2, 4, 8, 16):
            raise ImageGSError(f"row-stride {self.row_stride}: choose 1, 2, 4, 8 or 16")
        if self.device not in DEVICES:
            raise ImageGSError(f"device {self.device!r} is unknown: choose one of {', '.join(DEVICES)}")
        if self.max_steps < 1:
            raise ImageGSError(f"max-steps {self.max_steps}: at least one step is needed")
        if self.restore is not None and self.restore not in ("l1", "l2"):
            raise ImageGSError(f"restore {self.restore!r}: choose l1 or l2")
        for name, weight in self.map_weights.items():
            if not 1e-3 <= weight <= 1e3:
                raise ImageGSError(f"map-weight {name}={weight:g}: choose 0.001 to 1000")
        if self.weigh not in WEIGHINGS:
            raise ImageGSError(f"weigh {self.weigh!r} is unknown: choose one of {', '.join(WEIGHINGS)}")
        if (self.map_weights or self.weigh != "alike") and self.gamma != 1:
            raise ImageGSError("weights of maps and gamma are both set: choose one")
        if self.l1 == self.l2 == self.ssim == 0:
            raise ImageGSError("l1-loss-ratio, l2-loss-ratio and ssim-loss-ratio are all 0: one must be above")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not (low <= value <= high):
                limit = f"choose {low:g} to {high:g}" if high < math.inf else f"choose {low:g} or more"
                raise ImageGSError(f"{_OPTION.get(name, name).replace('_', '-')} {value:g}: {limit}")


WEIGHINGS = ("alike", "use", "render", "camera")
RENDERED = ("render", "camera")
"""Those that only Blender can measure."""

BY_USE: dict[str, float] = {"color": 0.8, "normal": 1.0, "data": 0.15, "alpha": 0.8}
"""How much a map's squared error counts in a lit render, by its role: measured by benchmarks/map_weights.py."""

AMOUNTS = ("num_gaussians", "bpp", "max_bytes", "target_psnr")
"""Settings that say how much a fit may take; with none of them it is DEFAULT_BPP."""

DEVICES = ("auto", "cpu", "gpu", "cuda") if COMPLETE else ("auto", "cpu", "gpu")
INIT_MODES = ("gradient", "saliency", "random", "mask")
RESTORING: dict[str, Any] = {
    "initial_ratio": 0.1, "add_times": 12, "add_share": 0.9, "prune_ratio": 0.0, "settle_ratio": 0.1,
}  # fmt: skip
"""What restore changes in a preset: few Gaussians at first and many small additions, to end where it is enough."""

MAX_GAUSSIANS = 1 << 22
"""Most Gaussians of a stream: a quarter of the texels of a picture of 4096 x 4096."""

DEFAULT_BPP = 0.75

_RANGES = {
    "seed": (0, math.inf),
    "init_random_ratio": (0, 1),
    "smap_filter_size": (0, 1000),
    "importance_weight": (1, 1e6),
    "init_scale": (0.01, 1e4),
    "add_scale": (1e-3, 1e3),
    "gamma": (0.1, 10),
    "pos_lr": (0, 1e3),
    "scale_lr": (0, 1e3),
    "rot_lr": (0, 1e3),
    "feat_lr": (0, 1e3),
    "bias_lr": (0, 1e3),
    "l1": (0, math.inf),
    "l2": (0, math.inf),
    "ssim": (0, math.inf),
    "initial_ratio": (1e-3, 1),
    "add_times": (0, 1000),
    "add_steps": (1, math.inf),
    "add_share": (0.01, 1),
    "post_min_steps": (0, math.inf),
    "prune_ratio": (0, 0.9),
    "error_power": (0, 100),
    "check_decay_steps": (0, math.inf),
    "decay_ratio": (1, math.inf),
    "max_decay_times": (0, math.inf),
    "decay_threshold": (0, math.inf),
    "decay_share": (0, 1),
    "settle_ratio": (0, 0.9),
    "noise_sigma": (0, 255),
}
"""What each number may be; other limits are checked one by one."""

_OPTION = {"l1": "l1_loss_ratio", "l2": "l2_loss_ratio", "ssim": "ssim_loss_ratio"}

PRESETS = {
    "fast": FitSettings(name="fast", max_steps=500, add_times=6),
    "balanced": FitSettings(name="balanced", max_steps=1100),
    "high": FitSettings(name="high", max_steps=6000, add_times=20),
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
        prune_ratio=0.0,
        error_power=1.0,
        importance_weight=1.0,
        check_decay_steps=1000,
        decay_threshold=1e-3,
        settle_ratio=0.0,
        bits=QuantizeBits(),
    ),
}
