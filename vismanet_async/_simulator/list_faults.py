"""Answers of lists that are not true: blank, of another page, with another total."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from vismanet_async._simulator.json_text import decode, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async._simulator.behaviours import Behaviours
    from vismanet_async._simulator.farm import Server
    from vismanet_async._simulator.faults import Fault
    from vismanet_async._simulator.messages import Reply, Request

__all__ = ["ListFaults", "page_of", "total_like"]

_OK = 200
_PAGE_NAMES = {"pagenumber": 0, "pageindex": 1}  # what to add to the index for the number of the page
_TOTAL = re.compile(r"absent|([+-]?)(page|\d+)")


def page_of(request: Request) -> int:
    """Return the number of the page that a request asks for, from 1."""
    for name, value in request.query:
        more = _PAGE_NAMES.get(name.lower())
        if more is not None and value.strip().isdecimal():
            return int(value) + more
    return 1


def total_like(true_total: int, wanted: str, page_size: int) -> int | None:
    """Return the total to tell instead of the true one: `0`, `-1`, `+page`, `absent`.

    Raises:
        ValueError: It is none of these forms.

    Examples:
        >>> [total_like(400, wanted, 50) for wanted in ("-1", "-page", "0", "+100000", "absent")]
        [399, 350, 0, 100400, None]
    """
    found = _TOTAL.fullmatch(wanted)
    if found is None:
        raise ValueError(f"a total is a number, +number, -number, +page, -page or absent, not {wanted!r}")
    sign, amount = found.groups()
    if amount is None:
        return None
    number = page_size if amount == "page" else int(amount)
    return max(0, true_total + number if sign == "+" else true_total - number) if sign else number


@define
class ListFaults:
    """Applies the faults that concern lists: before a request is answered, and to its answer."""

    _before: dict[tuple[str | None, str], Reply] = field(factory=dict)
    """The last true answer of each company and path, as far as a fault may repeat it."""

    @staticmethod
    def server(server: Server, struck: Sequence[Fault]) -> Server:
        """Return the server with what the faults make of it for one request."""
        for fault in struck:
            if fault.kind == "stale_list":
                server = evolve(server, behind_requests=max(server.behind_requests, fault.behind_requests))
            elif fault.kind == "small_pages":
                limits = [limit for limit in (server.page_size_limit, fault.page_size) if limit]
                server = evolve(server, page_size_limit=min(limits, default=0))
        return server

    @staticmethod
    def request(request: Request, struck: Sequence[Fault]) -> Request:
        """Return the request with the page that is answered instead of the one asked for."""
        instead = next((fault.of_page for fault in struck if fault.kind == "repeated_page" and fault.of_page), None)
        if instead is None:
            return request
        by_index = "/api/v3/" in request.path.lower()
        query = [(name, value) for name, value in request.query if name.lower() not in _PAGE_NAMES]
        number = ("pageIndex", str(instead - 1)) if by_index else ("pageNumber", str(instead))
        return evolve(request, query=[*query, number])

    def reply(
        self, reply: Reply, request: Request, tenant_id: str | None, struck: Sequence[Fault], behaviours: Behaviours
    ) -> Reply:
        """Return what is answered instead of a true answer of a list."""
        if reply.status != _OK:
            return reply
        for fault in struck:
            earlier = self._before.get((tenant_id, request.path.lower()))
            if fault.kind == "repeated_page" and not fault.of_page and earlier is not None:
                reply = evolve(reply, body=earlier.body, cache_key=earlier.cache_key)
            elif fault.kind == "blank_list":
                reply = evolve(reply, body=_blank(reply.body, behaviours), cache_key=None)
            elif fault.kind == "wrong_total":
                reply = evolve(reply, body=_told(reply.body, str(fault.total), _size_asked(request)), cache_key=None)
        return reply

    def remember(self, reply: Reply, request: Request, tenant_id: str | None) -> None:
        """Keep a true answer of a list, for faults that repeat it."""
        if reply.status == _OK:
            self._before[tenant_id, request.path.lower()] = evolve(reply)


def _size_asked(request: Request) -> int:
    """Return the page size that was asked for, or 0."""
    asked = next((value for name, value in request.query if name.lower() == "pagesize"), "")
    return int(asked) if asked.strip().isdecimal() else 0


def _blank(body: bytes, behaviours: Behaviours) -> bytes:
    shown = decode(body) if body.lstrip()[:1] == b"{" else None
    if not isinstance(shown, dict):
        return behaviours.empty_list.encode()
    emptied: dict[str, Any] = {name: [] for name in ("records", "value") if isinstance(shown.get(name), list)}
    return encode({name: value for name, value in shown.items() if name != "nextPage"} | emptied)


def _told(body: bytes, wanted: str, size_asked: int) -> bytes:
    shown = decode(body) if body.strip() else None
    if isinstance(shown, dict) and "totalCount" in shown:
        rows = shown.get("records") or shown.get("value") or ()
        return encode(_with_total(shown, wanted, size_asked or len(rows)))
    return encode([_row(row, wanted, size_asked) for row in shown]) if isinstance(shown, list) else body


def _row(row: Any, wanted: str, size_asked: int) -> Any:
    if not isinstance(row, dict) or not isinstance(row.get("metadata"), dict):
        return row
    if wanted == "absent":
        return {name: value for name, value in row.items() if name != "metadata"}
    limit = int(row["metadata"]["maxPageSize"])
    return row | {"metadata": _with_total(row["metadata"], wanted, min(size_asked or limit, limit))}


def _with_total(block: dict[str, Any], wanted: str, page_size: int) -> dict[str, Any]:
    told = total_like(int(block.get("totalCount") or 0), wanted, page_size)
    if told is None and "value" not in block:  # the Sales Order service has null for a total that it does not know
        return {name: value for name, value in block.items() if name != "totalCount"}
    return block | {"totalCount": told}
