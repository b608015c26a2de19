"""The rows of a page as slices of its body, and a quick way to find them.

Parsing a page of 2.5 MB just to see where its rows begin costs as much as fetching it. But between two rows of one list
stand the same bytes (`,"maxPageSize":1000}},{"internalId":`, say). So once one page was parsed, the next ones are
searched for that *separator*. Why a match is certain:

- inside a JSON string every quote is escaped, so a separator, which contains `{"`, is never part of a text;
- a page is parsed whose separators do not match the number of rows it must have;
- so is page 1, the last page, a page without the array's brackets at its ends, and one whose last row is not whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Final, overload

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RawRow", "RowSeparator", "Rows", "lengths"]

RawRow = bytes | msgspec.Raw
"""One row's JSON text."""

_SHORTEST: Final = 12
"""Bytes; a shorter separator would match too often and too slowly."""
_LONGEST: Final = 96
_EXAMPLES: Final = 64
"""Rows of a page that are compared; where others are separated differently, pages are parsed."""
_AHEAD_BYTES: Final = 8192
"""How far a separator is searched first: `bytes.find` has a cost per call that grows with the text."""
_ANYTHING: Final = msgspec.json.Decoder(msgspec.Raw)


class Rows(Sequence[bytes]):
    """The rows of a page, cut out of its body when asked for. Immutable; keeps the body alive.

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
        """Return the elements of a parsed array as slices of it, if it is compact; else as they are.

        Compact means: two brackets, a comma between every two rows, and no other byte.
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
            first, last, step = index.indices(len(self.starts))
            if step != 1:
                return [self[each] for each in range(first, last, step)]
            spans = pairwise([*self.starts[first:last], self.end + 1 if last == len(self) else self.starts[last]])
            return [self._view[start : follower - 1].tobytes() for start, follower in spans]
        start = self.starts[index]  # raises IndexError, as a sequence does
        follower = index + 1
        last = follower in {0, len(self.starts)}
        return self._view[start : self.end if last else self.starts[follower] - 1].tobytes()


class RowSeparator:
    """Splits pages by the bytes between two rows, learnt from a page that was parsed. Use one per traversal."""

    def __init__(self) -> None:
        self._bytes = b""
        self._prefix_len = 0
        """Bytes of the separator up to the next row: the end of the row before, and the comma."""
        self._min_gap = 0
        """The smallest distance from a row's start to the next separator; where it is smaller, the page is parsed."""

    def learn(self, rows: Sequence[RawRow]) -> None:
        """Learn the separator from a page's rows; if that fails, later pages are parsed."""
        self._bytes = b""
        if len(rows) < 2:  # noqa: PLR2004 - it takes two rows to have something between them
            return
        texts = [bytes(row) for row in rows[:: len(rows) // _EXAMPLES + 1]]
        name_end = texts[0].find(b'":') + 2
        head = texts[0][:name_end]
        tail = _common_tail(texts)
        # every row contains the total, which changes from page to page when others write
        counted = tail.find(b'"totalCount":')
        if counted >= 0:
            after = min((at for mark in (b",", b"}") if (at := tail.find(mark, counted)) >= 0), default=len(tail))
            tail = tail[after:]
        separator = tail + b"," + head
        if not head.startswith(b'{"') or len(separator) < _SHORTEST or not all(text.startswith(head) for text in texts):
            return
        self._bytes, self._prefix_len = separator, len(tail) + 1
        nearest = max(0, min(lengths(rows)) * 63 // 64 - len(tail))
        self._min_gap = min(self._min_gap, nearest) if self._min_gap else nearest

    def split(self, body: bytes | bytearray, *, expected: int) -> Rows | None:
        """Return the rows of a page that must have `expected` of them; None where it has to be parsed."""
        separator = self._bytes
        if not separator or expected < 2 or body[:1] != b"[" or body[-1:] != b"]":  # noqa: PLR2004 - as above
            return None
        find, prefix_len, min_gap = body.find, self._prefix_len, self._min_gap
        starts = [1]
        searched = 1 + min_gap
        while (at := find(separator, searched, searched + _AHEAD_BYTES)) >= 0 or (at := find(separator, searched)) >= 0:
            starts.append(at + prefix_len)
            searched = at + prefix_len + min_gap
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
    """Return the length of each row in bytes, without copying the rows."""
    if isinstance(rows, Rows):
        return [follower - start - 1 for start, follower in pairwise([*rows.starts, rows.end + 1])]
    return [len(row) for row in rows]
