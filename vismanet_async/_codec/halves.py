r"""Halves of surrogate pairs in JSON text (`\ud83d` alone), which some .NET servers produce when they cut a name. Pure.

msgspec refuses the whole text because of one of them. So they are replaced by the replacement mark before msgspec
reads the text. Its length stays the same, so that positions are valid in the original text too.
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
    r"""Return JSON text of the same length without halves; None if it has none.

    Args:
        text: JSON text.
        told_apart: replace each of the 2,048 halves by its own character of the private use area, so that different
            texts stay different; else all by the replacement mark.

    Examples:
        >>> with_whole_pairs(rb'["\ud83d", "\ud83d\ude00", "\\ud83d"]').decode()
        '["\\ufffd", "\\ud83d\\ude00", "\\\\ud83d"]'
    """
    found = 0

    def replace(match: re.Match[bytes]) -> bytes:
        nonlocal found
        if match[1] is None:
            return match[0]
        found += 1
        return b"\\u%04x" % (int(match[1][-4:], 16) + _TO_PRIVATE_USE) if told_apart else rb"\ufffd"

    replaced = _ESCAPE.sub(replace, bytes(text))
    return replaced if found else None


def as_they_came(parts: Iterable[bytes], replaced: bytes, text: bytes | bytearray) -> list[bytes]:
    """Return the original text of consecutive parts of a replaced text."""
    came, end = [], 0
    for part in map(bytes, parts):
        start = replaced.index(part, end)
        end = start + len(part)
        came.append(bytes(text[start:end]))
    return came
