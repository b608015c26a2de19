r"""Halves of surrogate pairs in JSON text (`\ud83d` without its partner), which some .NET servers cut names to. Pure.

msgspec refuses the whole text for one of them. Here they become the replacement mark for as long as msgspec looks, in
text of the same length, so that the places that it finds hold for the text as it came.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["as_they_came", "with_whole_pairs"]

_ESCAPE: Final = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
"""An escaped backslash, a whole pair, or a half."""
_TO_PRIVATE_USE: Final = 0xE000 - 0xD800


def with_whole_pairs(text: bytes | bytearray, *, told_apart: bool = False) -> bytes | None:
    r"""Return JSON text of the same length without halves; None where it has none.

    Args:
        text: JSON text.
        told_apart: put a character of its own for each of the 2,048 halves, from the private use area, so that texts
            that differ still do; else the replacement mark.

    Examples:
        >>> with_whole_pairs(rb'["\ud83d", "\ud83d\ude00", "\\ud83d"]').decode()
        '["\\ufffd", "\\ud83d\\ude00", "\\\\ud83d"]'
    """
    found = 0

    def mend(match: re.Match[bytes]) -> bytes:
        nonlocal found
        if match[1] is None:
            return match[0]
        found += 1
        return b"\\u%04x" % (int(match[1][-4:], 16) + _TO_PRIVATE_USE) if told_apart else rb"\ufffd"

    mended = _ESCAPE.sub(mend, bytes(text))
    return mended if found else None


def as_they_came(parts: Iterable[bytes], mended: bytes, text: bytes | bytearray) -> list[bytes]:
    """Return parts of mended text, one behind the other, as they stand in the text that came."""
    came, end = [], 0
    for part in map(bytes, parts):
        start = mended.index(part, end)
        end = start + len(part)
        came.append(bytes(text[start:end]))
    return came
