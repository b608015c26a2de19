"""A rehearsal: reads all rows as a run would, names their mistakes, counts the requests, and sends nothing."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import attrs

from vismanet_async._bulk.intake import CHUNK_ROWS, Read, closing
from vismanet_async._bulk.transitions import Action
from vismanet_async._codec.differences import Difference  # noqa: TC001 - looked up by whoever asks for the types

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Mapping

    from vismanet_async._bulk.journal_rows import Journal
    from vismanet_async._bulk.rows import Outcome, Row
    from vismanet_async._bulk.transitions import Entry
    from vismanet_async._clock import Clock
    from vismanet_async._http.rate_limit import Quota

__all__ = ["Mistake", "Rehearsal", "RowChange", "estimated_seconds", "rehearse"]

_MOST_MISTAKES: Final = 1000
_MOST_CHANGES: Final = 1000
_WINDOW_SECONDS: Final = 3600.0
"""The longest window of a quota (docs/facts.md 3.3)."""
_REQUESTS_PER_SECOND: Final = 8.0
"""Four in flight, half a second each: what a run begins with."""


@attrs.frozen(kw_only=True)
class Mistake:
    """What is wrong with one row."""

    key: str
    position: int
    """Which row of the input, from 1."""
    text: str
    """What is wrong; it names the field where there is one."""

    def __str__(self) -> str:
        return f"row {self.position:,}, {self.key}: {self.text}"


@attrs.frozen(kw_only=True)
class RowChange:
    """What an upsert would do for one row.

    Examples:
        >>> rows = [{"number": "90000", "name": "Vega AS"}]
        >>> rehearsal = await visma.bulk.rehearse_upsert("customer", rows, key="number")
        >>> print(rehearsal.changes[0])
        90000: create
    """

    key: str
    position: int
    """Which row of the input, from 1."""
    effect: str
    """`create` or `update`."""
    differences: tuple[Difference, ...] = ()
    """Of an update: each value that the record does not have."""

    def __str__(self) -> str:
        return f"{self.key}: {'; '.join(map(str, self.differences)) or self.effect}"


@attrs.frozen(kw_only=True)
class Rehearsal:
    """What a run of these rows would do, as far as that can be told without sending anything.

    Examples:
        >>> from vismanet_async.bulk import Row
        >>> rows = [Row("1", lambda: visma.customer.create({"nmae": "Vega AS"}))]
        >>> rehearsal = await visma.bulk.rehearse(rows)
        >>> print(rehearsal.mistakes[0].text.partition(";")[0])
        there is no field 'nmae' in CustomerUpdate
    """

    rows: int
    requests: int
    """That a run would send, look-ups and repetitions apart."""
    earlier: int = 0
    """Rows that a run would leave alone, because the journal has their outcome."""
    mistakes: tuple[Mistake, ...] = ()
    """The first 1,000."""
    mistakes_found: int = 0
    created: int = 0
    """Of an upsert: records that it would create."""
    updated: int = 0
    unchanged: int = 0
    changes: tuple[RowChange, ...] = ()
    """Of an upsert: the first 1,000 rows that it would send."""
    quota_remaining: int | None = None
    """Requests left in the window; None before the first request of the client."""
    seconds: float | None = None
    """How long it takes about, with what is left of the quota; None where that is not known."""

    def __str__(self) -> str:
        parts = [f"{self.rows:,} {'row' if self.rows == 1 else 'rows'}"]
        effects = {"to be created": self.created, "to be updated": self.updated, "unchanged": self.unchanged}
        parts += [f"{count:,} {name}" for name, count in effects.items() if count]
        if self.earlier:
            parts.append(f"{self.earlier:,} known from before")
        parts.append(f"{self.mistakes_found:,} {'mistake' if self.mistakes_found == 1 else 'mistakes'}")
        text = f"{', '.join(parts)}. A run takes {self.requests:,} {'request' if self.requests == 1 else 'requests'}"
        if self.seconds is None:
            return f"{text}; the quota is not known before the first one is sent."
        return f"{text}: about {_duration(self.seconds)} at what is left of the quota ({self.quota_remaining:,})."


async def rehearse(
    rows: Iterable[Row] | AsyncIterable[Row],
    *,
    read: Callable[[Any, int], Read],
    journal: Journal | None,
    decides: Callable[..., Action],
    settles: Callable[[Read, Entry], tuple[Outcome, Entry] | None] | None = None,
    quota_of: Callable[[], Quota],
    clock: Clock,
) -> Rehearsal:
    """Read all rows; see `Bulk.rehearse` and `Bulk.rehearse_upsert`.

    Args:
        rows: as they come.
        read: makes a row's operation.
        journal: of earlier runs.
        decides: what a run does with a row that the journal has.
        settles: how a compared row that the journal has ends without a request, if it does.
        quota_of: what is left of the quota.
        clock: the client's.
    """
    found = _Findings(decides, settles)
    chunk: list[Read] = []
    position = 0
    async with closing(rows) as reading:
        async for row in reading:
            position += 1
            chunk.append(read(row, position))
            if len(chunk) == CHUNK_ROWS:
                found.add(chunk, await _known(journal, chunk))
                chunk = []
    found.add(chunk, await _known(journal, chunk))
    quota, now = quota_of(), clock.monotonic()
    return Rehearsal(
        rows=position,
        requests=found.requests,
        earlier=found.earlier,
        mistakes=tuple(found.mistakes),
        mistakes_found=found.count,
        created=found.effects["create"],
        updated=found.effects["update"],
        unchanged=found.effects["unchanged"],
        changes=tuple(found.changes),
        quota_remaining=quota.remaining,
        seconds=estimated_seconds(
            found.requests,
            remaining=quota.remaining,
            limit=quota.limit,
            resets_in=None if quota.resets_at is None else quota.resets_at - now,
        ),
    )


async def _known(journal: Journal | None, chunk: list[Read]) -> Mapping[str, Entry]:
    return {} if journal is None else await journal.known([read.entry.key for read in chunk])


class _Findings:
    """What has been found so far. Of each row it keeps 16 bytes, to notice keys that come twice."""

    def __init__(
        self,
        decides: Callable[..., Action],
        settles: Callable[[Read, Entry], tuple[Outcome, Entry] | None] | None = None,
    ) -> None:
        self.requests = 0
        self.earlier = 0
        self.count = 0
        self.mistakes: list[Mistake] = []
        self.effects: Counter[str] = Counter()
        self.changes: list[RowChange] = []
        self._decides = decides
        self._settles = settles
        self._keys: set[bytes] = set()

    def add(self, chunk: list[Read], known: Mapping[str, Entry]) -> None:
        for read in chunk:
            digest = hashlib.blake2b(read.entry.key.encode(), digest_size=16).digest()
            if digest in self._keys:
                self._note(read, "an earlier row of the input has the same key; it is not sent")
                continue
            self._keys.add(digest)
            entry = known.get(read.entry.key)
            if read.trouble is None and (effect := getattr(read.row, "effect", None)) is not None:
                self._compared(read, effect, entry)
                continue
            fingerprint = read.entry.fingerprint
            action = Action.SEND if entry is None else self._decides(entry, fingerprint=fingerprint)
            if action is Action.REPORT_CHANGED:
                self._note(read, "an earlier run sent this key with another content; it is not sent")
            elif read.trouble is not None:
                self._note(read, read.trouble.text)
            elif action in {Action.KEEP_DONE, Action.KEEP_FAILED, Action.KEEP_UNKNOWN}:
                self.earlier += 1
            else:
                self.requests += 1

    def _compared(self, read: Read, effect: str, entry: Entry | None) -> None:
        if entry is not None and not entry.may_land and self._settles is not None:
            ended = self._settles(read, entry)
            if ended is not None and (trouble := ended[1].trouble) is not None:  # a conflict: a run sends nothing
                self._note(read, trouble.text)
                return
        self.effects[effect] += 1
        if effect == "unchanged":
            return
        self.requests += 1
        if len(self.changes) < _MOST_CHANGES:
            key, position = read.row.key, read.entry.position
            differences = getattr(read.row, "differences", ())
            self.changes.append(RowChange(key=key, position=position, effect=effect, differences=differences))

    def _note(self, read: Read, text: str) -> None:
        self.count += 1
        if len(self.mistakes) < _MOST_MISTAKES:
            self.mistakes.append(Mistake(key=read.row.key, position=read.entry.position, text=text))


def estimated_seconds(
    requests: int, *, remaining: int | None, limit: int | None, resets_in: float | None
) -> float | None:
    """Return how long so many requests take about; None where the quota is not known.

    Examples:
        >>> estimated_seconds(5_120, remaining=15_000, limit=15_000, resets_in=3_000.0)
        640.0
        >>> estimated_seconds(20_000, remaining=2_000, limit=15_000, resets_in=600.0)
        4575.0
    """
    if remaining is None or not limit:
        return None
    if requests <= remaining:
        return requests / _REQUESTS_PER_SECOND
    beyond = requests - remaining
    windows = math.ceil(beyond / limit)
    first = _WINDOW_SECONDS if resets_in is None else max(0.0, resets_in)
    last = (beyond - (windows - 1) * limit) / _REQUESTS_PER_SECOND
    return max(first + (windows - 1) * _WINDOW_SECONDS + last, requests / _REQUESTS_PER_SECOND)


def _duration(seconds: float) -> str:
    if seconds < 90:  # noqa: PLR2004 - from here on minutes say more
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"  # noqa: PLR2004 - as above
