"""The simulated service without its sockets: a request in, a reply out.

The order of checks is the real gateway's: route, token, scope, rate limit, operation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, evolve, frozen

from vismanet_async._simulator.actions import answer_action
from vismanet_async._simulator.attachments import answer_attachment, answer_blob, answer_print
from vismanet_async._simulator.bodies import BodyError
from vismanet_async._simulator.company import Call, Company
from vismanet_async._simulator.ledger import Execution, Ledger
from vismanet_async._simulator.messages import (
    RefusedError,
    Reply,
    Request,
    gateway_error,
    json_reply,
    problem,
    refuse,
)
from vismanet_async._simulator.paths import table_name
from vismanet_async._simulator.quirks import dress
from vismanet_async._simulator.reads import answer_read
from vismanet_async._simulator.writes import answer_write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vismanet_async._simulator.background import Job
    from vismanet_async._simulator.behaviours import Behaviours
    from vismanet_async._simulator.catalog import Catalog, Operation
    from vismanet_async._simulator.farm import Server
    from vismanet_async._simulator.log import LoggedRequest
    from vismanet_async._simulator.router import Match, Router
    from vismanet_async._simulator.salesorders import SalesOrders
    from vismanet_async._simulator.tokens import Grant, TokenService

__all__ = ["SALES_ORDER_PREFIX", "Service"]

SALES_ORDER_PREFIX = "/salesorder"
_RIGHTS = {
    "GET": "read",
    "HEAD": "read",
    "POST": "create",
    "PUT": "update",
    "PATCH": "update",
    "DELETE": "delete",
}


_ROUTE_ERRORS = {404: "Resource not found", 405: "Method not allowed"}
_CLIENT_ERRORS = frozenset(range(400, 500)) - {429}


@frozen
class _Caller:
    """Who asks, for which company, under which rate-limit policy."""

    request: Request
    grant: Grant
    company: Company
    policy: str

    def admitted(self) -> Reply | None:
        """Count the request; return the refusal where a limit is reached."""
        return self.company.limits.admit(self.grant.client_id, self.policy, _fingerprint(self.request))


@define
class Service:
    """Everything a request can reach."""

    catalog: Catalog
    router: Router
    tokens: TokenService
    behaviours: Behaviours
    companies: Mapping[str, Company]
    sales_orders: SalesOrders
    ledger: Ledger

    def handle(self, request: Request, entry: LoggedRequest, server: Server) -> Reply:
        """Answer one request as this server of the farm; fills in who and what it was in the log."""
        low = request.path.lower()
        if low.startswith("/connect/"):
            return self._identity(request, entry, low)
        if _is_order(request):
            return self._sales_order(request, entry, server)
        accepted = self.behaviours.encoded_reserved_in_path == "accepted"
        match = self.router.match(request.method, request.path, accept_encoded=accepted)
        if isinstance(match, int):
            return gateway_error(match, _ROUTE_ERRORS[match])
        if self.behaviours.ended_operations == "not_found" and _has_ended(match.operation):
            return gateway_error(404, _ROUTE_ERRORS[404])
        entry.operation = match.operation.id
        return self._erp(request, entry, match, server)

    def _erp(self, request: Request, entry: LoggedRequest, match: Match, server: Server) -> Reply:
        grant = self.tokens.check(request.headers)
        company = self._company(grant)
        if grant is None or company is None:
            return self._unauthorised()
        entry.tenant_id = company.tenant_id
        fault = self._company_fault()
        if fault is not None:
            return fault
        caller = _Caller(request, grant, company, _policy(match))
        if not grant.may("erp", _RIGHTS.get(request.method, "read")):
            return self._finish(caller, refuse(403, "Insufficient scope."))
        refusal = caller.admitted()
        call = Call(company, match.operation, match.values, request, server=server)
        reply = refusal if refusal is not None else self._operate(call)
        return self._finish(caller, reply, holds_records=match.operation.collection != "background")

    def operation_of(self, request: Request) -> str | None:
        """Return the catalog id of what a request means, without doing anything."""
        if _is_order(request):
            match = self.sales_orders.match(request)
        else:
            match = self.router.match(request.method, request.path, accept_encoded=True)
        return None if isinstance(match, int) else match.operation.id

    def is_list(self, request: Request, operation_id: str | None) -> bool:
        """Return whether a request asks for a list."""
        if request.method != "GET" or operation_id is None:
            return False
        operation = self.catalog.operations.get(operation_id) or self.sales_orders.catalog.operations[operation_id]
        return operation.response_kind in {"list", "envelope", "paged"}

    def _identity(self, request: Request, entry: LoggedRequest, path: str) -> Reply:
        if path == "/connect/token" and request.method == "POST":
            entry.operation = "token"
            return self.tokens.token(request)
        if path == "/connect/authorize" and request.method == "GET":
            entry.operation = "authorize"
            return self.tokens.authorize(request)
        return Reply(404)

    def _company_fault(self) -> Reply | None:
        code = self.behaviours.company_fault
        if code == "none":
            return None
        message = "No license for this company." if code == "12027" else ""
        return json_reply({
            "ExceptionType": "IPPException", "ExceptionMessage": message, "ExceptionFaultCode": code,
            "ExceptionMessageID": f"{code}_6e2a06a8-76d8-4e9a-bce8-a5818d60a388", "ExceptionDetails": "",
        }, 401)  # fmt: skip

    def _company(self, grant: Grant | None) -> Company | None:
        if grant is None or not self.behaviours.approved:
            return None
        return self.companies.get(grant.tenant_id)

    @staticmethod
    def _unauthorised() -> Reply:
        reply = gateway_error(401, "Unauthorized. Access token is missing or invalid.")
        reply.headers["WWW-Authenticate"] = "Bearer"
        return reply

    def _finish(self, caller: _Caller, reply: Reply, *, holds_records: bool = True) -> Reply:
        """Add the headers of every answer, and remember failures."""
        company = caller.company
        reply.headers.update(company.limits.headers(caller.grant.client_id, caller.policy))
        reply.headers.setdefault("Ipp-Request-Id", company.visma_id())
        if reply.status in _CLIENT_ERRORS:
            company.limits.note_failure(_fingerprint(caller.request))
        return dress(reply, self.behaviours, holds_records=holds_records)

    def _operate(self, call: Call) -> Reply:
        call.company.run_due()
        reply = self._in_background(call)
        if reply is None:
            reply = self.perform(call)
        table = table_name(call.operation.collection)
        if table is not None:
            call.company.after_request(table)
        return reply

    def _in_background(self, call: Call) -> Reply | None:
        """Answer what has to do with the queue; None: do the operation now."""
        if call.operation.collection == "background":
            return self._background_state(call)
        header = call.request.headers.get("erp-api-background")
        if header is None or not call.operation.background:
            return None
        return call.company.background.submit(call, header)

    def _background_state(self, call: Call) -> Reply:
        job_id, wants_content = call.values[0], call.operation.path.endswith("/content")
        queue = call.company.background
        reply = queue.content(job_id) if wants_content else queue.state(job_id)
        if reply is not None:
            return reply
        if any(job_id.lower() in company.background.jobs for company in self.companies.values()):
            return gateway_error(403, "The background operation belongs to another company.")
        return gateway_error(404, "The background operation was not found.")

    def perform(self, call: Call, job: Job | None = None) -> Reply:
        """Do one operation, whoever asked for it; writes go to the ledger."""
        call.company.stamp_as(call.server)
        reply = _done(call if job is None else evolve(call, in_background=True))
        if call.operation.method != "GET":
            self.ledger.add(Execution(
                call.company.clock.now() if job is None else job.ends_at, call.company.tenant_id,
                call.operation.id, call.request.method,
                call.request.path, call.request.body, reply.status, None if job is None else job.id,
            ))  # fmt: skip
        return reply

    def _sales_order(self, request: Request, entry: LoggedRequest, server: Server) -> Reply:
        match = self.sales_orders.match(request)
        if isinstance(match, int):
            return problem(match, _ROUTE_ERRORS[match])
        entry.operation = match.operation.id
        grant = self.tokens.check(request.headers)
        company = self._company(grant)
        if grant is None or company is None:
            reply = problem(401, "Unauthorized")
            reply.headers["WWW-Authenticate"] = "Bearer"
            return reply
        entry.tenant_id = company.tenant_id
        caller = _Caller(request, grant, company, "4-fixed-window")
        if not grant.may("salesorder", _RIGHTS.get(request.method, "read")):
            return self._finish(caller, problem(403, "Forbidden"))
        refusal = caller.admitted()
        if refusal is not None:
            return self._finish(caller, refusal)
        company.stamp_as(server)
        reply = self.sales_orders.answer(company, request, match, server)
        if request.method != "GET":
            self.ledger.add(Execution(
                company.clock.now(), company.tenant_id, entry.operation, request.method, request.path,
                request.body, reply.status
            ))  # fmt: skip
        company.after_request(self.sales_orders.table_of(match))
        return self._finish(caller, reply)


def _is_order(request: Request) -> bool:
    return "/api/v3/" in request.path.lower()


def _done(call: Call) -> Reply:
    try:
        return _handler(call.operation)(call)
    except RefusedError as error:
        return error.reply
    except BodyError as error:
        return refuse(call.company.behaviours.validation_status, f"VismaId: {call.company.visma_id()}. {error}")


def _handler(operation: Operation) -> Callable[[Call], Reply]:
    """Return what does an operation, by its kind."""
    if operation.attachment:
        return answer_attachment
    if operation.collection.startswith("blob/"):
        return answer_blob
    if operation.response_kind == "binary":
        return answer_print
    if operation.action:
        return answer_action
    return answer_read if operation.method == "GET" else answer_write


def _has_ended(operation: Operation) -> bool:
    """Return whether the service has announced the end of this operation (facts 1.13)."""
    if operation.resource.startswith("SalesOrder") and operation.collection.startswith("salesorder"):
        return operation.collection != "salesordertype"
    return operation.method == "GET" and operation.version == 1 and operation.collection == "purchasereceipt"


def _policy(match: Match) -> str:
    """Return the rate-limit policy that counts a request (facts 3.2)."""
    if match.legacy:
        return "6-fixed-window"
    is_order = match.operation.collection.startswith("salesorder") and _has_ended(match.operation)
    return "8-fixed-window" if is_order else "4-fixed-window"


def _fingerprint(request: Request) -> tuple[str, ...]:
    query = "&".join(f"{name}={value}" for name, value in request.query)
    return (
        request.headers.get("Authorization", ""),
        request.method,
        request.path,
        query,
        str(hash(request.body)),
    )
