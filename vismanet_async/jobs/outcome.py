"""What a settled job gives its caller: the operation's typed result, or the error that the call would have raised."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy

from vismanet_async.errors import (
    JobError,
    JobExpired,
    JobFailed,
    JobUncertain,
    NotSent,
    PreconditionFailed,
    UnexpectedResponse,
    VismaNetError,
    api_error_type,
)
from vismanet_async.jobs.model import State
from vismanet_async.transport.message import Response
from vismanet_async.transport.problem import KEPT_HEADERS, read_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vismanet_async.jobs.model import Record, Result

__all__ = ["error_of", "kept_document", "kept_headers", "plain_json", "value_of"]

_NOT_KEPT: Final = frozenset({"set-cookie", "authorization"})
"""Response headers that have no place in a store."""
_KEPT_BODY_BYTES: Final = 4096
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_ERRORS_FROM: Final = 300


def value_of(record: Record, result: Result | None, *, decode: Callable[[Response], Any]) -> Any:
    """Give the result of a settled job.

    Raises:
        VismaNetError: the job did not succeed; see `error_of`.
    """
    error = error_of(record, result)
    if error is not None:
        raise error
    if result is None:
        return None  # the user settled it: there is nothing to decode
    headers = CIMultiDictProxy(CIMultiDict(result.headers))
    return decode(Response(status=result.status_code, headers=headers, body=result.content or b""))


def error_of(record: Record, result: Result | None) -> VismaNetError | None:
    """Give the error that a job's end amounts to; None when it succeeded or has not ended.

    A job that succeeded but whose content was gone before it could be read is `JobExpired` too.
    """
    error: VismaNetError | None = None
    match record.state:
        case State.SUCCEEDED if result is not None and result.content is None and record.error is not None:
            error = _job_error(JobExpired, record, f"it succeeded ({result.status_code}), but {record.error}")
        case State.EXPIRED:
            error = _job_error(JobExpired, record, f"{record.error}. How it ended is not known: look the document up")
        case State.UNCERTAIN:
            text = f"{record.error}. It is not sent again: look the document up, then settle the job"
            error = _job_error(JobUncertain, record, text)
        case State.FAILED if (record.status_code or 0) >= _ERRORS_FROM:
            error = _api_error(record, result)
        case State.FAILED if record.sending_at is None or (record.error or "").startswith("never sent"):
            error = NotSent(f"job {record.id} ({record.operation.id}) was {record.error}; nothing happened.")
        case State.FAILED:
            error = _job_error(JobFailed, record, record.error or f"the server said {record.server_status!r}")
        case _:
            pass
    return error


def plain_json(response: Response) -> Any:
    """Decode an answer of an operation that is not known here: JSON with exact numbers, or None without a body."""
    if not response.body.strip():
        return None
    try:
        return _DECODER.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation) as error:
        raise UnexpectedResponse(f"the job's content is not JSON: {error}.") from None


def kept_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Give the headers of an answer that may be stored."""
    return tuple((name, value) for name, value in headers if name.lower() not in _NOT_KEPT)


def kept_document(body: bytes) -> bytes:
    """Give a state document as it came, but for those headers of the executed request that are not stored."""
    if not any(name.encode() in body.lower() for name in _NOT_KEPT):
        return body
    document = json.loads(body, parse_float=str)
    headers = document.get("responseHeaders")
    if isinstance(headers, dict):
        document["responseHeaders"] = {name: each for name, each in headers.items() if name.lower() not in _NOT_KEPT}
    return json.dumps(document).encode()


def _api_error(record: Record, result: Result | None) -> VismaNetError:
    status = record.status_code or 0
    content = (result.content if result else None) or b""
    headers = CIMultiDict(result.headers if result else ())
    problem = read_problem(headers, content)
    error = api_error_type(status)(
        f"{record.operation.id} (job {record.id})",
        status=status,
        detail=problem.detail or record.error or "",
        reference=problem.reference,
        body=content[:_KEPT_BODY_BYTES],
        headers={name: headers[name] for name in KEPT_HEADERS if name in headers},
    )
    if isinstance(error, PreconditionFailed):
        error.expected = (record.operation.if_match or "").strip('"') or None
        error.current = headers.get("ETag", "").removeprefix("W/").strip('"') or None
    return error


def _job_error(kind: type[JobError], record: Record, text: str) -> JobError:
    error = kind(f"job {record.id} ({record.operation.id} {record.operation.path}): {text}.")
    error.job_id = record.id
    return error
