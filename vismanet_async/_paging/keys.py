"""Which rows are the same record, and which version of it is newer (no IO).

A row's *name* is the JSON text of its identity fields, its key. `seen_keys.py` keeps those that were delivered.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from vismanet_async._codec.halves import with_whole_pairs
from vismanet_async._paging.key_scanner import FixedWidthKeys, KeyScanner, Read
from vismanet_async._paging.page_formats import PageFormatError
from vismanet_async._paging.row_scanner import RawRow, Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["NO_STAMP", "KeyReader", "PageKeys", "RowKeys", "row_digest", "stamp_of", "stamp_text"]

NO_STAMP: Final = 0
_SECOND: Final = 1_000_000  # stamps are microseconds
_WHOLE_ROW: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT: Final = msgspec.json.Decoder(str)


def stamp_of(text: str | None) -> int:
    """Return a last-modified text as microseconds that can be compared; 0 for none or for an invalid time.

    An offset is dropped, not applied: the filter compares the local time that the server shows (facts 5.10).

    Examples:
        >>> stamp_of("2025-05-25T10:00:00.12") < stamp_of("2025-05-25 10:00:00.1234567")
        True
    """
    if not text:
        return NO_STAMP
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return NO_STAMP
    return (at.toordinal() * 86_400 + at.hour * 3_600 + at.minute * 60 + at.second) * _SECOND + at.microsecond


def stamp_text(stamp: int) -> str:
    """Return a stamp as a filter value, rounded down to whole seconds.

    Examples:
        >>> stamp_text(stamp_of("2025-05-25T10:00:00.999"))
        '2025-05-25T10:00:00'
    """
    days, seconds = divmod(stamp // _SECOND, 86_400)
    return (datetime.fromordinal(days) + timedelta(seconds=seconds)).isoformat()


_MISSES_IN_A_ROW: Final = 2
"""Pages whose keys the scanner could not read, after which all are parsed: rows of this list differ in their layout."""
_FIRST_CHANGE: Final = stamp_of("1900-01-01")
"""Systems write 0001-01-01 where they know no time."""


class RowKeys(msgspec.Struct, frozen=True):
    """Which JSON fields identify a row, and which one states its last change."""

    identity: tuple[str, ...]
    """Field names, dotted where nested (`customer.number`). Empty: the row as a whole, without its metadata."""
    modified: str | None = "lastModifiedDateTime"
    """The last-modified field; None where rows have none."""


@attrs.define
class PageKeys:
    """The keys of one page's rows, in their order."""

    names: Sequence[bytes]
    """The JSON text of each row's identity; several fields are joined by a zero byte."""
    newest: str | None = None
    """The latest modification time of the page, as the server wrote it."""
    versions: bool = True
    """False: two rows of one name are the same version, whatever their times."""
    _times: Sequence[str] = attrs.field(default=(), repr=False, eq=False)
    _stamps: list[int] | None = attrs.field(default=None, init=False, repr=False, eq=False)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.names)

    @property
    def stamps(self) -> list[int]:
        """Last modified of each row, in microseconds; 0 where it has none."""
        if self._stamps is None:
            self._stamps = list(map(stamp_of, self._times)) or [NO_STAMP] * len(self.names)
        return self._stamps

    def latest(self) -> list[int]:
        """Return the places of the rows with the latest modification time, in order."""
        if self._stamps is not None:
            newest = stamp_of(self.newest)
            return [place for place, stamp in enumerate(self._stamps) if stamp == newest]
        # a text that tells the same moment in another way is not worth reading all of them
        return [place for place, text in enumerate(self._times) if text == self.newest]

    def newest_until(self, latest: int | None) -> str:
        """Return the latest modification time of the page that can be true; empty where there is none.

        Rows with impossible times, such as 9999-12-31, must not hide what is changed after they were read.

        Args:
            latest: the latest that can be true; None: any.
        """
        newest = stamp_of(self.newest)
        if latest is not None and newest > latest:
            newest = max((stamp for stamp in self.stamps if stamp <= latest), default=NO_STAMP)
            return stamp_text(newest) if newest > _FIRST_CHANGE else ""
        return self.newest or "" if newest > _FIRST_CHANGE else ""

    @property
    def unstamped(self) -> int:
        """The number of rows without a last-modified value."""
        return self.stamps.count(NO_STAMP)

    def part(self, offsets: Iterable[int]) -> PageKeys:
        """Return the keys of some of the rows."""
        chosen = list(offsets)
        part = PageKeys([self.names[offset] for offset in chosen], self.newest, self.versions)
        if self.versions and self._times:
            part._stamps = [self.stamps[offset] for offset in chosen]
        return part

    def plain(self) -> PageKeys:
        """Return the same keys without versions, for counting."""
        return PageKeys(self.names, versions=False)


class KeyReader:
    """Reads identity and last-modified out of rows, without decoding anything else. One per traversal: it learns."""

    def __init__(self, keys: RowKeys) -> None:
        self._paths = tuple(tuple(name.split(".")) for name in keys.identity)
        tree: dict[str, Any] = {}
        for path in self._paths:
            node = tree
            for name in path[:-1]:
                node = node.setdefault(name, {})
            node[path[-1]] = {}
        self._rows = msgspec.json.Decoder(_struct(tree, keys.modified))
        self._whole = msgspec.json.Decoder(dict[str, msgspec.Raw])
        plain = all(len(path) == 1 for path in self._paths)
        self._scanner = KeyScanner(keys.identity, keys.modified) if self._paths and plain else None
        self._misses = 0

    @staticmethod
    def digest(row: RawRow) -> bytes:
        """Return what tells a row from its other versions; see `row_digest`."""
        return row_digest(row)

    def read(self, rows: Sequence[RawRow], *, versions: bool = True) -> PageKeys:
        """Read the keys of a page.

        Args:
            rows: the page's elements.
            versions: False where all versions of a row are known to be the same.

        Raises:
            PageFormatError: a row lacks an identity field, so that it cannot be told from another.
        """
        if (quick := self._scanned(rows)) is not None:
            return PageKeys(_spelt_alike(quick.names), _latest(quick.times), versions, quick.times)
        if not self._paths and all(bytes(row)[:1] == b'"' for row in rows):
            return PageKeys([bytes(row) for row in rows], versions=False)  # plain text is its own name
        decode = self._rows.decode
        try:
            heads = [decode(row) for row in rows]
            names = self._names(rows, heads)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, AttributeError) as error:
            mended = [with_whole_pairs(bytes(row), told_apart=True) for row in rows]
            if any(mended):
                return self.read([new or old for new, old in zip(mended, rows, strict=True)], versions=versions)
            wanted = ", ".join(".".join(path) for path in self._paths)
            raise PageFormatError(f"a row without its identity ({wanted[:60]}): {str(error)[:100]}") from error
        times = [head.modified or "" for head in heads]
        if rows and self._scanner:
            self._scanner.learn(bytes(rows[0]))
        return PageKeys(_spelt_alike(names), _latest(times), versions, times)

    def _scanned(self, rows: Sequence[RawRow]) -> Read | None:
        if self._scanner is None or not isinstance(rows, Rows):
            return None
        quick = self._scanner.read(rows)
        self._misses = 0 if quick is not None else self._misses + 1
        if self._misses == _MISSES_IN_A_ROW:
            self._scanner = None
        return quick

    def _names(self, rows: Sequence[RawRow], heads: Sequence[Any]) -> list[bytes]:
        if len(self._paths) == 1 and len(self._paths[0]) == 1:  # a fast path for the common case
            name = self._paths[0][0]
            return [bytes(getattr(head, name)) for head in heads]
        if self._paths:
            return [b"\0".join([bytes(_member(head, path)) for path in self._paths]) for head in heads]
        return [_without_metadata(self._whole.decode(row)) for row in rows]


def _spelt_alike(names: Sequence[bytes]) -> Sequence[bytes]:
    r"""Return names with their texts escaped in one way: the servers of a farm may do it in several.

    Examples:
        >>> _spelt_alike([b'"S\\u00f8"', b'1\0"a\\/b"'])
        [b'"S\xc3\xb8"', b'1\x00"a/b"']
    """
    # keys of one width differ by digits only: what one has, all have
    if b"\\" not in (names[0] if isinstance(names, FixedWidthKeys) else b"".join(names)):
        return names
    return [b"\0".join(map(_plain_text, name.split(b"\0"))) if b"\\" in name else name for name in names]


def _plain_text(value: bytes) -> bytes:
    try:
        return msgspec.json.encode(_TEXT.decode(value))
    except (msgspec.MsgspecError, UnicodeError):
        return value  # no text, or half of a surrogate pair, which has no other spelling


def _latest(times: Sequence[str]) -> str | None:
    # the texts of one server sort like the times they state
    return max(times, default="") or None


def _struct(tree: Mapping[str, Any], modified: str | None) -> Any:
    fields: list[Any] = [(name, _struct(inner, None) if inner else msgspec.Raw) for name, inner in tree.items()]
    rename = {}
    if modified is not None:
        fields.append(("modified", str | None, None))
        rename["modified"] = modified
    else:
        fields.append(("modified", str | None, msgspec.field(default=None, name="\u2400")))
    return msgspec.defstruct("_Head", fields, rename=rename, gc=False)


def _member(head: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        head = getattr(head, name)
    return head


def row_digest(row: RawRow) -> bytes:
    """Return a digest that differs when a row was changed, whatever its metadata says.

    Examples:
        >>> row_digest(b'{"id":1,"metadata":{"totalCount":2}}') == row_digest(b'{"id":1,"metadata":{"totalCount":3}}')
        True
    """
    try:
        members = _WHOLE_ROW.decode(row)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        if (mended := with_whole_pairs(bytes(row), told_apart=True)) is None:
            raise
        members = _WHOLE_ROW.decode(mended)
    return blake2b(_without_metadata(members), digest_size=16).digest()


def _without_metadata(row: dict[str, msgspec.Raw]) -> bytes:
    """Return a row without its metadata block, which changes with the total although the record does not."""
    return b"\0".join([name.encode() + b":" + bytes(value) for name, value in row.items() if name != "metadata"])
