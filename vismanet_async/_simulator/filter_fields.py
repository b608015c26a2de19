"""Which field of a row a filter parameter means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

__all__ = ["IN_PART", "RANGES", "REFERENCE_KEYS", "Field", "Shapes", "find_field", "hidden_stamps", "is_filter"]

Shapes = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""The fields of each shape of the catalog."""

STAMPS = {"lastmodifieddatetime": "lastModifiedDateTime", "createddatetime": "createdDateTime"}
"""Every row has these two times, also where its shape does not show them: the service filters by them all the same."""

NOT_FILTERS = frozenset({
    "pagenumber", "pagesize", "orderby",
    "numbertoread", "skiprecords", "greaterthanvalue",  # disregarded by the service (facts 4.11)
    # what is shown of a row, see expand.py
    "addcostpricestatistics", "includecustomfreefields", "shownotes", "includeaccountclassdescription",
    # of single reads
    "includemetadata", "systemid", "blobid", "featurename", "featureenabled",
})  # fmt: skip
"""Parameters that choose no rows."""

# parameters whose field has another name; the first path that the shape has counts
_FIELDS: dict[str, tuple[str, ...]] = {
    "alternateid": ("crossReferences.alternateID",),
    "analysiscode": ("analisysCodeInfo.number",),
    "attachmentlastmodifieddatetime": ("lastModifiedDateTime",),
    "availabilitylastmodifieddatetime": ("lastModifiedDateTime",),
    "billable": ("lines.billable",),
    "branch": ("branchNumber", "branch", "lines.branch"),
    "branchnumber": ("branchNumber",),
    "code": ("landedCostCodeId",),
    "customer": ("customer", "number"),
    "customerid": ("customer.internalId",),
    "customernumber": ("customer",),
    "date": ("date", "tranDate", "effectiveDate", "lines.date"),
    "deliverydate": ("promisedOn",),
    "departmentid": ("department",),
    "docdate": ("documentDate", "date", "applicationDate"),
    "dunninglevel": ("dunningLetterLevel",),
    "dunningletterdatetime": ("dunningLetterDate",),
    "email": ("email", "mainContact.email"),
    "employeecd": ("employee.number",),
    "expirationdatetime": ("lines.expirationDate",),
    "externalcode1": ("externalCode1Info.number",),
    "externalcode2": ("externalCode2Info.number",),
    "financialperiod": (
        "financialPeriod", "applicationPeriod", "period", "transactionPeriodID", "lines.financialPeriod",
    ),
    "finperiod": ("postPeriod",),
    "freezedatetime": ("freezeDate",),
    "fromcurrency": ("fromCurrencyId",),
    "inventory": ("inventory", "lines.inventory"),
    "inventorytypes": ("type",),
    "invoicerefnbr": ("paymentLines.refNbr", "paymentLines.invoiceRefNbr"),
    "isreleased": ("released",),
    "item": ("invoiceLines.inventoryNumber",),
    "lastmodifieddatetime": ("lastModifiedDateTime", "lastModified", "lastUpdateDate"),
    "location": ("location", "lines.location"),
    "lotserialnumber": ("lines.lotSerialNbr",),
    "onhold": ("hold",),
    "orderdate": ("date",),
    "orderstatus": ("status",),
    "paymentnbr": ("refNbr",),
    "paymenttype": ("type",),
    "periodid": ("financialPeriod",),
    "phone": ("mainContact.phone1",),
    "poordernbr": ("lines.poOrderNbr",),
    "project": ("project", "projectID", "invoiceLines.project", "lines.project"),
    "projecttask": ("projectTask", "lines.projectTask"),
    "publiccode": ("publicCode1",),
    "receiptdate": ("date",),
    "restrictedemployee": ("employees.employeeId",),
    "revisionid": ("revision",),
    "salescategory": ("salesCategories.categoryID",),
    "salespersoncd": ("salespersonID",),
    "status": ("status", "details.status", "register.status", "lines.status"),
    "subaccountid": ("subaccount",),
    "supplier": ("supplier", "number"),
    "supplieritemid": ("supplierDetails.supplierItemID",),
    "taskcd": ("taskId",),
    "taskcddesc": ("description",),
    "taskstatus": ("tasks.status",),
    "tocurrency": ("toCurrencyId",),
    "warehouse": ("warehouse", "lines.warehouse"),
    **{f"visiblein{area}": (f"visibility.visibleIn{area.capitalize()}",)
       for area in ("ap", "ar", "ca", "cr", "ea", "gl", "in", "po", "so", "ta")},
    **{f"taskvisiblein{area}": (f"tasks.visibility.visibleIn{area.capitalize()}",)
       for area in ("ap", "ar", "ca", "cr", "ea", "gl", "in", "po", "so", "ta")},
}  # fmt: skip

RANGES = {
    "fromperiod": ("financialperiod", ">="), "toperiod": ("financialperiod", "<="),
    "fromdate": ("date", ">="), "todate": ("date", "<="),
    "transactionfromdate": ("transactiondate", ">="), "transactiontodate": ("transactiondate", "<="),
}  # fmt: skip
"""Bounds of a range: the parameter whose field they bound, and on which side."""

IN_PART = frozenset({"name", "description", "displayname", "firstname", "lastname"})
"""Text parameters that a part of the field fulfils (facts 5.13)."""

REFERENCE_KEYS = (
    "number",
    "id",
    "internalId",
    "code",
    "subaccountNumber",
    "inventoryNumber",
    "employeeNumber",
)
"""The fields by which an object names a row of another table."""


@frozen
class Field:
    """A field of a shape, or of the objects below it."""

    path: str
    facts: Mapping[str, Any]

    @property
    def is_date(self) -> bool:
        """Whether it holds a date or a time."""
        return self.facts.get("format") in {"date-time", "date"}

    @property
    def is_number(self) -> bool:
        """Whether it holds a number."""
        return self.facts["type"] in {"number", "integer"}


def is_filter(name: str) -> bool:
    """Return whether a query parameter chooses rows; the Condition of another one is none by itself."""
    low = name.lower()
    return low not in NOT_FILTERS and not low.endswith("condition") and not low.startswith("expand")


def hidden_stamps(shapes: Shapes, dto: str) -> tuple[str, ...]:
    """Return which of a row's two times its shape does not show."""
    return tuple(stamp for low, stamp in STAMPS.items() if _shown(low, shapes, dto) is None)


def find_field(name: str, shapes: Shapes, dto: str) -> Field | None:
    """Return the field of a shape that a parameter filters by, or None where it has none."""
    shown, stamp = _shown(name, shapes, dto), STAMPS.get(name.lower())
    return Field(stamp, {"type": "string", "format": "date-time"}) if shown is None and stamp is not None else shown


def _shown(name: str, shapes: Shapes, dto: str) -> Field | None:
    paths = _FIELDS.get(name.lower(), (name,))
    return next((found for path in paths if (found := _walk(path, shapes, dto)) is not None), None)


def _walk(path: str, shapes: Shapes, dto: str) -> Field | None:
    """Follow a dotted path through the shapes, in any case; None where it leads to nothing that has a value."""
    head, dot, rest = path.partition(".")
    name = next((field for field in shapes.get(dto, {}) if field.lower() == head.lower()), None)
    if name is None:
        return None
    facts = shapes[dto][name]
    below = shapes.get(facts.get("ref") or facts.get("items") or "", {})
    if dot:
        found = _walk(rest, shapes, facts.get("ref") or facts.get("items") or "")
        return None if found is None else Field(f"{name}.{found.path}", found.facts)
    if facts["type"] == "array" or (facts["type"] == "object" and not below.keys() & set(REFERENCE_KEYS)):
        return None
    return Field(name, facts)
