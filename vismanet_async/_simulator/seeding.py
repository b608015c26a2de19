"""Chance that repeats itself: one seeded random per purpose."""

from __future__ import annotations

from random import Random, SystemRandom

__all__ = ["of_ids", "seeded"]


def seeded(*parts: object) -> Random:
    """Return a random that is the same for the same parts.

    Examples:
        >>> seeded(1, "tokens").random() == seeded(1, "tokens").random()
        True
    """
    return Random(":".join(str(part) for part in parts))


def of_ids(seed: int | None, *parts: object) -> Random:
    """Return a random for ids that the server makes: repeatable for a seed, never the same twice without one.

    Examples:
        >>> of_ids(1, "jobs").random() == of_ids(1, "jobs").random()
        True
        >>> of_ids(None, "jobs").getrandbits(128) == of_ids(None, "jobs").getrandbits(128)
        False
    """
    return SystemRandom() if seed is None else seeded(seed, "ids", *parts)
