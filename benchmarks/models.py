"""Customers as hand-written attrs classes with the API's own names: what an integrator writes who wants types.

Amounts are Decimal and moments are datetime, as in the SDK's models; only what the records hold is declared.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - decoders read the annotations when they run
from decimal import Decimal  # noqa: TC003 - same

import attrs

# ruff: noqa: N815 - the API's own names are the point


@attrs.define
class Country:
    id: str | None = None
    name: str | None = None


@attrs.define
class County:
    id: str | None = None
    name: str | None = None


@attrs.define
class Address:
    addressId: int | None = None
    addressLine1: str | None = None
    addressLine2: str | None = None
    postalCode: str | None = None
    city: str | None = None
    country: Country | None = None
    county: County | None = None


@attrs.define
class Contact:
    contactId: int | None = None
    name: str | None = None
    attention: str | None = None
    email: str | None = None
    web: str | None = None
    phone1: str | None = None
    phone2: str | None = None
    fax: str | None = None


@attrs.define
class IdDescription:
    id: str | None = None
    description: str | None = None


@attrs.define
class VatZone:
    id: str | None = None
    description: str | None = None
    defaultVatCategory: str | None = None


@attrs.define
class Location:
    countryId: str | None = None
    id: str | None = None
    name: str | None = None


@attrs.define
class Attribute:
    id: str | None = None
    description: str | None = None
    value: str | None = None


@attrs.define
class Account:
    type: str | None = None
    number: str | None = None
    description: str | None = None


@attrs.define
class GlAccounts:
    customerLedgerAccount: Account | None = None


@attrs.define
class Metadata:
    totalCount: int | None = None
    maxPageSize: int | None = None


@attrs.define
class Customer:
    internalId: int | None = None
    number: str | None = None
    name: str | None = None
    status: str | None = None
    mainAddress: Address | None = None
    mainContact: Contact | None = None
    accountReference: str | None = None
    customerClass: IdDescription | None = None
    creditTerms: IdDescription | None = None
    currencyId: str | None = None
    creditVerification: str | None = None
    creditLimit: Decimal | None = None
    creditDaysPastDue: int | None = None
    invoiceAddress: Address | None = None
    invoiceContact: Contact | None = None
    printInvoices: bool | None = None
    acceptAutoInvoices: bool | None = None
    sendInvoicesByEmail: bool | None = None
    sendDunningLettersViaEMail: bool | None = None
    printDunningLetters: bool | None = None
    printStatements: bool | None = None
    sendStatementsByEmail: bool | None = None
    printMultiCurrencyStatements: bool | None = None
    statementType: str | None = None
    deliveryAddress: Address | None = None
    deliveryContact: Contact | None = None
    vatRegistrationId: str | None = None
    corporateId: str | None = None
    vatZone: VatZone | None = None
    location: Location | None = None
    attributes: list[Attribute] | None = None
    lastModifiedDateTime: datetime | None = None
    createdDateTime: datetime | None = None
    priceClass: IdDescription | None = None
    glAccounts: GlAccounts | None = None
    invoiceToDefaultLocation: bool | None = None
    excludeDebtCollection: bool | None = None
    timeStamp: str | None = None
    metadata: Metadata | None = None
