"""Reads the bodies of the Sales Order service by its catalog, and tells what is wrong with them as the service does.

The first half checks: each fault is a detail with a code of the service (facts 11.9). The second half turns what is
sent into the form that is read: `shipViaId: "DHL"` is read as `shipVia: {"id": "DHL"}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from vismanet_async._simulator.bodies import parse_object
from vismanet_async._simulator.messages import Reply, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vismanet_async._simulator.catalog import Catalog

__all__ = ["Detail", "OrderRefusal", "merged", "read_body", "read_form", "refusal", "utc_text"]

Detail = tuple[str, str, str]
"""Code, property, message."""

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, Decimal),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
# what is sent as an id of one name and read as an object of another
_READ_AS = {"stateId": "county"}


class OrderRefusal(Exception):
    """A body is refused whole; carries what is wrong with it."""

    def __init__(self, *details: Detail) -> None:
        super().__init__(details)
        self.details = details


def refusal(*details: Detail) -> Reply:
    """Answer 400 with these details."""
    return problem(400, "One or more validation errors occurred.", details=[
        {"code": code, "message": message, "parameters": {"property": where}} for code, where, message in details
    ])  # fmt: skip


def read_body(catalog: Catalog, schema: str, body: bytes) -> dict[str, Any]:
    """Return a body that has the shape of a schema; members that it does not know are ignored.

    Raises:
        BodyError: it is no JSON object.
        OrderRefusal: something in it is wrong; with all that is.
    """
    sent = parse_object(body)
    faults = list(_faults(catalog, catalog.schemas[schema], sent, ""))
    if faults:
        raise OrderRefusal(*faults)
    return sent


def _faults(
    catalog: Catalog, fields: Mapping[str, Mapping[str, Any]], sent: Mapping[str, Any], path: str
) -> Iterator[Detail]:
    for name, facts in fields.items():
        where, value = f"{path}{name}", sent.get(name)
        if value is None:
            if facts.get("required") or (name in sent and facts.get("nullable") is False):
                yield "0001-NullNotAllowed", where, f"{where} must not be null."
            continue
        fault = _fault(catalog, facts, value)
        if fault is not None:
            yield fault[0], where, f"{where} {fault[1]}"
            continue
        inner = facts.get("ref") or facts.get("items")
        for index, one in enumerate(value if isinstance(value, list) else [value]):
            if inner:
                place = f"{where}[{index}]." if isinstance(value, list) else f"{where}."
                if isinstance(one, dict):
                    yield from _faults(catalog, catalog.schemas[inner], one, place)
                else:
                    yield "0003-InvalidValue", where, f"{where} must hold objects."


def _fault(catalog: Catalog, facts: Mapping[str, Any], value: Any) -> tuple[str, str] | None:
    kind = facts["type"]
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return "0003-InvalidValue", f"must be of type {kind}."
    if facts.get("format") == "date-time" and utc_text(value) is None:
        return "0003-InvalidValue", "must be a moment."
    return _out_of_bounds(catalog, facts, value)


def _out_of_bounds(catalog: Catalog, facts: Mapping[str, Any], value: Any) -> tuple[str, str] | None:
    kind = facts["type"]
    if facts.get("required") and value == "":
        return "0001-EmptyNotAllowed", "must not be empty."
    if "maxLength" in facts and len(value) > facts["maxLength"]:
        return "0002-InvalidLength", f"must have {facts['maxLength']} characters at most."
    if "enum" in facts and value.casefold() not in {one.casefold() for one in catalog.enums[facts["enum"]]}:
        return "0003-InvalidValue", f"must be one of {', '.join(catalog.enums[facts['enum']])}."
    if kind in {"integer", "number"} and not facts.get("minimum", value) <= value <= facts.get("maximum", value):
        return "0100-OutsideValidRange", f"must be from {facts['minimum']} to {facts['maximum']}."
    return None


def utc_text(text: object) -> str | None:
    """Return a moment as the service shows it, in UTC: that is what it has without an offset (facts 5.14)."""
    try:
        parsed = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    try:
        aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return None


def read_form(catalog: Catalog, sent: Mapping[str, Any], schema: str, shown_schema: str) -> dict[str, Any]:
    """Return what was sent in the form in which it is read; what has no place there is left out."""
    fields, shown = catalog.schemas[schema], catalog.schemas[shown_schema]
    made: dict[str, Any] = {}
    for name, value in sent.items():
        facts, target = fields.get(name), shown.get(name)
        if facts is None:
            continue
        part = _READ_AS.get(name, name.removesuffix("Id"))
        if target is None:
            if name.endswith("Id") and shown.get(part, {}).get("ref"):
                made[part] = None if value is None else {"id": value}
        elif facts.get("ref") and target.get("ref") and value is not None:
            made[name] = read_form(catalog, value, facts["ref"], target["ref"])
        else:
            made[name] = utc_text(value) if value is not None and facts.get("format") == "date-time" else value
    return made


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with what another one says instead, part by part."""
    made = dict(one)
    for name, value in other.items():
        before = made.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        made[name] = merged(before, value) if both else value  # type: ignore[arg-type]  # both are mappings
    return made
