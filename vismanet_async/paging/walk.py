"""The state machine of a walk: answers in, next requests and rows out (no IO, no clock).

A shell asks `next_request()` as often as it wants requests in flight, sends what it gets, and hands each outcome to
`answered` or `failed`. What a walk claims about its rows, and why, is argued in `completeness.py`; which page comes
next within one reading of a list is decided in `sweep.py`. Here the readings are put in order:

- ``none`` and ``count``: one reading of the list.
- ``prove``: page 1 of everything (short lists end here), the window before a boundary, the tail after it.

Examples:
    >>> from vismanet_async.paging.styles import PAGE_NUMBER
    >>> walk = Walk(style=PAGE_NUMBER, completeness="count", page_size=2, keys=RowKeys(identity=("number",)))
    >>> request = walk.next_request()
    >>> request.query
    {'pageNumber': '1', 'pageSize': '2'}
    >>> body = b'[{"number":"1","metadata":{"totalCount":1}}]'
    >>> [bytes(row) for delivery in walk.answered(request, PAGE_NUMBER.read(body)) for row in delivery.rows]
    [b'{"number":"1","metadata":{"totalCount":1}}']
    >>> walk.done, walk.report().verdict
    (True, 'proven')
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, Literal

import attrs

from vismanet_async.paging.completeness import Completeness, Mode, Thread, Verdict
from vismanet_async.paging.key_index import KeyIndex
from vismanet_async.paging.keys import KeyReader, PageKeys, RowKeys, stamp_of, stamp_text
from vismanet_async.paging.styles import Metadata, PageAnswer, PageStyle, merge_batches
from vismanet_async.paging.sweep import Span, Sweep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vismanet_async.paging.rows import RawRow


__all__ = ["Delivery", "ModifiedFilter", "PageRequest", "Replaced", "Walk"]

_VALUE: Final = "lastModifiedDateTime"
_CONDITION: Final = "lastModifiedDateTimeCondition"
_COMPLEMENT: Final = {">=": "<", ">": "<=", "<": ">=", "<=": ">"}
_SECOND: Final = 1_000_000  # stamps are microseconds
_ATTEMPTS: Final = 3  # of one page, on top of what the transport does by itself
_FIRST_WAVE: Final = 16  # a 16th of the window may be asked for before its length is known
_TAILS: Final = 8  # readings of the tail before giving up
_RECOUNTS: Final = 2
_SHORT_PAGES: Final = 8  # a list of so few pages may be read again as a whole
_FRESH_READINGS: Final = 2
_LEAST_REPAIRS: Final = 32  # pages; longer lists may have half of their pages read again


@attrs.frozen
class ModifiedFilter:
    """The caller's own filter on `lastModifiedDateTime`, which the walk must respect and may refine."""

    condition: Literal[">=", ">", "<", "<="]
    value: str


@attrs.frozen
class PageRequest:
    """A request to send."""

    number: int
    """Counts the walk's requests from 1."""
    page: int
    """Counted from 1."""
    query: Mapping[str, str]
    """Paging and boundary parameters; they replace the listing's own of the same name."""


@attrs.frozen
class Replaced:
    """A row that was delivered earlier and of which a newer version has come."""

    delivery: int
    """The number of the delivery that held it."""
    row: int
    """Its place in that delivery's rows."""


@attrs.frozen
class Delivery:
    """Rows to hand out."""

    number: int
    """Counts the walk's deliveries from 0."""
    page: int | None
    """The page they came with; None for rows put together from several pages."""
    rows: Sequence[RawRow]
    body: bytes | bytearray | None
    """The answer they are all the rows of, in their order; None when some were left out."""
    supersedes: tuple[Replaced, ...] = ()
    """Rows delivered before that are replaced by newer versions among these."""


@attrs.frozen
class _Single:
    """A request beside the pages of a reading."""

    purpose: str
    filter: Mapping[str, str]
    page: int = 1
    counts_only: bool = False


@attrs.frozen
class _Sent:
    stage: int
    single: _Single | None  # None: a page of the reading
    page: int
    ceiling: int | None  # the smallest total that was known when the request left


@attrs.frozen
class _Arrived:
    page: int
    answer: PageAnswer
    keys: PageKeys | None
    span: Span


@attrs.frozen
class _Origin:
    """Which rows got the ordinals from `first` on."""

    first: int
    delivery: int
    stage: int
    span: Span
    kept: list[int] | None  # offsets in the page; None: all


@attrs.frozen
class _Edge:
    """A boundary in the server's own time, as the two filters that part the list there."""

    stamp: int
    below: Mapping[str, str]
    beyond: Mapping[str, str]

    @classmethod
    def at(cls, value: str, condition: str = ">=") -> _Edge:
        return cls(
            stamp=stamp_of(value),
            below={_VALUE: value, _CONDITION: _COMPLEMENT[condition]},
            beyond={_VALUE: value, _CONDITION: condition},
        )


@attrs.define
class _Proof:
    """What the argument of `completeness.py` has so far."""

    edge: _Edge | None = None  # T0, then T1, T2, ...
    next_edge: _Edge | None = None
    sampled: bool = False  # the last page has been looked at for a late boundary
    all_total: int | None = None  # of everything, at the first answer
    window_total: int | None = None  # the window's first
    tail_total: int | None = None  # the tail's first
    thread: Thread = attrs.field(factory=Thread)
    how: str = ""  # what the window's proof rests on
    tail_passes: int = 0
    frozen: KeyIndex = attrs.field(factory=KeyIndex)  # keys seen between two edges
    count_below: int | None = None  # c1
    count_under: int | None = None  # c0
    recounts: list[int] = attrs.field(factory=list)
    recount_rounds: int = 0


class Walk:
    """Reads a whole list and says what it may claim about it.

    Args:
        style: how the endpoint pages.
        completeness: how much certainty to pay for. ``none``: pages only, keys are not read. ``count``: each identity
            once, unique rows compared with the totals. ``prove``: as `completeness.py` argues; costs up to 3 requests
            more on a quiet list.
        page_size: rows to ask for; None leaves it to the server.
        keys: which fields identify a row; needed for ``prove``. Without it, ``count`` compares whole rows.
        boundary: `safe_boundary(now)` where the endpoint takes `lastModifiedDateTime` with its Condition, else None;
            needed for ``prove``, which otherwise becomes ``count``.
        modified: the caller's own filter on `lastModifiedDateTime`.
        ordered: hand rows out in page order; else as they come, which saves both memory and repairs.
        reorder_pages: when ordered, how far ahead of the next page to hand out the walk may ask.
        expected_rows: the probable length, so that the first requests need not wait for page 1.
        settle_seconds: how late a write may become visible after the moment it is stamped with.

    Not thread-safe; one walk serves any number of tasks of one event loop. To cancel, drop it (and `close` it).
    """

    def __init__(
        self,
        *,
        style: PageStyle,
        completeness: Mode = "count",
        page_size: int | None = None,
        keys: RowKeys | None = None,
        boundary: str | None = None,
        modified: ModifiedFilter | None = None,
        ordered: bool = False,
        reorder_pages: int = 16,
        expected_rows: int | None = None,
        settle_seconds: float = 120,
    ) -> None:
        self._style = style
        self._mode = completeness
        self._page_size = page_size
        self._row_keys = keys or RowKeys(identity=())
        self._reader = None if completeness == "none" else KeyReader(self._row_keys)
        self._base = {} if modified is None else {_VALUE: modified.value, _CONDITION: modified.condition}
        self._ordered = ordered
        self._reorder_pages = reorder_pages
        self._expected_rows = expected_rows
        self._settle = int(settle_seconds * _SECOND)
        # requests
        self._stage = 0
        self._stage_name = ""
        self._sent: dict[int, _Sent] = {}
        self._singles: list[_Single] = []
        self._sweep: Sweep | None = None
        self._filter: Mapping[str, str] = {}
        self._failures: dict[tuple[int, str, int], int] = {}
        self._requests = 0
        self._pages = 0
        # rows
        self._index = KeyIndex()
        self._judged = self._index  # the keys of the reading that the count is taken from
        self._origins: list[_Origin] = []
        self._held: list[_Arrived] = []
        self._handed_out = 0  # positions, in order
        self._deliveries = 0
        self._rows = 0
        self._dropped = 0
        self._superseded = 0
        self._first_row: bytes | None = None
        self._latest_row: bytes | None = None
        self._repeated: str | None = None
        self._split: dict[bytes, list[tuple[int, RawRow]]] = {}  # journals: parts of batches at page edges
        self._lines = 0
        # the argument
        self._boundary = None if boundary is None else _Edge.at(boundary)
        self._proof = _Proof()
        self._size_used = page_size
        self._repairs = 0
        self._fresh_readings = 0
        self._shifts = 0
        self._first_total: int | None = None
        self._last_total: int | None = None
        self._newest = ""
        self._breach: str | None = None
        self._notes: list[str] = []
        self._verdict: Verdict = "uncertain"
        self._reason = "the walk is not finished"
        self.done = False
        """Whether all is read; `report()` is final then."""
        self._begin(modified)

    # -- what the shell calls

    def next_request(self) -> PageRequest | None:
        """Give a request to send now; None: wait for an answer, or `done`."""
        if self.done:
            return None
        if self._singles:
            single = self._singles.pop(0)
            size = 1 if single.counts_only else self._page_size
            return self._request(single, single.page, size, single.filter)
        page = None if self._sweep is None else self._sweep.next_page()
        return None if page is None else self._request(None, page, self._page_size, self._filter)

    def glimpsed(self, request: PageRequest, metadata: Metadata) -> bool:
        """Take what an answer tells before its rows are read; give whether requests may follow already."""
        sent = self._sent.get(request.number)
        total = metadata.totalCount
        if sent is None or sent.stage != self._stage or self._sweep is None or not total:
            return False
        return self._sweep.glimpsed(total, metadata.maxPageSize)

    def answered(self, request: PageRequest, answer: PageAnswer) -> list[Delivery]:
        """Take an answer; give the rows that can be handed out now, each delivery in its order.

        Raises:
            PageFormatError: a row lacks its identity. The walk cannot go on.
            ValueError: the request is not in flight.
        """
        sent = self._taken(request)
        if sent.stage != self._stage:
            return []  # asked under a boundary that was given up
        self._pages += 1
        keys = None
        if self._reader is not None and not (sent.single is not None and sent.single.counts_only):
            keys = self._reader.read(answer.rows, versions=self._stage_name != "window")
            self._newest = max(self._newest, keys.newest or "")
        if sent.single is None:
            return self._page_answered(sent, answer, keys)
        return self._single_answered(sent.single, answer, keys)

    def failed(self, request: PageRequest, error: BaseException) -> bool:
        """Take note that a request got no usable answer.

        Returns:
            True: it will be asked for again, if still needed. False: it failed too often; raise `error`.
        """
        sent = self._taken(request)
        if sent.stage != self._stage:
            return True
        what = (sent.stage, sent.single.purpose if sent.single else "page", sent.page)
        failures = self._failures[what] = self._failures.get(what, 0) + 1
        if failures >= _ATTEMPTS:
            self._finish("uncertain", f"page {sent.page} could not be read: {type(error).__name__}")
            return False
        if sent.single is not None:
            self._singles.insert(0, sent.single)
        else:
            self._reading().failed(sent.page)
        return True

    @property
    def in_flight(self) -> int:
        """How many requests were given out and have not come back."""
        return len(self._sent)

    @property
    def held(self) -> int:
        """How many pages wait for those before them."""
        return len(self._held)

    @property
    def rows_delivered(self) -> int:
        """How many rows were handed out."""
        return self._rows

    @property
    def live_total(self) -> int | None:
        """How long the list seems to be at this moment; None: not known yet."""
        return self._last_total

    def report(self) -> Completeness:
        """Say what was read and what may be claimed; before `done` the verdict is uncertain."""
        unique = self._rows if self._style.by_line else len(self._index)
        return Completeness(
            verdict=self._verdict,
            reason="; ".join([*self._notes, self._reason]),
            rows=self._rows,
            unique=None if self._reader is None else unique,
            duplicates_dropped=self._dropped,
            superseded=self._superseded,
            total_first=self._first_total,
            total_last=self._last_total,
            requests=self._requests,
            pages=self._pages,
            shifts=self._shifts + (0 if self._sweep is None else self._sweep.changes),
            repairs=self._repairs,
            window=None
            if self._proof.window_total is None or self._proof.edge is None
            else self._proof.edge.below[_VALUE],
            tail_passes=self._proof.tail_passes,
            watermark=self._newest or None,
            page_size=self._size_used if self._sweep is None else self._sweep.page_size,
        )

    def close(self) -> None:
        """Give back what the keys hold, a temporary file perhaps. The report stays readable but for `unique`."""
        for index in (self._index, self._judged, self._proof.frozen):
            index.close()

    # -- requests

    def _request(
        self, single: _Single | None, page: int, page_size: int | None, filters: Mapping[str, str]
    ) -> PageRequest:
        self._requests += 1
        ceiling = None if self._sweep is None else self._sweep.min_total
        self._sent[self._requests] = _Sent(self._stage, single, page, ceiling)
        query = self._style.query(page, page_size)
        return PageRequest(number=self._requests, page=page, query={**query, **filters})

    def _taken(self, request: PageRequest) -> _Sent:
        sent = self._sent.pop(request.number, None)
        if sent is None:
            raise ValueError(f"request {request.number} is not in flight: it was answered already or never given out")
        return sent

    def _enter(
        self, name: str, *, singles: list[_Single], sweep: Sweep | None = None, filters: Mapping[str, str]
    ) -> None:
        """Begin a stage; what is still in flight from the one before will be ignored."""
        if self._sweep is not None:
            self._shifts += self._sweep.changes
            self._size_used = self._sweep.page_size
        self._stage += 1
        self._stage_name = name
        self._singles = singles
        self._sweep = sweep
        self._filter = filters
        self._held = []
        self._handed_out = 0

    def _finish(self, verdict: Verdict, reason: str) -> None:
        if verdict == "proven" and self._breach is not None:
            verdict, reason = "uncertain", self._breach
        self._verdict = verdict
        self._reason = reason
        self.done = True

    # -- the order of readings

    def _begin(self, modified: ModifiedFilter | None) -> None:
        boundary = self._boundary if self._row_keys.identity and not self._style.by_line else None
        if self._mode != "prove" or not self._style.pages or boundary is None:
            if self._mode == "prove" and self._style.pages:
                self._notes.append("the endpoint has no filter, or its rows no identity, that a proof could use")
            self._begin_list()
        elif modified is None:
            self._enter("first", singles=[_Single("first", self._base)], filters={})
        elif modified.condition in {">=", ">"}:
            self._begin_tail(_Edge.at(modified.value, modified.condition))
        elif stamp_of(modified.value) <= boundary.stamp:
            edge = _Edge.at(modified.value, _COMPLEMENT[modified.condition])
            self._begin_window(edge)
        else:
            self._notes.append(f"the filter reaches up to {modified.value}, where rows may still be written")
            self._begin_list()

    def _begin_list(self) -> None:
        self._proof.thread = Thread()
        self._enter(
            "list",
            singles=[],
            sweep=Sweep(
                page_size=self._page_size,
                by_line=self._style.by_line,
                expected_rows=self._expected_rows,
                window_pages=self._reorder_pages if self._ordered else None,
            ),
            filters=self._base,
        )

    def _fall_back(self, reason: str) -> None:
        """Give the proof up, and read the whole list without a boundary."""
        self._notes.append(reason)
        self._breach = None
        self._judged = KeyIndex()
        self._begin_list()

    def _begin_window(self, edge: _Edge | None = None) -> None:
        if edge is None:
            edge = self._latest_edge()
        self._proof.edge = edge
        self._proof.thread = Thread()
        wave = (self._proof.all_total or 0) // _FIRST_WAVE
        self._enter(
            "window",
            singles=[],
            sweep=Sweep(
                page_size=self._page_size,
                backward=not self._ordered,
                expected_rows=wave,
                window_pages=self._reorder_pages if self._ordered else None,
            ),
            filters=edge.below,
        )

    def _latest_edge(self) -> _Edge:
        """The boundary given, or a later one where the server has shown that its clock has passed it."""
        assert self._boundary is not None
        newest = stamp_of(self._newest) - self._settle
        return _Edge.at(stamp_text(newest)) if newest > self._boundary.stamp else self._boundary

    def _begin_tail(self, edge: _Edge) -> None:
        self._proof.edge = edge
        self._enter("tail", singles=[_Single("tail", edge.beyond)], filters={})

    def _single_answered(self, single: _Single, answer: PageAnswer, keys: PageKeys | None) -> list[Delivery]:
        total = self._total(answer)
        if single.purpose == "first":
            return self._first_answered(answer, keys)
        if single.purpose == "last":
            self._begin_window()
            return []
        if single.purpose == "tail":
            return self._tail_answered(answer, keys)
        if total is None:
            self._fall_back("a count came without its total")
        elif single.purpose == "below":
            self._proof.count_below = total
            self._proof.count_under = None
            self._proof.frozen.close()
            self._proof.frozen = KeyIndex()
            self._enter(
                "frozen",
                singles=[_Single("under", self._edge().below, counts_only=True)],
                sweep=Sweep(page_size=self._page_size),
                filters=self._edge().beyond,
            )
        elif single.purpose == "under":
            self._proof.count_under = total
            return self._advance([])
        else:
            self._recount_answered(total)
        return []

    @staticmethod
    def _total(answer: PageAnswer) -> int | None:
        return 0 if not answer.rows and answer.total is None else answer.total

    def _first_answered(self, answer: PageAnswer, keys: PageKeys | None) -> list[Delivery]:
        total = self._total(answer)
        rows = len(answer.rows)
        self._first_total = self._last_total = self._proof.all_total = total
        if total is None:
            self._fall_back("the server tells no totals")
        elif total <= rows:
            delivery = self._hand_out(_Arrived(1, answer, keys, Span(0, rows, total)))
            self._finish("proven", "one answer held the whole list")
            return delivery
        elif keys is not None and self._row_keys.modified is not None and keys.unstamped:
            self._fall_back("rows carry no last-modified value")
        elif self._boundary is not None and stamp_of(self._newest) >= self._boundary.stamp:
            self._sample_last(total, rows)
        else:
            self._begin_window()
        return []

    def _sample_last(self, total: int, size: int) -> None:
        """Look at the last page as well, for as late a boundary as can be: the tail has to fit into one answer."""
        self._proof.sampled = True
        last = -(-total // max(1, size))
        self._enter("first", singles=[_Single("last", self._base, page=last)], filters={})

    # -- pages of a reading

    def _page_answered(self, sent: _Sent, answer: PageAnswer, keys: PageKeys | None) -> list[Delivery]:
        sweep = self._reading()
        first = sweep.first_total is None
        span = sweep.answered(
            sent.page,
            rows=len(answer.rows),
            total=answer.total,
            max_page_size=answer.max_page_size,
            more=answer.more if self._style.pages else False,
        )
        if self._first_total is None:
            self._first_total = sweep.first_total
        if self._stage_name == "window":
            if keys is not None and self._window_over(sent, answer, keys, first=first):
                return []
        elif self._stage_name == "list":
            self._last_total = sweep.last_total
            if self._repeats(sent.page, answer):
                sweep.stop()
                span = None
        if span is None:
            return self._advance([])
        if span.total is None:
            self._proof.thread.shrunk_to(sweep.min_total or 0)
        else:
            self._proof.thread.add(span.start, span.stop, span.total)
        if keys is not None and self._stage_name == "frozen":
            self._note_frozen(keys)
        if keys is not None and self._judged is not self._index:
            self._judged.offer(keys.plain())
        return self._advance(self._arrange(_Arrived(sent.page, answer, keys, span)))

    def _reading(self) -> Sweep:
        assert self._sweep is not None
        return self._sweep

    def _edge(self) -> _Edge:
        assert self._proof.edge is not None
        return self._proof.edge

    def _repeats(self, page: int, answer: PageAnswer) -> bool:
        """Whether a list without totals shows page 1 over again (paging is ignored), or the page before (past its end).

        Such a list is read one page after another, so the page that came before is the one with the number before.
        """
        if not answer.rows or answer.total is not None:
            return False
        row = bytes(answer.rows[0])
        if page == 1:
            self._first_row = row
        elif row == self._first_row:
            self._repeated = f"page {page} repeats page 1: the endpoint seems to ignore paging"
        elif row == self._latest_row:
            self._repeated = f"page {page} repeats page {page - 1}: the endpoint seems to repeat its last page"
        self._latest_row = row
        return self._repeated is not None

    def _window_over(self, sent: _Sent, answer: PageAnswer, keys: PageKeys, *, first: bool) -> bool:
        """Look for a broken assumption, or for a better boundary; True: the stage is over."""
        edge = self._edge()
        sweep = self._reading()
        if self._total(answer) is None:
            self._fall_back("the server tells no totals")
            return True
        if answer.total is not None and sent.ceiling is not None and answer.total > sent.ceiling:
            self._fall_back(f"the rows before {edge.below[_VALUE]} became more")
            return True
        late = edge.stamp + _SECOND
        if stamp_of(keys.newest) >= late:
            self._fall_back("the server does not apply its last-modified filter")
            return True
        if not first or sweep.first_total is None:
            return False
        self._proof.window_total = sweep.first_total
        size = sweep.page_size or 1
        everything = self._proof.all_total
        if everything is None or self._proof.sampled or everything - sweep.first_total <= size:
            return False
        self._sample_last(everything, size)  # the tail would not fit into one answer: look for a later boundary
        return True

    def _advance(self, out: list[Delivery]) -> list[Delivery]:
        """See whether the reading is complete, and what follows from it."""
        if self._sweep is None or not self._sweep.complete or self.done:
            return out
        out = out + self._arrange(None)
        if self._stage_name == "window":
            self._judge_window()
        elif self._stage_name == "frozen":
            self._judge_frozen()
        else:
            out += self._judge_list()
        return out

    def _repair(self, pages: list[int]) -> bool:
        """Read pages again if there have not been too many."""
        sweep = self._reading()
        size = sweep.page_size or 1
        allowed = max(_LEAST_REPAIRS, sweep.max_total // size // 2)
        if not pages or self._repairs + len(pages) > allowed:
            return False
        self._repairs += len(pages)
        sweep.again(pages)
        return True

    # -- the window

    def _judge_window(self) -> None:
        sweep = self._reading()
        least = sweep.min_total or 0
        unique = len(self._index)
        if sweep.odd is not None:
            self._fall_back(sweep.odd)
        elif unique == sweep.max_total:
            self._window_proven("as many unique rows as the window ever had")
        elif self._breach is not None:
            self._fall_back(self._breach)
        elif self._proof.thread.holds() and unique >= least:
            self._window_proven("an unbroken chain of pages through the window")
        elif not self._repair(self._proof.thread.gaps(sweep.page_size or 1)):
            self._fall_back("rows moved faster than pages could be read again")

    def _window_proven(self, how: str) -> None:
        self._proof.how = how
        self._last_total = self._reading().last_total
        if self._base:  # the caller's own filter ends here
            self._finish("proven", how)
        else:
            self._begin_tail(self._edge())

    # -- the tail

    def _tail_answered(self, answer: PageAnswer, keys: PageKeys | None) -> list[Delivery]:
        self._proof.tail_passes += 1
        total = self._total(answer)
        if keys is not None and self._wrong_side(keys):
            self._fall_back("the server does not apply its last-modified filter")
            return []
        if total is None:
            self._fall_back("the server tells no totals")
            return []
        if self._proof.tail_total is None:
            self._proof.tail_total = total
        if self._first_total is None:
            self._first_total = total
        self._last_total = total if self._base else (self._last_total or 0) + total
        out = self._hand_out(_Arrived(1, answer, keys, Span(0, len(answer.rows), None)))
        if total <= len(answer.rows):
            self._after_tail()
            return out
        self._proof.next_edge = self._later_edge()
        if self._proof.next_edge is None:
            self._fall_back("more rows than a page holds were changed at the very end")
        elif self._proof.tail_passes >= _TAILS:
            self._fall_back("rows were changed faster than the tail could be read")
        else:
            self._count_frozen(self._proof.next_edge)
        return out

    def _wrong_side(self, keys: PageKeys) -> bool:
        """Whether rows lie before the boundary that the filter should have kept out, by more than rounding."""
        edge = self._edge().stamp
        return min((stamp for stamp in keys.stamps if stamp), default=edge) + _SECOND <= edge

    def _later_edge(self) -> _Edge | None:
        edge = _Edge.at(stamp_text(max(0, stamp_of(self._newest) - self._settle)))
        return edge if edge.stamp > self._edge().stamp else None

    def _count_frozen(self, edge: _Edge) -> None:
        self._proof.next_edge = edge
        self._enter("counting", singles=[_Single("below", edge.below, counts_only=True)], filters={})

    def _note_frozen(self, keys: PageKeys) -> None:
        assert self._proof.next_edge is not None
        inside = [offset for offset, stamp in enumerate(keys.stamps) if 0 < stamp < self._proof.next_edge.stamp]
        self._proof.frozen.offer(keys.part(inside).plain())

    def _judge_frozen(self) -> None:
        if (
            self._proof.count_under is None
            or self._proof.count_below is None
            or self._sweep is None
            or self._proof.next_edge is None
        ):
            return
        if self._sweep.odd is not None:
            self._fall_back(self._sweep.odd)
        elif len(self._proof.frozen) >= self._proof.count_below - self._proof.count_under:
            self._begin_tail(self._proof.next_edge)
        elif self._proof.tail_passes >= _TAILS:
            self._fall_back("rows were changed faster than the tail could be read")
        else:
            self._proof.tail_passes += 1
            self._count_frozen(self._later_edge() or self._proof.next_edge)

    def _after_tail(self) -> None:
        """Make sure that no row is hidden from both filters, then finish."""
        if None in {self._proof.all_total, self._proof.window_total, self._proof.tail_total}:
            self._finish("proven", "the rows after the filter's moment, up to an answer that held the rest")
            return
        if (self._proof.all_total or 0) <= (self._proof.window_total or 0) + (self._proof.tail_total or 0):
            self._finish("proven", f"{self._proof.how}, and the rest in one answer")
            return
        self._recount()

    def _recount(self) -> None:
        self._proof.recount_rounds += 1
        self._proof.recounts = []
        self._enter(
            "recount",
            singles=[
                _Single("recount", filters, counts_only=True)
                for filters in (self._base, self._edge().below, self._edge().beyond)
            ],
            filters={},
        )

    def _recount_answered(self, total: int) -> None:
        self._proof.recounts.append(total)
        if len(self._proof.recounts) < len(("all", "below", "beyond")):
            return
        everything, below, beyond = self._proof.recounts
        if everything <= below + beyond:
            self._finish("proven", f"{self._proof.how}, and the rest in one answer")
        elif self._proof.recount_rounds < _RECOUNTS:
            self._recount()
        else:
            self._fall_back("rows without a last-modified value are hidden from the filter")

    # -- one reading of the list

    def _judge_list(self) -> list[Delivery]:
        sweep = self._reading()
        out = self._join_split()
        if self._alone(sweep):
            self._finish("proven", "one answer held the whole list")
        elif self._repeated is not None:
            self._finish("uncertain", f"{self._repeated}; its rows tell no totals to compare with")
        elif self._breach is not None:
            self._finish("uncertain", self._breach)
        elif sweep.odd is not None:
            self._finish("uncertain", sweep.odd)
        elif sweep.last_total is None:
            self._finish(
                "uncertain",
                "the server tells no totals: all pages were read up to an empty one, but nothing says how many rows "
                "there are, and a row that moved between two pages meanwhile may be missing",
            )
        elif self._adds_up(sweep):
            what = "lines" if self._style.by_line else "rows" if self._reader is None else "unique rows"
            self._finish("counted", f"totals did not contradict each other and {what} are as many")
        elif self._mode == "none":
            self._finish("uncertain", "the total moved while the list was read, and keys were not compared")
        elif not self._read_again(sweep):
            counted = self._lines if self._style.by_line else len(self._judged)
            self._finish(
                "uncertain", f"the totals went from {sweep.first_total} to {sweep.last_total}, {counted} counted"
            )
        return out

    def _alone(self, sweep: Sweep) -> bool:
        """Whether one answer held everything: it is of one instant, whatever its style."""
        if self._pages != 1 or self._breach is not None or sweep.odd is not None:
            return False
        return not self._style.pages or sweep.max_total <= (sweep.page_size or 0) or not sweep.max_total

    def _adds_up(self, sweep: Sweep) -> bool:
        if sweep.changes and sweep.rose == sweep.fell:
            return False
        if self._style.by_line:
            return not sweep.changes and self._lines == sweep.max_total
        if self._reader is None:
            return not sweep.changes and self._rows == sweep.max_total
        return len(self._judged) == sweep.max_total

    def _read_again(self, sweep: Sweep) -> bool:
        """Read where rows may have slid once more, and a short list as a whole."""
        size = sweep.page_size or 1
        pages: set[int] = set()
        if sweep.changes and not self._repairs and not self._style.by_line:
            pages = {1, max(1, -(-sweep.end // size)), *(self._proof.thread.gaps(size) if sweep.fell else ())}
        if self._repair(sorted(pages)):
            return True
        if sweep.max_total > _SHORT_PAGES * size or self._fresh_readings >= _FRESH_READINGS:
            return False
        self._fresh_readings += 1
        self._judged = KeyIndex()
        self._lines = 0
        self._begin_list()
        return True

    # -- handing rows out

    def _arrange(self, arrived: _Arrived | None) -> list[Delivery]:
        """Put pages in order where that is asked for; None: the reading is complete, nothing has to wait any longer."""
        if arrived is not None and not self._ordered:
            return self._hand_out(arrived)
        if arrived is not None:
            self._held.append(arrived)
            self._held.sort(key=lambda held: held.span.start)
        out: list[Delivery] = []
        while self._held and (arrived is None or self._held[0].span.start <= self._handed_out):
            next_one = self._held.pop(0)
            self._handed_out = max(self._handed_out, next_one.span.stop)
            out += self._hand_out(next_one)
        return out

    def _hand_out(self, arrived: _Arrived) -> list[Delivery]:
        """Leave out what was delivered before, and name what is replaced."""
        rows = arrived.answer.rows
        if self._style.by_line:
            return self._hand_out_batches(arrived)
        if arrived.keys is None:
            return self._deliver(rows, arrived.answer.body, arrived.page)
        first = self._index.ordinal
        repeats = self._index.offer(arrived.keys)
        kept = None
        supersedes: list[Replaced] = []
        if repeats:
            left_out = set()
            for repeat in repeats:
                if repeat.ordinal >= first:
                    if self._row_keys.identity:
                        self._breach = "two rows of one answer have the same identity"
                elif repeat.newer:
                    supersedes.append(self._replaced(repeat.ordinal))
                else:
                    left_out.add(repeat.offset)
                    self._check_position(repeat.ordinal, arrived.span, repeat.offset)
            kept = [offset for offset in range(len(rows)) if offset not in left_out]
            rows = [rows[offset] for offset in kept]
            self._dropped += len(left_out)
            self._superseded += len(supersedes)
        if not rows:
            return []
        self._origins.append(_Origin(first, self._deliveries, self._stage, arrived.span, kept))
        whole = len(rows) == len(arrived.answer.rows)
        return self._deliver(rows, arrived.answer.body if whole else None, arrived.page, tuple(supersedes))

    def _deliver(
        self,
        rows: Sequence[RawRow],
        body: bytes | bytearray | None,
        page: int | None,
        supersedes: tuple[Replaced, ...] = (),
    ) -> list[Delivery]:
        if not rows:
            return []
        self._rows += len(rows)
        self._deliveries += 1
        return [Delivery(self._deliveries - 1, page, rows, body, supersedes)]

    def _origin(self, ordinal: int) -> _Origin:
        return self._origins[bisect_right(self._origins, ordinal, key=lambda origin: origin.first) - 1]

    def _replaced(self, ordinal: int) -> Replaced:
        origin = self._origin(ordinal)
        return Replaced(origin.delivery, ordinal - origin.first)

    def _check_position(self, ordinal: int, span: Span, offset: int) -> None:
        """In a window, a row can only move towards the front, and not by more than the rows that left."""
        origin = self._origin(ordinal)
        if self._stage_name != "window" or origin.stage != self._stage:
            return
        then, total = origin.span.total or 0, span.total or 0  # an answer with rows has a total here
        row = ordinal - origin.first
        before = origin.span.start + (row if origin.kept is None else origin.kept[row])
        now = span.start + offset
        moved = before - now if then >= total else now - before
        if not 0 <= moved <= abs(then - total):
            self._breach = "the order of the rows is not stable"

    # -- journals: batches that were split over pages

    def _hand_out_batches(self, arrived: _Arrived) -> list[Delivery]:
        """Hand out the batches inside a page; those at its edges may go on at the neighbours', so they wait."""
        rows = arrived.answer.rows
        keys = arrived.keys
        if keys is None:
            keys = KeyReader(self._row_keys).read(rows)
        for offset in {0, len(rows) - 1} if rows else set():
            self._split.setdefault(keys.names[offset], []).append((arrived.span.start + offset, rows[offset]))
        inside = range(1, len(rows) - 1)
        repeats = self._index.offer(keys.part(inside))
        left_out = {repeat.offset + 1 for repeat in repeats}
        self._dropped += len(left_out)
        kept = [rows[offset] for offset in inside if offset not in left_out]
        self._lines += sum(merge_batches([row])[1] for row in kept)
        return self._deliver(kept, None, arrived.page)

    def _join_split(self) -> list[Delivery]:
        joined = []
        for name, parts in self._split.items():
            if self._index.offer(PageKeys([name], versions=False)):
                self._dropped += 1
                continue
            batch, lines = merge_batches([part for _, part in sorted(parts, key=lambda part: part[0])])
            joined.append(batch)
            self._lines += lines
        self._split = {}
        return self._deliver(joined, None, None)
