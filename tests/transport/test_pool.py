from __future__ import annotations

import asyncio
import ssl
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

from vismanet_async._http.http_attempt import WireRequest
from vismanet_async._http.pool import SessionPool, default_user_agent
from vismanet_async._http.reasons import connect_reason, failure_reason
from vismanet_async._version import __version__
from vismanet_async.errors import NotSent, SettingsError

if TYPE_CHECKING:
    from tests.transport.wire import Wire


def test_the_user_agent_names_the_sdk() -> None:
    assert default_user_agent() == f"vismanet-async/{__version__}"


async def test_a_certificate_that_is_not_trusted_is_told_as_such() -> None:
    key: Any = SimpleNamespace(host="api.example", port=443, is_ssl=True, ssl=True)
    error = aiohttp.ClientConnectorCertificateError(key, ssl.SSLCertVerificationError("self-signed certificate"))
    assert "certificate is not trusted: " in connect_reason(error, None)
    assert "self-signed" in connect_reason(error, None)


async def test_tls_to_a_server_without_it_never_left() -> None:
    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    url = URL(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    pool = SessionPool()
    request = WireRequest(method="POST", url=url, headers=CIMultiDict(), idempotent=False)
    with pool.attempt(request) as attempt, pytest.raises(NotSent, match="cannot connect"):
        await attempt.open()
    await pool.aclose()
    server.close()


async def test_waiting_for_a_connection_counts_as_not_sent(wire: Wire) -> None:
    pool = SessionPool()
    request = WireRequest(method="POST", url=URL(wire.url), headers=CIMultiDict(), idempotent=False)
    with pool.attempt(request) as attempt, pytest.raises(NotSent, match="not been sent yet"):
        await attempt.read()
    assert isinstance(attempt.transport_error("anything"), NotSent)
    await pool.aclose()


@pytest.mark.parametrize(("text", "says"), [("a\nb", "User-Agent"), ("a\x1b", "User-Agent"), ("\ud83d", "user_agent")])
def test_a_user_agent_that_no_header_can_hold_is_refused(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        SessionPool(user_agent=text)


def test_reasons() -> None:
    assert failure_reason(TimeoutError()) == "no answer in time"
    assert failure_reason(ConnectionResetError()) == "the connection broke"
    assert failure_reason(OSError()) == "OSError"
