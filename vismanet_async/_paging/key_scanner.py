"""Quick ways to read names and times off rows that are alike (no IO).

One serializer writes all rows of a list: the same members in the same order. So once one row was parsed, the others
need not be parsed whole:

- *head*: plain members before the first object are matched as they stand, one after another from the very first.
- *rear*: for members that come behind an object, rows are parsed from the first of those to their end. That works from
  a row's own member only: from within a nested object there would be a brace too many, and from within a text the names
  that follow would stand outside of quotes.

Nothing is guessed: where one row of a page is not as learnt, the page is to be parsed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, overload

import attrs
import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vismanet_async._paging.row_scanner import Rows

__all__ = ["FixedWidthKeys", "KeyScanner", "Read"]

_SCALAR: Final = rb'(?:"[^"\\]*"|-?[0-9.eE+-]+|true|false|null)'
_CAUGHT: Final = rb'("[^"\\]*"|-?[0-9.eE+-]+|true|false|null)'
_DIGIT_IN_NAME: Final = re.compile(rb'[0-9][^"]*":')
_DIGITS_ALIKE: Final = bytes.maketrans(b"123456789", b"0" * 9)
_WHOLE: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TIME: Final = msgspec.json.Decoder(str | None)
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@attrs.frozen
class Read:
    """What was read off a page."""

    names: Sequence[bytes]
    times: Sequence[str]
    """Empty texts where there is none; nothing at all where rows of this list have none."""


class FixedWidthKeys(Sequence[bytes]):
    """Names of a page whose rows begin alike but for their digits; cut out when asked for."""

    __slots__ = ("_begin", "_length", "_text", "_width")

    def __init__(self, text: bytes, *, width: int, begin: int, length: int) -> None:
        self._text = text
        self._width = width
        self._begin = begin
        self._length = length

    def __len__(self) -> int:
        return len(self._text) // self._width

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return list(self)[index]
        at = self._begin + range(len(self))[index] * self._width
        return self._text[at : at + self._length]

    def __iter__(self) -> Iterator[bytes]:
        text, length = self._text, self._length
        return iter([text[at : at + length] for at in range(self._begin, len(text), self._width)])

    def digits(self, start: int, stop: int) -> list[bytes]:
        """Cut out what stands between two places of each name: digits in all, if they are in the first."""
        text, length = self._text, stop - start
        return [text[at : at + length] for at in range(self._begin + start, len(text), self._width)]


class KeyScanner:
    """What the rows of one list have alike. One a walk.

    Args:
        identity: the members that name a row, all of its own.
        modified: the member that tells when it was changed, if there is one.
    """

    def __init__(self, identity: Sequence[str], modified: str | None) -> None:
        self._identity = tuple(identity)
        self._modified = modified
        self._head: re.Pattern[bytes] | None = None
        self._caught: list[str] = []  # by the head
        self._rear: _Rear | None = None
        self._has_learnt = False

    def learn(self, row: bytes) -> None:
        """Take it from a row; what cannot be learnt leaves pages to be parsed."""
        self._has_learnt = True
        self._head, self._caught, self._rear = None, [], None
        try:
            members = _WHOLE.decode(row)
        except _UNREADABLE:
            return
        wanted = {*self._identity, *([] if self._modified is None else [self._modified])}
        if not wanted <= members.keys():
            return
        pattern: list[bytes] = []
        caught: list[str] = []
        for name, value in members.items():
            if bytes(value)[:1] in {b"{", b"["} or len(caught) == len(wanted):
                break
            is_wanted = name in wanted
            pattern.append(re.escape(b'"' + name.encode() + b'":') + (_CAUGHT if is_wanted else _SCALAR))
            caught += [name] if is_wanted else []
        if len(caught) < len(wanted):
            behind = [name for name in members if name in wanted and name not in caught]
            self._rear = _Rear.learnt(row, behind, modified=self._modified)
            if self._rear is None:
                return
        if caught:
            self._head, self._caught = re.compile(rb"\{" + b",".join(pattern) + rb"(?=[,}])"), caught

    def read(self, rows: Rows) -> Read | None:
        """Read a page; None where it has to be parsed."""
        if not self._has_learnt:
            self.learn(rows[0])
        columns: dict[str, Sequence[Any]] = {}
        if self._head is not None:
            caught = _caught(rows, self._head)
            if caught is None:
                return None
            columns |= zip(self._caught, caught, strict=True)
        if self._rear is not None:
            behind = self._rear.read(rows)
            if behind is None:
                return None
            columns |= behind
        if not columns:
            return None
        times = [] if self._modified is None else self._times(columns.pop(self._modified))
        if times is None:
            return None
        if len(columns) > 1:
            names = list(map(b"\0".join, zip(*(columns[name] for name in self._identity), strict=True)))
            return Read(names, times)
        (only,) = columns.values()
        return Read(only if isinstance(only, FixedWidthKeys) else list(map(bytes, only)), times)

    def _times(self, column: Sequence[Any]) -> list[str] | None:
        """Give times, empty for nulls; None where something else stands."""
        try:
            texts = map(_TIME.decode, column) if self._modified in self._caught else column
            return [text or "" for text in texts]
        except _UNREADABLE:
            return None


def _caught(rows: Rows, head: re.Pattern[bytes]) -> Sequence[Sequence[bytes]] | None:
    """Give a column for each member that the head catches; None where a row does not begin as learnt."""
    column = _column(rows, head) if head.groups == 1 else None
    if column is not None:
        return [column]
    heads = [found for start in rows.starts if (found := head.match(rows.body, start))]
    if len(heads) != len(rows):
        return None
    return list(zip(*[found.groups() for found in heads], strict=True))


def _column(rows: Rows, head: re.Pattern[bytes]) -> FixedWidthKeys | None:
    """Cut the names of a page out at once, where its rows begin alike but for their digits; else None.

    What `head` catches in the first row stands at the same place in all of them then.
    """
    body, starts = rows.body, rows.starts
    first = head.match(body, starts[0])
    if first is None or _DIGIT_IN_NAME.search(first[0]):
        return None
    begin, end = first.start(1) - starts[0], first.end(1) - starts[0]
    width = end + 1
    text = b"".join([body[start : start + width] for start in starts])
    if text.translate(_DIGITS_ALIKE) != text[:width].translate(_DIGITS_ALIKE) * len(starts):
        return None
    return FixedWidthKeys(text, width=width, begin=begin, length=end - begin)


@attrs.define
class _Rear:
    """How rows are parsed from a member to their end."""

    mark: bytes
    """The comma and the name that the rear begins with."""
    usual_bytes: int
    """How long the first row's rear was: many rows have theirs as far from the end, and need no search."""
    reach_bytes: int
    """How far before a row's end it is looked for first, so that what nested objects have before it is not found."""
    members: dict[str, str]
    """Attributes of a record by the names of the members that it holds."""
    records_of: msgspec.json.Decoder[list[Any]]
    is_even: bool = True
    """All rears were as long as the first row's so far: their places need not be looked for."""

    @classmethod
    def learnt(cls, row: bytes, names: Sequence[str], *, modified: str | None) -> _Rear | None:
        """Learn from a row where the first of these members stands; None where it cannot be found.

        Args:
            row: parsed before.
            names: of the members, in their order.
            modified: which of them, if any, is read as text, or null.
        """
        members = {name: f"member{number}" for number, name in enumerate(names)}
        fields = [(member, str | None if name == modified else msgspec.Raw) for name, member in members.items()]
        record = msgspec.defstruct("_Record", fields, rename={at: name for name, at in members.items()}, gc=False)
        decoder = msgspec.json.Decoder(list[record])  # type: ignore[valid-type]  # made here
        mark = b',"' + names[0].encode() + b'":'
        at = row.find(mark)
        while at >= 0:
            try:
                decoder.decode(b"[{" + row[at + 1 :] + b"]")
            except _UNREADABLE:
                at = row.find(mark, at + 1)
            else:
                length = len(row) - at
                return cls(mark, length, length * 5 // 4, members, decoder)
        return None

    def read(self, rows: Rows) -> dict[str, Sequence[Any]] | None:
        """Parse the rears of a page at once and give its members' columns; None where one is not as learnt."""
        ends = [start - 1 for start in rows.starts[1:]]
        ends.append(rows.end)
        if self.is_even:
            columns = self._parsed(rows, [end - self.usual_bytes for end in ends], ends)
            if columns is not None:
                return columns
            self.is_even = False
        places = self._places(rows, ends)
        return None if min(places) < 0 else self._parsed(rows, places, ends)

    def _places(self, rows: Rows, ends: Sequence[int]) -> list[int]:
        """Find where the rears begin; -1 for where one does not."""
        body, find, mark, reach, usual = rows.body, rows.body.find, self.mark, self.reach_bytes, self.usual_bytes
        stands = body.startswith
        places = [end - usual if stands(mark, end - usual) else find(mark, end - reach, end) for end in ends]
        if min(places) < 0:
            places = [at if at >= 0 else find(mark, *span) for at, *span in zip(places, rows.starts, ends, strict=True)]
        return places

    def _parsed(self, rows: Rows, places: Sequence[int], ends: Sequence[int]) -> dict[str, Sequence[Any]] | None:
        body = rows.body
        rears = [body[at + 1 : end] for at, end in zip(places, ends, strict=True)]
        rears[0] = b"[{" + rears[0]  # around all of them it would be one more large copy
        rears[-1] += b"]"
        try:
            records = self.records_of.decode(b",{".join(rears))
        except _UNREADABLE:
            return None
        # a rear that began in the row before would be two records
        if len(records) != len(rows):
            return None
        return {name: list(map(attrgetter(at), records)) for name, at in self.members.items()}
