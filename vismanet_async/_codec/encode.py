"""Encodes models and mappings as JSON for the API, and checks them against the schema."""

from __future__ import annotations

import inspect
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from vismanet_async._arguments import not_among
from vismanet_async._codec.fields import EXTRA, fields_of
from vismanet_async._codec.model import LineUpdate, Model, Record, WriteModel
from vismanet_async._codec.parts import written_fields
from vismanet_async._codec.place import ROOT, Place
from vismanet_async._codec.values import UNSET, Other
from vismanet_async._decimals import MOST_DIGITS, fits_whole, number_in, plain, whole_number_in
from vismanet_async.errors import DoubtfulWrite, RequestRefused, UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vismanet_async._codec.fields import Field

__all__ = ["encode_plain", "encode_write", "to_json"]

_ENCODER: Final = msgspec.json.Encoder()
_PLAIN_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_MAPPINGS: Final = (dict, Mapping)
"""What an abstract class is asked for is asked in Python: nearly all mappings are known before."""
_names_of: dict[type[Model], Mapping[str, Field]] = {}
_needed_of: dict[type[Model], tuple[Field, ...]] = {}
_MOMENT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)([T ]\d\d:\d\d(:\d\d(\.\d{1,7})?)?)?(?P<zone>[Zz]|[+-]\d\d:?\d\d)?", re.ASCII
)


def encode_write(value: WriteModel | Mapping[str, Any], cls: type[WriteModel], *, creating: bool = False) -> bytes:
    """Return the JSON body of a write, with `{"value": x}` exactly where the API expects it.

    Args:
        value: the model, or a mapping. A mapping may use snake case or the API's names, and bare or already wrapped
            values; `None` clears a field, an absent one stays unchanged. What the catalog lacks goes into `extra`, in
            the mapping as in the model, by the API's names and wrapped as it is to be sent.
        cls: the model that the operation takes.
        creating: whether a new document is created: then its lines may have numbers, since there are no old lines.

    Warns:
        DoubtfulWrite: a form that Visma documents and that may not do what it seems to; it is sent as given.

    Raises:
        UnknownName: a field that the catalog does not know, by its path, with the nearest names. Nothing was sent.
        RequestRefused: a value that the API would misread, by its path. Nothing was sent.
    """
    try:
        return _ENCODER.encode(_object(value, cls, ROOT, creating=creating))
    except RecursionError:
        raise _refused("the body", "is nested too deeply, or holds itself") from None


def encode_plain(value: Any) -> bytes:
    """Return the JSON body of a write that is not in the catalog.

    Args:
        value: Python values; Decimals become numbers with all their digits.

    Raises:
        RequestRefused: a value that JSON cannot represent or that is not a number, by its path. Nothing was sent.
    """
    try:
        _check_plain(value, "json")
    except RecursionError:
        raise _refused("json", "is nested too deeply, or holds itself") from None
    try:
        return _PLAIN_ENCODER.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise _refused("json", f"cannot be written: {error}") from None


def _check_plain(value: Any, path: str) -> None:
    """Raise for values that the encoder would change or could not encode."""
    if isinstance(value, str):
        _whole_characters(value, path)
    elif isinstance(value, Decimal) or (isinstance(value, int) and not isinstance(value, bool)):
        if plain(value) is None:
            raise _refused(path, f"takes a number of at most {MOST_DIGITS} digits before and behind the decimal point")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _refused(path, f"takes a number, not {value}")
    elif isinstance(value, Mapping):
        for key, each in value.items():
            _check_plain(key, f"a key of {path}")
            _check_plain(each, f"{path}[{key!a}]")
    elif isinstance(value, list | tuple | set | frozenset):
        for index, each in enumerate(value):
            _check_plain(each, f"{path}[{index}]")


def to_json(record: Model) -> bytes:
    """Return the JSON of a record: the server's bytes if it was decoded, else its fields.

    The server's bytes have what the fields lack: keys that are not in the catalog, the seventh digit of a fraction of
    a second, the notation of a number.
    """
    raw = record.raw_json if isinstance(record, Record) else b""
    return raw or _ENCODER.encode(_plain(record))


def _object(value: Any, cls: type[Model], path: Place, *, creating: bool) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for field, each in _given(value, cls, path):
        if field.is_text and type(each) is str and each.isascii():  # as most are: nothing of it could be refused
            given[field.json] = {"value": each} if field.wrapped else each
        else:
            given[field.json] = _field(field, each, path.field(field), creating=creating)
    for field in _needed(cls):
        if given.get(field.json) is None:
            raise _refused(path.field(field), "is missing: the API refuses the body without it")
    extra = _extra_of(value, cls)
    return given if extra == {} else given | _extra(extra, cls, path, creating=creating)


def _extra_of(value: Any, cls: type[Model]) -> Any:
    if isinstance(value, _MAPPINGS):
        return {} if _names(cls).get(EXTRA) else value.get(EXTRA, {})
    return getattr(value, EXTRA, {}) if isinstance(value, WriteModel) else {}


def _extra(extra: Any, cls: type[Model], path: Place, *, creating: bool) -> dict[str, Any]:
    """Return the fields that the catalog lacks, as given; a name that the model has is refused.

    So is the same name in another case: a server that reads names in any case would set one field twice.
    """
    place = path.named(EXTRA)
    if not isinstance(extra, Mapping):
        raise _refused(place, f"takes a mapping, not {type(extra).__name__}")
    known = {name.casefold(): field.name for name, field in _names(cls).items()}
    for name in extra:
        if not isinstance(name, str) or not name:
            raise _refused(place, f"takes the API's names of fields, not {name!r}")
        _whole_characters(name, f"the key {name!a} of {place}")
        if field := known.get(name.casefold()):
            raise _refused(place, f"names {name}, which {cls.__name__} has: give it as {field}, so that it is checked")
    return {name: _loose(each, place.item(repr(name)), creating=creating) for name, each in extra.items()}


def _names(cls: type[Model]) -> Mapping[str, Field]:
    known = _names_of.get(cls)
    if known is None:
        fields = fields_of(cls)
        known = {field.json: field for field in fields} | {field.name: field for field in fields}
        _names_of[cls] = known
    return known


def _needed(cls: type[Model]) -> tuple[Field, ...]:
    known = _needed_of.get(cls)
    if known is None:
        known = _needed_of[cls] = tuple(field for field in fields_of(cls) if field.needed)
    return known


def _given(value: Any, cls: type[Model], path: Place) -> Iterator[tuple[Field, Any]]:
    if isinstance(value, cls):
        fields = fields_of(cls)
        for field in fields:
            each = getattr(value, field.name)
            if each is not UNSET:
                yield field, each
        return
    if not isinstance(value, _MAPPINGS):
        yield from _read_part(value, cls, path).items()
        return
    by_name = _names(cls)
    seen: set[str] = set()
    for key, each in value.items():
        named = by_name.get(key)
        if named is None and key == EXTRA:
            continue
        if named is None:
            from difflib import get_close_matches  # noqa: PLC0415 - only for a wrong name

            nearest = get_close_matches(str(key), by_name, n=3)
            newer = f"A field that is newer than the catalog goes into extra: extra={{{key!r}: ...}}."
            raise UnknownName(
                "field", path.named(str(key)).python, nearest=nearest, where=f"in {cls.__name__}", hint=newer
            )
        if named.name in seen:
            raise _refused(path.named(str(key)), "is given twice, under both of its names")
        seen.add(named.name)
        if each is not UNSET:
            yield named, each


def _read_part(value: Any, cls: type[Model], path: Place) -> dict[Field, Any]:
    hint = ""
    if isinstance(value, Model) and not isinstance(value, WriteModel):
        fields = written_fields(value, cls) if path is not ROOT else ""
        if not isinstance(fields, str):
            return fields
        hint = f". Write only what is to change, as {cls.__name__}(...)"
        if fields:
            hint = f", whose {fields} has no place there{hint}"
    raise _refused(str(path) or cls.__name__, f"takes {cls.__name__} or a mapping, not {type(value).__name__}{hint}")


def _field(field: Field, value: Any, path: Place, *, creating: bool) -> Any:
    if not isinstance(value, str):
        value = _unwrapped(field, value)
    if field.read_form is not None and _is_in(field.read_form, field, value):
        _doubt(
            path,
            f"is given as answers have it ({field.read_form.__name__}), as in Visma's sample. Whether the API takes it "
            f"is not documented: use {field.model.__name__ if field.model else 'the write model'}, or read it back",
        )
        return _object(value, field.read_form, path, creating=creating)
    if value is not None:
        value = (
            _many(field, value, path, creating=creating) if field.many else _one(field, value, path, creating=creating)
        )
    return {"value": value} if field.wrapped else value


def _is_in(read_form: type[Model], field: Field, value: Any) -> bool:
    """Return whether a mapping has the names of the read form, and some that the write model does not have."""
    if not isinstance(value, Mapping):
        return False
    known = _names(field.model) if field.model is not None else {}
    return not value.keys() <= known.keys() and value.keys() <= _names(read_form).keys()


def _unwrapped(field: Field, value: Any) -> Any:
    if not isinstance(value, _MAPPINGS) or value.keys() != {"value"} or field.kind == "dict":
        return value
    if field.model is not None and any(inner.json == "value" for inner in fields_of(field.model)):
        return value
    return value["value"]


def _many(field: Field, value: Any, path: Place, *, creating: bool) -> list[Any]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise _refused(path, f"takes a list, not {type(value).__name__}")
    parts = []
    for index, each in enumerate(value):
        place = path.item(index)
        part = _one(field, each, place, creating=creating)
        if field.model is not None and issubclass(field.model, LineUpdate):
            _check_line(part, field.model, place, creating=creating)
        parts.append(part)
    return parts


def _one(field: Field, value: Any, path: Place, *, creating: bool) -> Any:
    if field.model is not None:
        return _object(value, field.model, path, creating=creating)
    if field.point_in_time:
        return _instant(value, path)
    if field.open_enum is not None:
        return _choice(field, value, path)
    return _SCALARS[field.kind](value, path)


def _check_line(line: dict[str, Any], cls: type[LineUpdate], path: Place, *, creating: bool) -> None:
    """Raise for lines that the API would treat differently than expected (docs/facts.md 10)."""
    operation = line.get("operation")
    if operation is None:
        raise _refused(
            path, f"does not say what to do with it: use {cls.__name__}.insert(...), .update(...) or .delete(...)"
        )
    if cls.line_key is None:
        return
    key = next(field.json for field in fields_of(cls) if field.name == cls.line_key)
    number = line.get(key)
    number = number.get("value") if isinstance(number, dict) else number
    if operation == "Insert" and number is not None and not creating:
        _doubt(
            path,
            f"says Insert and names line {number}: the API adds a line. Use {cls.__name__}.update({number}, ...) "
            f"to change it, or leave {cls.line_key} out to add one",
        )
    if operation != "Insert" and number is None:
        raise _refused(path, f"says {operation} and does not say which line: give {cls.line_key}")


def _text(value: Any, path: Place | str) -> str:
    if isinstance(value, str):
        return _whole_characters(str(value), path)
    if isinstance(value, UUID):
        return str(value)
    hint = " (ids are text: leading zeros count)" if isinstance(value, int) else ""
    raise _refused(path, f"takes text, not {type(value).__name__}{hint}")


def _choice(field: Field, value: Any, path: Place) -> str:
    text = _text(value, path)
    if isinstance(value, Other) or text in field.choices:
        return text
    raise _refused(path, not_among(text, field.choices))


def _integer(value: Any, path: Place) -> int:
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = int(value)
    elif isinstance(value, str):
        number = whole_number_in(value)
    elif isinstance(value, Decimal) and plain(value) is not None and value == value.to_integral_value():
        number = int(value)
    if number is None:
        raise _refused(path, f"takes a whole number, not {_shown(value)}")
    if not fits_whole(number):
        raise _refused(path, f"is a whole number of more than {MOST_DIGITS} digits")
    return number


def _decimal(value: Any, path: Place) -> msgspec.Raw:
    if isinstance(value, float):
        raise _refused(path, "takes a Decimal, an int or text; a float has already lost the exact amount")
    number: Decimal | int | None = None
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str):
        number = number_in(value)
    if number is None or (isinstance(number, Decimal) and not number.is_finite()):
        raise _refused(path, f"takes a number, not {_shown(value)}")
    digits = plain(number)
    if digits is None:
        raise _refused(path, f"is a number of more than {MOST_DIGITS} digits before or behind the decimal point")
    return msgspec.Raw(digits.encode())


def _boolean(value: Any, path: Place) -> bool:
    if isinstance(value, bool):
        return value
    raise _refused(path, f"takes True or False, not {_shown(value)}")


def _moment(value: Any, path: Place) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            raise _zone_refused(path, value.isoformat(), value.date().isoformat())
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        match = _MOMENT.fullmatch(value)
        if match is not None and match["zone"] in {"Z", "z"} and match[2] and _exists(value):
            _doubt(
                path,
                f"has a time zone ({value}), as in Visma's samples: a zone has moved business dates to another day. "
                f'Send "{match[1]}"',
            )
            return value
        if match is not None and match["zone"]:
            raise _zone_refused(path, value, match[1])
        if match is not None and _exists(value):
            return value
    raise _refused(
        path, f"takes a date, a datetime without a zone, or text such as 2025-11-21T00:00:00, not {_shown(value)}"
    )


def _instant(value: Any, path: Place) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    match = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if match is not None and match["zone"] and _exists(value):
        return str(value)
    return _moment(value, path)


def _exists(text: str) -> bool:
    try:
        date.fromisoformat(text[:10])
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return True


def _zone_refused(path: Place, text: str, day: str) -> RequestRefused:
    return _refused(
        path,
        f"has a time zone ({text}): the API's business dates have none, and with one the document could land on "
        f'another day. Send "{day}" or a datetime without a zone',
    )


def _mapping(value: Any, path: Place, *, creating: bool = False) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _refused(path, f"takes a mapping, not {type(value).__name__}")
    return {
        _text(key, f"the key {key!a} of {path}"): _loose(each, path.item(ascii(key)), creating=creating)
        for key, each in value.items()
    }


def _loose(value: Any, path: Place, *, creating: bool = False) -> Any:
    """Return a value that the schema does not describe, after a check; a model in it is written by its own rules."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, WriteModel):
        return _object(value, type(value), path, creating=creating)
    if isinstance(value, Mapping):
        return _mapping(value, path, creating=creating)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_loose(each, path.item(index), creating=creating) for index, each in enumerate(value)]
    read = next((check for kind, check in _LOOSE if isinstance(value, kind)), _text)
    return read(value, path)


def _whole_characters(text: str, path: Place | str) -> str:
    """Return the text; raise for halves of surrogate pairs, which UTF-8 cannot represent."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise _refused(path, f"holds half a surrogate pair at character {error.start}, which is no text") from None
    return text


_LOOSE: Final[tuple[tuple[Any, Any], ...]] = (
    (int, _integer),
    (Decimal | float, _decimal),
    (date, _moment),
)
_SCALARS: Final = {
    "str": _text,
    "int": _integer,
    "Decimal": _decimal,
    "bool": _boolean,
    "datetime": _moment,
    "dict": _mapping,
}


def _doubt(path: Place, why: str) -> None:
    """Warn of what is sent although it may not do what it seems to, at the line that called this package."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "vismanet_async":
        frame, level = frame.f_back, level + 1
    warnings.warn(f"{path} {why}. It is sent as given.", DoubtfulWrite, stacklevel=level)


def _refused(path: Place | str, why: str) -> RequestRefused:
    return RequestRefused(f"{path} {why}; nothing was sent.")


def _shown(value: Any) -> str:
    return f'"{value[:40]}"' if isinstance(value, str) else type(value).__name__


def _plain(value: Any) -> Any:
    if isinstance(value, Model):
        fields = {
            field.json: _plain(each)
            for field in fields_of(type(value))
            if (each := getattr(value, field.name)) is not UNSET
        }
        return fields | _plain(value.extra) if isinstance(value, WriteModel) else fields
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        return msgspec.Raw(str(value).encode()) if value.is_finite() else None
    return value.isoformat() if isinstance(value, datetime) else value
