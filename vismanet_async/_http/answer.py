"""Classifies a response with a success status: the API's own, or something else. Pure.

Gateways and sign-in pages answer 200 too, and so do some errors. The status, the content type and the shape of the body
decide together, for reads and for writes (docs/facts.md 10 and 11).
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
import msgspec

from vismanet_async._http.charset import charset_in, decoded, says_utf8
from vismanet_async._http.error_body import read_problem, unwrapped
from vismanet_async._http.message import UTF8_BOM

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NO_ANSWER", "Answer", "Shape", "action_result_of", "is_failed", "json_text", "page_text", "read_answer"]

Shape = Literal["blank", "object", "array", "scalar", "other"]
"""The shape of a body: blank (also `null` and `""`), JSON of one of three kinds, or other than JSON."""

_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_BLANK: Final = frozenset({b"", b"null", b'""'})
_ERROR_KEYS: Final = frozenset(
    {
        "error",
        "error_description",
        "errormessages",
        "errors",
        "exception",
        "exceptionfaultcode",
        "exceptionmessage",
        "exceptiontype",
        "fault",
        "faultcode",
        "faultstring",
        "haserrors",
        "iserror",
        "message",
        "messagedetail",
        "modelstate",
        "odata.error",
        "validationerrors",
    }
)
"""Keys of the error documents of this API and of gateways; no response to a write has them."""
_ACTION_ERROR_KEYS: Final = frozenset({"errorcode", "errorinfo", "errormessage"})
"""Keys that results of actions have too; without an action result they mean an error."""
_SUCCESS_KEYS: Final = frozenset({"issuccess", "issuccessful", "isvalid", "ok", "succeeded", "success"})
_PROBLEM_KEYS: Final = frozenset({"detail", "traceid"})
"""What a problem document (RFC 9457) has beside its title."""
_STATUS_KEYS: Final = ("status", "statuscode", "httpstatuscode")
_ERROR_STATUS: Final = re.compile(r"(?:[4-9]\d\d|[1-9]\d{3,}|error|failed|failure)\b", re.ASCII | re.IGNORECASE)
_ERRORS_FROM: Final = 400
"""Where a key says that a number is a status or a code: larger ones are errors, too."""
_STATUSES_OF_ERRORS: Final = range(400, 600)
"""Where no key says so: any other number may be the id of what was written."""
_LEADING_SPACE: Final = re.compile(rb"[\s\0]*")


@attrs.frozen(kw_only=True)
class Answer:
    """A body and its classification."""

    shape: Shape
    text: bytes = attrs.field(repr=False)
    """JSON text in UTF-8 without byte order mark; the body as received if it is not JSON."""
    value: Any = attrs.field(default=None, repr=False)
    """The JSON value, with numbers as int or Decimal."""
    looks: str = ""
    """A description for messages."""
    error: str | None = None
    """The error text of an error document, which may be empty; None for other bodies."""

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The members of the object, or of each object of a list, by their names in lower case.

        Objects and members are taken out of `{"value": ...}`, as the decoder does.
        """
        inner = unwrapped(self.value)
        return [
            {str(name).lower(): unwrapped(member) for name, member in document.items()}
            for document in map(unwrapped, inner if isinstance(inner, list) else [inner])
            if isinstance(document, dict)
        ]

    @property
    def members(self) -> dict[str, Any]:
        """The members of the only object; empty for other shapes."""
        documents = self.documents
        return documents[0] if len(documents) == 1 else {}

    @property
    def says_no(self) -> bool:
        """Whether it speaks against a write without an object: a text, a list with one, `false`, an error's status.

        No write of the API is answered so (docs/facts.md 10.5). Other numbers may be those of what was written.
        """
        said = unwrapped(self.value)
        if isinstance(said, list):
            return any(isinstance(each, str) for each in said)
        return isinstance(said, str) or said is False or (type(said) is int and said in _STATUSES_OF_ERRORS)

    @property
    def action_failed(self) -> bool:
        """Whether it holds the result of an action that failed (docs/facts.md 10.7)."""
        return any(is_failed(document.get("actionresult")) for document in self.documents)


NO_ANSWER: Final = Answer(shape="blank", text=b"", looks="blank")
"""That of a response without a body."""


def json_text(headers: Mapping[str, str], body: bytes) -> bytes:
    r"""Return JSON text in UTF-8 without byte order mark, whatever its character set is.

    Examples:
        >>> json_text({}, b"\xef\xbb\xbf[]"), json_text({}, "[]".encode("utf-16"))
        (b'[]', b'[]')
    """
    if body.startswith(UTF8_BOM):
        return body.removeprefix(UTF8_BOM).strip()
    charset = charset_in(headers.get("Content-Type"), body)
    return (body if charset is None else decoded(body, charset).encode("utf-8", "replace")).strip()


def page_text(headers: Mapping[str, str], body: bytes | bytearray) -> bytes | bytearray:
    """Return a page's JSON text in UTF-8; a page that declares nothing else is returned as it is, not looked through.

    Examples:
        >>> page_text({"Content-Type": "application/json; charset=iso-8859-1"}, '["Ås"]'.encode("latin-1")).decode()
        '["Ås"]'
    """
    return body if says_utf8(headers.get("Content-Type"), body) else json_text(headers, bytes(body))


def action_result_of(result: Any) -> str | None:
    """Return the `actionResult` of a decoded answer, a model or JSON; None if it has none.

    Examples:
        >>> action_result_of({"ActionResult": {"value": "InProcess"}}), action_result_of([]), action_result_of(None)
        ('InProcess', None, None)
    """
    told = getattr(result, "action_result", None)
    if isinstance(result, dict | list):
        told = Answer(shape="object", text=b"", value=result).members.get("actionresult")
    return told if isinstance(told, str) and told else None


def is_failed(action_result: object) -> bool:
    """Return whether the result of an action says that it failed.

    Examples:
        >>> is_failed(" FAILED "), is_failed("Done"), is_failed(None)
        (True, False, False)
    """
    return isinstance(action_result, str) and action_result.strip().casefold() == "failed"


def read_answer(headers: Mapping[str, str], body: bytes) -> Answer:
    """Return the classification of a response with a success status.

    Examples:
        >>> read_answer({}, b"<html>").looks, read_answer({}, b'{"message": "No licence."}').error
        ('an HTML or XML page', 'No licence.')
        >>> read_answer({}, b' null ').shape, read_answer({"Content-Type": "text/html"}, b'{"id": 1}').value
        ('blank', {'id': 1})
    """
    text = json_text(headers, body)
    if text in _BLANK:
        return Answer(shape="blank", text=text, looks="blank")
    try:
        value = _loaded(text)
    except (ValueError, RecursionError, InvalidOperation):
        return Answer(shape="other", text=body, looks=_looks(text))
    shape: Shape = "object" if isinstance(value, dict) else "array" if isinstance(value, list) else "scalar"
    answer = Answer(shape=shape, text=text, value=value, looks=f"JSON ({shape})")
    if _is_error(answer, headers.get("Content-Type", "")):
        return attrs.evolve(answer, looks="an error document", error=read_problem(headers, text).detail)
    return answer


def _loaded(text: bytes) -> Any:
    try:
        return _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # for example halves of surrogate pairs
        return json.loads(text, parse_float=Decimal, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _is_error(answer: Answer, content_type: str) -> bool:
    if "problem+" in content_type.lower():
        return True
    return any(map(_is_error_document, answer.documents))


def _is_error_document(members: Mapping[str, Any]) -> bool:
    if any(members.get(key) for key in _ERROR_KEYS) or any(map(_is_no, map(members.get, _SUCCESS_KEYS))):
        return True
    if not members.get("actionresult") and any(members.get(key) for key in _ACTION_ERROR_KEYS):
        return True
    if "title" in members and _PROBLEM_KEYS & members.keys():
        return True
    code = members.get("code")  # as text it is a record's own word
    return any(map(_is_error_status, [*map(members.get, _STATUS_KEYS), None if isinstance(code, str) else code]))


def _is_no(value: Any) -> bool:
    """Return whether a member says no, as a boolean, a number or a text."""
    return value is not None and str(value).strip().casefold() in {"false", "0"}


def _is_error_status(value: Any) -> bool:
    if isinstance(value, str):
        return _ERROR_STATUS.match(value.strip()) is not None
    return isinstance(value, int | Decimal) and not isinstance(value, bool) and value >= _ERRORS_FROM


def _looks(text: bytes) -> str:
    start = text[_LEADING_SPACE.match(text).end() :][:1]  # type: ignore[union-attr]  # it matches anything
    if start == b"<":
        return "an HTML or XML page"
    if start in {b"{", b"["}:
        return "damaged or cut-off JSON"
    return "plain text" if start else "white space"
