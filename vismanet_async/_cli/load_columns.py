"""`vismanet load`: which column of a file becomes which field of a record, and how its texts are read. No IO."""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

import attrs

from vismanet_async._api.registry import registry
from vismanet_async._cli.call import exact_json
from vismanet_async._deferred import mark_used
from vismanet_async.errors import RequestRefused, UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from vismanet_async._operation import Operation

__all__ = ["Column", "ColumnMap", "columns_of", "filled", "is_field", "mistakes_in", "read_map"]

_COMMA: Final = re.compile(r"-?\d[\d .\u00a0']*,\d+")
_INDEX: Final = re.compile(r"\[(\d+)\]|\.(\d+)(?=\.|$)")
_LINE: Final = re.compile(r"#0*(\d{1,6})")
_MOST_LINES: Final = 1000
_MISSING: Final[Any] = object()
_FLAGS: Final = {"true": True, "false": False}
_MAP_KEYS: Final[dict[str, tuple[type, str]]] = {
    "columns": (dict, "a table"),
    "values": (dict, "a table"),
    "ignore": (list, "a list"),
    "key": (str, "a text"),
    "ids": (list, "a list"),
}


@attrs.frozen(kw_only=True)
class ColumnMap:
    """What a map file says."""

    columns: Mapping[str, str] = attrs.field(factory=dict)
    """Fields by the names of columns."""
    values: Mapping[str, Any] = attrs.field(factory=dict)
    """Values that all rows have, by fields."""
    ignore: Sequence[str] = ()
    """Columns that are not sent."""
    key: str | None = None
    ids: Sequence[str] = ()


@attrs.frozen(kw_only=True)
class Column:
    """One column and the field that it fills."""

    name: str
    path: tuple[str | int, ...]
    """The field by the API's names, such as `("mainAddress", "country", "id")`; a number is a line of a list."""
    field: str
    """The same by the SDK's names: `main_address.country.id`."""
    kind: str
    """What the field takes, in the words of the registry: `str`, `Number`, a model, `list[...]`."""

    def read(self, value: Any) -> Any:
        """Return a value as the field takes it: texts of flags and objects are read, all else is left to the encoder.

        Raises:
            RequestRefused: it cannot be read.
        """
        if not isinstance(value, str):
            return value
        if self.kind == "bool":
            if (flag := _FLAGS.get(value.strip().casefold())) is None:
                raise RequestRefused(f'takes true or false, not "{value[:40]}"')
            return flag
        if self.kind in {"Number", "Decimal", "int"} and _COMMA.fullmatch(value.strip()):
            raise RequestRefused(f'takes a number, and "{value[:40]}" has a decimal comma: write it with a point')
        if self.kind in registry()["models"] or self.kind.startswith(("list[", "dict")):
            try:
                return exact_json(value.encode())
            except (ValueError, RecursionError, ArithmeticError) as error:
                raise RequestRefused(f"takes JSON ({self.kind}): {error}") from None
        return value.strip() if self.kind not in {"str", "dict[str, Any]"} else value


def read_map(path: Path | None) -> ColumnMap:
    """Return what a map file says; an empty map for None.

    Raises:
        RequestRefused: it cannot be read, or says something else.
    """
    if path is None:
        return ColumnMap()
    try:
        found = tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
    except OSError as error:
        raise RequestRefused(f"--map {path}: {error.strerror or error}; nothing was sent.") from None
    except ValueError as error:
        raise RequestRefused(f"--map {path} is not TOML: {error}; nothing was sent.") from None
    for name, value in found.items():
        if name not in _MAP_KEYS:
            raise RequestRefused(f"--map {path}: {name} is none of {', '.join(_MAP_KEYS)}; nothing was sent.")
        wanted, words = _MAP_KEYS[name]
        if not isinstance(value, wanted):
            raise RequestRefused(f"--map {path}: {name} takes {words}; nothing was sent.")
    return ColumnMap(**found)


def columns_of(
    names: Sequence[str],
    model: str | None,
    known: ColumnMap,
    *,
    aside: Sequence[str],
    rows: Mapping[str, int] | None = None,
) -> list[Column]:
    """Return the columns that fill fields, with the values of the map as columns without a name.

    Args:
        names: the columns of the file.
        model: the model of the body; None: the method takes none.
        known: the map.
        aside: columns that need not be fields: key, ids, look-ups. They are fields if the map says so, or, but for
            ids, if they have the name of one.
        rows: the first row that has a column, where not all have it; to be told.

    Raises:
        UnknownName: a column that is no field, with the nearest names.
        RequestRefused: two columns for one field, or the map names a column that is not there.
    """
    for name in (*known.columns, *known.ignore):
        if name not in names:
            raise RequestRefused(f"the map names the column {name!r}, which the file does not have; nothing was sent.")
    columns: list[Column] = []
    for name in names:
        if name in known.ignore or name.startswith("_") or not name:
            continue
        field = known.columns.get(name, name)
        found = _find(name, model, field)
        if found is not None:
            columns.append(found)
        elif name in known.columns or name not in aside:
            raise _no_field(name, field, model, None if rows is None else rows.get(name))
    for field in known.values:
        found = _find("", model, field)
        if found is None:
            raise _no_field("", field, model)
        columns.append(found)
    _refuse_overlaps(columns)
    return columns


def is_field(field: str, json: str, facts: Mapping[str, Any]) -> bool:
    """Return whether a column's field is the one with this JSON name in the body of a method."""
    found = _find("", facts.get("body"), field)
    return found is not None and found.path == (json,)


def _no_field(name: str, field: str, model: str | None, row: int | None = None) -> RequestRefused:
    column = f"the column {name!r}" if row is None else f"the column {name!r} (row {row:,})"
    if model is None:
        return RequestRefused(f"{column} has no use: this method has no body; nothing was sent. Ignore it.")
    names = dict.fromkeys(each for one in registry()["models"][model]["fields"] for each in one[:2])
    place = f"for {column} in {model}; a map can name another field or ignore it" if name else f"in {model}"
    return UnknownName("field", field, nearest=get_close_matches(field, names, n=3), where=place)


def _find(name: str, model: str | None, field: str) -> Column | None:
    """Return the column that fills a field, by the field's name with dots; None if there is no such field."""
    path: list[str | int] = []
    names: list[str | int] = []
    kind = model or ""
    for part in _INDEX.sub(r".#\1\2", field).split("."):
        if part.startswith("#"):
            line = _LINE.fullmatch(part)
            if line is None or not kind.startswith("list[") or int(line[1]) >= _MOST_LINES:
                return None
            path.append(int(line[1]))
            names.append(int(line[1]))
            kind = kind[5:-1]
            continue
        fields = registry()["models"].get(kind, {}).get("fields", ())
        found = next((one for one in fields if part in one[:2]), None)
        if found is None:
            return None
        path.append(found[1])
        names.append(found[0])
        kind = found[2]
    return Column(name=name, path=tuple(path), field=_shown(names), kind=kind)


def _refuse_overlaps(columns: Sequence[Column]) -> None:
    for index, column in enumerate(columns):
        for other in columns[:index]:
            short = min(len(column.path), len(other.path))
            if column.path[:short] == other.path[:short]:
                names = " and ".join(repr(each.name) if each.name else "a value of the map" for each in (other, column))
                raise RequestRefused(f"{names} fill the same field {column.field}; nothing was sent.")


def _shown(path: Sequence[str | int]) -> str:
    """Return a path as people write it."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def filled(
    columns: Sequence[Column],
    values: Mapping[str, Any],
    constants: Mapping[tuple[str | int, ...], Any],
    *,
    as_json: bool = False,
) -> Any:
    """Return the record that a row is. What is missing leaves its field out, at every depth.

    Args:
        columns: those of the file.
        values: the row.
        constants: values of the map.
        as_json: the row is JSON, where null and an empty text are values: null clears a field. In a table an empty
            cell is missing, since a table has no other way to leave one out.

    Raises:
        RequestRefused: a value that cannot be read, with its column.
    """
    record: dict[str, Any] = {}
    for column in columns:
        if not column.name:
            value = constants.get(column.path, _MISSING)
        else:
            value = values.get(column.name, _MISSING)
            value = value if as_json else _of_table(value)
        if value is _MISSING:
            continue
        try:
            read = column.read(value)
        except RequestRefused as error:
            raise RequestRefused(f"column {column.name or column.field}: {error}") from None
        _put(record, column.path, read)
    return _dense(record)


def _of_table(value: Any) -> Any:
    """Return a value without its empty cells; `_MISSING` if nothing is left."""
    if value is None or value == "":
        return _MISSING
    if isinstance(value, list):  # a line that is empty is a line all the same
        return [_of_members(each) if isinstance(each, dict) else each for each in value]
    return (_of_members(value) or _MISSING) if isinstance(value, dict) else value


def _of_members(value: dict[str, Any]) -> dict[str, Any]:
    kept = {name: _of_table(each) for name, each in value.items()}
    return {name: each for name, each in kept.items() if each is not _MISSING}


def _put(record: dict[Any, Any], path: Sequence[str | int], value: Any) -> None:
    for part in path[:-1]:
        record = record.setdefault(part, {})
    record[path[-1]] = value


def _dense(value: Any) -> Any:
    """Return a record with lists where lines were numbered; numbers without any value are left out."""
    if not isinstance(value, dict):
        return value
    if value and all(isinstance(name, int) for name in value):
        return [_dense(value[number]) for number in sorted(value)]
    return {name: _dense(each) for name, each in value.items()}


def mistakes_in(
    columns: Sequence[Column],
    values: Mapping[str, Any],
    build: Callable[[Sequence[Column]], Operation[Any]],
) -> list[str]:
    """Return every mistake of a row that was refused, each with its column: what is refused alone is a mistake.

    Args:
        columns: those of the file.
        values: the row.
        build: makes the operation of some columns, or raises `RequestRefused`.
    """
    parts: dict[str | int, list[Column]] = {}
    for column in columns:
        parts.setdefault(column.path[0], []).append(column)
    found = []
    for several in parts.values():
        try:
            mark_used(build(several))
        except RequestRefused as error:
            text = str(error).replace("; nothing was sent.", ".")
            names = ", ".join(each.name or each.field for each in several if not each.name or each.name in values)
            found.append(text if text.startswith("column ") else f"column {names}: {text}")
    return found
