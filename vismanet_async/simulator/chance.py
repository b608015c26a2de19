"""Chance that repeats itself: one seeded random per purpose."""

from __future__ import annotations

from random import Random

__all__ = ["seeded"]


def seeded(*parts: object) -> Random:
    """Return a random that is the same for the same parts.

    Examples:
        >>> seeded(1, "tokens").random() == seeded(1, "tokens").random()
        True
    """
    return Random(":".join(str(part) for part in parts))
