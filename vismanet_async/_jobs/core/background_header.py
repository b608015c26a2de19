"""The `erp-api-background` header of a submission, and the key by which jobs keep their order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from vismanet_async._arguments import text_pairs
from vismanet_async._http.message import HEADER_NAME
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vismanet_async._jobs.core.states import Notify

__all__ = ["JOB_HEADER", "background_header", "ordering_key"]

_TYPE_FIRST: Final = frozenset({"supplierinvoice", "supplierpayment", "salesorder"})
"""Their number may stand alone, or behind the type of the document."""

JOB_HEADER: Final = "X-Vismanet-Job"
"""The name under which our own id comes back in the webhook's headers."""
REFERENCE_HEADER: Final = "X-Vismanet-Reference"

_LONGEST_REFERENCE: Final = 200
_LONGEST_HEADER: Final = 4000
"""Characters of the whole value. No limit is published; servers commonly take 8 kB for all headers together."""
_RESERVED: Final = re.compile(r"x-visma.*|content-.*|transfer-encoding|host|connection|authorization", re.IGNORECASE)
"""Names that the webhook has already: the SDK's own and the signature's, and those of HTTP itself."""


def background_header(
    *, notify: Notify, own_id: str, reference: str | None = None, headers: Mapping[str, str] | None = None
) -> str:
    """Return the value of `erp-api-background`, with our own id, the reference and the headers that a webhook returns.

    Raises:
        RequestRefused: the reference or a header could break out of the value, would be lost, or has a name that the
            webhook has already; nothing was sent.

    Examples:
        >>> background_header(notify="subscription", own_id="5f0c", reference="nightly", headers={"batch": "7"})
        'subscription:X-Vismanet-Job=5f0c,X-Vismanet-Reference=nightly,batch=7'
    """
    if reference is not None:
        _check_reference(reference, ascii_only=notify == "subscription")
    own = dict(text_pairs("headers", headers))
    _check_headers(own)
    if notify == "none":
        if own:
            raise RequestRefused(
                "headers come back with a webhook, which notify='none' does not ask for: submit with "
                "notify='subscription', or leave them out. Nothing was sent."
            )
        return "none"
    pairs = {JOB_HEADER: own_id} | ({REFERENCE_HEADER: reference} if reference else {}) | own
    value = "subscription:" + ",".join(f"{name}={text}" for name, text in pairs.items())
    if len(value) > _LONGEST_HEADER:
        raise RequestRefused(f"the headers take more than {_LONGEST_HEADER} characters together. Nothing was sent.")
    return value


def _check_headers(headers: Mapping[str, str]) -> None:
    known: set[str] = set()
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name):
            raise RequestRefused(f"{name!r} cannot be the name of a header. Nothing was sent.")
        if _RESERVED.fullmatch(name):
            raise RequestRefused(
                f"the header {name} is set by the SDK, by HTTP or by the sender of webhooks. Take another name; "
                "nothing was sent."
            )
        if name.casefold() in known:
            raise RequestRefused(f"the header {name} is given twice, in other letters. Nothing was sent.")
        known.add(name.casefold())
        if not value or value != value.strip() or not (value.isascii() and value.isprintable()) or set(value) & {*",="}:
            raise RequestRefused(
                f"the header {name} must have a value of printable ASCII without comma, equals and spaces around it: "
                "the background header cannot escape them. Nothing was sent."
            )


def _check_reference(reference: str, *, ascii_only: bool) -> None:
    refused = sorted({char for char in reference if char in ",=" or not char.isprintable()})
    if refused:
        raise RequestRefused(
            f"the reference holds {', '.join(map(repr, refused))}: the background header cannot escape "
            "comma, equals and control characters. Nothing was sent."
        )
    if ascii_only and not reference.isascii():
        raise RequestRefused(
            "with notify='subscription' the reference goes into a header and must be ASCII. Nothing was sent."
        )
    if len(reference) > _LONGEST_REFERENCE:
        raise RequestRefused(f"the reference has more than {_LONGEST_REFERENCE} characters. Nothing was sent.")


def ordering_key(*, method: str, path: str) -> str | None:
    """Return the path of the document that an operation changes, as ordering key; None if there is none yet.

    Examples:
        >>> ordering_key(method="POST", path="/v1/supplierInvoice/000357/action/release")
        '/supplierinvoice/000357'
        >>> ordering_key(method="PUT", path="/v2/supplierInvoice/000357")
        '/supplierinvoice/000357'
        >>> ordering_key(method="DELETE", path="/v1/supplierInvoice/Invoice/000357")
        '/supplierinvoice/000357'
        >>> ordering_key(method="POST", path="/v1/supplierInvoice") is None
        True
    """
    plain = "/" + "/".join(part for part in path.casefold().split("/") if part not in {"", "v1", "v2"})
    before, action, _ = plain.partition("/action/")
    if not action and method not in {"PUT", "PATCH", "DELETE"}:
        return None
    resource, *ids = before[1:].split("/")
    resource = resource.removesuffix("basic")  # another view of the same documents
    if resource in _TYPE_FIRST:
        ids = ids[1:2] or ids
    return "/".join(["", resource, *ids])
