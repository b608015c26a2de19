"""Why an HTTP attempt failed, in a few words for the attempt log. Nothing of a request or response is in them."""

from __future__ import annotations

import aiohttp

from vismanet_async._http.wiring import unreadable_reason

__all__ = ["connect_reason", "failure_reason"]


def connect_reason(error: aiohttp.ClientConnectorError) -> str:
    """Return why no connection could be opened."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {error.certificate_error}"
    return str(error.os_error)


def failure_reason(error: BaseException) -> str:
    """Return why an attempt failed after it had a connection."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "disconnected without an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer broke off"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientResponseError):
        return unreadable_reason(error)
    if isinstance(error, ConnectionError | aiohttp.ClientOSError):
        return "the connection broke"
    return type(error).__name__
