"""Read a whole list: answers in, next requests and rows out (no IO, no clock).

A shell asks `next_request()` as often as it wants requests in flight, sends what it gets, and hands each outcome to
`answered` or `failed`. Which request comes next and what may be claimed is decided in `proof.py` (lists that are to be
proven) and `single_pass.py` (lists that are counted, or read without a claim). Here are the requests' parameters and
the rows: each once, and newer versions named.

Examples:
    >>> from vismanet_async._paging.page_formats import PAGE_NUMBER
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
from collections import Counter
from typing import TYPE_CHECKING, Final, Literal

import attrs

from vismanet_async._paging.asks import Ask, Claim, Reply, Scope, pages_of
from vismanet_async._paging.guarantee import Completeness, Mode
from vismanet_async._paging.keys import KeyReader, PageKeys, RowKeys, row_digest, stamp_of
from vismanet_async._paging.page_formats import PAGE_NUMBER, Metadata, PageAnswer, PageStyle, merge_batches
from vismanet_async._paging.page_plan import Span
from vismanet_async._paging.proof import Proof
from vismanet_async._paging.seen_keys import KeyIndex
from vismanet_async._paging.single_pass import SinglePass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vismanet_async._paging.row_scanner import RawRow


__all__ = ["Delivery", "ModifiedFilter", "PageRequest", "Replaced", "RowKeys", "Walk"]

_VALUE: Final = "lastModifiedDateTime"
_CONDITION: Final = "lastModifiedDateTimeCondition"
COST_PER_PAGE: Final = 4
"""Requests that a reading may take for each page of rows that it saw."""
COST_AT_LEAST: Final = 16
"""And these on top."""
COST_GROWTH: Final = 2
"""Times its first length up to which a list may grow while it is read."""
_EARLY_ANSWERS: Final = 3
_ATTEMPTS: Final = 3  # of one request, on top of what the transport does by itself
_SECOND: Final = 1_000_000  # stamps are microseconds


@attrs.frozen
class ModifiedFilter:
    """The caller's own filter on `lastModifiedDateTime`."""

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
class _Sent:
    ask: Ask
    at: int
    plan: Proof | SinglePass


@attrs.frozen
class _Origin:
    """Which rows got the ordinals from `first` on."""

    first: int
    delivery: int
    scope: Scope
    span: Span
    kept: list[int] | None  # offsets in the page; None: all


@attrs.frozen
class _Delivered:
    """Counts the identities that were delivered: of a reading that began with none, its own."""

    index: KeyIndex

    def add(self, reply: Reply) -> None:
        """Do nothing: they are in the index."""

    def __len__(self) -> int:
        return len(self.index)

    def missing(self, names: Sequence[bytes]) -> int:
        return self.index.missing(names)


@attrs.frozen
class _Counted:
    """Counts identities of its own."""

    index: KeyIndex = attrs.field(factory=KeyIndex)

    def add(self, reply: Reply) -> None:
        self.index.offer(reply.keys.plain())

    def __len__(self) -> int:
        return len(self.index)

    def missing(self, names: Sequence[bytes]) -> int:
        return self.index.missing(names)


class Walk:
    """Reads a whole list and says what it may claim about it.

    Args:
        style: how the endpoint pages.
        completeness: how much certainty to pay for. ``none``: pages only, keys are not read. ``count``: each identity
            once, unique rows compared with the totals. ``prove``: as `guarantee.py` argues; costs up to 3 requests
            more on a quiet list. ``best``: ``prove`` where the list allows an argument, else ``count``.
        page_size: rows to ask for; None leaves it to the server.
        keys: which fields identify a row. Without an identity only a list of one answer is proven.
        boundary: `safe_boundary(now)` where the endpoint takes `lastModifiedDateTime` with its Condition, else None.
        modified: the caller's own filter on `lastModifiedDateTime`.
        ordered: hand rows out in page order; else as they come, which saves memory, and requests on a busy list.
        reorder_pages: when ordered, how far ahead of the next page to hand out the walk may ask.
        expected_rows: the probable length, so that the first requests need not wait for page 1.
        strict: bear two false answers whatever is written meanwhile, for one or two requests more.
        reads_on: where a proof fails on the way, read every page once all the same.
        key_reader: reads the identities; None: one for `keys`.

    A walk ends after `COST_PER_PAGE` requests for each page of rows that it saw, and `COST_AT_LEAST` more; and where a
    list has grown to `COST_GROWTH` times its first length and `COST_AT_LEAST` pages.

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
        strict: bool = False,
        reads_on: bool = False,
        key_reader: KeyReader | None = None,
    ) -> None:
        self._style = style
        self._row_keys = keys or RowKeys(identity=())
        self._reader = None if completeness == "none" else key_reader or KeyReader(self._row_keys)
        # requests
        self._filters: dict[Scope, Mapping[str, str]] = {}
        self._sent: dict[int, _Sent] = {}
        self._failures: Counter[Ask] = Counter()
        self._moment = 0
        self._requests = 0
        self._pages = 0
        self._most_rows = 0
        self._heads: set[bytes] = set()  # first rows of pages: so many different pages came
        self._furthest = 0  # position behind the last row that came
        self._least_size: int | None = None  # that any answer told to be the most
        # rows
        self._index = KeyIndex(exact_since=None if boundary is None else stamp_of(boundary))
        self._counts = [self._index]
        self._origins: list[_Origin] = []
        self._out: list[Delivery] = []
        self._deliveries = 0
        self._rows = 0
        self._dropped = 0
        self._superseded = 0
        self._split: dict[bytes, list[tuple[int, RawRow]]] = {}  # journals: parts of batches at page edges
        self._lines = 0
        # what is told
        self._first_total: int | None = None
        self._last_total: int | None = None
        self._early_totals: list[int] = []  # of the first answers: one of them may be false
        self._shifts = 0
        self._newest = ""  # the greatest stamp among all rows that came
        self._boundary = boundary
        self._claim: Claim | None = None
        self._reads_on = reads_on
        self._failed_proof: Proof | None = None  # why it is uncertain
        self._notes: list[str] = []
        self.done = False
        """Whether all is read; `report()` is final then."""
        self._plan = self._planned(
            completeness,
            page_size=page_size,
            boundary=boundary,
            modified=modified,
            ordered=ordered,
            reorder_pages=reorder_pages,
            expected_rows=expected_rows,
            strict=strict,
        )

    def _planned(
        self,
        mode: Mode,
        *,
        page_size: int | None,
        boundary: str | None,
        modified: ModifiedFilter | None,
        ordered: bool,
        reorder_pages: int,
        expected_rows: int | None,
        strict: bool,
    ) -> Proof | SinglePass:
        base = {} if modified is None else {_VALUE: modified.value, _CONDITION: modified.condition}
        self._filters[Scope.ALL] = base
        can_be_proven = bool(self._row_keys.identity) and not self._style.by_line
        self._must_be_proven = mode == "prove"
        if mode == "none" or (self._style.pages and not (can_be_proven and mode in {"prove", "best"})):
            if self._must_be_proven:
                what = "its sizes count lines" if self._style.by_line else "its rows have no identity"
                self._notes.append(f"only a list of one page can be proven here: {what}")
            return self._single_pass(
                mode,
                page_size=page_size,
                ordered=ordered,
                reorder_pages=reorder_pages,
                expected_rows=expected_rows,
            )
        edge = self._edge(boundary, modified) if self._style.pages else None
        if edge is not None:
            value, self._filters[Scope.BELOW] = edge, base or {_VALUE: edge, _CONDITION: "<"}
            self._filters[Scope.SINCE] = {_VALUE: value, _CONDITION: ">="}
        return Proof(
            page_size=page_size,
            edge_stamp=None if edge is None else stamp_of(edge),
            window_only=edge is not None and modified is not None,
            descending=not ordered,
            ahead_pages=reorder_pages if ordered else None,
            is_strict=strict,
            deliver=self._deliver_reply,
            new_count=self._new_count,
            pages=self._style.pages,
        )

    def _single_pass(
        self, mode: Mode, *, page_size: int | None, ordered: bool, reorder_pages: int, expected_rows: int | None
    ) -> SinglePass:
        return SinglePass(
            page_size=page_size,
            pages=self._style.pages,
            by_line=self._style.by_line,
            claims=mode != "none",
            ordered=ordered,
            ahead_pages=reorder_pages,
            expected_rows=expected_rows,
            deliver=self._deliver_page,
            counted=self._counted,
            anew=self._count_anew,
            all_delivered=self._join_split,
        )

    @staticmethod
    def _edge(boundary: str | None, modified: ModifiedFilter | None) -> str | None:
        """Return the edge between what can only shrink and what may grow; None where the list has no such part."""
        if boundary is None or modified is None:
            return boundary
        ends_before = modified.condition in {"<", "<="} and stamp_of(modified.value) <= stamp_of(boundary)
        return modified.value if ends_before else None

    # -- what the shell calls

    def next_request(self) -> PageRequest | None:
        """Return a request to send now; None: wait for an answer, or `done`."""
        if self.done:
            return None
        if self._requests >= self.cost_limit:
            if not self._sent:
                self._finish(Claim("uncertain", f"{self._requests} requests showed no end: more would cost too much"))
            return None
        ask = self._plan.next_ask()
        self._see_whether_done()
        return None if ask is None else self._request(ask)

    @property
    def cost_limit(self) -> int:
        """How many requests this walk may take by now: it grows with the rows that are seen."""
        rows = max(len(self._index), self._rows, self._most_rows)
        size = min(filter(None, (self._least_size, self._plan.page_size)), default=max(1, rows))
        pages = max(pages_of(rows, size), min(len(self._heads), pages_of(self._furthest, size)))
        if self._early_totals:  # what grows faster than it is read has no end
            pages = min(pages, COST_GROWTH * pages_of(max(self._early_totals), size) + COST_AT_LEAST)
        return COST_PER_PAGE * pages + COST_AT_LEAST

    def glimpsed(self, request: PageRequest, metadata: Metadata) -> bool:
        """Take what an answer tells before its rows are read; return whether requests may follow already."""
        if request.number not in self._sent or not isinstance(self._plan, SinglePass) or not metadata.totalCount:
            return False
        return self._plan.glimpsed(metadata.totalCount, metadata.maxPageSize)

    def answered(self, request: PageRequest, answer: PageAnswer) -> list[Delivery]:
        """Take an answer; return the rows that can be handed out now, each delivery in its order.

        Raises:
            PageFormatError: a row lacks its identity. The walk cannot go on.
            ValueError: the request is not in flight.
        """
        sent = self._taken(request)
        if self.done or sent.plan is not self._plan:
            return []
        self._pages += 1
        self._moment += 1
        self._most_rows = max(self._most_rows, len(answer.rows))
        self._note_size(answer)
        keys = self._keys_of(answer, sent.ask.scope)
        self._note_total(sent.ask.scope, answer)
        reply = Reply(
            ask=sent.ask,
            keys=keys,
            total=answer.total,
            max_size=answer.max_page_size,
            more=answer.more,
            sent=sent.at,
            received=self._moment,
            page=answer,
            digest=lambda offset: row_digest(answer.rows[offset]),
        )
        if reply.rows:
            self._heads.add(reply.names[0])
            self._furthest = max(self._furthest, reply.start + reply.rows)
        if isinstance(self._plan, Proof):
            self._plan.receive(reply)
        else:
            first, last = (bytes(answer.rows[0]), bytes(answer.rows[-1])) if answer.rows else (b"", b"")
            self._plan.receive(reply, first, last)
        self._see_whether_done()
        out, self._out = self._out, []
        return out

    def may_fail(self, request: PageRequest) -> bool:
        """Whether the request would be asked for again if it failed once more."""
        sent = self._sent.get(request.number)
        return sent is not None and self._failures[sent.ask] + 1 < _ATTEMPTS

    def failed(self, request: PageRequest, error: BaseException) -> bool:
        """Take note that a request got no usable answer.

        Returns:
            True: it will be asked for again, if still needed. False: it failed too often; raise `error`.
        """
        sent = self._taken(request)
        self._failures[sent.ask] += 1
        if self._failures[sent.ask] >= _ATTEMPTS:
            self._finish(Claim("uncertain", f"page {sent.ask.page} could not be read: {type(error).__name__}"))
            return False
        if sent.plan is self._plan:
            self._plan.failed(sent.ask)
        return True

    @property
    def in_flight(self) -> int:
        """How many requests were given out and have not come back."""
        return len(self._sent)

    @property
    def held(self) -> int:
        """How many pages wait for those before them."""
        return self._plan.held

    @property
    def rows_delivered(self) -> int:
        """How many rows were handed out."""
        return self._rows

    @property
    def live_total(self) -> int | None:
        """How long the list seems to be at this moment; None: not known yet."""
        return self._last_total

    def report(self) -> Completeness:
        """Return what was read and what may be claimed; before `done` the verdict is uncertain."""
        plan = self._plan
        claim = self._claim or Claim("uncertain", "the walk is not finished")
        if self._failed_proof is not None and self._failed_proof.claim is not None:
            claim, plan = self._failed_proof.claim, self._failed_proof
        unique = self._rows if self._style.by_line else len(self._index)
        reasons = [*self._notes, *(note for note in plan.notes if note != claim.reason), claim.reason]
        used_window = isinstance(plan, Proof) and plan.used_window
        return Completeness(
            verdict=claim.verdict,
            reason="; ".join(reasons),
            rests_on=claim.rests_on,
            rows=self._rows,
            unique=None if self._reader is None else unique,
            duplicates_dropped=self._dropped,
            superseded=self._superseded,
            total_first=self._first_total,
            total_last=self._last_total,
            requests=self._requests,
            pages=self._pages,
            shifts=self._shifts,
            repairs=plan.repairs,
            window=self._filters[Scope.BELOW][_VALUE] if used_window else None,
            tail_passes=plan.tail_passes if isinstance(plan, Proof) else 0,
            watermark=None if claim.verdict == "uncertain" else self._watermark,
            page_size=plan.page_size,
        )

    @property
    def _watermark(self) -> str | None:
        """What was changed before the boundary was not changed while the list was read: its rows show it."""
        settled = min(self._newest, self._boundary) if self._boundary is not None else ""
        return max(self._plan.watermark or "", settled) or None

    def close(self) -> None:
        """Give back what the keys hold, a temporary file perhaps. The report stays readable but for `unique`."""
        for index in self._counts:
            index.close()

    # -- requests

    def _request(self, ask: Ask) -> PageRequest:
        self._requests += 1
        self._moment += 1
        self._sent[self._requests] = _Sent(ask, self._moment, self._plan)
        if self._style.pages or (ask.page == 1 and ask.size is None):
            query = self._style.query(ask.page, ask.size)
        else:
            query = PAGE_NUMBER.query(ask.page, ask.size)  # whether it pages after all
        return PageRequest(number=self._requests, page=ask.page, query={**query, **self._filters[ask.scope]})

    def _taken(self, request: PageRequest) -> _Sent:
        sent = self._sent.pop(request.number, None)
        if sent is None:
            raise ValueError(f"request {request.number} is not in flight: it was answered already or never given out")
        return sent

    def _see_whether_done(self) -> None:
        claim = self._plan.claim
        if claim is None or self.done:
            return
        if claim.verdict == "uncertain" and isinstance(self._plan, Proof) and self._reads_on:
            self._read_on()
        else:
            self._finish(claim)

    def _read_on(self) -> None:
        """Read each page once, as whoever accepts a list without a proof expects."""
        assert isinstance(self._plan, Proof)
        self._failed_proof = self._plan
        self._plan = self._single_pass(
            "none", page_size=self._plan.page_size, ordered=True, reorder_pages=1, expected_rows=None
        )

    def _finish(self, claim: Claim) -> None:
        if claim.verdict == "counted" and self._must_be_proven:
            claim = Claim("uncertain", claim.reason)
        self._claim = claim
        self.done = True

    def _keys_of(self, answer: PageAnswer, scope: Scope) -> PageKeys:
        if self._reader is None:
            return PageKeys([b""] * len(answer.rows), versions=False)
        keys = self._reader.read(answer.rows, versions=scope is not Scope.BELOW)
        self._newest = max(self._newest, keys.newest or "")
        return keys

    def _note_size(self, answer: PageAnswer) -> None:
        if answer.max_page_size:
            self._least_size = min(self._least_size or answer.max_page_size, answer.max_page_size)

    def _note_total(self, scope: Scope, answer: PageAnswer) -> None:
        total = 0 if not answer.rows and answer.total is None and not self._pages else answer.total
        if total is None:
            return
        if self._first_total is None:
            self._first_total = total
        if len(self._early_totals) < _EARLY_ANSWERS:
            self._early_totals.append(total)
        if scope is Scope.ALL or Scope.ALL not in self._filters:
            self._shifts += self._last_total is not None and total != self._last_total
            self._last_total = total

    # -- counts of identities

    def _new_count(self) -> _Delivered | _Counted:
        if not len(self._index):
            return _Delivered(self._index)
        count = _Counted()
        self._counts.append(count.index)
        return count

    def _counted(self) -> int:
        if self._style.by_line:
            return self._lines
        return self._rows if self._reader is None else len(self._counts[-1])

    def _count_anew(self) -> None:
        self._counts.append(KeyIndex())
        self._lines = 0

    # -- handing rows out

    def _deliver_reply(self, reply: Reply) -> None:
        if reply.unchanged:
            reply = self._without_unchanged(reply)
        self._hand_out(reply, Span(reply.start, reply.start + reply.rows, reply.total))

    def _without_unchanged(self, reply: Reply) -> Reply:
        """Leave out rows that are known to be as they were delivered, whatever their times."""
        self._dropped += len(reply.unchanged)
        kept = [offset for offset in range(reply.rows) if offset not in reply.unchanged]
        page = attrs.evolve(reply.page, rows=[reply.page.rows[offset] for offset in kept], body=None)
        return attrs.evolve(reply, keys=reply.keys.part(kept), page=page)

    def _deliver_page(self, reply: Reply, span: Span) -> None:
        if self._style.by_line:
            self._hand_out_batches(reply, span)
        elif self._reader is None:
            self._deliver(reply.page.rows, reply.page.body, reply.ask.page)
        else:
            if len(self._counts) > 1:
                self._counts[-1].offer(reply.keys.plain())
            self._hand_out(reply, span)

    def _hand_out(self, reply: Reply, span: Span) -> None:
        """Leave out what was delivered before, and name what is replaced."""
        answer: PageAnswer = reply.page
        rows = answer.rows
        first = self._index.ordinal
        repeats = self._index.offer(reply.keys)
        kept = None
        supersedes: list[Replaced] = []
        if repeats:
            left_out = set()
            for repeat in repeats:
                if repeat.ordinal >= first:
                    if self._row_keys.identity:
                        self._plan.violated("two rows of one answer have the same identity")
                elif repeat.newer:
                    supersedes.append(self._replaced(repeat.ordinal))
                else:
                    left_out.add(repeat.offset)
                    self._check_position(reply.ask.scope, repeat.ordinal, span, repeat.offset)
            kept = [offset for offset in range(len(rows)) if offset not in left_out]
            rows = [rows[offset] for offset in kept]
            self._dropped += len(left_out)
            self._superseded += len(supersedes)
        if not rows:
            return
        self._origins.append(_Origin(first, self._deliveries, reply.ask.scope, span, kept))
        whole = len(rows) == len(answer.rows)
        self._deliver(rows, answer.body if whole else None, reply.ask.page, tuple(supersedes))

    def _deliver(
        self,
        rows: Sequence[RawRow],
        body: bytes | bytearray | None,
        page: int | None,
        supersedes: tuple[Replaced, ...] = (),
    ) -> None:
        if rows:
            self._rows += len(rows)
            self._deliveries += 1
            self._out.append(Delivery(self._deliveries - 1, page, rows, body, supersedes))

    def _origin(self, ordinal: int) -> _Origin:
        return self._origins[bisect_right(self._origins, ordinal, key=lambda origin: origin.first) - 1]

    def _replaced(self, ordinal: int) -> Replaced:
        origin = self._origin(ordinal)
        return Replaced(origin.delivery, ordinal - origin.first)

    def _check_position(self, scope: Scope, ordinal: int, span: Span, offset: int) -> None:
        """In a window, a row can only move towards the front, and not by more than the rows that left."""
        origin = self._origin(ordinal)
        if scope is not Scope.BELOW or origin.scope is not Scope.BELOW:
            return
        then, total = origin.span.total or 0, span.total or 0  # an answer with rows has a total here
        row = ordinal - origin.first
        before = origin.span.start + (row if origin.kept is None else origin.kept[row])
        now = span.start + offset
        moved = before - now if then >= total else now - before
        if not 0 <= moved <= abs(then - total):
            self._plan.violated("the order of the rows is not stable")

    # -- journals: batches that were split over pages

    def _hand_out_batches(self, reply: Reply, span: Span) -> None:
        """Hand out the batches inside a page; those at its edges may go on at the neighbours', so they wait."""
        rows = reply.page.rows
        keys = reply.keys if self._reader is not None else KeyReader(self._row_keys).read(rows)
        for offset in {0, len(rows) - 1} if rows else set():
            self._split.setdefault(keys.names[offset], []).append((span.start + offset, rows[offset]))
        inside = range(1, len(rows) - 1)
        repeats = self._index.offer(keys.part(inside))
        left_out = {repeat.offset + 1 for repeat in repeats}
        self._dropped += len(left_out)
        kept = [rows[offset] for offset in inside if offset not in left_out]
        self._lines += sum(merge_batches([row])[1] for row in kept)
        self._deliver(kept, None, reply.ask.page)

    def _join_split(self) -> None:
        joined = []
        for name, parts in self._split.items():
            if self._index.offer(PageKeys([name], versions=False)):
                self._dropped += 1
                continue
            batch, lines = merge_batches([part for _, part in sorted(parts, key=lambda part: part[0])])
            joined.append(batch)
            self._lines += lines
        self._split = {}
        self._deliver(joined, None, None)
