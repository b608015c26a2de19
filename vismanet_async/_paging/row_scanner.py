"""The rows of a page as places in its body, and the quick way to find those places.

Parsing a page of 2.5 MB just to see where its rows begin costs as much as fetching it. But rows of one list meet in
the same bytes (`,"maxPageSize":1000}},{"internalId":`, say), so once one page was parsed, the next ones are searched
for that *seam*. What makes a find certain:

- inside a JSON string every quote is escaped, so a seam, which holds `{"`, is never part of a text;
- a page whose seams are not exactly as many as it must have rows is parsed;
- so is page 1, the last page, a page without the array's brackets at its ends, and one whose last row is not whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, overload

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RawRow", "RowSeparator", "Rows", "lengths"]

RawRow = bytes | msgspec.Raw
"""One row's JSON text."""

_SHORTEST: Final = 12
"""A seam of fewer bytes would be found too often and too slowly."""
_LONGEST: Final = 96
_EXAMPLES: Final = 64
"""Rows of a page that are looked at: where others meet in another way, pages are parsed."""
_AHEAD_BYTES: Final = 8192
"""How far a seam is looked for at first: over long texts `bytes.find` prepares itself anew at each call."""
_ANYTHING: Final = msgspec.json.Decoder(msgspec.Raw)


class Rows(Sequence[bytes]):
    """The rows of a page, cut out of its body when asked for. Immutable; holds the body alive.

    The bytes between the rows may change where the body is a bytearray: a sink makes lines of them.
    """

    __slots__ = ("_view", "body", "end", "starts")

    def __init__(self, body: bytes | bytearray, starts: list[int], end: int) -> None:
        self.body = body
        self._view = memoryview(body)
        self.starts = starts
        """Where each row begins."""
        self.end = end
        """Where the last row ends."""

    @classmethod
    def of(cls, body: bytes | bytearray, parsed: Sequence[msgspec.Raw]) -> Sequence[RawRow]:
        """Give the elements of a parsed array as places in it, if it is compact; else as they are.

        Compact is: two brackets, a comma between every two rows, and not a byte more.
        """
        *starts, follower = accumulate((len(row) + 1 for row in parsed), initial=1)
        end = follower - 1
        if not starts or body[:1] != b"[" or body[end : end + 1] != b"]" or body[end + 1 :].strip():
            return parsed
        return cls(body, starts, end)

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self.starts)))]
        start = self.starts[index]  # raises IndexError, as a sequence does
        follower = index + 1
        last = follower in {0, len(self.starts)}
        return self._view[start : self.end if last else self.starts[follower] - 1].tobytes()


class RowSeparator:
    """The bytes between two rows of one list, learnt from a page that was parsed. One a walk; not for two lists."""

    def __init__(self) -> None:
        self._bytes = b""
        self._lead = 0
        """How much of the seam belongs to the row before, comma included."""
        self._near = 0
        """How far behind a row's beginning the next seam is at least; where it is nearer, the page is parsed."""

    def learn(self, rows: Sequence[RawRow]) -> None:
        """Take the seam from a page's rows; what cannot be learnt leaves later pages to be parsed."""
        self._bytes = b""
        if len(rows) < 2:  # noqa: PLR2004 - it takes two rows to have something between them
            return
        texts = [bytes(row) for row in rows[:: len(rows) // _EXAMPLES + 1]]
        name_end = texts[0].find(b'":') + 2
        head = texts[0][:name_end]
        tail = _common_tail(texts)
        # a total stands in every row, and changes from page to page when others write
        counted = tail.find(b'"totalCount":')
        if counted >= 0:
            after = min((at for mark in (b",", b"}") if (at := tail.find(mark, counted)) >= 0), default=len(tail))
            tail = tail[after:]
        seam = tail + b"," + head
        if not head.startswith(b'{"') or len(seam) < _SHORTEST or not all(text.startswith(head) for text in texts):
            return
        self._bytes, self._lead = seam, len(tail) + 1
        nearest = max(0, min(lengths(rows)) * 63 // 64 - len(tail))
        self._near = min(self._near, nearest) if self._near else nearest

    def split(self, body: bytes | bytearray, *, expected: int) -> Rows | None:
        """Find the rows of a page that must have `expected` of them; None where it has to be parsed."""
        seam = self._bytes
        if not seam or expected < 2 or body[:1] != b"[" or body[-1:] != b"]":  # noqa: PLR2004 - as above
            return None
        find, lead, near = body.find, self._lead, self._near
        starts = [1]
        searched = 1 + near
        while (at := find(seam, searched, searched + _AHEAD_BYTES)) >= 0 or (at := find(seam, searched)) >= 0:
            starts.append(at + lead)
            searched = at + lead + near
        if len(starts) != expected:
            return None
        rows = Rows(body, starts, len(body) - 1)
        try:
            _ANYTHING.decode(rows[-1])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return rows


def _common_tail(texts: Sequence[bytes]) -> bytes:
    tail = texts[0][-_LONGEST:]
    for text in texts:
        while tail and not text.endswith(tail):
            tail = tail[1:]
    return tail


def lengths(rows: Iterable[Any]) -> list[int]:
    """Give the length of each row in bytes, without cutting rows out of their page."""
    if isinstance(rows, Rows):
        ends = [*(start - 1 for start in rows.starts[1:]), rows.end]
        return [end - start for start, end in zip(rows.starts, ends, strict=True)]
    return [len(row) for row in rows]
