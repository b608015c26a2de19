"""Realistic records of a fixed encoded length, and pages of them that are patched instead of made.

Every record of a list has the same number of bytes, so the digits of its key stand at the same offsets in each
record: a page of 1,000 fresh keys costs sixteen strided byte copies instead of 1,000 encodings. What varies from record
to record (names, amounts, dates) varies within the page; the next page differs from it in the keys.
"""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import attrs
import msgspec

PAGE_ROWS_MAX = 1000
KEY_DIGITS = 8
FIRST_KEY = 10_000_001
#: Every row was last modified within this span, so that a window's end after it holds all rows and a tail none.
MODIFIED_FIRST, MODIFIED_LAST = "2024-01-01T00:00:00", "2024-12-28T23:59:59"

_KEY_MARK = 98_765_432  # stands for the key while a record is encoded
_PADDING_MARK = "\N{PILCROW SIGN}"  # stands for the text that fills a record to its length
_PADDING = "Vareleveranse mandag til fredag mellom klokken 07.00 og 15.30, ring kundesenteret ved avvik. " * 40

_encode = msgspec.json.Encoder(decimal_format="number").encode
_CITIES = ("OSLO", "BERGEN", "TRONDHEIM", "STAVANGER", "DRAMMEN", "FREDRIKSTAD", "KRISTIANSAND", "SANDNES")
_NAMES = ("Nordlys", "Fjord", "Bryggen", "Solvang", "Havn", "Skog og Mark", "Granitt", "Vestkyst", "Polar", "Elv")
_TRADES = ("Bygg AS", "Handel AS", "Transport AS", "Regnskap AS", "Industri ASA", "Maskin AS", "Eiendom AS", "Foods")


def _amount(rng: random.Random, top: int) -> Decimal:
    """An amount with the four decimal places that the server writes."""
    return Decimal(rng.randrange(top * 10_000)).scaleb(-4)


def _moment(rng: random.Random) -> str:
    return (
        f"2024-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
        f"T{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}.{rng.randrange(1000):03}"
    )


def _address(rng: random.Random, number: int, *, second_line: str) -> dict[str, Any]:
    return {
        "addressId": 200_000 + number,
        "addressLine1": f"{rng.choice(_NAMES)}veien {rng.randrange(1, 200)}",
        "addressLine2": second_line,
        "postalCode": f"{rng.randrange(10_000):04}",
        "city": rng.choice(_CITIES),
        "country": {"id": "NO", "name": "Norge"},
        "county": {"id": f"{rng.randrange(1, 21):02}", "name": rng.choice(_CITIES).title()},
    }


def _contact(rng: random.Random, number: int, name: str) -> dict[str, Any]:
    return {
        "contactId": 300_000 + number,
        "name": name,
        "attention": "Kari Nordmann",
        "email": f"post{number}@example.test",
        "web": "https://www.example.test/",
        "phone1": f"+47 {rng.randrange(20_000_000, 99_999_999)}",
        "phone2": "",
        "fax": "",
    }


def _customer(rng: random.Random, number: int, total_rows: int) -> dict[str, Any]:
    name = f"{rng.choice(_NAMES)} {rng.choice(_TRADES)}"
    return {
        "internalId": _KEY_MARK,
        "number": str(_KEY_MARK),
        "name": name,
        "status": rng.choice(("Active", "Active", "Active", "Inactive", "OnHold")),
        "mainAddress": _address(rng, number, second_line=_PADDING_MARK),
        "mainContact": _contact(rng, number, name),
        "accountReference": f"REF-{number:05}",
        "customerClass": {"id": "1", "description": "Norske kunder"},
        "creditTerms": {"id": "30", "description": "30 dager netto"},
        "currencyId": "NOK",
        "creditVerification": "CreditLimit",
        "creditLimit": _amount(rng, 500_000),
        "creditDaysPastDue": rng.randrange(60),
        "invoiceAddress": _address(rng, number + 10_000, second_line=""),
        "invoiceContact": _contact(rng, number + 10_000, name),
        "printInvoices": False,
        "acceptAutoInvoices": True,
        "sendInvoicesByEmail": True,
        "sendDunningLettersViaEMail": True,
        "printDunningLetters": False,
        "printStatements": False,
        "sendStatementsByEmail": True,
        "printMultiCurrencyStatements": False,
        "statementType": "OpenItem",
        "deliveryAddress": _address(rng, number + 20_000, second_line=""),
        "deliveryContact": _contact(rng, number + 20_000, name),
        "vatRegistrationId": f"NO{rng.randrange(800_000_000, 999_999_999)}MVA",
        "corporateId": str(rng.randrange(800_000_000, 999_999_999)),
        "vatZone": {"id": "01", "description": "Innland", "defaultVatCategory": "1"},
        "location": {"countryId": "NO", "id": "Main", "name": "Hovedlokasjon"},
        "attributes": [{"id": "REGION", "description": "Salgsregion", "value": rng.choice(_CITIES)}],
        "lastModifiedDateTime": _moment(rng),
        "createdDateTime": "2021-03-04T09:15:27.18",
        "priceClass": {"id": "A", "description": "Standard"},
        "glAccounts": {"customerLedgerAccount": {"type": "Asset", "number": "1500", "description": "Kundefordringer"}},
        "invoiceToDefaultLocation": False,
        "excludeDebtCollection": False,
        "timeStamp": "AAAAAE0YIiI=",
        "metadata": {"totalCount": total_rows, "maxPageSize": PAGE_ROWS_MAX},
    }


def _invoice_line(rng: random.Random, line: int) -> dict[str, Any]:
    price, quantity = _amount(rng, 5_000), Decimal(rng.randrange(1, 100)).quantize(Decimal("1.0000"))
    amount = (price * quantity).quantize(Decimal("1.0000"))
    return {
        "lineNumber": line,
        "inventoryNumber": f"V-{rng.randrange(10_000):05}",
        "description": f"Vare nummer {rng.randrange(10_000)}",
        "quantity": quantity,
        "unitPrice": price,
        "unitPriceInCurrency": price,
        "amount": amount,
        "amountInCurrency": amount,
        "account": {"type": "Income", "number": "3000", "description": "Salgsinntekt"},
        "vatCode": {"id": "3", "description": "Utg. mva 25 %"},
        "uom": "STK",
        "discountPercent": Decimal("0.0000"),
        "discountAmount": Decimal("0.0000"),
        "manualDiscount": False,
        "subaccount": {"subaccountNumber": "00-00", "subaccountId": 1, "description": "Standard", "active": True},
    }


def _invoice(rng: random.Random, number: int, total_rows: int) -> dict[str, Any]:
    name = f"{rng.choice(_NAMES)} {rng.choice(_TRADES)}"
    amount = _amount(rng, 900_000)
    vat = (amount / 5).quantize(Decimal("1.0000"))
    return {
        "referenceNumber": str(_KEY_MARK),
        "creditTerms": {"id": "30", "description": "30 dager netto"},
        "documentDueDate": "2024-12-31T00:00:00",
        "cashDiscountDate": "2024-12-15T00:00:00",
        "externalReference": "",
        "isRotRutDeductible": False,
        "exchangeRate": Decimal("1.0000"),
        "dunningLetterLevel": 0,
        "contact": {"id": 300_000 + number, "name": name},
        "invoiceLines": [_invoice_line(rng, line) for line in range(1, 4)],
        "sendToAutoInvoice": True,
        "roundingDiff": Decimal("0.0000"),
        "customerVatZone": {"id": "01", "description": "Innland"},
        "excludeDebtCollection": False,
        "timeStamp": "AAAAAE0YIiI=",
        "hold": False,
        "discountTotal": Decimal("0.0000"),
        "detailTotal": amount,
        "detailTotalInCurrency": amount,
        "vatTaxableTotal": amount - vat,
        "vatTaxableTotalInCurrency": amount - vat,
        "vatExemptTotal": Decimal("0.0000"),
        "salesPersonID": 17,
        "salesPersonDescr": "Ola Nordmann",
        "paymentReference": f"{rng.randrange(10**15):015}",
        "invoiceAddress": {**_address(rng, number, second_line=""), "overrideAddress": False},
        "invoiceContact": {
            "contactId": 300_000 + number,
            "businessName": name,
            "attention": "Kari Nordmann",
            "email": f"post{number}@example.test",
            "phone1": f"+47 {rng.randrange(20_000_000, 99_999_999)}",
            "overrideContact": False,
        },
        "dontPrint": False,
        "dontEmail": False,
        "revoked": False,
        "customer": {"number": f"{rng.randrange(10_000_000, 20_000_000)}", "name": name},
        "documentType": "Invoice",
        "postPeriod": "112024",
        "financialPeriod": "202411",
        "documentDate": "2024-11-15T00:00:00",
        "status": rng.choice(("Open", "Open", "Closed")),
        "currencyId": "NOK",
        "amount": amount,
        "amountInCurrency": amount,
        "balance": amount,
        "balanceInCurrency": amount,
        "paymentMethod": {"id": "1", "description": "Bank"},
        "invoiceText": _PADDING_MARK,
        "lastModifiedDateTime": _moment(rng),
        "createdDateTime": "2024-11-15T08:12:31.77",
        "vatTotal": vat,
        "vatTotalInCurrency": vat,
        "location": {"countryId": "NO", "id": "Main", "name": "Hovedlokasjon"},
        "branchNumber": {"number": "1", "name": "Hovedkontor"},
        "project": {"internalId": 0, "id": "X", "description": "Uten prosjekt"},
        "account": {"type": "Asset", "number": "1500", "description": "Kundefordringer"},
        "subaccount": {"subaccountNumber": "00-00", "subaccountId": 1, "description": "Standard", "active": True},
        "metadata": {"totalCount": total_rows, "maxPageSize": PAGE_ROWS_MAX},
    }


_MAKERS = {"customer": (_customer, 2540), "customerinvoice": (_invoice, 3940)}
RESOURCES = tuple(_MAKERS)


@attrs.frozen(kw_only=True)
class PageTemplate:
    """One page's bytes with the places of its keys; `patched` puts a page's keys in."""

    total_rows: int
    record_bytes: int
    body: bytes
    key_offsets: tuple[int, ...]

    @classmethod
    def of(cls, resource: str, *, total_rows: int) -> PageTemplate:
        """Encode one page of `resource` in a list of `total_rows`; the same bytes each time."""
        make, record_bytes = _MAKERS[resource]
        rng = random.Random(f"{resource} page")
        mark = str(_KEY_MARK).encode()
        records = []
        # records are brought to one length, and to one place of each key, by the text behind all the keys' fields
        for number in range(PAGE_ROWS_MAX):
            raw = _encode(make(rng, number, total_rows))
            head, tail = raw.split(_PADDING_MARK.encode())
            room = record_bytes - len(head) - len(tail) - 1  # one byte for the comma or the closing bracket
            if room < 1:
                raise ValueError(f"a {resource} takes {len(raw)} bytes before padding: raise its length")
            records.append(head + _PADDING[:room].rstrip().ljust(room, ".").encode() + tail)
        offsets = {tuple(_find_all(record, mark)) for record in records}
        if len(offsets) != 1:
            raise ValueError(f"the keys of {resource} stand at different places: {offsets}")
        body = b"[" + b",".join(records) + b"]"
        return cls(
            total_rows=total_rows,
            record_bytes=record_bytes,
            body=body,
            key_offsets=tuple(1 + offset for offset in offsets.pop()),
        )

    def rows_of(self, page_number: int, page_rows: int) -> int:
        """How many rows page `page_number` holds, 0 past the end."""
        return max(0, min(page_rows, self.total_rows - (page_number - 1) * page_rows))


class PageBuffer:
    """One reader's own copy of a page template, patched in place for each page that is asked for."""

    def __init__(self, template: PageTemplate) -> None:
        self._template = template
        self._buffer = bytearray(template.body)
        self._end = len(self._buffer) - 1  # where the closing bracket stands

    def page(self, page_number: int, page_rows: int) -> memoryview:
        """The bytes of a page, valid until the next call; `[]` past the end."""
        rows = self._template.rows_of(page_number, page_rows)
        if not rows:
            return memoryview(b"[]")
        buffer, record_bytes = self._buffer, self._template.record_bytes
        first = FIRST_KEY + (page_number - 1) * page_rows
        digits = b"".join([b"%d" % key for key in range(first, first + rows)])
        for place in range(KEY_DIGITS):
            column = digits[place::KEY_DIGITS]
            for offset in self._template.key_offsets:
                start = offset + place
                buffer[start : start + (rows - 1) * record_bytes + 1 : record_bytes] = column
        buffer[self._end] = ord(",")
        self._end = rows * record_bytes
        buffer[self._end] = ord("]")
        return memoryview(buffer)[: self._end + 1]


def _find_all(record: bytes, mark: bytes) -> list[int]:
    places, start = [], record.find(mark)
    while start >= 0:
        places.append(start)
        start = record.find(mark, start + 1)
    return places
