"""Fewer random examples, for properties each example of which runs a network or reads a file."""

from __future__ import annotations

from typing import Any

from hypothesis import settings


def examples(count: int, **options: Any) -> settings:
    """`@examples(20)`: 20 examples in the profile quick, ten times as many in thorough. See tests/conftest.py."""
    return settings(max_examples=count * settings().max_examples // 100, **options)
