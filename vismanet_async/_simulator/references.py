"""Which fields point at rows of other tables."""

from __future__ import annotations

import re
from functools import cache

__all__ = ["referenced_table"]

# object fields that point at a row of another table
_OBJECTS: dict[str, str] = {
    "customer": "customer", "supplier": "supplier", "branch": "branch", "branchNumber": "branch",
    "project": "project",
    "inventory": "inventory", "inventoryItem": "inventory", "item": "inventory",
    "paymentMethod": "paymentmethod",
    "creditTerms": "creditterm", "terms": "creditterm", "vatZone": "vatzone", "customerVatZone": "vatzone",
    "customerVATZone": "vatzone", "supplierVatZone": "vatzone", "supplierTaxZone": "vatzone",
    "taxZone": "vatzone",
    "vatCode": "vat", "vatId": "vat", "vat": "vat", "taxCategory": "vatcategory",
    "defaultTaxCategory": "vatcategory",
    "currency": "currency", "country": "country", "defaultCountry": "country", "salesPerson": "salesperson",
    "seller": "salesperson", "ledger": "ledger", "department": "department", "employee": "employee",
    "owner": "employee", "claimedBy": "employee", "projectManager": "employee", "approver": "employee",
    "customerClass": "customer/customerclass", "supplierClass": "supplier/supplierclass",
    "itemClass": "inventory/itemclass", "postingClass": "inventory/itempostclass",
    "lotSerialClass": "lotserialclass",
    "warehouse": "warehouse", "defaultWarehouse": "warehouse", "fromWarehouse": "warehouse",
    "toWarehouse": "warehouse",
    "cashAccount": "cashaccount", "projectTask": "projecttask", "contractTemplate": "contracttemplate",
    "deferralCode": "deferralcode", "earningType": "earningtype", "shipVia": "carrier",
    "baccount": "customer",
}  # fmt: skip
# text fields that do so
_TEXTS: dict[str, str] = {
    "inventoryNumber": "inventory", "inventoryId": "inventory", "inventoryID": "inventory",
    "cashAccount": "cashaccount",
    "currencyId": "currency", "currency": "currency", "countryId": "country", "warehouse": "warehouse",
    "branch": "branch",
    "accountNumber": "account", "ledger": "ledger", "department": "department", "customer": "customer",
    "supplier": "supplier", "project": "project", "projectID": "project", "paymentMethod": "paymentmethod",
    "defaultPaymentMethodId": "paymentmethod", "paymentMethodId": "paymentmethod", "taxId": "vat",
    "vatCodeId": "vat",
    "vatCategoryId": "vatcategory", "taxCategory": "vatcategory", "taxZoneId": "vatzone",
    "subaccount": "subaccount",
    "subaccountNumber": "subaccount", "salesPersonId": "salesperson", "earningType": "earningtype",
    "classID": "fixedassetclass",
    "accountGroupID": "projectaccountgroup", "customerSupplier": "customer", "fromCurrencyId": "currency",
    "toCurrencyId": "currency", "rateType": "currencyratetype", "deferralCode": "deferralcode",
    "uom": "unitofmeasure",
    "uoM": "unitofmeasure", "baseUnit": "unitofmeasure", "salesUnit": "unitofmeasure",
    "purchaseUnit": "unitofmeasure",
    "fromUnit": "unitofmeasure", "toUnit": "unitofmeasure", "reasonCode": "department",
}  # fmt: skip


@cache
def referenced_table(name: str) -> str | None:
    """Return the table that a field of this name points into, if any.

    Examples:
        >>> referenced_table("salesSubaccount")
        'subaccount'
    """
    table = _OBJECTS.get(name) or _TEXTS.get(name)
    if table is None and re.search(r"(?i)sub(account|ccount)?$", name):
        return "subaccount"
    if table is None and re.search(r"(?i)account$", name):
        return "account"
    return table
