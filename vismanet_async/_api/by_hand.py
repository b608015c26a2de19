"""Calls that the catalog lacks, by method and path."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from vismanet_async._api.base import etag_of
from vismanet_async._api.registry import honours_if_match
from vismanet_async._api.results import plain_written
from vismanet_async._arguments import expect, text_pairs
from vismanet_async._codec.encode import encode_plain
from vismanet_async._http.answer import read_answer
from vismanet_async._operation import Operation, OperationSpec
from vismanet_async.errors import RequestRefused, UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vismanet_async._api.base import IfMatch
    from vismanet_async._http.message import Response, Sender, Service

__all__ = ["operation_by_hand", "plain_path", "plain_read"]

_SERVICES: Final = ("erp", "sales_order")
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


def operation_by_hand(
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None,
    json: Any,
    headers: Mapping[str, str] | None,
    if_match: IfMatch | None,
    service: Service,
    sender: Sender,
) -> Operation[Any]:
    """Return the operation; `VismaNet.request` says what each argument is.

    Raises:
        RequestRefused: one of them cannot be sent; nothing was.
    """
    expect("method", method, str)
    expect("path", path, str)
    expect("service", service, str)
    if service not in _SERVICES:
        raise RequestRefused(f"service is erp or sales_order, not {service!r}; nothing was sent.")
    verb = method.upper()
    if verb not in _METHODS:
        raise RequestRefused(f"{method!r} is not a method of this API; nothing was sent.")
    name = f"{verb} {path}"
    accepts_202 = service == "sales_order"  # docs/facts.md 6.10
    checked = plain_path(path)
    # only what the catalog knows to be guarded is sent again when its answer gets lost
    guarded = if_match is not None and honours_if_match(verb, checked, service=service)
    operation: Operation[Any] = Operation(
        spec=OperationSpec(id=name, by_hand=True, method=verb, path=path, service=service, if_match=guarded),
        path=checked,
        query=tuple(text_pairs("query", query).items()),
        headers={} if if_match is None else {"If-Match": f'"{etag_of(if_match)}"'},
        body=None if json is None else encode_plain(json),
        decode=plain_read if verb == "GET" else partial(plain_written, name=name, accepts_202=accepts_202),
        sender=sender,
    )
    return operation.with_options(headers=headers)


def plain_read(response: Response) -> Any:
    """Return the JSON value of an answer; numbers as int or Decimal.

    Raises:
        UnexpectedResponse: it is no JSON.
    """
    answer = read_answer(response.headers, response.body)
    if answer.shape == "other":
        raise UnexpectedResponse(f"the answer ({response.status}) is not JSON but {answer.looks}.")
    return answer.value


def plain_path(path: str) -> str:
    """Check a path given by hand: below the base URL, and nothing that moves it elsewhere.

    Raises:
        RequestRefused: it is absolute, has dot segments, a query, or characters that must be encoded.
    """
    segments = unquote(path).split("/")
    if not path.startswith("/") or path.startswith("//") or "\\" in path or any(s in {".", ".."} for s in segments):
        raise RequestRefused(f"{path!r} is not a path below the base URL such as /v1/customer; nothing was sent.")
    if any(char in "?#" or char.isspace() or not char.isprintable() for char in path):
        raise RequestRefused(f"{path!r} holds a query or characters that need encoding; nothing was sent.")
    return path
