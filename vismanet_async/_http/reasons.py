"""Why an HTTP attempt failed, in a few words for the attempt log. Nothing of a request or response is in them."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp

from vismanet_async._http.network import shown
from vismanet_async._http.wiring import unreadable_reason

if TYPE_CHECKING:
    from yarl import URL

__all__ = ["connect_reason", "failure_reason", "proxy_reason"]


def connect_reason(error: aiohttp.ClientConnectorError, proxy: URL | None) -> str:
    """Return why no connection could be opened."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {error.certificate_error}"
    if proxy is not None and isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"the proxy {shown(proxy)}: {error.os_error}"
    return str(error.os_error)


def proxy_reason(status: int, proxy: URL | None) -> str:
    """Return why a proxy opened no way to the host."""
    try:
        words = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        words = str(status)
    return f"the proxy {'' if proxy is None else shown(proxy)} opened no connection ({words})"


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
