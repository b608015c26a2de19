"""Read a whole list: pages in, next requests and rows out (no IO, no clock).

The caller asks `next_request()` as often as it wants requests in flight, sends what it gets, and passes each outcome to
`receive_page` or `receive_error`. Which request comes next and what may be claimed is decided in `proof.py` (lists that
are to be proven) and `single_pass.py` (lists that are counted, or read without a claim).

Examples:
    >>> from vismanet_async._paging.page_formats import PAGE_NUMBER
    >>> keys = RowKeys(identity=("number",))
    >>> paginator = Paginator(style=PAGE_NUMBER, completeness="count", page_size=2, keys=keys)
    >>> request = paginator.next_request()
    >>> request.query
    {'pageNumber': '1', 'pageSize': '2'}
    >>> page = PAGE_NUMBER.read(b'[{"number":"1","metadata":{"totalCount":1}}]')
    >>> [bytes(row) for delivery in paginator.receive_page(request, page) for row in delivery.rows]
    [b'{"number":"1","metadata":{"totalCount":1}}']
    >>> paginator.done, paginator.report().verdict
    (True, 'proven')
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from vismanet_async._paging.asks import Ask, Claim, Reply
from vismanet_async._paging.cost_limit import CostLimit
from vismanet_async._paging.guarantee import Completeness, Mode, boundary_by
from vismanet_async._paging.keys import KeyReader, PageKeys, RowKeys, stamp_of
from vismanet_async._paging.page_formats import PAGE_NUMBER, Metadata, PageAnswer, PageStyle
from vismanet_async._paging.plans import Plan, Plans
from vismanet_async._paging.proof import Proof
from vismanet_async._paging.request_log import AnswerLog, PageRequest, RequestLog, SentRequest
from vismanet_async._paging.row_pipeline import RowPipeline
from vismanet_async._paging.scope_filters import ModifiedFilter, ScopeFilters
from vismanet_async._paging.single_pass import SinglePass

if TYPE_CHECKING:
    from datetime import datetime

    from vismanet_async._paging.delivery import Delivery

__all__ = ["Paginator"]


def _row_keys(keys: RowKeys | None) -> RowKeys:
    return keys or RowKeys(identity=())


@attrs.define(kw_only=True, eq=False, repr=False)
class Paginator:
    """Reads a whole list and states what it may claim about it.

    Args:
        style: how the endpoint pages.
        completeness: how much certainty to pay for. ``none``: pages only, keys are not read. ``count``: each identity
            once, unique rows compared with the totals. ``prove``: as `guarantee.py` argues; costs up to 4 requests
            more on a quiet list. ``best``: ``prove`` where the list allows an argument, else ``count``.
        page_size: rows to ask for; None leaves it to the server.
        keys: which fields identify a row. Without an identity only a list of one answer is proven.
        boundary: `safe_boundary(now)`, which all changes are stamped after; None where rows have no stamps.
        divides: whether the endpoint takes `lastModifiedDateTime` with its Condition.
        latest: `safe_boundary(now)` as a stamp: rows changed later than that do not move the watermark; None: all do.
        modified: the caller's own filter on `lastModifiedDateTime`.
        ordered: deliver rows in page order; else as they come, which saves memory, and requests on a busy list.
        reorder_pages: when ordered, how far ahead of the next page to deliver the paginator may ask.
        expected_rows: the probable length, so that the first requests need not wait for page 1.
        strict: bear two false answers whatever is written meanwhile, for one or two requests more.
        reads_on: where a proof fails on the way, read every page once all the same.
        key_reader: reads the identities; None: one for `keys`.

    A traversal ends after `COST_PER_PAGE` requests for each page of rows that it saw, and `COST_AT_LEAST` more
    (`cost_limit.py`); and where a list has grown to `COST_GROWTH` times its first length and `COST_AT_LEAST` pages.

    Not thread-safe; one paginator serves any number of tasks of one event loop. To cancel, drop it (and `close` it).
    """

    _style: PageStyle
    _completeness: Mode = "count"
    _page_size: int | None = None
    _keys: RowKeys = attrs.field(default=None, converter=_row_keys)
    _boundary: str | None = None
    _divides: bool = True
    _latest: int | None = None
    _modified: ModifiedFilter | None = None
    _ordered: bool = False
    _reorder_pages: int = 16
    _expected_rows: int | None = None
    _strict: bool = False
    _reads_on: bool = False
    _key_reader: KeyReader | None = None
    done: bool = attrs.field(default=False, init=False)
    """Whether all is read; `report()` is final then."""

    _filters: ScopeFilters = attrs.field(init=False)
    _requests: RequestLog = attrs.field(factory=RequestLog, init=False)
    _cost: CostLimit = attrs.field(factory=CostLimit, init=False)
    _rows: RowPipeline = attrs.field(init=False)
    _answers: AnswerLog = attrs.field(factory=AnswerLog, init=False)
    _claim: Claim | None = attrs.field(default=None, init=False)
    _failed_proof: Proof | None = attrs.field(default=None, init=False)  # why it is uncertain
    _notes: list[str] = attrs.field(factory=list, init=False)
    _plans: Plans = attrs.field(init=False)
    _plan: Plan = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Choose how the list is read."""
        self._plans = plans = Plans(
            style=self._style,
            completeness=self._completeness,
            page_size=self._page_size,
            keys=self._keys,
            ordered=self._ordered,
            reorder_pages=self._reorder_pages,
            expected_rows=self._expected_rows,
            strict=self._strict,
        )
        if self._completeness == "prove" and self._style.pages and plans.why_unproven is not None:
            self._notes.append(f"only a list of one page can be proven here: {plans.why_unproven}")
        self._begin()

    def _begin(self) -> None:
        reads_keys = self._completeness != "none"
        self._filters = ScopeFilters.divided(
            self._boundary if self._divides and self._style.pages else None, self._modified
        )
        self._rows = RowPipeline(
            keys=self._keys,
            key_reader=(self._key_reader or KeyReader(self._keys)) if reads_keys else None,
            by_line=self._style.by_line,
            boundary=self._boundary,
            report_violation=self._report_violation,
        )
        self._plan = self._plans.first(self._rows, self._filters)

    def _report_violation(self, reason: str) -> None:
        self._plan.report_violation(reason)  # of whichever plan reads the list by now

    # -- what the caller drives

    def next_request(self) -> PageRequest | None:
        """Return a request to send now; None: wait for an answer, or `done`."""
        if self.done:
            return None
        if self._requests.count >= self.cost_limit:
            if not self._requests.in_flight:
                why = f"{self._requests.count} requests showed no end: more would cost too much"
                self._finish(Claim("uncertain", why))
            return None
        ask = self._plan.next_ask()
        self._finish_if_claimed()
        return None if ask is None else self._request(ask)

    @property
    def cost_limit(self) -> int:
        """The number of requests that this traversal may take by now: it grows with the rows that are seen."""
        return self._cost.requests(rows=self._rows.most_rows, page_size=self._plan.page_size)

    def peek_metadata(self, request: PageRequest, metadata: Metadata) -> bool:
        """Use an answer's totals before its rows are read; return whether more requests can be sent already."""
        if not (self._requests.is_in_flight(request) and isinstance(self._plan, SinglePass) and metadata.totalCount):
            return False
        return self._plan.peek_metadata(metadata.totalCount, metadata.maxPageSize)

    def note_server_time(self, moment: datetime) -> None:
        """Compare the clock that the boundary is of with the server's, as an answer tells it.

        What changes can enter the window where this machine's clock is ahead. Before the first answer the boundary is
        moved back, which takes a request more; later ones have the list read again.
        """
        if self._boundary is None or self.done or not isinstance(self._plan, Proof):
            return
        if (boundary := boundary_by(moment, self._boundary)) is None:
            return
        if self._answers.count:
            self._report_violation("an answer was made long before the others, by the server's clock")
        else:
            self._rows.close()
            self._boundary = boundary
            self._latest = None if self._latest is None else min(self._latest, stamp_of(boundary))
            self._begin()

    def read_keys(self, request: PageRequest, answer: PageAnswer) -> PageKeys | None:
        """Return the keys of an answer's rows, for `receive_page`: half of its work, which can be done ahead of it.

        Returns:
            the keys; None for an answer that is not needed any more.

        Raises:
            PageFormatError: a row lacks its identity. The traversal cannot continue.
            ValueError: the request is not in flight.
        """
        sent = self._requests.sent(request)
        return None if self._is_stale(sent) else self._rows.read_keys(answer, sent.ask.scope)

    def receive_page(self, request: PageRequest, answer: PageAnswer, keys: PageKeys | None = None) -> list[Delivery]:
        """Process an answer; return the rows that can be delivered now.

        Args:
            request: the answered one.
            answer: its rows and totals.
            keys: what `read_keys` returned for them; read now if left out.

        Raises:
            PageFormatError, ValueError: as by `read_keys`.
        """
        sent = self._requests.take(request)
        if self._is_stale(sent):
            return []
        if keys is None:
            keys = self._rows.read_keys(answer, sent.ask.scope)
        self._answers.note(sent.ask.scope, answer.total)
        self._requests.moment += 1
        self._cost.note_answer(rows=len(answer.rows), total=answer.total, max_page_size=answer.max_page_size)
        watermark = keys.newest_until(self._latest)
        self._rows.newest = max(self._rows.newest, watermark)
        reply = Reply(
            ask=sent.ask,
            keys=keys,
            total=answer.total,
            max_size=answer.max_page_size,
            more=answer.more,
            sent=sent.moment,
            received=self._requests.moment,
            page=answer,
            watermark=watermark,
            digest=self._rows.digests(answer.rows),
        )
        if reply.rows:
            self._cost.note_rows(self._rows.head(reply), stop=reply.start + reply.rows)
        if self._lacks_a_total(reply):
            self._plan = self._plans.proof(self._rows, self._filters)
        elif isinstance(self._plan, Proof):
            self._plan.receive(reply)
        else:
            first, last = (bytes(answer.rows[0]), bytes(answer.rows[-1])) if answer.rows else (b"", b"")
            self._plan.receive(reply, first, last)
        self._finish_if_claimed()
        return self._rows.outbox.take()

    def _is_stale(self, sent: SentRequest) -> bool:
        return self.done or sent.plan is not self._plan

    def _lacks_a_total(self, reply: Reply) -> bool:
        """Return whether rows are to be counted that no total counts: overlapping pages show more for little more."""
        is_first = isinstance(self._plan, SinglePass) and self._completeness == "count" and not self.rows_delivered
        return is_first and self._plans.why_unproven is None and reply.total is None and bool(reply.more)

    def may_fail(self, request: PageRequest) -> bool:
        """Return whether the request would be asked for again if it failed once more."""
        return self._requests.may_fail(request)

    def receive_error(self, request: PageRequest, error: BaseException) -> bool:
        """Record that a request got no usable answer.

        Returns:
            True: it will be asked for again, if still needed. False: it failed too often; raise `error`.
        """
        sent = self._requests.take(request)
        if not self._requests.note_failure(sent.ask):
            self._finish(Claim("uncertain", f"page {sent.ask.page} could not be read: {type(error).__name__}"))
            return False
        if sent.plan is self._plan:
            self._plan.receive_error(sent.ask)
        return True

    @property
    def in_flight(self) -> int:
        """The number of requests without an outcome yet."""
        return self._requests.in_flight

    @property
    def buffered(self) -> int:
        """The number of pages that wait for those before them."""
        return self._plan.buffered

    @property
    def rows_delivered(self) -> int:
        """The number of rows delivered."""
        return self._rows.outbox.rows

    @property
    def live_total(self) -> int | None:
        """The length of the list as last stated; None: not known yet, or never, as where the total counts lines."""
        return None if self._style.by_line else self._answers.last_total

    def report(self) -> Completeness:
        """Return what was read and what may be claimed; before `done` the verdict is uncertain."""
        plan = self._plan
        claim = self._claim or Claim("uncertain", "the list was not read to its end")
        if self._failed_proof is not None and self._failed_proof.claim is not None:
            claim, plan = self._failed_proof.claim, self._failed_proof
        reasons = [*self._notes, *(note for note in plan.notes if note != claim.reason), claim.reason]
        return Completeness(
            verdict=claim.verdict,
            reason="; ".join(reasons),
            rests_on=claim.rests_on,
            rows=self._rows.outbox.rows,
            unique=self._rows.unique,
            duplicates_dropped=self._rows.outbox.dropped,
            superseded=self._rows.dedup.superseded,
            total_first=self._answers.first_total,
            total_last=self._answers.last_total,
            requests=self._requests.count,
            pages=self._answers.count,
            shifts=self._answers.shifts,
            repairs=plan.repairs,
            window=self._filters.edge if plan.used_window else None,
            tail_passes=plan.tail_passes,
            watermark=None if claim.verdict == "uncertain" else self._watermark,
            page_size=plan.page_size,
        )

    @property
    def _watermark(self) -> str | None:
        # what was changed before the boundary was not changed while the list was read: its rows show it
        unchanged_since = min(self._rows.newest, self._boundary) if self._boundary is not None else ""
        return max(self._plan.watermark or "", unchanged_since) or None

    def close(self) -> None:
        """Free the keys and their temporary files. The report stays readable but for `unique`."""
        self._rows.close()

    # -- requests

    def _request(self, ask: Ask) -> PageRequest:
        # a list that is said not to page is asked for page 2 as well: whether it pages after all
        pages = self._style.pages or (ask.page == 1 and ask.size is None)
        style = self._style if pages else PAGE_NUMBER
        query = {**style.query(ask.page, ask.size), **self._filters.query(ask.scope)}
        return self._requests.add(ask, self._plan, query)

    # -- the end

    def _finish_if_claimed(self) -> None:
        claim = self._plan.claim
        if claim is None or self.done:
            return
        if claim.verdict == "uncertain" and isinstance(self._plan, Proof) and self._reads_on:
            # read each page once, as whoever accepts a list without a proof expects
            self._failed_proof = self._plan
            self._plan = self._plans.each_page_once(self._rows, page_size=self._plan.page_size)
        else:
            self._finish(claim)

    def _finish(self, claim: Claim) -> None:
        if claim.verdict == "counted" and self._completeness == "prove":
            claim = Claim("uncertain", claim.reason)
        self._claim = claim
        self.done = True
