"""Fewer random examples, for properties each example of which runs a network or a detector."""

from __future__ import annotations

from hypothesis import settings


def examples(count: int) -> settings:
    """`@examples(20)`: 20 examples in the profile quick, ten times as many in thorough. See tests/conftest.py."""
    return settings(max_examples=count * settings().max_examples // 100)
