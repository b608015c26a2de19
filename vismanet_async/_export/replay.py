"""Answers the requests of a listing from what an earlier run kept, and has every answer journaled."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from anyio import to_thread

from vismanet_async._export.checkpoint import RequestKey
from vismanet_async._export.forwarding_sender import ForwardingSender
from vismanet_async._http.answer import page_text
from vismanet_async._http.message import Response, no_headers

if TYPE_CHECKING:
    import anyio

    from vismanet_async._export.checkpoint import Answers, Journal, NoJournal
    from vismanet_async._http.message import Request
    from vismanet_async._paging.delivery import Delivery

__all__ = ["ReplayingSender"]

_PAGE: Final = "pageNumber"
_MOST_WAITING: Final = 32
"""More than a listing has between its answers and our sink; what waits longer will not be written."""


class ReplayingSender(ForwardingSender):
    """Answers requests of one listing from an earlier run where it can, else sends them; journals every answer."""

    def __init__(self, answers: Answers, journal: Journal | NoJournal, *, threads: anyio.CapacityLimiter) -> None:
        self._answers = answers
        self._journal = journal
        self._threads = threads
        self._asked: Counter[str] = Counter()
        self._shapes: set[str] = set()
        self._waiting: dict[RequestKey, tuple[str, bytes | bytearray]] = {}
        """Answers that are not journaled yet, oldest first, with their page numbers."""
        self._firsts: list[RequestKey] = []
        """Of those, the first of each query shape: it may be a probe for the total, whose rows are never written."""
        self.all_known = True
        """Whether the earlier run had an answer to every request so far."""

    async def send(self, request: Request) -> Response:
        """Return a known answer, else the server's."""
        query = dict(request.query)
        page = query.pop(_PAGE, "")
        shape = f"{request.method} {request.path} {sorted(query.items())}"
        text = f"{shape} {page}"
        key = RequestKey(text, self._asked[text])
        self._asked[text] += 1
        known = self._answers.get(key) if self.all_known else None
        if known is None:
            self.all_known = False
            response = await super().send(request)
        else:
            body = await to_thread.run_sync(known.body, limiter=self._threads)
            response = Response(status=200, headers=no_headers(), body=body)
        await self._record(key, shape, page, page_text(response.headers, response.content))
        return response

    async def _record(self, key: RequestKey, shape: str, page: str, body: bytes | bytearray) -> None:
        if shape not in self._shapes:
            self._shapes.add(shape)
            self._firsts.append(key)
        self._waiting[key] = (page, body)
        if len(self._waiting) > _MOST_WAITING:
            key = next(iter(self._waiting))
            body = bytes(self._waiting.pop(key)[1])  # a copy: meanwhile a sink may make lines of the page
            await to_thread.run_sync(self._journal.keep, key, body, limiter=self._threads)

    def match_page(self, page: Delivery) -> tuple[RequestKey | None, list[tuple[RequestKey, bytes | bytearray]]]:
        """Match a delivered page with its answer, which then waits no longer.

        Returns:
            the request that the page's rows answer in full, if they do; and the answers to journal as they are,
            before the page is written.
        """
        answers, kept = self._matched(page)
        firsts, self._firsts = self._firsts, []
        kept += [(key, self._waiting.pop(key)[1]) for key in firsts if key in self._waiting]
        return answers, kept

    def _matched(self, page: Delivery) -> tuple[RequestKey | None, list[tuple[RequestKey, bytes | bytearray]]]:
        for key, (number, body) in self._waiting.items():
            if body is page.body:
                del self._waiting[key]
                return (key, []) if body.startswith(b"[") else (None, [(key, body)])
            if page.body is None and number == str(page.page):
                del self._waiting[key]
                return None, [(key, body)]
        return None, []

    def flush(self) -> None:
        """Journal the answers that still wait. Blocks; for the end of a run."""
        while self._waiting:
            key = next(iter(self._waiting))
            self._journal.keep(key, self._waiting.pop(key)[1])
