"""A marker secret is looked for wherever something is written or shown."""

from __future__ import annotations

import base64
import logging
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import attrs
import pytest

from tests.transport.conftest import SECRET, client_credentials
from tests.transport.wire import CLOSE, Wire, answer, token
from vismanet_async._http.auth.credentials import AuthorizationCode, StaticToken
from vismanet_async._http.auth.grant import RawTokenResponse, TokenRequest, TokenResponse
from vismanet_async._http.auth.session import Token
from vismanet_async._http.message import Request
from vismanet_async._settings import Settings
from vismanet_async.errors import BadRequest, VismaNetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async._http.pipeline import Transport

    Make = Callable[..., Transport]

FORMS = (SECRET, quote(SECRET, safe=""), base64.b64encode(SECRET.encode()).decode())


def assert_silent(text: str) -> None:
    for form in FORMS:
        assert form not in text


@pytest.mark.parametrize(
    "holder",
    [
        client_credentials(),
        client_credentials().token_request("erp"),
        StaticToken(SECRET),
        StaticToken(SECRET).static_token(),
        Token(SECRET, 0, 1),
        TokenRequest(fields={"client_secret": SECRET}, idempotent=True),
        RawTokenResponse(200, SECRET.encode()),
        TokenResponse(access_token=SECRET, refresh_token=SECRET),
        AuthorizationCode("c", SECRET, refresh_token=SECRET, code=SECRET, redirect_uri="x", code_verifier=SECRET),
        Settings(client_secret=SECRET, token=SECRET),
        Request(operation="x", method="GET", path="/", headers={"Authorization": SECRET}, body=SECRET.encode()),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_reprs_hold_no_secret(holder: Any) -> None:
    assert_silent(repr(holder))
    assert_silent(f"{holder} {holder!s}")
    assert attrs.has(type(holder))


def everything_shown(error: BaseException | None) -> str:
    """The error as a crash reporter shows it: with the locals of every frame but the tests' own, and its causes."""
    if error is None:
        return ""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [frame for frame in shown.stack if "/tests/" not in frame.filename]
    locals_ = [f"{frame.name}: {frame.locals}" for frame in frames]
    more = everything_shown(error.__cause__) + everything_shown(error.__context__)
    return "\n".join([*shown.format_exception_only(), *locals_, repr(error), str(vars(error)), more])


SCRIPTS: dict[str, tuple[bytes, ...]] = {
    "closed": (CLOSE,),
    "echoed": (answer(400, f'{{"message":"you sent Bearer {SECRET}"}}'.encode()),),
    "echoed in html": (answer(502, f"<pre>Authorization: Bearer {SECRET}</pre>".encode()),),
    "signed out": (answer(401, b"{}"),),
    "redirect": (answer(302, Location="https://evil.example/"),),
    "not gzip": (answer(200, b"zzz", Content_Encoding="gzip"),),
    "br": (answer(200, b"zzz", Content_Encoding="br"),),
    "cut": (answer(200, b"zzz", length=99), CLOSE),
    "not http": (b"SMTP\r\n\r\n", CLOSE),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("script", SCRIPTS)
async def test_failures_show_no_token(
    wire: Wire, make: Make, script: str, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wire.default = SCRIPTS[script]
    with pytest.raises(VismaNetError) as caught:
        await make(StaticToken(SECRET)).send(Request(operation="it", method=method, path="/v1/x"))
    assert any(SECRET in seen.one("Authorization") for seen in wire.seen), "it was sent, so it could have leaked"
    shown = everything_shown(caught.value)
    assert "send: " in shown, "frames were looked at"
    assert_silent(shown)
    assert_silent(caplog.text)
    assert "it #1" in caplog.text


async def test_connection_failures_show_no_token(make: Make, unused_tcp_port: int) -> None:
    for base in (f"http://127.0.0.1:{unused_tcp_port}", f"https://127.0.0.1:{unused_tcp_port}"):
        with pytest.raises(VismaNetError) as caught:
            await make(StaticToken(SECRET), base=base).send(Request(operation="it", method="GET", path="/v1/x"))
        assert_silent(everything_shown(caught.value))


@pytest.mark.parametrize(
    "grant",
    [
        (CLOSE,),
        (answer(400, f'{{"error":"{SECRET}","error_description":"{SECRET}"}}'.encode()),),
        (answer(200, f"<html>{SECRET}".encode()),),
        (token(f"{SECRET} x"),),
        (answer(200, f'{{"refresh_token":"{SECRET}"}}'.encode()),),
        (answer(503, SECRET.encode()),),
    ],
)
@pytest.mark.parametrize("code", [False, True])
async def test_failures_to_sign_in_show_no_secret(
    wire: Wire, make: Make, grant: tuple[bytes, ...], code: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wire.grant = grant
    credentials = AuthorizationCode("c", SECRET, refresh_token=SECRET) if code else client_credentials()
    with pytest.raises(VismaNetError) as caught:
        await make(credentials).send(Request(operation="it", method="GET", path="/v1/x"))
    assert any(SECRET.encode() in asked.body for asked in wire.asked)
    assert_silent(everything_shown(caught.value))
    assert_silent(caplog.text)


async def test_the_secret_goes_to_the_token_endpoint_only_and_the_token_to_the_api_only(wire: Wire, make: Make) -> None:
    wire.grant = (token("the-token"),)
    await make(client_credentials()).send(Request(operation="it", method="GET", path="/v1/x"))
    assert_silent(repr(wire.seen))
    assert "the-token" not in repr(wire.asked)


@pytest.mark.parametrize(
    "echo",
    [
        answer(400, f'{{"message":"no {SECRET}"}}'.encode()),
        answer(400, f'{{"message":"no {SECRET}"}}'.encode("utf-16"), Content_Type="text/json; charset=utf-16"),
        answer(400, f'{{"message":"no {SECRET}"}}'.encode("utf-16-le"), Content_Type="text/json; charset=utf-16le"),
        answer(400, f'{{"message":"no \\u00{ord(SECRET[0]):02x}{SECRET[1:]}"}}'.encode()),
        answer(400, b'{"message":"no ***"}', Request_Context=f"auth={SECRET}", Ipp_Request_Id=SECRET),
    ],
)
async def test_an_error_that_repeats_the_token_shows_it_nowhere(wire: Wire, make: Any, echo: bytes) -> None:
    wire.reply(echo)
    with pytest.raises(BadRequest, match=r"no \*\*\*") as caught:
        await make().send(Request(operation="x", method="GET", path="/v1/x"))
    error = caught.value
    shown = (
        f"{error} {error!r} {error.headers} {error.reference} {error.body!r} {error.body.decode('utf-16', 'ignore')}"
    )
    assert_silent(shown + error.body.decode("utf-16", "ignore"))
    assert b"no ***" in error.body


@pytest.mark.parametrize("charset", ["utf-8", "utf-16"])
async def test_a_success_that_repeats_the_token_passes_it_to_nobody(wire: Wire, make: Any, charset: str) -> None:
    kind, location = f"application/json; charset={charset}", f"https://login/?back={SECRET}"
    wire.reply(answer(201, f'{{"message":"no {SECRET}"}}'.encode(charset), Content_Type=kind, Location=location))
    response = await make().send(Request(operation="x", method="POST", path="/v1/x"))
    assert response.body == b'{"message":"no ***"}'
    assert response.headers["Location"] == "https://login/?back=***"
    assert_silent(f"{response.headers} {response.body!r}")
