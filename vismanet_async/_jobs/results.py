"""The outcome of a settled job: the operation's typed result, or the error that the call would have raised."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec
from multidict import CIMultiDict, CIMultiDictProxy

from vismanet_async._api.files import File
from vismanet_async._http.answer import json_text, read_answer
from vismanet_async._http.error_body import KEPT_HEADERS, read_problem
from vismanet_async._http.message import Response
from vismanet_async._jobs.core import answers
from vismanet_async._jobs.core.records import Judgement
from vismanet_async._jobs.core.states import State
from vismanet_async.errors import (
    ActionFailed,
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vismanet_async._jobs.core.records import JobRecord, JobResult

__all__ = [
    "decoder_for",
    "error_of",
    "in_utf8",
    "is_answer",
    "judge",
    "kept_document",
    "kept_headers",
    "plain_json",
    "value_of",
]

_NOT_KEPT: Final = frozenset({"set-cookie", "authorization"})
"""Response headers that are not stored."""
_KEPT_BODY_BYTES: Final = 4096
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_ERRORS_FROM: Final = 300
_NO_CONTENT: Final = 204


def value_of(record: JobRecord, result: JobResult | None, *, decode: Callable[[Response], Any]) -> Any:
    """Return the result of a settled job.

    Raises:
        VismaNetError: the job did not succeed; see `error_of`.
    """
    error = error_of(record, result, decode=decode)
    if error is not None:
        raise error
    by_user = record.settled_by == "user"
    if result is None or (by_user and (result.content is None or result.status_code >= _ERRORS_FROM)):
        return None  # the user settled it: there is nothing to decode
    return decode(_response(result))


def error_of(
    record: JobRecord, result: JobResult | None, *, decode: Callable[[Response], Any] | None = None
) -> VismaNetError | None:
    """Return the error of a job; None if it succeeded or has not ended.

    Args:
        record: the job.
        result: the server's answer about it.
        decode: the operation's decoder, for errors that only the content shows, such as `ActionFailed`.
    """
    error: VismaNetError | None = None
    match record.state:
        case State.SUCCEEDED if _lacks_content(record, result):
            error = _job_error(JobExpired, record, f"it succeeded ({record.status_code}), but {record.error}")
        case State.EXPIRED if record.status_code is not None:
            error = _job_error(JobExpired, record, f"{record.error}")
        case State.EXPIRED:
            error = _job_error(JobExpired, record, f"{record.error}. How it ended is not known: look the document up")
        case State.UNCERTAIN:
            text = f"{record.error}. It is not sent again: look the document up, then settle the job"
            error = _job_error(JobUncertain, record, text)
            if (record.status_code or 0) >= _ERRORS_FROM:
                error.__cause__ = _api_error(record, result)
        case State.FAILED if (record.status_code or 0) >= _ERRORS_FROM:
            error = _api_error(record, result)
        case State.FAILED if record.sending_at is None or (record.error or "").startswith("never sent"):
            error = NotSent(f"job {record.id} ({record.operation.id}) was {record.error}; nothing happened.")
        case State.FAILED:
            error = _error_in(result, decode) or _job_error(
                JobFailed, record, record.error or f"the server said {record.server_status!r}"
            )
        case _:
            pass
    return error


def judge(
    record: JobRecord, result: JobResult, *, decode: Callable[[Response], Any], missing: bool = False
) -> Judgement:
    """Return the outcome of a call whose status was a success, judged by its content.

    An action's result decides whether it succeeded. A write whose answer cannot be understood, or an action whose
    result the server did not keep, may have succeeded or not: it is uncertain. A read without its answer is of no use.

    Args:
        record: the job.
        result: status, headers and content of the answer.
        decode: the operation's decoder.
        missing: the answer had a content that the server no longer has.
    """
    kept = result.content is not None
    code = result.status_code
    if kept and answers.action_failed(result.content or b""):
        error = _error_in(result, decode)
        return Judgement(state=State.FAILED, error=str(error or "the action's result says that it failed"))
    gone = f"it was executed ({code}), but its content was gone"
    by_hand, reads = record.operation.custom, record.operation.method == "GET"
    acts = _acts(record)
    lacking = gone if missing else f"it was executed ({code}), but the server kept no content"
    no_result = f"{lacking}, which alone says whether the action succeeded"
    if missing and (reads or by_hand):
        return Judgement(state=State.EXPIRED, error=gone)
    try:
        value = decode(_response(result))
    except Exception as error:  # noqa: BLE001 - a decoder's own fault, too, must not keep the job from its end
        failed = reads or isinstance(error, ActionFailed)
        why = str(error) if isinstance(error, VismaNetError) else f"its content could not be decoded: {error!r}"
        why = no_result if acts and not kept else gone if missing else why
        return Judgement(state=State.FAILED if failed else State.UNCERTAIN, error=why)
    # the API describes no result for actions that return a `Done`: no content proves nothing
    unsaid = missing or (code != _NO_CONTENT and not hasattr(value, "result"))
    if acts and unsaid and not kept:
        return Judgement(state=State.UNCERTAIN, error=no_result)
    return Judgement(state=State.SUCCEEDED)


def in_utf8(result: JobResult, *, content_type: str | None, decode: Callable[[Response], Any]) -> JobResult:
    """Return a result whose content, if JSON or an error's text, is in UTF-8; a file stays byte for byte.

    Whoever reads the content later has the executed request's headers alone: not those that it came with.

    Args:
        result: with its content as received, and the headers of the executed request.
        content_type: that of the answer which brought the content.
        decode: the operation's decoder.
    """
    types = (content_type, CIMultiDict(result.headers).get("Content-Type"))
    text = answers.in_utf8(result.content or b"", *types, any_text=result.status_code >= _ERRORS_FROM)
    if text is None or _is_file(result, decode):
        return result
    headers = tuple(
        (name, value.partition(";")[0] if name.strip().lower() == "content-type" else value)
        for name, value in result.headers
    )
    return attrs.evolve(result, content=text, headers=headers)


def _is_file(result: JobResult, decode: Callable[[Response], Any]) -> bool:
    try:
        return isinstance(decode(_response(result)), File)
    except Exception:  # noqa: BLE001 - a decoder's own fault: it is told when the job is judged
        return False


def is_answer(
    record: JobRecord, result: JobResult, *, content_type: str | None, decode: Callable[[Response], Any]
) -> bool:
    """Return whether a content is one that the API gave, and not the page or error document of a gateway.

    Nor is a blank one that was announced by the state document, where the outcome hangs on it. Asking again gives the
    real one: the server keeps it for a day (docs/facts.md 7.6).
    """
    if record.verdict != "succeeded":
        return True  # the executed request's own error may look like anything
    # in UTF-8 by now, whatever came
    answer = read_answer({"Content-Type": (content_type or "").partition(";")[0]}, result.content or b"")
    if answer.shape == "blank":
        hangs_on_it = record.operation.method == "GET" or _acts(record)
        return not (hangs_on_it and record.status_code != _NO_CONTENT and _announced(result))
    if answer.error is None and answer.shape != "other":
        return True
    # a download may hold anything, and so may a record with a message: the decoder knows
    try:
        decode(_response(result))
    except VismaNetError as error:
        return isinstance(error, ActionFailed)
    except Exception:  # noqa: BLE001 - a decoder's own fault: asking again would not mend it
        return True
    return True


def _announced(result: JobResult) -> bool:
    """Return whether the state document says in so many words that there is a content."""
    document = answers.members(result.state_document) if result.state_document else {}
    return answers.flag(document.get("hasresponsecontent"), otherwise=False)


def _acts(record: JobRecord) -> bool:
    return not record.operation.custom and "/action/" in record.operation.path.casefold()


def decoder_for(
    record: JobRecord, *, known: Callable[[str], Callable[[Response], Any] | None] | None
) -> Callable[[Response], Any]:
    """Return what reads a job's answer: the decoder known by its operation's catalog id, or else `plain_json`."""
    return (known and known(record.operation.id)) or plain_json


def plain_json(response: Response) -> Any:
    """Decode an answer of an operation that is not known here: JSON with exact numbers, or None without a body."""
    text = json_text(response.headers, response.body)
    if not text:
        return None
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation) as error:
        raise UnexpectedResponse(f"the job's content is not JSON: {error}.") from None


def kept_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the headers of an answer that may be stored."""
    return tuple((name, value) for name, value in headers if name.strip().lower() not in _NOT_KEPT)


def kept_document(body: bytes) -> bytes | None:
    """Return a state document as it came, but for those headers of the executed request that are not stored.

    None if it cannot be told whether it has them.
    """
    try:
        return answers.without_headers(body, _NOT_KEPT)
    except (ValueError, RecursionError):
        return None


def _response(result: JobResult) -> Response:
    headers = CIMultiDictProxy(CIMultiDict(result.headers))
    return Response(status=result.status_code, headers=headers, body=result.content or b"")


def _error_in(result: JobResult | None, decode: Callable[[Response], Any] | None) -> VismaNetError | None:
    """Return what the decoder raises for a success status, such as `ActionFailed`."""
    if result is None or result.content is None or decode is None:
        return None
    try:
        decode(_response(result))
    except VismaNetError as error:
        return error
    return None


def _lacks_content(record: JobRecord, result: JobResult | None) -> bool:
    # written by versions that called a job whose content was gone succeeded
    by_server = record.settled_by != "user" and record.error is not None
    return by_server and result is not None and result.content is None


def _api_error(record: JobRecord, result: JobResult | None) -> VismaNetError:
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


def _job_error(kind: type[JobError], record: JobRecord, text: str) -> JobError:
    error = kind(f"job {record.id} ({record.operation.id} {record.operation.path}): {text}.")
    error.job_id = record.id
    return error
