"""What calls answer, and whether that is an answer of the API at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from vismanet_async._api.paths import ids_in
from vismanet_async._codec.decode import decode_one
from vismanet_async._codec.fields import fields_of
from vismanet_async._codec.model import Model
from vismanet_async._codec.values import UNSET
from vismanet_async._http.answer import NO_ANSWER, is_failed, json_text, read_answer
from vismanet_async._http.charset import header_text
from vismanet_async._http.error_body import read_problem
from vismanet_async._http.message import bare_etag
from vismanet_async.errors import ActionFailed, Attempt, OutcomeUnknown, UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vismanet_async._codec.model import Record
    from vismanet_async._http.answer import Answer
    from vismanet_async._http.message import Response

__all__ = [
    "Created",
    "Done",
    "Updated",
    "acted",
    "confirmed",
    "created",
    "deleted",
    "done",
    "plain_written",
    "read_record",
    "updated",
]

R = TypeVar("R")

_NOT_BLANK: Final = frozenset({200, 203})
"""A create is never answered so without a body."""
_ACCEPTED: Final = 202
_NO_CONTENT: Final = frozenset({204, 205})
_CONFIRMING: Final = frozenset({200, 201, 202, 203})
"""What a write may be answered with beside them (docs/facts.md 10.5). 203 is a 200 that a proxy has changed."""
_QUEUED: Final = frozenset({"queued", "started"})
"""States of what stands in the background queue (docs/facts.md 7.7)."""
_ACTION_RESULTS: Final = frozenset({"done", "inprocess", "queued"})
"""Those that are no failure (docs/facts.md 10.7)."""
_FEW_FIELDS: Final = 4
"""A record with fewer fields than this may be an error document that shares a name or two with it."""


@attrs.frozen(kw_only=True)
class Created:
    """What was created.

    Examples:
        >>> from vismanet_async._api.models.customer import CustomerUpdate
        >>> created = await visma.customer.create(CustomerUpdate(name="Nordlys AS"))
        >>> (await visma.customer.get(created.id)).name
        'Nordlys AS'
    """

    id: str | None
    """The new record's id, from the last part of the Location header; None when the server named none."""
    key: tuple[str, ...] = ()
    """All ids of the Location, for records that have several, such as type and number."""
    etag: str | None = None
    """The new record's version, to give as `if_match=`."""
    location_path: str | None = None
    """The Location header as it came. Only to be read: the SDK never follows it."""
    attempts: tuple[Attempt, ...] = attrs.field(default=(), repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Updated:
    """What an update answers.

    Examples:
        >>> from vismanet_async._api.models.customer import CustomerUpdate
        >>> customer = await visma.customer.get("10000")
        >>> first = await visma.customer.update("10000", CustomerUpdate(name="Nordlys AS"), if_match=customer)
        >>> second = await visma.customer.update("10000", CustomerUpdate(name="Vega AS"), if_match=first.etag)
        >>> (await visma.customer.get("10000")).etag == second.etag
        True
    """

    etag: str | None = None
    """The record's new version, to give as `if_match=`; None when the server told none."""
    attempts: tuple[Attempt, ...] = attrs.field(default=(), repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Done:
    """What an action answers whose result the API does not describe."""

    id: str | None = None
    """The id of what it made, if it named something."""
    etag: str | None = None
    location_path: str | None = None
    result: Any = None
    """The action's result, if it gave one: an `ActionResult`."""
    attempts: tuple[Attempt, ...] = attrs.field(default=(), repr=False, eq=False)


def read_record(response: Response, cls: type[R]) -> R:
    """Decode the answer to a single read.

    Raises:
        UnexpectedResponse: it is no JSON, an error document in spite of its status, or holds none of the fields.
    """
    headers, body = response.headers, response.body
    text = json_text(headers, body)
    record = decode_one(text, cls, etag=bare_etag(headers.get("ETag")), attempts=response.attempts)
    if isinstance(record, Model) and _fields_set(record, most=_FEW_FIELDS) < _FEW_FIELDS:
        answer = read_answer(headers, body)
        if answer.error is not None and not _describes_itself(record, text):
            raise UnexpectedResponse(
                f"the answer ({response.status}) is an error document, not a {cls.__name__}: {answer.error}"
            )
        if fields_of(type(record)) and not _fields_set(record, most=1):
            raise UnexpectedResponse(f"the answer ({response.status}) has none of the fields of a {cls.__name__}.")
    return record


def _describes_itself(record: Model, text: bytes) -> bool:
    """Whether every field that the answer had is one of this model, a message of its own among them."""
    from vismanet_async._codec.extra import unknown_keys  # noqa: PLC0415 - loads the reference decoder

    known = {field.json.casefold() for field in fields_of(type(record))}
    return "message" in known and not unknown_keys(text, type(record)) and _fields_set(record, most=2) > 1


def _fields_set(record: Model, *, most: int) -> int:
    """Count the fields that the answer had, up to `most`."""
    count = 0
    for field in fields_of(type(record)):
        count += getattr(record, field.name) is not UNSET
        if count >= most:
            break
    return count


def confirmed(response: Response, name: str, *, accepts_202: bool = False, takes_text: bool = False) -> Answer:
    """Return the answer to a write, if it is one of the API and says nothing against it.

    Args:
        response: the answer.
        name: the operation, for errors.
        accepts_202: whether a 202 is the documented success of this operation. Else it promises work that may still
            fail, unless it holds the result of an action (docs/facts.md 7.3 and 10.6).
        takes_text: whether a bare text may be what it answers.

    Raises:
        OutcomeUnknown: the status is a success, and the body is an HTML page, an error document or no JSON, so that
            something other than the API may have answered; or the work was only accepted or put into the background
            queue.
    """
    queued = "of the background queue, which was not asked"
    if "/background/" in response.headers.get("Location", "").casefold():
        raise _unknown(response, name, queued)
    if response.status in _NO_CONTENT:
        return NO_ANSWER
    answer = read_answer(response.headers, response.body)
    if response.status not in _CONFIRMING:
        raise _unknown(response, name, "of a status that the API never gives")
    told = answer.members
    if told.get("statelocation") or (response.status != _ACCEPTED and _is_job(told)):
        raise _unknown(response, name, queued)
    if answer.error is not None or answer.shape == "other":
        raise _unknown(response, name, answer.looks, answer.error or "")
    if answer.says_no and not takes_text:
        raise _unknown(response, name, answer.looks, read_problem(response.headers, response.body).detail)
    if response.status == _ACCEPTED and not accepts_202 and not told.get("actionresult"):
        raise _unknown(response, name, "a promise to do it")
    return answer


def _is_job(told: Mapping[str, Any]) -> bool:
    """Return whether a document is that of a job (docs/facts.md 7.3 and 7.7)."""
    if told.get("jobid") or {"id", "status", "statuscode"} <= told.keys():
        return True
    return "id" in told and str(told.get("status")).casefold() in _QUEUED


def _unknown(response: Response, name: str, what: str, said: str = "") -> OutcomeUnknown:
    location = response.headers.get("Location")
    words = f": {said.rstrip('.')}" if said else ""
    error = OutcomeUnknown(
        f"{name}: the answer ({response.status}) is {what}, not the confirmation of a write{words}. "
        "The request may have been executed; it was not sent again. Look the record up first."
        f"{f' The answer names {header_text(location)}.' if location else ''}"
    )
    error.attempts = response.attempts
    return error


def created(response: Response, template: str, name: str = "create") -> Created:
    """Read the answer to a create or an upload.

    Raises:
        OutcomeUnknown: see `confirmed`; or it names nothing, in a way that the API never answers.
    """
    answer = confirmed(response, name)
    empty = answer.shape in {"scalar", "array"} or (answer.shape == "blank" and response.status in _NOT_BLANK)
    if empty and not response.headers.get("Location"):
        raise _unknown(response, name, answer.looks)
    return _made(response, template)


def _made(response: Response, template: str) -> Created:
    location = response.headers.get("Location")
    key = ids_in(location, template) if location else ()
    return Created(
        id=key[-1] if key else None,
        key=key,
        etag=bare_etag(response.headers.get("ETag")),
        location_path=None if location is None else header_text(location),
        attempts=response.attempts,
    )


def updated(response: Response, name: str = "update", *, accepts_202: bool = False) -> Updated:
    """Read the answer to an update.

    Raises:
        OutcomeUnknown: see `confirmed`.
    """
    confirmed(response, name, accepts_202=accepts_202)
    return Updated(etag=bare_etag(response.headers.get("ETag")), attempts=response.attempts)


def deleted(response: Response, name: str = "delete", *, accepts_202: bool = False) -> None:
    """Read the answer to a deletion.

    Raises:
        OutcomeUnknown: see `confirmed`.
    """
    confirmed(response, name, accepts_202=accepts_202)


def acted(response: Response, model: Callable[[], type[Any]], name: str) -> Any:
    """Read the result of an action, also when it comes from a finished job.

    Raises:
        ActionFailed: the result says `Failed`, although the status is a success (docs/facts.md 10).
        OutcomeUnknown: it is no result of an action, or none came where the status promises one (docs/facts.md 10.6);
            see `confirmed`.
    """
    cls: type[Record] = model()
    answer = confirmed(response, name)
    if response.status in _NO_CONTENT:
        return cls()
    if answer.shape == "blank":
        raise _unknown(response, name, answer.looks)
    try:
        result: Any = decode_one(
            answer.text, cls, etag=bare_etag(response.headers.get("ETag")), attempts=response.attempts
        )
    except UnexpectedResponse as error:
        raise _unknown(response, name, f"no {cls.__name__}", str(error)) from error
    if not _fields_set(result, most=1):
        raise _unknown(response, name, f"no {cls.__name__}")
    _refuse_failure(response, answer, name, result)
    return result


def _refuse_failure(response: Response, answer: Answer, name: str, result: Any) -> None:
    """Raise where the result of an action says that it failed, or gives an error with a word that nobody knows."""
    members = answer.members
    said = members.get("errorinfo") or members.get("errormessage")
    if not answer.action_failed and not is_failed(getattr(result, "action_result", None)):
        word = members.get("actionresult")
        if said and word and str(word).strip().casefold() not in _ACTION_RESULTS:
            raise _unknown(response, name, f"the action result {word!r}", str(said))
        return
    raise ActionFailed(
        f"{name} failed although it was answered with {response.status}{f': {said}' if said else ''}. Read the "
        "record to see its state; the action can be tried again when the cause is gone.",
        result=result,
    )


def done(response: Response, model: Callable[[], type[Any]], template: str, name: str) -> Done:
    """Read the answer to an action whose result is not described.

    Raises:
        ActionFailed: it is an action result all the same, and says `Failed`.
        OutcomeUnknown: it is no answer of the API; see `confirmed`.
    """
    answer = confirmed(response, name)
    made = _made(response, template)
    result = None
    if answer.members:
        result = decode_one(
            answer.text, model(), etag=bare_etag(response.headers.get("ETag")), attempts=response.attempts
        )
        _refuse_failure(response, answer, name, result)
    return Done(id=made.id, etag=made.etag, location_path=made.location_path, result=result, attempts=response.attempts)


def plain_written(response: Response, name: str, *, accepts_202: bool = False) -> Any:
    """Read the answer to a write that the catalog lacks: its JSON value, or None without a body.

    Raises:
        ActionFailed: it is the result of an action, and says `Failed`.
        OutcomeUnknown: it is no answer of the API; see `confirmed`.
    """
    answer = confirmed(response, name, accepts_202=accepts_202, takes_text=True)
    _refuse_failure(response, answer, name, answer.value)
    return answer.value
