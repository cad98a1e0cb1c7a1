"""Fixtures of this room."""

from tests.addon import addon

__all__ = ["addon"]
