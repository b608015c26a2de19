"""From a request that came over HTTP to what goes back: faults, the farm, the service and the log."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING

from aiohttp import web
from attrs import define, field

from vismanet_async._simulator.background import draw
from vismanet_async._simulator.farm import Server
from vismanet_async._simulator.faults import Fault, FaultKind, html_error
from vismanet_async._simulator.list_faults import ListFaults
from vismanet_async._simulator.log import LoggedRequest, RequestLog
from vismanet_async._simulator.openapi import document
from vismanet_async._simulator.order_openapi import order_document
from vismanet_async._simulator.server import abort, make_response, read_request, send_broken
from vismanet_async._simulator.service import SALES_ORDER_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from vismanet_async._simulator.byte_cache import ByteCache
    from vismanet_async._simulator.clock import Clock
    from vismanet_async._simulator.company import Company
    from vismanet_async._simulator.messages import Reply, Request
    from vismanet_async._simulator.service import Service
    from vismanet_async._simulator.simulator import Simulator

__all__ = ["Answering"]


@define
class Answering:
    """Answers the requests of both listeners of a simulator."""

    simulator: Simulator
    service: Service
    companies: Mapping[str, Company]
    random: Random
    _list_faults: ListFaults = field(factory=ListFaults)

    async def answer(self, incoming: web.BaseRequest) -> web.StreamResponse:
        """Answer a request to the service; log it."""
        request = await read_request(incoming)
        log, clock = self.simulator.requests, self.simulator.clock
        entry = _entry(request, log, clock)
        log.open(entry)
        try:
            return await self._respond(incoming, request, entry)
        finally:
            log.close(entry, clock.now())

    async def _respond(self, incoming: web.BaseRequest, request: Request, entry: LoggedRequest) -> web.StreamResponse:
        if request.path == "/openapi.json":
            return web.json_response(document(self.service.catalog, self.simulator.base_url, self.simulator.token_url))
        if request.path == f"{SALES_ORDER_PREFIX}/swagger/v3/swagger.json":
            simulator, catalog = self.simulator, self.service.sales_orders.catalog
            return web.json_response(order_document(catalog, simulator.sales_order_url, simulator.token_url))
        entry.operation = self.service.operation_of(request)
        struck = self.simulator.faults.strike(request, entry.operation)
        entry.fault = ", ".join(fault.name for fault in struck) or None
        timed_out = await self._pause(struck)
        self._upset(struck)
        kinds = {fault.kind for fault in struck}
        instead = next((fault for fault in struck if fault.instead), None)
        if "reset_before" in kinds:
            return abort(incoming)
        reply = instead.answer() if instead is not None else self._handle(request, entry, struck)
        replaced = next((fault for fault in struck if fault.kind in {"status", "html"} and not fault.instead), None)
        if timed_out or replaced is not None:
            reply = html_error(504) if replaced is None else replaced.answer()
        if reply.dropped or kinds & {"reset_after", "lost_202"}:
            entry.fault = entry.fault or "dropped"
            return abort(incoming)
        self._adorn(reply, kinds)
        response = await make_response(reply, request.headers.get("Accept-Encoding", ""), self._cache(entry))
        if "/background/" in request.path or "erp-api-background" in request.headers:
            # how old a job is goes by the server's time, which a test may have set; aiohttp tells the machine's
            response.headers.setdefault("Date", formatdate(self.simulator.clock.now(), usegmt=True))
        entry.status, entry.response_bytes = reply.status, len(reply.body)
        breaking = next(
            (fault for fault in struck if fault.kind in {"cut_headers", "cut_body", "short_body", "slow_body"}),
            None,
        )
        if breaking is not None:
            return await send_broken(incoming, response, breaking, self.simulator.clock)
        return response

    def _handle(self, request: Request, entry: LoggedRequest, struck: Sequence[Fault]) -> Reply:
        """Answer from one server of the farm; lists may be answered untruly."""
        farm, faults = self.simulator.farm, self.simulator.faults
        is_list = self.service.is_list(request, entry.operation)
        is_api = not request.path.lower().startswith("/connect/")
        server = farm.for_request() if farm is not None and is_api else Server()
        for company in self.companies.values():
            company.history.depth = max(faults.most_behind, 0 if farm is None else farm.most_behind)
        asked = self._list_faults.request(request, struck)
        reply = self.service.handle(asked, entry, self._list_faults.server(server, struck))
        told = self._list_faults.reply(reply, request, entry.tenant_id, struck, self.simulator.behaviours)
        if is_list and faults.may_repeat:
            self._list_faults.remember(reply, request, entry.tenant_id)
        return told

    async def _pause(self, struck: Sequence[Fault]) -> bool:
        """Wait as long as this answer takes; tell whether the gateway gave up on it."""
        delay = draw(self.simulator.latency, self.random) + sum(
            fault.seconds for fault in struck if fault.kind == "latency"
        )
        limit = self.simulator.behaviours.gateway_timeout_seconds
        timed_out = 0 < limit < delay
        if delay:
            await self.simulator.clock.sleep(min(delay, limit) if timed_out else delay)
        return timed_out

    def _upset(self, struck: Sequence[Fault]) -> None:
        """Apply what faults do to the data before a request is answered."""
        for fault in struck:
            if fault.kind == "expire_tokens":
                self.simulator.tokens.revoke()
            elif fault.kind == "clock_jump":
                self.simulator.clock.advance(fault.seconds)
            elif fault.kind == "change_rows":
                self.simulator.add(fault.resource, fault.add, where=fault.where)
                self.simulator.remove(fault.resource, count=fault.remove)
                self.simulator.touch(fault.resource, count=fault.touch)

    def _adorn(self, reply: Reply, kinds: set[FaultKind]) -> None:
        if self.simulator.behaviours.utf8_bom and (reply.content_type or "").startswith("application/json"):
            reply.body, reply.cache_key = b"\xef\xbb\xbf" + reply.body, None
        if "wrong_type" in kinds:
            reply.content_type = "text/plain"

    def _cache(self, entry: LoggedRequest) -> ByteCache | None:
        return (
            self.simulator.company(entry.tenant_id).world.cache
            if self.simulator.behaviours.compress and entry.tenant_id
            else None
        )

    async def answer_foreign(self, incoming: web.BaseRequest) -> web.StreamResponse:
        """Log what reaches the foreign host; answer like a state document that lies."""
        request = await read_request(incoming)
        log, clock = self.simulator.foreign_requests, self.simulator.clock
        entry = _entry(request, log, clock)
        entry.status = 200
        log.open(entry)
        log.close(entry, clock.now())
        return web.json_response({"status": "Finished", "statusCode": 200})


def _entry(request: Request, log: RequestLog, clock: Clock) -> LoggedRequest:
    return LoggedRequest(
        number=log.total, at=clock.now(), method=request.method, path=request.path, query=dict(request.query),
        query_pairs=request.query, headers=request.headers, body=request.body,
    )  # fmt: skip
