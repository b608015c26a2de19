"""Makes the parts of a row that many rows share: one *variant* of a shape, filled from its DTO in the catalog.

A table has a few dozen variants. What differs from row to row (numbers, names, times, references) stands in a
variant as a *slot*, a marked string that `rows.py` replaces by the row's own value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from typing import Any

from attrs import frozen

from vismanet_async.simulator import nordic
from vismanet_async.simulator.catalog import Catalog
from vismanet_async.simulator.tables import TableSpec

__all__ = [
    "DATE_FIELDS",
    "DUE_FIELDS",
    "Refs",
    "Shaper",
    "add_up",
    "is_slot",
    "referenced_table",
    "slot",
    "slot_name",
]

_MAX_DEPTH = 4
_MARK = "\x01"

DATE_FIELDS = frozenset({
    "documentDate", "origInvoiceDate", "cashDiscountDate", "tranDate", "transactionDate", "shipmentDate",
    "receiptDate", "applicationDate", "docDate", "date", "orderDate", "freezeDate", "effectiveDate",
})  # fmt: skip
DUE_FIELDS = frozenset({"documentDueDate", "dueDate", "deliveryDate", "payDate", "requestOn", "promisedOn"})

Refs = Callable[[str, Random], tuple[str, str, int]]
"""(table, random) -> key, name and internal id of one of its rows."""

# object fields that point at a row of another table
_OBJECTS: dict[str, str] = {
    "customer": "customer", "supplier": "supplier", "branch": "branch", "branchNumber": "branch", "project": "project",
    "inventory": "inventory", "inventoryItem": "inventory", "item": "inventory", "paymentMethod": "paymentmethod",
    "creditTerms": "creditterm", "terms": "creditterm", "vatZone": "vatzone", "customerVatZone": "vatzone",
    "customerVATZone": "vatzone", "supplierVatZone": "vatzone", "supplierTaxZone": "vatzone", "taxZone": "vatzone",
    "vatCode": "vat", "vatId": "vat", "vat": "vat", "taxCategory": "vatcategory", "defaultTaxCategory": "vatcategory",
    "currency": "currency", "country": "country", "defaultCountry": "country", "salesPerson": "salesperson",
    "seller": "salesperson", "ledger": "ledger", "department": "department", "employee": "employee",
    "owner": "employee", "claimedBy": "employee", "projectManager": "employee", "approver": "employee",
    "customerClass": "customer/customerclass", "supplierClass": "supplier/supplierclass",
    "itemClass": "inventory/itemclass", "postingClass": "inventory/itempostclass", "lotSerialClass": "lotserialclass",
    "warehouse": "warehouse", "defaultWarehouse": "warehouse", "fromWarehouse": "warehouse", "toWarehouse": "warehouse",
    "cashAccount": "cashaccount", "projectTask": "projecttask", "contractTemplate": "contracttemplate",
    "deferralCode": "deferralcode", "earningType": "earningtype", "shipVia": "carrier", "baccount": "customer",
}  # fmt: skip
# text fields that do so
_TEXTS: dict[str, str] = {
    "inventoryNumber": "inventory", "inventoryId": "inventory", "inventoryID": "inventory", "cashAccount": "cashaccount",
    "currencyId": "currency", "currency": "currency", "countryId": "country", "warehouse": "warehouse", "branch": "branch",
    "accountNumber": "account", "ledger": "ledger", "department": "department", "customer": "customer",
    "supplier": "supplier", "project": "project", "projectID": "project", "paymentMethod": "paymentmethod",
    "defaultPaymentMethodId": "paymentmethod", "paymentMethodId": "paymentmethod", "taxId": "vat", "vatCodeId": "vat",
    "vatCategoryId": "vatcategory", "taxCategory": "vatcategory", "taxZoneId": "vatzone", "subaccount": "subaccount",
    "subaccountNumber": "subaccount", "salesPersonId": "salesperson", "earningType": "earningtype", "classID": "fixedassetclass",
    "accountGroupID": "projectaccountgroup", "customerSupplier": "customer", "fromCurrencyId": "currency",
    "toCurrencyId": "currency", "rateType": "currencyratetype", "deferralCode": "deferralcode", "uom": "unitofmeasure",
    "uoM": "unitofmeasure", "baseUnit": "unitofmeasure", "salesUnit": "unitofmeasure", "purchaseUnit": "unitofmeasure",
    "fromUnit": "unitofmeasure", "toUnit": "unitofmeasure", "reasonCode": "department",
}  # fmt: skip
_KEY_NAMES = re.compile(r"(?i)^(id|number|nbr|code|cd|refNbr|.*(number|ID|Cd|Nbr))$")
_NAME_NAMES = frozenset({"name", "description", "displayName", "employeeName"})
_MONEY_SCALE = Decimal("0.0001")


def referenced_table(name: str) -> str | None:
    """Return the table that a field of this name points into, if any."""
    table = _OBJECTS.get(name) or _TEXTS.get(name)
    if table is None and re.search(r"(?i)sub(account|ccount)?$", name):
        return "subaccount"
    if table is None and re.search(r"(?i)account$", name):
        return "account"
    return table


def slot(name: str) -> str:
    """Return the mark that stands for a value of the row's own."""
    return f"{_MARK}{name}{_MARK}"


def is_slot(value: object) -> bool:
    """Tell whether the value is such a mark."""
    return isinstance(value, str) and value.startswith(_MARK)


def slot_name(value: str) -> str:
    """Return the name inside the mark."""
    return value.strip(_MARK)


@frozen
class _Context:
    random: Random
    country: nordic.Country
    spec: TableSpec
    own_party: str | None


class Shaper:
    """Fills DTOs of the catalog with values that could be a Nordic company's."""

    def __init__(self, catalog: Catalog, seed: int, refs: Refs, *, nested_metadata: bool) -> None:
        self._catalog = catalog
        self._seed = seed
        self._refs = refs
        self._nested_metadata = nested_metadata
        self.attachments: dict[str, str] = {}
        """Name of the file by id, for the attachments that generated rows carry."""

    def variant(self, spec: TableSpec, dto: str, number: int) -> dict[str, Any]:
        """Return one variant of the DTO as it shows rows of the table, with slots, without metadata."""
        random = Random(f"{self._seed}:{spec.name}:{dto}:{number}")  # noqa: S311 - data, not secrets
        country = nordic.COUNTRIES[(0, 0, 1, 0, 2, 0, 3)[number % 7]]
        party = spec.name if spec.name in {"customer", "supplier", "inventory"} and dto != spec.dto else None
        context = _Context(random, country, spec, party)
        fields = self._catalog.schemas[dto]
        row = {
            name: value
            for name, facts in fields.items()
            if name not in {"metadata", "errorInfo"}
            and (value := self._top(name, facts, fields, context)) is not _LEFT_OUT
        }
        add_up(row)
        return row

    def empty(self, dto: str) -> dict[str, Any]:
        """Return a new record of this shape before anything was set: empty lists, the rest absent."""
        return {name: [] for name, facts in self._catalog.schemas[dto].items() if facts["type"] == "array"}

    def single(self, dto: str, key: str, overrides: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Return a record of a shape that no table holds (a balance, a note), the same for the same key."""
        random = Random(f"{self._seed}:{dto}:{key}")  # noqa: S311 - data, not secrets
        spec = TableSpec(name=dto, dto=dto, key=("id",))
        row = self._object(dto, _Context(random, nordic.COUNTRIES[0], spec, None), 1)
        add_up(row)
        row.update(
            {name: value for name, value in (overrides or {}).items() if name in self._catalog.schemas[dto]}
        )
        return row

    def _top(self, name: str, facts: dict[str, Any], fields: Mapping[str, Any], context: _Context) -> object:
        spec = context.spec
        own = self._own_slot(name, facts, spec) if fields is not None else None
        if own is not None:
            return own
        if name in spec.constants:
            return spec.constants[name]
        kind, random = facts["type"], context.random
        for place, path in enumerate(spec.key):
            if kind == "object" and path.startswith(f"{name}."):
                return self._party(facts["ref"], "" if place == len(spec.key) - 1 else "parent.")
        if kind == "string":
            if facts.get("format") == "uuid":
                return slot(f"uuid.{name}")
            if name in DATE_FIELDS:
                return slot("date")
            if name in DUE_FIELDS:
                return slot("due")
            if name in {"financialPeriod", "finPeriod", "applicationPeriod"}:
                return slot("period")
            if name == "postPeriod":
                return slot("postperiod")
            if name in {"corporateId", "vatRegistrationId"} and spec.names == "company":
                return slot(name)
            if name == "status" and spec.status and facts.get("enum"):
                return self._status(facts, spec, random)
        if kind == "object" and name in {"customer", "supplier"}:
            if context.own_party == name:
                return self._party(facts["ref"], "")
            if self._is_large(spec, name):
                return self._party(facts["ref"], f"{name}.")
        if context.own_party == name == "inventory":
            return self._party(facts["ref"], "")
        return self._value(name, facts, context, 1)

    def _own_slot(self, name: str, facts: dict[str, Any], spec: TableSpec) -> str | None:
        """Return the slot of a field that says who the row is, or when it changed."""
        if name in {"lastModifiedDateTime", "lastModified", "lastUpdateDate"} and facts["type"] == "string":
            return slot("modified")
        if name == "createdDateTime":
            return slot("created")
        if name in {"timeStamp", "timestamp"}:
            return slot("version")
        simple = [path.split(".")[0] for path in spec.key]
        if name in simple and facts["type"] != "object":
            place = simple.index(name)
            if place < len(simple) - 1:
                return slot("type" if spec.types else "parent.number")
            return slot("key.integer" if facts["type"] == "integer" else "key")
        if name == spec.internal:
            return slot("internal")
        return slot("name") if name == spec.title else None

    def _is_large(self, spec: TableSpec, name: str) -> bool:
        return not spec.fixed and spec.name != name

    def _party(self, dto: str, prefix: str) -> dict[str, Any]:
        """A reference to the row's own customer or supplier (or to the row itself)."""
        marks = {"internalId": "internal", "number": "key", "id": "key", "name": "name", "description": "name",
                 "inventoryNumber": "key", "inventoryId": "internal"}  # fmt: skip
        return {
            name: slot(f"{prefix}{marks[name]}")
            for name, facts in self._catalog.schemas[dto].items()
            if name in marks and not (name == "id" and facts["type"] == "integer")
        }

    def _status(self, facts: dict[str, Any], spec: TableSpec, random: Random) -> str:
        values = self._catalog.enums[facts["enum"]]
        usual = [
            value
            for value in ("Open", "Closed", "Balanced", "Released", "Active", "Hold", "Completed", "Posted")
            if value in values
        ]
        likely = [spec.status] * 3 + usual if spec.status in values else usual or values
        return random.choice(likely) if usual and random.random() < 0.95 else random.choice(values)  # noqa: PLR2004

    def _object(self, dto: str, context: _Context, depth: int) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for name, facts in self._catalog.schemas.get(dto, {}).items():
            if name == "errorInfo":
                continue
            if name == "metadata":
                if self._nested_metadata:
                    row[name] = {"totalCount": context.random.randrange(1, 60), "maxPageSize": 1000}
                continue
            value = self._value(name, facts, context, depth + 1)
            if value is not _LEFT_OUT:
                row[name] = value
        if dto == "AttachmentDto":
            row.update(name=f"vedlegg-{context.random.randrange(10**5):05d}.pdf", revision=1)
            self.attachments[row["id"]] = row["name"]
        if "postalCode" in row and "city" in row:
            row["postalCode"], row["city"] = context.random.choice(context.country.places)
        return row

    def _value(self, name: str, facts: dict[str, Any], context: _Context, depth: int) -> object:
        kind, random = facts["type"], context.random
        if kind == "object":
            return self._nested(name, facts, context, depth)
        if kind == "array":
            return self._array(name, facts, context, depth)
        if kind == "boolean":
            return name in {"active", "isActive"} or random.random() < 0.3  # noqa: PLR2004
        if kind == "integer":
            return _integer(name, random)
        if kind == "number":
            return _number(name, random)
        if facts.get("enum"):
            return random.choice(self._catalog.enums[facts["enum"]])
        if name in _TEXTS:
            return self._refs(_TEXTS[name], random)[0]
        return _text(name, facts, context)

    def _nested(self, name: str, facts: dict[str, Any], context: _Context, depth: int) -> object:
        dto = facts.get("ref")
        if dto is None or dto not in self._catalog.schemas or depth > _MAX_DEPTH:
            return _LEFT_OUT
        table = referenced_table(name)
        if name == "country":
            return self._named(dto, (context.country.id, context.country.name, 1), context, depth)
        if table is not None:
            return self._named(dto, self._refs(table, context.random), context, depth)
        if name.lower().endswith("location"):
            return self._named(dto, ("Main", "Hovedadresse", 1), context, depth)
        return self._object(dto, context, depth)

    def _named(
        self, dto: str, reference: tuple[str, str, int], context: _Context, depth: int
    ) -> dict[str, Any]:
        """An object that names a row of another table: key and name right, the rest filled."""
        key, title, internal = reference
        row = self._object(dto, context, depth)
        for name, facts in self._catalog.schemas[dto].items():
            if facts["type"] == "integer" and re.search(r"(?i)id$", name):
                row[name] = internal
            elif facts["type"] == "string" and name in _NAME_NAMES:
                row[name] = title
            elif (
                facts["type"] == "string"
                and _KEY_NAMES.match(name)
                and not facts.get("enum")
                and name != "countryId"
            ):
                row[name] = key
        return row

    def _array(self, name: str, facts: dict[str, Any], context: _Context, depth: int) -> object:
        dto, random = facts.get("items"), context.random
        if dto is None:
            return []
        if dto not in self._catalog.schemas or depth > _MAX_DEPTH - 1:
            return []
        many = re.search(r"(?i)lines$|^lines|details$|transaction$|periods$|segments$", name)
        rows = [
            self._object(dto, context, depth)
            for _ in range(random.randint(1, 3) if many else random.randint(0, 2))
        ]
        for number, row in enumerate(rows, 1):
            for field in ("lineNumber", "lineNbr", "segmentId", "sortOrder", "lineNo"):
                if field in row and isinstance(row[field], int):
                    row[field] = number
        return rows


_LEFT_OUT = object()


def _number(name: str, random: Random) -> Decimal:
    low = name.lower()
    if "percent" in low or "pct" in low or "discount" in low:
        return Decimal(random.choice((0, 0, 0, 5, 10))) + _MONEY_SCALE * 0
    if "rate" in low:
        return Decimal("25.0000") if "vat" in low else Decimal("1.0000")
    if "quantity" in low or "qty" in low:
        return Decimal(random.randint(1, 40)) + _MONEY_SCALE * 0
    if "total" in low or "balance" in low or "amount" in low:
        return Decimal(random.randrange(-50_000, 2_000_000)) / 100 + _MONEY_SCALE * 0
    if "limit" in low:
        return Decimal(random.randrange(0, 500) * 1000) + _MONEY_SCALE * 0
    return Decimal(random.randrange(100, 900_000)) / 100 + _MONEY_SCALE * 0


def _integer(name: str, random: Random) -> int:
    low = name.lower()
    if low.endswith("id"):
        return random.randrange(1, 90_000)
    if "days" in low:
        return random.choice((0, 10, 14, 30))
    return random.randrange(0, 5)


def _text(name: str, facts: dict[str, Any], context: _Context) -> object:
    random, country = context.random, context.country
    low = name.lower()
    first, last = nordic.person_name(random.randrange(10_000))
    place = random.choice(country.places)
    if facts.get("format") in {"date-time", "date"}:
        return (
            f"{random.randint(2022, 2025)}-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}T00:00:00"
        )
    if facts.get("format") == "uuid":
        return _uuid(random.getrandbits(128))
    if facts.get("format") == "byte":
        return "AAAAAE0YIiI="
    made: dict[str, Callable[[], object]] = {
        "email": lambda: f"{nordic.ascii_name(first)}.{nordic.ascii_name(last)}@example.{country.id.lower()}",
        "web": lambda: f"https://www.example.{country.id.lower()}",
        "postalcode": lambda: place[0],
        "city": lambda: place[1],
        "addressline1": lambda: f"{random.choice(country.streets)} {random.randint(1, 180)}",
        "addressline2": lambda: "" if random.random() < 0.8 else f"Postboks {random.randint(1, 999)}",  # noqa: PLR2004
        "addressline3": lambda: None,
        "firstname": lambda: first,
        "lastname": lambda: last,
        "name": lambda: nordic.company_name(random.randrange(10_000), country.company_form),
        "gln": lambda: f"70{random.randrange(10**10):010d}0",
        "currencyid": lambda: country.currency,
        "note": lambda: random.choice(("", "Ring før levering", "Kjøper ønsker samlefaktura – avtalt «muntlig»")),
        "financialyear": lambda: "2025",
        "iban": lambda: f"{country.id}93{random.randrange(10**11):011d}",
        "bic": lambda: "DNBANOKK",
        "languageiso": lambda: "nb-NO",
        "week": lambda: "202546",
    }  # fmt: skip
    if low in made:
        return made[low]()
    if low.startswith(("phone", "fax")):
        return f"{country.dial} {random.randrange(20_000_000, 99_999_999)}" if low[-1] != "2" else ""
    if "date" in low:
        return f"2025-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}T00:00:00"
    if low in {"attention", "displayname", "employeename", "businessname"}:
        return f"{first} {last}"
    if "period" in low:
        return f"2025{random.randint(1, 12):02d}"
    if "description" in low or "text" in low:
        return nordic.item_name(random.randrange(3000))
    if re.search(r"(?i)(id|cd|nbr|number|no|code|ref|reference)$", name):
        return f"{random.randrange(1, 99_999):06d}"
    return random.choice(("", None, _LEFT_OUT, first, nordic.item_name(random.randrange(3000))))


def _uuid(number: int) -> str:
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def add_up(row: dict[str, Any]) -> None:
    """Make the totals of a document agree with its lines, and the balance with its status."""
    lines = next(
        (row[name] for name in ("invoiceLines", "lines", "cashSaleLines") if isinstance(row.get(name), list)),
        None,
    )
    if not lines or "amount" not in row:
        return
    cents = Decimal("0.01")
    net = Decimal(0)
    for line in lines:
        if "quantity" not in line:
            continue
        price = line.get("unitPrice", line.get("unitCost", Decimal(100)))
        amount = (line["quantity"] * price).quantize(cents) + _MONEY_SCALE * 0
        net += amount
        for name in (
            "amount",
            "amountInCurrency",
            "cost",
            "costInCurrency",
            "manualAmount",
            "manualAmountInCurrency",
        ):
            if name in line:
                line[name] = amount
        for name in ("unitPriceInCurrency", "unitCostInCurrency"):
            if name in line:
                line[name] = price
    vat = (net / 4).quantize(cents) + _MONEY_SCALE * 0
    zero = Decimal("0.0000")
    open_balance = zero if row.get("status") in {"Closed", "Voided"} else net + vat
    totals = {"detailTotal": net, "vatTaxableTotal": net, "vatExemptTotal": zero, "vatTotal": vat, "vatAmount": vat,
              "amount": net + vat, "balance": open_balance, "discountTotal": zero, "cashDiscount": zero,
              "roundingDiff": zero}  # fmt: skip
    for name, value in totals.items():
        for field in (name, f"{name}InCurrency"):
            if field in row:
                row[field] = value
    for detail in row.get("taxDetails", row.get("taxDetailLines", ()))[:1]:
        detail.update(taxableAmount=net, vatAmount=vat, vatRate=Decimal("25.0000"))
