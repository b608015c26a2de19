"""The `erp-api-background` header of a submission, and the key by which jobs keep their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from vismanet_async._jobs.core.states import Notify

__all__ = ["JOB_HEADER", "background_header", "ordering_key"]

JOB_HEADER: Final = "X-Vismanet-Job"
"""The name under which our own id comes back in the webhook's headers."""
REFERENCE_HEADER: Final = "X-Vismanet-Reference"

_LONGEST_REFERENCE: Final = 200


def background_header(*, notify: Notify, own_id: str, reference: str | None = None) -> str:
    """Return the value of `erp-api-background`, with our own id and reference if a webhook is to return them.

    Raises:
        RequestRefused: the reference could break out of the header; nothing was sent.

    Examples:
        >>> background_header(notify="subscription", own_id="5f0c", reference="nightly")
        'subscription:X-Vismanet-Job=5f0c,X-Vismanet-Reference=nightly'
    """
    if reference is not None:
        _check_reference(reference, ascii_only=notify == "subscription")
    if notify == "none":
        return "none"
    pairs = [f"{JOB_HEADER}={own_id}"]
    if reference:
        pairs.append(f"{REFERENCE_HEADER}={reference}")
    return "subscription:" + ",".join(pairs)


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
        >>> ordering_key(method="POST", path="/v1/supplierInvoice") is None
        True
    """
    plain = "/" + "/".join(part for part in path.casefold().split("/") if part not in {"", "v1", "v2"})
    before, action, _ = plain.partition("/action/")
    if action or method in {"PUT", "PATCH", "DELETE"}:
        return before
    return None
