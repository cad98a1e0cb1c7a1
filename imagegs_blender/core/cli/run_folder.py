"""The folder of a run: log, checkpoints to go on from, renderings and pictures of the Gaussians, the stages of the fit.

log.txt  settings.json                  the course of the fit, and its settings
target_MAP.png                          the picture to fit; gradient.png, saliency.png or mask.png: where Gaussians start
checkpoints/ckpt_step-N.npz             arrays and numbers only: nothing in it is ever executed
train/render_step-N_MAP.png             and with pictures gaussian_, gaussian-id_, error_, add-gaussian_
levels/level-L.igs, level-L_MAP.png     the stages
render_MAP.png  report.json             the result
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from .. import files
from ..decoding import decode
from ..decoding.decode import Decoded
from ..devices.types import Loss
from ..encoding.encode import Encoded
from ..encoding.report import FitReport
from ..errors import ImageGSError
from ..files import file_name
from ..fitting import placement
from ..fitting.fit import Fit
from ..gaussians import Gaussians
from ..igs import stream
from ..quality import metrics
from ..settings import FitSettings
from ..textures import image_files, texture_stack
from ..textures.texture_stack import OVERALL, Depth
from . import checkpoint, pictures

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True)
class Keep:
    """The contents of a run folder. A number of steps says how often; 0 is never."""

    log_level: str = "INFO"
    eval_steps: int = 100
    image_steps: int = 0
    checkpoint_steps: int = 0
    pictures: bool = False
    stages: int = 0

    def __post_init__(self) -> None:
        for name in ("eval_steps", "image_steps", "checkpoint_steps", "stages"):
            if getattr(self, name) < 0:
                raise ImageGSError(f"{_OPTIONS[name]} {getattr(self, name)}: choose 0 or a positive number")


_OPTIONS = {
    "eval_steps": "eval-steps", "image_steps": "save-image-steps", "checkpoint_steps": "save-ckpt-steps",
    "stages": "save-levels",
}  # fmt: skip


def staged(settings: FitSettings, stages: int | None) -> FitSettings:
    """The settings with so many stages, where any are asked for."""
    if not stages:
        return settings
    if stages > 1 and settings.initial_ratio == 1:
        raise ImageGSError(f"save-levels {stages}: all Gaussians are placed at the start; leave out disable-prog-optim")
    return replace(settings, add_times=stages - 1) if stages > 1 else replace(settings, initial_ratio=1.0)


class RunFolder:
    """fit.Observer that keeps the log, checkpoints and pictures of a fit in a folder of its own.

    Raises ImageGSError where the folder holds a run already (unless it is resumed), has no checkpoint to resume, or where
    the settings make a run that can't be resumed.
    """

    def __init__(
        self, folder: Path, keep: Keep, settings: FitSettings, resume: bool = False, resumed: Path | None = None
    ) -> None:
        self.folder, self.keep, self.settings = folder, keep, settings
        if (resume or keep.checkpoint_steps) and settings.target_psnr is not None:
            raise ImageGSError(
                "target-psnr takes several fits, and checkpoints belong to one: choose bpp or num-gaussians"
            )
        if (resume or keep.checkpoint_steps) and settings.time_budget is not None:
            raise ImageGSError("time-budget ends a fit by the clock, so a resumed one would differ: choose max-steps")
        if files.is_file(folder):
            raise ImageGSError(f"{folder}: is a file; choose another --exp-name")
        if not resume and _holds_something(folder):
            raise ImageGSError(f"{folder}: holds a run already; resume it with --resume, or choose another --exp-name")
        self.checkpoint = checkpoint.read(resumed or checkpoint.latest(folder)) if resume else None
        self.log = logging.Logger("imagegs", keep.log_level)  # noqa: LOG001  of this folder, not of the process

    # Called by the fit.

    def begin(self, fit: Fit) -> dict[str, np.ndarray] | None:
        self.identity = _identity(fit)
        state = self.checkpoint.checked(fit, self.identity) if self.checkpoint else None
        self._open()
        self.maps = fit.original.maps
        self.originals = texture_stack.images(fit.original.planes, self.maps, fit.original.wrap)
        self.log.info(
            f"{fit.original.width} x {fit.original.height}, {len(fit.original.planes)} planes, {fit.count} Gaussians"
        )
        if self.checkpoint:
            self.log.info(f"resumed at step {self.checkpoint.step()}")
            return state
        text = json.dumps(asdict(self.settings), indent=1)
        files.write(self.folder / "settings.json", text.encode())
        for m in self.maps:
            self._picture(f"target_{file_name(m.name)}", pictures.rendered(fit.original.planes, m, fit.original.wrap))
        self._picture(*_start_map(fit))
        return None

    def added(self, fit: Fit, first: int) -> None:
        self.log.info(f"step {fit.step}: Gaussians {first} -> {len(fit.optimizer)}")
        if first and self.keep.pictures:
            gaussians = fit.gaussians()
            name = f"train/add-gaussian_step-{fit.step}_num-{len(gaussians)}"
            before = gaussians.take(np.arange(first))
            self._picture(
                name, pictures.added(pictures.rendered(decode.planes(before), self.maps[0]), gaussians, first)
            )

    def stepped(self, fit: Fit, loss: Loss) -> None:
        step = fit.step
        self.log.debug(f"step {step}: loss {loss.total:.6f}, PSNR {loss.psnr:.2f} dB")
        if _due(step, self.keep.eval_steps):
            self._evaluate(fit, loss)
        if _due(step, self.keep.image_steps):
            self._show(fit.gaussians(), fit.original.planes, f"step-{step}")
        if _due(step, self.keep.checkpoint_steps):
            state = fit.state() | {"identity": np.array(self.identity)}
            with files.replacing(self.folder / "checkpoints" / f"ckpt_step-{step}.npz") as temporary:
                np.savez(temporary, **state)
            self.log.info(f"step {step}: checkpoint")

    def stage_ended(self, fit: Fit, stage: int) -> None:
        if self.keep.stages and stage < self.keep.stages - 1:
            found = stream.quantized(fit.gaussians(), self.maps, self.settings.bits)
            self._stage(stage, found.to_bytes(), Decoded(found))

    def finish(self, encoded: Encoded, report: FitReport) -> None:
        """Keep the result: the file's renderings, the report, the last stage."""
        decoded = encoded.decoded
        for m in self.maps:
            self._picture(f"render_{file_name(m.name)}", pictures.rendered(decoded.planes, m, encoded.stream.head.wrap))
        if self.keep.pictures:
            self._show_gaussians(encoded.stream.gaussians, "final")
        if self.keep.stages:
            self._stage(self.keep.stages - 1, encoded.data, decoded)
        self.log.info(f"finished: {report.bytes} bytes, PSNR {report.psnr[OVERALL]:.2f} dB, {report.steps} steps")
        files.write(self.folder / "report.json", json.dumps(report.to_json(), indent=1, default=float).encode())
        for handler in self.log.handlers:
            handler.close()

    # Behind it.

    def _open(self) -> None:
        """Make the folder and begin its log, when all that could be wrong with the request has been found right."""
        if self.log.handlers:
            return
        try:
            for part in ("checkpoints", "train", *(["levels"] if self.keep.stages else [])):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
            handler = logging.FileHandler(self.folder / "log.txt", encoding="utf-8")
        except OSError as error:
            raise ImageGSError(f"{self.folder}: can't be made ({error.strerror}); choose another --log-root") from error
        handler.setFormatter(logging.Formatter("[{asctime}] {levelname} {message}", "%Y-%m-%d %H:%M:%S", "{"))
        self.log.addHandler(handler)

    def _evaluate(self, fit: Fit, loss: Loss) -> None:
        decoded = texture_stack.images(decode.planes(fit.gaussians()), self.maps, fit.original.wrap)
        quality = metrics.compare(self.originals, decoded)
        self.log.info(
            f"step {fit.step}: loss {loss.total:.6f}, L1 {loss.l1:.6f}, L2 {loss.l2:.6f}, "
            f"PSNR {quality['psnr'][OVERALL]:.2f} dB, SSIM {quality['ssim'][OVERALL]:.4f}"
        )

    def _show(self, gaussians: Gaussians, target: np.ndarray, when: str) -> None:
        """The renderings of a fit under way, and where pictures are wanted its Gaussians and its error."""
        planes = decode.planes(gaussians)
        for m in self.maps:
            self._picture(f"train/render_{when}_{file_name(m.name)}", pictures.rendered(planes, m, gaussians.wrap))
        if self.keep.pictures:
            self._show_gaussians(gaussians, when)
            self._picture(f"train/error_{when}", pictures.error(planes, target))

    def _show_gaussians(self, gaussians: Gaussians, when: str) -> None:
        """Pictures of the Gaussians: as ellipses in the colors of each map, and by number."""
        for m in self.maps:
            self._picture(f"train/gaussian_{when}_{file_name(m.name)}", pictures.ellipses(gaussians, m))
        self._picture(f"train/gaussian-id_{when}", pictures.numbered(gaussians))

    def _stage(self, stage: int, data: bytes, decoded: Decoded) -> None:
        """Keep a stage of the fit: its file and its renderings. Image-GS calls stages levels; so do the names of files."""
        files.write(self.folder / "levels" / f"level-{stage}.igs", data)
        stream = decoded.stream
        for m in self.maps:
            picture = pictures.rendered(decoded.planes, m, stream.head.wrap)
            self._picture(f"levels/level-{stage}_{file_name(m.name)}", picture)
        self.log.info(f"level {stage}: {stream.head.count} Gaussians, {len(data)} bytes")

    def _picture(self, name: str, pixels: np.ndarray) -> None:
        image_files.write(self.folder / f"{name}.png", pixels, Depth.U8, "RGB")


def _holds_something(folder: Path) -> bool:
    try:
        return files.exists(folder) and any(folder.iterdir())
    except OSError as error:
        raise ImageGSError(f"{folder}: can't be read ({error.strerror}); choose another --log-root") from error


def _identity(fit: Fit) -> str:
    """A digest of everything that a fit's result depends on: a checkpoint belongs to fits of the same."""
    digest = hashlib.sha256(json.dumps([asdict(fit.settings), fit.original.wrap, type(fit.device).__name__]).encode())
    for array in (fit.original.planes, fit.original.weights, fit.original.importance):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _start_map(fit: Fit) -> tuple[str, np.ndarray]:
    """Name and picture of the map that the first Gaussians are drawn from."""
    mode = fit.settings.init_mode
    if mode in ("mask", "saliency"):
        return mode, pictures.gray(placement.importance_map(fit.original, fit.settings))
    return "gradient", pictures.gray(placement.gradient_magnitude(fit.original.planes, fit.original.wrap))


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
