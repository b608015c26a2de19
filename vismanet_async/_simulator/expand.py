"""Expand flags: which parts of a record come only when asked for (facts 5.9)."""

from __future__ import annotations

from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vismanet_async._simulator.catalog import Operation

__all__ = ["left_out"]

_FREE_FIELDS = tuple(f"custom{kind}{n}" for kind in ("Str", "Dec", "Int", "DateTimeUTC") for n in range(1, 6))
_EXPANDS: dict[str, tuple[str, ...]] = {
    "expandattachments": ("attachments",), "expandattachment": ("attachments",),
    "expandapplications": ("applications",),
    "expanddunninginformation": ("dunningLetterDate", "dunningLetterLevel"),
    "expandtaxdetails": ("taxDetails", "taxDetailLines"),
    "expandinvoiceaddress": ("invoiceAddress", "invoiceContact"), "expandnote": ("note",),
    "shownotes": ("note",),
    "expandattribute": ("attributes",), "expandattributes": ("attributes",),
    "expandapproval": ("approvalDetails",),
    "expandbanksettings": ("bankSettings",), "expandaccountinformation": ("glAccounts", "accountInformation"),
    "expandpaymentmethods": ("paymentMethods",), "expanddirectdebit": ("directDebitLines",),
    "expandcrossreference": ("crossReferences",), "expandwarehousedetail": ("warehouseDetails",),
    "expandinventoryunits": ("inventoryUnits",), "expandsupplierdetails": ("supplierDetails",),
    "expandsalescategories": ("salesCategories",), "expandlandedcosts": ("landedCosts",),
    "expandaccounts": ("accounts",),
    "expandaddress": ("mainAddress",), "expandcontact": ("mainContact",), "expandcurrency": ("currency",),
    "expandvatzone": ("vatZone",), "expandledger": ("ledger",), "expandindustrycode": ("industryCode",),
    "expanddeliveryaddress": ("deliveryAddress",), "expanddeliverycontact": ("deliveryContact",),
    "expanddefaultcountry": ("defaultCountry",), "expandsummary": ("summary",), "expanddetails": ("details",),
    "expandbranches": ("branches",), "expandstockcomponents": ("stockComponentLines",),
    "expandnonstockcomponents": ("nonStockComponentLines",), "expandkitallocations": ("kitAllocations",),
    "expandsegmentsvalues": ("segmentValues",), "addcostpricestatistics": ("costPriceStatistics",),
    "includecustomfreefields": _FREE_FIELDS,
    "includeaccountclassdescription": ("accountClassDescription",),
}  # fmt: skip


@cache
def _governed(operation: Operation, fields: frozenset[str]) -> dict[str, tuple[str, ...]]:
    """Return which fields of the shape each expand flag of the operation governs."""
    governed = {}
    for name in operation.query:
        low = name.lower()
        shown: tuple[str, ...] = ()
        if low in _EXPANDS:
            shown = tuple(field for field in _EXPANDS[low] if field in fields)
        elif low.startswith("expand"):
            stem = low.removeprefix("expand").rstrip("s")
            shown = tuple(field for field in fields if field.lower().startswith(stem))
        if shown:
            governed[low] = shown
    return governed


def left_out(operation: Operation, query: list[tuple[str, str]], fields: frozenset[str]) -> frozenset[str]:
    """Return the fields of a shape that a request did not ask for."""
    governed = _governed(operation, fields)
    asked = {name.lower() for name, value in query if value.lower() == "true"}
    shown = set(chain.from_iterable(names for flag, names in governed.items() if flag in asked))
    return frozenset(chain.from_iterable(governed.values())) - shown
