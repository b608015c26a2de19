"""Parser of all answers about jobs: the 202, state documents, and results of actions.

Servers and gateways vary in what carries no meaning: a character set, a byte order mark, `statusCode` or `StatusCode`,
200, 200.0, "200" or "200 OK", a value wrapped as `{"value": ...}`, a document as a list of one. All of them are read
alike. Facts: docs/facts.md 7.3, 7.7 and 10.1.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec

from vismanet_async._http.answer import read_answer
from vismanet_async._http.charset import charset_in, says_utf8
from vismanet_async._http.error_body import unwrapped

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = [
    "action_failed",
    "flag",
    "header_pairs",
    "in_utf8",
    "is_job_id",
    "job_id",
    "members",
    "moment",
    "status_code",
    "storable",
    "text",
    "without_headers",
]

_JOB_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_LOCATED: Final = re.compile(r"/background/([^/?#]+)", re.IGNORECASE)
_SEPARATORS: Final = str.maketrans("", "", "_- ")
_STATUS_CODES: Final = range(100, 600)
_STATUS_LINE: Final = re.compile(r"([1-5][0-9]{2})(\.0+)?( +[A-Za-z][A-Za-z' -]*)?")
"""A status as text, with or without its reason phrase."""
_STATUS_NAMES: Final = {status.name.translate(_SEPARATORS).casefold(): status.value for status in HTTPStatus}
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


def in_utf8(body: bytes, *content_types: str | None, any_text: bool = False) -> bytes | None:
    r"""Return JSON in UTF-8, whatever its character set is; None for what is to stay as it came.

    Args:
        body: of an answer.
        content_types: whatever may declare its character set; the first one by which it is JSON counts.
        any_text: whether text that is not JSON is wanted in UTF-8, too.

    Examples:
        >>> in_utf8("[]".encode("utf-16"), None), in_utf8(b"[]", "application/json"), in_utf8(b"\xff\xd8\xff\xe0", None)
        (b'[]', None, None)
        >>> (in_utf8('"\xe5"'.encode("latin-1"), "text/json", "text/json; charset=iso-8859-1") or b"").decode()
        '"å"'
    """
    if all(says_utf8(each, body) for each in content_types):
        return None  # not looked through: most answers are in UTF-8, and pages of lists are large
    texts = []
    # a queue may have converted what it kept, and declare what it was before
    for charset in dict.fromkeys([*(charset_in(each, body) or "utf-8" for each in content_types), "utf-8"]):
        with suppress(UnicodeDecodeError):
            texts.append(body.decode(charset))
    found = next(filter(_is_json, texts), texts[0] if any_text and texts else None)
    return None if found is None else found.encode()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def members(body: bytes) -> dict[str, Any]:
    r"""Return a JSON object's members, by their names in lower case without separators.

    Raises:
        ValueError: the body is not a JSON object.

    Examples:
        >>> members(b'\xef\xbb\xbf{"StatusCode": {"value": "200"}}'), members(b'[{"value": {"id": 7}}]')
        ({'statuscode': '200'}, {'id': 7})
    """
    document = _document(body)
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one error for all that is no object
    return _named(document)


def _named(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in document.items():
        plain = name.translate(_SEPARATORS).casefold()
        # the documented spelling wins over another one of the same name
        if plain not in found or name[:1].islower():
            found[plain] = unwrapped(value)
    return found


def _document(body: bytes) -> Any:
    """Return the JSON value of a body, taken out of `{"value": ...}` and out of a list of one.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        document = unwrapped(json.loads(body))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return unwrapped(document[0]) if isinstance(document, list) and len(document) == 1 else document


def text(value: object) -> str | None:
    """Return a text without blanks around it; None for what is empty or not a text."""
    return (storable(value).strip() or None) if isinstance(value, str) else None


def storable(value: str) -> str:
    """Return a text that every database takes: PostgreSQL's hold no NUL, and half a surrogate pair has no UTF-8."""
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def status_code(value: object) -> int:
    """Return an HTTP status; 0 for what is none.

    Examples:
        >>> status_code(200), status_code(200.0), status_code(" 200 OK "), status_code("NoContent"), status_code("2e2")
        (200, 200, 200, 204, 0)
    """
    if isinstance(value, bool):
        return 0
    if isinstance(value, str):
        line = _STATUS_LINE.fullmatch(value.strip())
        return int(line[1]) if line else _STATUS_NAMES.get(value.translate(_SEPARATORS).casefold(), 0)
    return int(value) if isinstance(value, int | float) and value in _STATUS_CODES else 0


def flag(value: object, *, otherwise: bool) -> bool:
    """Return a yes or no, however it is written."""
    if isinstance(value, bool):
        return value
    return _FLAGS.get(str(value).strip().casefold(), otherwise) if isinstance(value, str | int) else otherwise


def header_pairs(value: object) -> tuple[tuple[str, str], ...]:
    """Return headers as pairs: of an object, or of .NET's list of `{"Key": ..., "Value": [...]}`."""
    if isinstance(value, list):
        items = [(_key_of(each), _value_of(each)) for each in value]
    else:
        items = list(value.items()) if isinstance(value, dict) else []
    pairs = ((name, each if isinstance(each, list) else [each]) for name, each in items)
    # what is nested deeper is no header, and may hold a cookie
    return tuple(
        (str(name), ", ".join(map(str, each)))
        for name, each in pairs
        if isinstance(name, str | int) and all(isinstance(one, str | int | float) for one in each)
    )


def without_headers(body: bytes, names: Collection[str]) -> bytes:
    """Return a state document without some of the executed request's headers, wherever it has them.

    As it came if it has none of them; else as another text of the same values, but for characters and numbers that no
    store can hold.

    Raises:
        ValueError: the body is not JSON.
        RecursionError: it is nested too deeply.
    """
    document = json.loads(body, parse_float=_number, parse_int=_number)
    found: list[object] = []
    kept = _without(document, names, found)
    return msgspec.json.Encoder(decimal_format="number").encode(kept) if found else body


def _without(value: Any, names: Collection[str], found: list[object]) -> Any:
    """Return a value of JSON without these names and pairs; what was left out is added to `found`."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        kept = {}
        for name, each in value.items():
            if name.strip().casefold() in names:
                found.append(name)
            else:
                kept[storable(name)] = _without(each, names, found)
        return kept
    if isinstance(value, list):
        left_out = [each for each in value if str(_key_of(each)).strip().casefold() in names]
        found += left_out
        return [_without(each, names, found) for each in value if each not in left_out]
    return value


def _number(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of 19 digits
        return text


def _key_of(pair: object) -> object:
    return pair.get("Key", pair.get("key")) if isinstance(pair, dict) else None


def _value_of(pair: object) -> object:
    return pair.get("Value", pair.get("value")) if isinstance(pair, dict) else None


def moment(value: object) -> datetime | None:
    """Return a time in UTC; None for what is none, .NET's years 1 and 9999 for "not yet" included."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.strip())
        # the fields are called ...Utc and may carry an offset all the same (docs/facts.md 7)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if MINYEAR < found.year < MAXYEAR else None


def job_id(body: bytes, headers: Mapping[str, str]) -> str | None:
    """Return the job id of a 202: `id`, `jobId`, that in `stateLocation` or Location (docs/facts.md 7.3), or a text's.

    Locations are not followed, so that no token leaves for a foreign host; of them only the id is taken.

    Examples:
        >>> job_id(b'{"stateLocation": "https://example.org/v1/background/7?x=1"}', {})
        '7'
    """
    try:
        document = _document(body)
    except ValueError:
        document = None
    named = _named(document) if isinstance(document, dict) else {}
    # of a text alone, only that: "Accepted" could be an id, too
    bare = document if isinstance(document, str) and _UUID.fullmatch(document.strip()) else None
    located = (named.get("statelocation"), headers.get("Location"))
    for candidate in (named.get("id"), named.get("jobid"), *map(_id_in, located), bare):
        plain = str(candidate).strip().strip("{}") if isinstance(candidate, str | int) else ""
        if not isinstance(candidate, bool) and is_job_id(plain):
            return plain
    return None


def is_job_id(value: str) -> bool:
    """Return whether a text may be the server's id of a job, hence a part of a path."""
    return _JOB_ID.fullmatch(value) is not None


def _id_in(location: object) -> str | None:
    if not isinstance(location, str):
        return None
    if found := _LOCATED.search(location):
        return found[1]
    return re.split(r"[?#]", location)[0].rstrip("/").rsplit("/", 1)[-1]


def action_failed(body: bytes) -> bool:
    """Return whether an action's result says that it failed (docs/facts.md 10.7)."""
    return read_answer({}, body).action_failed
