"""--config: options of imagegs fit from a YAML file, with the keys of Image-GS's cfgs/default.yaml."""

from __future__ import annotations

import argparse
import datetime as dt
import re
from pathlib import Path
from typing import Any

from ..errors import ImageGSError, one_line
from ..settings import AMOUNTS

_ELSEWHERE = {"eval", "render_height"}
"""Keys of Image-GS's file that are commands and options of their own here: accepted, without effect on a fit."""


def apply(path: str, args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Fill the options in args that the command line left open, from the file at path.

    data_root and input_path together name the input. PyTorch's spelling of a device, as Image-GS's file has it, leaves the
    choice to this machine. Raises ImageGSError for a file that is not there or not YAML, a key
    that is no option, a value that the option can't take, and eval: true.
    """
    actions = {action.dest: action for action in parser._actions}  # noqa: SLF001  argparse has no other list
    values = _read(path)
    if any(getattr(args, amount) is not None for amount in AMOUNTS):
        values = {key: value for key, value in values.items() if key not in AMOUNTS}
    if values.get("eval"):
        raise ImageGSError(f"{path}: eval: a finished fit is rendered by imagegs render")
    root = values.pop("data_root", None)
    device = values.get("device")
    if isinstance(device, str) and re.fullmatch(r"cuda:\d+", device):
        values["device"] = "auto"
    for key, value in values.items():
        if key == "input_path":
            folder = Path("" if root is None else _text(f"{path}: data_root", root))
            args.input = args.input or str(folder / _text(f"{path}: {key}", value))
        elif key not in _ELSEWHERE:
            if key not in actions or key in ("config", "command", "help", "input"):
                raise ImageGSError(f"{path}: {key}: unknown key; the options of imagegs fit --help are known")
            given = getattr(args, key)
            if given is None or given is False:  # a switch that is not on the command line
                setattr(args, key, _value(f"{path}: {key}", value, actions[key]))


def _read(path: str) -> dict[str, Any]:
    try:
        import yaml
    except ImportError:
        raise ImageGSError(f"{path}: reading YAML needs PyYAML: pip install pyyaml") from None
    try:
        values = yaml.safe_load(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ImageGSError(f"{path}: can't be read ({error.strerror}); name a YAML file") from error
    except Exception as error:  # PyYAML also raises ValueError, KeyError, AttributeError, RecursionError, ...
        raise ImageGSError(f"{path}: not a YAML file ({one_line(error)})") from error
    if not isinstance(values, dict):
        raise ImageGSError(f"{path}: not a list of keys and values, one per line, as in seed: 123")
    return {str(key).replace("-", "_"): value for key, value in values.items()}


def _value(where: str, value: Any, action: argparse.Action) -> Any:
    """value as the command line would have it; an empty text or list, as in ckpt_file: "", is not given."""
    if value is None or value in ("", []):
        return None
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise ImageGSError(f"{where}: {_shown(value)}: write true or false")
        return value
    if action.nargs == "+":
        return [_parsed(where, item, action) for item in (value if isinstance(value, list) else [value])]
    return _parsed(where, value, action)


def _parsed(where: str, value: Any, action: argparse.Action) -> Any:
    """One value, parsed as the option's."""
    text = _text(where, value)
    try:
        parsed = action.type(text) if callable(action.type) else text
    except (ValueError, argparse.ArgumentTypeError):
        raise ImageGSError(f"{where}: {_shown(value)}: not what the option takes") from None
    if action.choices is not None and parsed not in action.choices:
        raise ImageGSError(f"{where}: {_shown(value)}: choose one of {', '.join(map(str, action.choices))}")
    return parsed


def _text(where: str, value: Any) -> str:
    """A text, a number or a date of YAML as the word that it would be on the command line."""
    try:
        if isinstance(value, str | int | float | dt.date) and not isinstance(value, bool):
            text = str(value)
            if "\0" not in text:
                return text
    except ValueError:  # an integer of more digits than Python shows
        pass
    raise ImageGSError(f"{where}: {_shown(value)}: not what the option takes")


def _shown(value: Any) -> str:
    """A value in a message. Lists of lists of lists can be as long as they like."""
    if isinstance(value, list | dict | set | tuple):
        return "a list of values"
    try:
        return repr(value)[:80]
    except ValueError:
        return "a number of too many digits"
