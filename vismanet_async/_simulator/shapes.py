"""Makes what many rows share: one *variant* of a shape, filled from its DTO in the catalog.

A table has a few dozen variants. What differs from row to row (numbers, names, times, references) stands in a
variant as a *slot*, a marked string that `base_rows.py` replaces by the row's own value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import frozen

from vismanet_async._simulator import sample_names, samples
from vismanet_async._simulator.references import referenced_table
from vismanet_async._simulator.seeding import seeded
from vismanet_async._simulator.shared_variants import SharedVariants, Variant
from vismanet_async._simulator.tables import TableSpec
from vismanet_async._simulator.totals import add_up

if TYPE_CHECKING:
    from random import Random

    from vismanet_async._simulator.catalog import Catalog

__all__ = ["DATE_FIELDS", "DUE_FIELDS", "PERIOD_FIELDS", "References", "Shaper", "is_slot", "slot", "slot_name"]

Facts = Mapping[str, Any]
_MAX_DEPTH = 4
_MARK = "\x01"

DATE_FIELDS = frozenset({
    "documentDate", "origInvoiceDate", "cashDiscountDate", "tranDate", "transactionDate", "shipmentDate",
    "receiptDate", "applicationDate", "docDate", "date", "orderDate", "freezeDate", "effectiveDate",
})  # fmt: skip
DUE_FIELDS = frozenset({"documentDueDate", "dueDate", "deliveryDate", "payDate", "requestOn", "promisedOn"})
PERIOD_FIELDS = frozenset({"financialPeriod", "finPeriod", "applicationPeriod"})

_SLOTS: dict[str, str] = {
    "lastModifiedDateTime": "modified",
    "lastModified": "modified",
    "lastUpdateDate": "modified",
    "createdDateTime": "created",
    "timeStamp": "version",
    "timestamp": "version",
    "postPeriod": "postperiod",
    **dict.fromkeys(DATE_FIELDS, "date"),
    **dict.fromkeys(DUE_FIELDS, "due"),
    **dict.fromkeys(PERIOD_FIELDS, "period"),
}
_PARTY_SLOTS = {
    "internalId": "internal",
    "inventoryId": "internal",
    "number": "key",
    "id": "key",
    "inventoryNumber": "key",
    "name": "name",
    "description": "name",
}
_LINE_NUMBERS = ("lineNumber", "lineNbr", "segmentId", "sortOrder", "lineNo")
_MANY = re.compile(r"(?i)lines$|^lines|details$|transaction$|periods$|segments$")
_KEY_NAMES = re.compile(r"(?i)^(id|number|nbr|code|cd|refNbr|.*(number|ID|Cd|Nbr))$")
_NAME_NAMES = frozenset({"name", "description", "displayName", "employeeName"})
_USUAL_STATUSES = ("Open", "Closed", "Balanced", "Released", "Active", "Hold", "Completed", "Posted")
_USUAL_SHARE = 0.95
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_SHARED: Final = SharedVariants(2048)  # some 20 MB of them


class References(Protocol):
    """The rows of other tables that a row may refer to."""

    def rows_of(self, table: str) -> int:
        """Return from how many rows of a table one is chosen; 1 or more."""
        ...

    def identity(self, table: str, row: int) -> tuple[str, str, int]:
        """Return key, name and internal id of a row, as it was before anybody changed it."""
        ...


def slot(name: str) -> str:
    """Return the mark that stands for a value of the row's own."""
    return f"{_MARK}{name}{_MARK}"


def is_slot(value: object) -> bool:
    """Return whether the value is such a mark."""
    return isinstance(value, str) and value.startswith(_MARK)


def slot_name(value: str) -> str:
    """Return the name inside the mark."""
    return value.strip(_MARK)


@frozen
class _Context:
    """What all values of one variant have in common."""

    random: Random
    country: sample_names.Country
    spec: TableSpec
    shows_other: bool
    """Whether the shape is another one than the table's own (a balance of a customer)."""


class Shaper:
    """Fills DTOs of the catalog with values that could be a Nordic company's."""

    def __init__(self, catalog: Catalog, seed: int, references: References, *, nested_metadata: bool) -> None:
        self._catalog = catalog
        self._seed = seed
        self._references = references
        self._nested_metadata = nested_metadata
        self.attachments: dict[str, str] = {}
        """Name of the file by id, for the attachments that generated rows carry."""
        self._referred: dict[str, int] = {}  # by the variant that is being made

    def variant(self, spec: TableSpec, dto: str, number: int, country: sample_names.Country) -> dict[str, Any]:
        """Return one variant of the DTO as it shows rows of the table, with slots, without metadata."""
        name = (self._seed, self._nested_metadata, spec.name, dto, number)
        found = _SHARED.find(name, self._references.rows_of)
        if found is None:
            outer = self.attachments, self._referred  # another shape of the row is made with its own
            self.attachments, self._referred = {}, {}
            found = Variant(self._made(spec, dto, number, country), self._referred, self.attachments)
            self.attachments, self._referred = outer
            _SHARED.keep(name, found)
        self.attachments.update(found.attachments)
        self._referred.update(found.referred)
        return found.row

    def _made(self, spec: TableSpec, dto: str, number: int, country: sample_names.Country) -> dict[str, Any]:
        random = seeded(self._seed, spec.name, dto, number)
        context = _Context(random, country, spec, dto != spec.dto)
        row = {
            name: value
            for name, facts in self._catalog.schemas[dto].items()
            if name not in {"metadata", "errorInfo"}
            and (value := self._top(name, facts, context)) is not samples.LEFT_OUT
        }
        if "hold" in row and isinstance(row.get("status"), str):
            row["hold"] = row["status"] == "Hold"
        add_up(row)
        return self._agreeing(row, self.variant(spec, spec.dto, number, country), spec, dto) if dto != spec.dto else row

    def _agreeing(self, row: dict[str, Any], own: dict[str, Any], spec: TableSpec, dto: str) -> dict[str, Any]:
        """Return what another shape shows of a row, with what both shapes have as the table's own shape says it.

        Filters look at the table's own shape.
        """
        shown, whole = self._catalog.schemas[dto], self._catalog.schemas[spec.dto]
        shared = {name for name in shown if name in whole and self._form(shown[name]) == self._form(whole[name])}
        agreeing = {name: own.get(name, value) if name in shared else value for name, value in row.items()}
        return {name: value for name, value in agreeing.items() if name not in shared or name in own}

    def _form(self, facts: Facts) -> object:
        below = facts.get("ref") or facts.get("items")
        return facts["type"], facts.get("enum"), frozenset(self._catalog.schemas.get(below or "", ()))

    def single(self, dto: str, key: str, overrides: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return a record of a shape that no table holds (a balance, a note), the same for the same key.

        `overrides` are values of the path by name; they show where the shape has such a field.
        """
        random = seeded(self._seed, dto, key)
        spec = TableSpec(name=dto, dto=dto, key=("id",))
        row = self._object(dto, _Context(random, sample_names.COUNTRIES[0], spec, shows_other=False), 1)
        add_up(row)
        shape = self._catalog.schemas[dto]
        for name, text in (overrides or {}).items():
            if shape.get(name, {}).get("type") == "string":
                row[name] = text
            elif name in shape and _WHOLE.fullmatch(text):
                row[name] = int(text)
        return row

    # -- the fields of the row itself ---------------------------------------------------------------------

    def _top(self, name: str, facts: Facts, context: _Context) -> object:
        """Return the value of a field of the row itself: a slot where rows differ."""
        spec = context.spec
        if name in spec.constants:
            return spec.constants[name]
        if facts["type"] == "object":
            reference = self._own_reference(name, facts, context)
            return reference if reference is not None else self._value(name, facts, context, 1)
        found = self._own_slot(name, facts, spec)
        if found is not None:
            return slot(found)
        if name == "status" and spec.status and facts.get("enum"):
            return self._status(facts, spec, context.random)
        return self._value(name, facts, context, 1)

    @staticmethod
    def _own_slot(name: str, facts: Facts, spec: TableSpec) -> str | None:
        """Return the slot of a field that says who the row is, when it was made, or when it changed."""
        if name in spec.key:
            return _key_slot(name, facts, spec)
        if name in {spec.internal, spec.title}:
            return "internal" if name == spec.internal else "name"
        if facts["type"] != "string" or facts.get("format") == "uuid":
            return f"uuid.{name}" if facts["type"] == "string" else None
        if name in {"corporateId", "vatRegistrationId"}:
            return name if spec.names == "company" else None
        return _SLOTS.get(name)

    def _own_reference(self, name: str, facts: Facts, context: _Context) -> dict[str, Any] | None:
        """Return a reference that differs from row to row: to the parent, to a partner, to the row itself."""
        spec = context.spec
        for path in spec.key:
            if path.startswith(f"{name}."):
                return self._party(facts["ref"], "" if path == spec.key[-1] else "parent.")
        if context.shows_other and name == spec.name and name in {"customer", "supplier", "inventory"}:
            return self._party(facts["ref"], "")
        if name in {"customer", "supplier"} and not spec.fixed and spec.name != name:
            return self._party(facts["ref"], f"{name}.")
        return None

    def _party(self, dto: str, prefix: str) -> dict[str, Any]:
        return {
            name: slot(f"{prefix}{_PARTY_SLOTS[name]}")
            for name, facts in self._catalog.schemas[dto].items()
            if name in _PARTY_SLOTS and not (name == "id" and facts["type"] == "integer")
        }

    def _status(self, facts: Facts, spec: TableSpec, random: Random) -> str:
        values = self._catalog.enums[facts["enum"]]
        usual = [value for value in _USUAL_STATUSES if value in values]
        if spec.status in values:
            usual += [str(spec.status)] * 3
        return random.choice(usual if usual and random.random() < _USUAL_SHARE else values)

    # -- everything below it ------------------------------------------------------------------------------

    def _object(self, dto: str, context: _Context, depth: int) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for name, facts in self._catalog.schemas.get(dto, {}).items():
            if name == "metadata" and self._nested_metadata:
                row[name] = {"totalCount": context.random.randrange(1, 60), "maxPageSize": 1000}
            if name in {"metadata", "errorInfo"}:
                continue
            value = self._value(name, facts, context, depth + 1)
            if value is not samples.LEFT_OUT:
                row[name] = value
        if dto == "AttachmentDto":
            row.update(name=f"vedlegg-{context.random.randrange(10**5):05d}.pdf", revision=1)
            self.attachments[row["id"]] = row["name"]
        if "postalCode" in row and "city" in row:
            row["postalCode"], row["city"] = context.random.choice(context.country.places)
        return row

    def _value(self, name: str, facts: Facts, context: _Context, depth: int) -> object:
        kind, random = facts["type"], context.random
        if kind == "object":
            return self._nested(name, facts, context, depth)
        if kind == "array":
            return self._array(name, facts, context, depth)
        if kind == "boolean":
            return name in {"active", "isActive"} or random.randrange(10) < 3
        if kind == "integer":
            return samples.integer(name, random)
        return samples.number(name, random) if kind == "number" else self._text(name, facts, context)

    def _text(self, name: str, facts: Facts, context: _Context) -> object:
        if facts.get("enum"):
            return context.random.choice(self._catalog.enums[facts["enum"]])
        table = None if name == "currencyId" else referenced_table(name)
        if table is not None:
            return self._reference(table, context)[0]
        return samples.text(name, facts, context.random, context.country)

    def _nested(self, name: str, facts: Facts, context: _Context, depth: int) -> object:
        dto = facts.get("ref")
        if dto not in self._catalog.schemas or depth > _MAX_DEPTH:
            return samples.LEFT_OUT
        if name == "country":
            return self._named(dto, (context.country.id, context.country.name, 1), context, depth)
        if name.lower().endswith("location"):
            return self._named(dto, ("Main", "Hovedadresse", 1), context, depth)
        table = referenced_table(name)
        if table is not None:
            return self._named(dto, self._reference(table, context), context, depth)
        return self._object(dto, context, depth)

    def _reference(self, table: str, context: _Context) -> tuple[str, str, int]:
        rows = self._referred[table] = self._references.rows_of(table)
        return self._references.identity(table, context.random.randrange(rows))

    def _named(self, dto: str, reference: tuple[str, str, int], context: _Context, depth: int) -> dict[str, Any]:
        """An object that names a row of another table: key and name right, the rest filled."""
        key, title, internal = reference
        row = self._object(dto, context, depth)
        for name, facts in self._catalog.schemas[dto].items():
            if facts["type"] == "integer" and name.lower().endswith("id"):
                row[name] = internal
            elif facts["type"] == "string" and name in _NAME_NAMES:
                row[name] = title
            elif facts["type"] == "string" and _KEY_NAMES.match(name) and not facts.get("enum") and name != "countryId":
                row[name] = key
        return row

    def _array(self, name: str, facts: Facts, context: _Context, depth: int) -> list[Any]:
        dto = facts.get("items")
        if dto not in self._catalog.schemas or depth >= _MAX_DEPTH:
            return []
        count = context.random.randint(1, 3) if _MANY.search(name) else context.random.randint(0, 2)
        rows = [self._object(dto, context, depth) for _ in range(count)]
        for number, row in enumerate(rows, 1):
            row.update({field: number for field in _LINE_NUMBERS if isinstance(row.get(field), int)})
        return rows


def _key_slot(name: str, facts: Facts, spec: TableSpec) -> str:
    """Return the slot of a part of the key."""
    if name != spec.key[-1]:
        return "type" if spec.types else "parent.number"
    return "key.integer" if facts["type"] == "integer" else "key"
