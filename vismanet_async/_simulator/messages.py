"""A request as the service sees it and the answer it gives, free of any HTTP library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field

from vismanet_async._simulator.json_text import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["JSON", "RefusedError", "Reply", "Request", "gateway_error", "json_reply", "not_simulated", "problem",
           "refuse"]  # fmt: skip

JSON = "application/json; charset=utf-8"


@define
class Request:
    """One HTTP request."""

    method: str
    path: str
    """As it came, percent-encoding and all, without the query."""
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes = b""
    origin: str = ""
    """Scheme and host by which the client reached the simulator."""


@define
class Reply:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: dict[str, str] = field(factory=dict)
    dropped: bool = False
    """Cut the connection instead of answering; what was asked for is done all the same."""
    cache_key: object = None
    """Where set, equal keys mean equal bodies (encoded forms are kept under it)."""


class RefusedError(Exception):
    """A request is refused; carries the reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"status {reply.status}")
        self.reply = reply


def json_reply(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Answer with a JSON body."""
    return Reply(status, encode(value), JSON, dict(headers or {}))


def refuse(status: int, message: str, **more: Any) -> Reply:
    """Answer as the ERP does when it refuses: `{"message": "VismaId: ... . ..."}` (facts 11.1)."""
    return json_reply({"message": message, **more}, status)


def not_simulated(operation_id: str, name: str) -> Reply:
    """Answer that a parameter chooses rows by what the simulator's rows do not say."""
    return refuse(501, f"The simulator does not filter {operation_id} by {name}: no field of its rows says it.")


def gateway_error(status: int, message: str) -> Reply:
    """Answer as the API gateway does (facts 11.1)."""
    return json_reply({"statusCode": status, "message": message}, status)


def problem(status: int, title: str, detail: str = "", details: Iterable[Mapping[str, Any]] = ()) -> Reply:
    """Answer as the Sales Order service does: RFC 7807 (facts 11.1)."""
    body: dict[str, Any] = {"type": f"https://httpstatuses.io/{status}", "title": title, "status": status}
    if detail:
        body["detail"] = detail
    listed = list(details)
    if listed:
        body |= {"errors": {}, "details": listed}
    return Reply(status, encode(body), "application/problem+json; charset=utf-8")
