from __future__ import annotations

from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from vismanet_async._http.message import Request, Response, no_headers
from vismanet_async._operation import Operation, OperationSpec
from vismanet_async.errors import Attempt, RequestRefused, UnexpectedResponse


class Sender:
    def __init__(self) -> None:
        self.sent: list[Request] = []

    async def send(self, request: Request, /) -> Response:
        self.sent.append(request)
        attempt = Attempt(number=1, started_after_seconds=0, duration_seconds=0, outcome="200")
        return Response(status=200, headers=no_headers(), body=b"7", attempts=(attempt,))

    def stream(self, request: Request, /) -> Any:
        raise NotImplementedError


def operation(sender: Sender | None = None, *, decode: Any = lambda response: int(response.body), **more: Any) -> Any:
    spec = {name: more.pop(name) for name in ("if_match", "if_match_background", "background") if name in more}
    return Operation(
        spec=OperationSpec(id="Customer_Get", method="GET", path="/v1/customer/{id}", **spec),
        path="/v1/customer/1",
        decode=decode,
        sender=sender or Sender(),
        **more,
    )


async def test_awaiting_sends_each_time() -> None:
    sender = Sender()
    call = operation(sender, query=(("a", "b"),)).with_options(timeout_seconds=5, headers={"X": "y"})
    assert sender.sent == []
    assert (await call, await call) == (7, 7)
    first, second = sender.sent
    assert first == second
    assert (first.deadline_seconds, first.headers, first.query, first.background) == (
        5,
        {"X": "y"},
        (("a", "b"),),
        False,
    )
    assert (await call.with_options(headers={"Z": "z"})) == 7
    assert (sender.sent[2].deadline_seconds, sender.sent[2].headers) == (5, {"X": "y", "Z": "z"})


async def test_what_decoding_raises_carries_the_attempts() -> None:
    def broken(_response: Response) -> Any:
        raise UnexpectedResponse("not JSON")

    with pytest.raises(UnexpectedResponse) as caught:
        await operation(decode=broken)
    assert len(caught.value.attempts) == 1


@pytest.mark.parametrize(
    ("direct", "in_background", "sends_direct", "sends_in_background"),
    [(True, False, True, True), (False, True, False, True), (True, True, True, True), (False, False, False, False)],
)
def test_if_match_goes_only_where_it_is_honoured(
    direct: bool, in_background: bool, sends_direct: bool, sends_in_background: bool
) -> None:
    call = operation(headers={"If-Match": '"x"'}, if_match=direct, if_match_background=in_background)
    for background, sends in ((None, sends_direct), ("true", sends_in_background)):
        if sends:
            request = call.request(background=background)
            assert (request.background, request.header("if-match")) == (background is not None, '"x"')
            assert request.header("erp-api-background") == background
        else:
            with pytest.raises(RequestRefused, match="jobs.submit" if in_background else "nowhere"):
                call.request(background=background)


def test_what_cannot_run_in_the_background() -> None:
    with pytest.raises(RequestRefused, match="cannot run in the background"):
        operation(background=False).request(background="true")
    with pytest.raises(RequestRefused, match="line break"):
        operation().request(background="a\r\nX: y")


@pytest.mark.parametrize("name", ["authorization", "Host", "If-Match", "ERP-API-Background", "Content-Length"])
def test_own_headers_are_refused(name: str) -> None:
    with pytest.raises(RequestRefused, match="set by the SDK itself"):
        operation().with_options(headers={name: "x"})


@pytest.mark.parametrize("headers", [{"X": "a\nb"}, {"X\r": "a"}])
def test_line_breaks_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(RequestRefused, match="line break"):
        operation().with_options(headers=headers)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_timeouts_that_are_none(seconds: float) -> None:
    with pytest.raises(RequestRefused, match="greater than 0"):
        operation().with_options(timeout_seconds=seconds)


def test_previews() -> None:
    preview = operation(body=b'{"a":1}', headers={"X": "y"}).preview()
    assert (preview.method, preview.path, preview.body, preview.headers) == (
        "GET",
        "/v1/customer/1",
        '{"a":1}',
        {"X": "y"},
    )
    assert operation().preview().body is None
    assert operation(body=object()).preview().body == "<object, streamed>"


async def test_what_the_answer_said_comes_with_the_result() -> None:
    class Told(Sender):
        async def send(self, request: Request, /) -> Response:
            attempts = tuple(
                Attempt(number=number, started_after_seconds=number, duration_seconds=0.5, outcome="x")
                for number in (1, 2)
            )
            told = {"ETag": '"7"', "ipp-request-id": "r1", "X-RateLimit-Remaining": "41"}
            headers = CIMultiDictProxy(CIMultiDict(told))
            return Response(status=202, headers=headers, body=b"7", attempts=attempts)

    call = operation(Told(), query=(("a", "b"),))
    answer = await call.with_response().with_options(headers={"X": "y"})
    assert (answer.value, answer.status, answer.seconds, len(answer.attempts)) == (7, 202, 2.5, 2)
    assert (answer.etag, answer.reference, answer.quota_remaining) == ("7", "r1", 41)
    assert answer.headers["IPP-Request-Id"] == "r1"
    assert await call == 7  # the call itself is as it was
    assert "r1" not in repr(answer)


async def test_an_answer_that_says_nothing_is_none_of_everything() -> None:
    answer = await operation().with_response()
    assert (answer.etag, answer.reference, answer.quota_remaining) == (None, None, None)
