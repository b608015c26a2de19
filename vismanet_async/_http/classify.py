"""The error that an attempt ended with, and what it means for the call."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from multidict import CIMultiDict, CIMultiDictProxy

from vismanet_async._http.charset import charset_in, decoded, header_text, says_utf8
from vismanet_async._http.error_body import KEPT_HEADERS, read_problem
from vismanet_async._http.message import bare_etag
from vismanet_async._http.retry import Fault, fault_of
from vismanet_async.errors import (
    ApiError,
    DeadlineExceeded,
    OutcomeUnknown,
    PreconditionFailed,
    RateLimited,
    TransportError,
    UnexpectedResponse,
    VismaNetError,
    api_error_type,
)

if TYPE_CHECKING:
    import aiohttp

    from vismanet_async._http.call import Call, RunningAttempt

__all__ = ["api_error", "final_error", "lost", "note_unknown", "timed_out", "too_late", "unreadable", "without_token"]

_KEPT_BODY_BYTES: Final = 4096
_HIDDEN: Final = "***"
_LEAST_SECRET: Final = 8
"""A shorter token is one of a test: any text may hold it."""
_ESCAPED: Final = re.compile(r"\\u00([2-7][0-9a-fA-F])")
"""A character of a token as JSON may write it."""
_OWN_EFFECT: Final = (
    "An earlier attempt of this same call got no answer and may have been executed, so this may be its own effect: "
    "read the record again before deciding."
)


def api_error(call: Call, attempt: RunningAttempt, raw: aiohttp.ClientResponse, body: bytes, *, now: float) -> ApiError:
    """Return the error for a response with an error status."""
    # some gateways repeat the request in their answer
    secret = attempt.token.text
    headers = CIMultiDict((name, raw.headers[name]) for name in KEPT_HEADERS if name in raw.headers)
    if len(secret) >= _LEAST_SECRET:
        headers = CIMultiDict((name, value.replace(secret, _HIDDEN)) for name, value in headers.items())
        body = _without(secret, body, headers)
    request = call.request
    problem = read_problem(headers, body)
    advice = None
    if raw.status < 400:  # noqa: PLR2004 - redirects
        advice = "Redirects are never followed: check the base URL."
    elif call.maybe_executed and request.kind != "read" and attempt.fault is None:
        advice = _OWN_EFFECT
    # RFC 9110 15.4.4: the answer to a POST that was worked on may be elsewhere
    if attempt.fault is Fault.UNAVAILABLE or raw.status == HTTPStatus.SEE_OTHER:
        call.maybe_executed = True
    error = api_error_type(raw.status)(
        request.operation,
        status=raw.status,
        detail=problem.detail,
        reference=problem.reference,
        body=body[:_KEPT_BODY_BYTES],
        headers=headers,
        advice=advice,
    )
    if isinstance(error, RateLimited):
        error.retry_after_seconds = call.service.quota.wait_seconds(now)
    if isinstance(error, PreconditionFailed):
        error.expected = bare_etag(request.header("If-Match"))
        error.current = bare_etag(raw.headers.get("ETag"))
    return error


def without_token(
    attempt: RunningAttempt, raw: aiohttp.ClientResponse
) -> tuple[CIMultiDictProxy[str], bytes | bytearray]:
    """Return a success's headers and body; a token that a gateway repeats there must not get into errors or stores.

    Pages of lists are left alone: they are large, and no part of them gets into either.
    """
    secret, headers, body = attempt.token.text, raw.headers, attempt.body
    if len(secret) < _LEAST_SECRET:
        return headers, body
    if secret in "\n".join(headers.values()):  # in one search; no value has a line break
        hidden = CIMultiDict((name, value.replace(secret, _HIDDEN)) for name, value in headers.items())
        headers = CIMultiDictProxy(hidden)
    if isinstance(body, bytes) and secret.encode() in body:
        body = body.replace(secret.encode(), _HIDDEN.encode())
    if isinstance(body, bytes) and not says_utf8(headers.get("Content-Type"), body):
        plain = CIMultiDict(headers)
        body, headers = _without(secret, body, plain), CIMultiDictProxy(plain)
    return headers, body


def _without(secret: str, body: bytes, headers: CIMultiDict[str]) -> bytes:
    """Return an answer's body without the token, in whatever character set or escapes it stands there.

    Where it stood in any but plain UTF-8, the body becomes UTF-8.
    """
    body = body.replace(secret.encode(), _HIDDEN.encode())
    text = decoded(body, charset_in(headers.get("Content-Type"), body))
    plain = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    found = next((each for each in (text, plain) if secret in each), None)
    if found is None:
        return body
    if "Content-Type" in headers:
        headers["Content-Type"] = headers["Content-Type"].partition(";")[0]
    return found.replace(secret, _HIDDEN).encode("utf-8", "replace")


def lost(call: Call, attempt: RunningAttempt, failure: TransportError) -> TransportError:
    """Record that an attempt ended without a response, and return its error."""
    if not attempt.http.refused_by_proxy:
        attempt.fault = Fault.NO_RESPONSE if attempt.http.connected else Fault.NOT_SENT
    attempt.outcome = "deadline" if isinstance(failure, DeadlineExceeded) else attempt.http.reason
    call.maybe_executed = call.maybe_executed or attempt.http.connected
    return failure


def unreadable(call: Call, attempt: RunningAttempt, failure: UnexpectedResponse) -> VismaNetError:
    """Return the error for a success whose body cannot be read; that of a write names what the server named."""
    if call.request.kind == "read":
        return failure
    headers, _ = without_token(attempt, attempt.raw)
    location = headers.get("Location")
    unknown = OutcomeUnknown(
        f"{call.request.operation}: {failure} The request may have been executed ({attempt.outcome}); it was not sent "
        f"again. Look the record up first.{f' The answer names {header_text(location)}.' if location else ''}"
    )
    unknown.__cause__ = failure
    return unknown


def timed_out(call: Call, attempt: RunningAttempt) -> TransportError:
    """Return the error for an attempt that reached its own time limit or the call's deadline."""
    if attempt.ends_at < call.deadline_at:
        return attempt.http.transport_error(f"no whole answer within {attempt.ends_at - attempt.started_at:.0f} s")
    return too_late(call, "no whole answer in time", sent=attempt.http.connected)


def too_late(call: Call, reason: str, *, sent: bool = False) -> DeadlineExceeded:
    """Return the error for a call whose deadline has passed."""
    return DeadlineExceeded(
        f"{call.request.operation}: {reason}, {call.deadline_at - call.started_at:.3g} s for the whole call. "
        "Give it a longer timeout, or fewer calls at once.",
        sent=sent or call.maybe_executed,
    )


def note_unknown(call: Call, error: BaseException) -> None:
    """Tell with a cancellation that the write may have been executed: nobody will see its answer."""
    if not isinstance(error, Exception) and call.request.kind != "read" and call.maybe_executed:
        error.add_note(
            f"{call.request.operation} was cancelled after it was sent: it may have been executed. Look the record up "
            "before sending it again."
        )


def final_error(call: Call, error: VismaNetError) -> VismaNetError:
    """Return the error to raise: with the attempt log, and for a write with what may have happened."""
    final = error if call.request.kind == "read" else _of_a_write(call, error)
    final.attempts = tuple(call.attempts)
    return final


def _of_a_write(call: Call, error: VismaNetError) -> VismaNetError:
    """Return `OutcomeUnknown` if any attempt of the write may have been executed, else the error itself."""
    if not call.maybe_executed or isinstance(error, OutcomeUnknown):
        return error
    if isinstance(error, ApiError) and fault_of(error.status) is None and error.status != HTTPStatus.SEE_OTHER:
        return error  # a definite response; its advice mentions the earlier attempt
    unknown = OutcomeUnknown(
        f"{error} The request may have been executed all the same; look the record up before sending it again."
    )
    unknown.__cause__ = error
    return unknown
