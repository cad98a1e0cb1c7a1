"""Files of PyTorch weights that a person brings, read without running anything that they may hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ImageGSError

if TYPE_CHECKING:
    import torch


def load(path: Path, option: str, files: Sequence[str]) -> dict[str, torch.Tensor]:
    """The numbers in a file by name, without the wrappers of training: "state_dict" around them, "module." before names.

    Raises ImageGSError where the file is missing (the option needs all of `files` in one folder) or holds no weights.
    """
    import torch

    if not path.is_file():
        needed = " and ".join(filter(None, (", ".join(files[:-1]), files[-1])))
        raise ImageGSError(f"{path}: file not found; {option} needs {needed} in one folder")
    try:
        held: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises anything for a file of another kind
        raise ImageGSError(f"{path}: not a file of PyTorch weights; download it again") from error
    held = held.get("state_dict", held) if isinstance(held, Mapping) else {}
    return {str(name).removeprefix("module."): value for name, value in held.items()}


def checked(
    weights: Mapping[str, torch.Tensor], path: Path, name: str, shape: tuple[int, ...], whose: str
) -> torch.Tensor:
    """One of the weights as float32. Raises ImageGSError where it is missing or has another shape: it is not `whose`."""
    have = tuple(getattr(weights.get(name), "shape", ()))
    if name not in weights or have != shape:
        fault = f"has shape {have}, not {shape}" if name in weights else "is missing"
        raise ImageGSError(f"{path}: {name} {fault}: these are not {whose}")
    return weights[name].float()
