"""Checkpoints of a fit, read from files that may hold anything: what is not a state of this very fit is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ImageGSError
from ..fitting.fit import Fit

_NAME = re.compile(r"ckpt_step-([0-9]{1,18})\.npz")


@dataclass(frozen=True)
class Checkpoint:
    """A file and its contents: the arrays of Fit.state(), and the identity of the fit."""

    path: Path
    state: Mapping[str, np.ndarray]
    identity: str

    def step(self) -> int:
        """The step that it was made after."""
        return _numbers(self.state)["step"]

    def checked(self, fit: Fit, identity: str) -> dict[str, np.ndarray]:
        """The state, for a fit that is about to begin. Raises ImageGSError where it is not one that this fit can have."""
        if self.identity != identity:
            raise ImageGSError(f"{self.path}: a checkpoint of another picture or other settings; use the same")
        wrong = _wrong_arrays(self.state, fit.state()) or _wrong_numbers(_numbers(self.state), fit)
        if wrong:
            raise ImageGSError(f"{self.path}: not a checkpoint of this fit ({wrong}); name another")
        return dict(self.state)


def latest(folder: Path) -> Path:
    """The checkpoint of the last step in a run folder; other files there are not looked at."""
    found = {int(match[1]): f for f in folder.glob("checkpoints/*") if (match := _NAME.fullmatch(f.name))}
    if not found:
        raise ImageGSError(f"{folder}: no checkpoint to resume; --save-ckpt-steps N writes them")
    return found[max(found)]


def read(path: Path) -> Checkpoint:
    """The checkpoint in a file. Raises ImageGSError where it is none."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            state = dict(archive)
        _numbers(state)
        return Checkpoint(path, state, str(state.pop("identity")))
    except OSError as error:
        raise ImageGSError(f"{path}: can't be read ({error.strerror or error}); name a checkpoint") from error
    except Exception as error:  # NumPy and zipfile raise anything: BadZipFile, EOFError, TypeError, ...
        raise ImageGSError(f"{path}: not a checkpoint of a fit; name another") from error


def _numbers(state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return dict(json.loads(str(state["numbers"])))


def _wrong_arrays(state: Mapping[str, np.ndarray], like: Mapping[str, np.ndarray]) -> str | None:
    """What keeps arrays from being a state like another one, of any number of Gaussians; None: nothing does."""
    if set(state) != set(like):
        return f"arrays: {', '.join(sorted(set(state) ^ set(like))[:3])}"
    count = len(np.atleast_1d(state["mean"]))
    for name, array in state.items():
        if name == "numbers":
            continue
        if array.dtype != like[name].dtype or array.shape != (count, *like[name].shape[1:]):
            return f"{name}: {array.dtype} {array.shape}"
        if not np.isfinite(array).all():
            return f"{name}: not finite"
    return None if count else "no Gaussians"


def _wrong_numbers(numbers: Mapping[str, Any], fit: Fit) -> str | None:
    """What keeps numbers from being those of a state of this fit; None: nothing does."""
    like = _numbers(fit.state())
    if not _alike(numbers, like):
        return "numbers"
    if not (0 <= numbers["step"] and 1 <= numbers["steps"] and 1 <= numbers["count"] and 0 <= numbers["stage"]):
        return "negative numbers"
    try:
        np.random.default_rng().bit_generator.state = numbers["rng"]
    except (ValueError, TypeError, OverflowError):
        return "random numbers"
    return None


def _alike(value: Any, like: Any) -> bool:
    """Whether JSON has the keys and types of another one."""
    if isinstance(like, dict):
        return (
            isinstance(value, dict) and set(value) == set(like) and all(_alike(value[key], like[key]) for key in like)
        )
    if isinstance(like, float):
        return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
    return type(value) is type(like)
