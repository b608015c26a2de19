"""Which tables the simulated company has: shape, identity, number series and size of each.

The rows themselves are made in `rows.py`; here is only what a table is called and how its keys look.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ALIASES", "SPECS", "Series", "TableSpec", "canonical_name"]


@frozen
class Series:
    """A number series: prefix, padded width and first number; `text` gives the key of the n-th row."""

    prefix: str = ""
    width: int = 6
    first: int = 1

    def text(self, index: int) -> str:
        """Return the key of the row with this index."""
        return f"{self.prefix}{self.first + index:0{self.width}d}"

    def index(self, text: str) -> int | None:
        """Return the index whose key this is, or None."""
        digits = text[len(self.prefix) :]
        if not text.startswith(self.prefix) or not (digits.isascii() and digits.isdigit()):
            return None
        index = int(digits) - self.first
        return index if index >= 0 and self.text(index) == text else None


@frozen
class TableSpec:
    """What is fixed about one table."""

    name: str
    dto: str
    key: tuple[str, ...]
    """The fields that identify a row, dotted where nested; the last one carries the number."""
    rows: int = 120
    series: Series = Series()
    fixed: tuple[tuple[str, str], ...] = ()
    """Key and name of each row, for tables of things that have proper names (countries, VAT codes)."""
    names: str = "word"
    """company, person, item or word."""
    title: str | None = None
    internal: str | None = None
    types: tuple[str, ...] = ()
    """Values of the type field (first of `key` where there are two); the first is the usual one."""
    status: str | None = None
    """Status of a new document."""
    page_size: int = 1000
    parent: str | None = None
    """The table that the first key field points into (locations of a business account)."""
    constants: Mapping[str, str] = field(factory=dict, hash=False)


def _spec(name: str, dto: str, key: str, **more: object) -> TableSpec:
    return TableSpec(name=name, dto=dto, key=tuple(key.split()), **more)  # type: ignore[arg-type] # checked by attrs use


def _fixed(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (line.strip().partition(" ") for line in text.strip().split(";") if line.strip())
    return tuple((key, name or key) for key, _, name in pairs)


_CURRENCIES = _fixed("NOK Norsk krone; SEK Svensk krona; DKK Dansk krone; EUR Euro; USD US dollar; GBP Britisk pund")
_COUNTRIES = _fixed(
    "NO Norge; SE Sverige; DK Danmark; FI Finland; IS Island; DE Tyskland; NL Nederland; GB Storbritannia; US USA"
)
_TERMS = _fixed("0 Kontant; 10 10 dager; 14 14 dager; 30 30 dager; 45 45 dager; FM Fri måned")
_VAT = _fixed(
    "3 Utgående mva høy sats; 31 Utgående mva middels sats; 33 Utgående mva lav sats; "
    "5 Innenlands omsetning nullsats; "
    "6 Utenfor mva-loven; 1 Inngående mva høy sats; 11 Inngående mva middels sats; "
    "13 Inngående mva lav sats; "
    "0 Ingen mva-behandling; 52 Utførsel nullsats; 81 Innførsel varer høy sats; 86 Tjenester fra utlandet"
)
_VAT_ZONES = _fixed("01 Innenlands avgiftspliktig; 02 Innenlands avgiftsfri; 03 EU; 04 Utenfor EU; 05 Svalbard")
_ACCOUNTS = _fixed(
    "1200 Maskiner og anlegg; 1280 Kontormaskiner; 1460 Varelager; 1500 Kundefordringer; 1570 Reiseforskudd; "
    "1900 Kontanter; 1920 Driftskonto; 1930 Valutakonto; 2050 Annen egenkapital; 2400 Leverandørgjeld; "
    "2700 Utgående merverdiavgift; 2710 Inngående merverdiavgift; 2740 Oppgjørskonto mva; "
    "2780 Arbeidsgiveravgift; "
    "3000 Salgsinntekt avgiftspliktig; 3100 Salgsinntekt avgiftsfri; "
    "3200 Salgsinntekt utenfor avgiftsområdet; "
    "4300 Innkjøp av varer; 4360 Frakt og toll; 5000 Lønn; 6300 Leie lokaler; 6540 Inventar; "
    "6700 Revisjonshonorar; "
    "6800 Kontorrekvisita; 6900 Telefon; 7140 Reisekostnad; 7350 Representasjon; 7770 Bankgebyr; "
    "8050 Renteinntekt"
)
_METHODS = _fixed("1 Bankoverføring; 2 Kontant; 3 Bankgiro; 4 Plusgiro; 5 AvtaleGiro; 6 Autogiro")
_UNITS = _fixed("STK; KG; M; L; TIME; ESKE; PALL")
_DEPARTMENTS = _fixed("ADM Administrasjon; SALG Salg; PROD Produksjon; LAGER Lager; UTV Utvikling")
_WAREHOUSES = _fixed("1 Hovedlager; 2 Fjernlager Bergen; 3 Transitt; 4 Utstilling")
_BRANCHES = _fixed("1 Hovedkontor Oslo; 2 Avdeling Bergen; 3 Avdeling Göteborg")

_AR = {"title": "invoiceText", "status": "Balanced"}

_ALL: tuple[TableSpec, ...] = (
    # business partners, items, people
    _spec("customer", "CustomerDto", "number", rows=2500, series=Series("", 5, 10000), names="company",
          title="name",
          internal="internalId", status="Active"),
    _spec("supplier", "SupplierDto", "number", rows=1200, series=Series("", 5, 50000), names="company",
          title="name",
          internal="internalId", status="Active"),
    _spec("inventory", "InventoryDto", "inventoryNumber", rows=3000, series=Series("V", 6, 1), names="item",
          title="description", internal="inventoryId", status="Active", page_size=5000),
    _spec("employee", "EmployeeDto", "employeeNumber", rows=60, series=Series("", 4, 1), names="person",
          title="employeeName", internal="employeeId", status="Active"),
    _spec("salesperson", "SalesPersonDto", "salespersonID", rows=12, series=Series("S", 2, 1),
          names="person", title="name"),
    _spec("contact", "ContactDto", "contactId", rows=300, series=Series("", 1, 2001), names="person",
          title="displayName"),
    _spec("location", "LocationDto", "baccount.number locationId", rows=240,
          fixed=_fixed("Main Hovedadresse"),
          title="locationName", internal="internalId", parent="customer"),
    _spec("supplierlocation", "SupplierLocationDto", "baccount.number locationId", rows=120,
          fixed=_fixed("Main Hovedadresse"), title="locationName", parent="supplier"),
    _spec("project", "ProjectDto", "projectID", rows=150, series=Series("P", 5, 1), names="item",
          title="description",
          internal="internalID", status="Active"),
    _spec("projecttask", "TaskExtendedDto", "internalId", rows=300, series=Series("", 1, 501), names="item",
          title="description", status="Active"),
    # customer documents
    _spec("customerinvoice", "CustomerInvoiceDto", "referenceNumber", rows=6000, series=Series("", 6, 100001),
          constants={"documentType": "Invoice"}, **_AR),
    _spec("customercreditnote", "CustomerCreditNoteDto", "referenceNumber", rows=400, series=Series("", 6,
          200001),
          constants={"documentType": "CreditNote"}, **_AR),
    _spec("customerdebitnote", "CustomerDebitNoteDto", "referenceNumber", rows=100, series=Series("", 6,
          210001),
          constants={"documentType": "DebitNote"}, **_AR),
    _spec("customeroverduecharge", "CustomerOverdueChargeDto", "referenceNumber", rows=60, series=Series("",
          6, 220001),
          constants={"documentType": "FinCharge"}, **_AR),
    _spec("customercreditwriteoff", "CustomerCreditWriteOffDto", "referenceNumber", rows=30,
          series=Series("", 6, 230001), constants={"documentType": "SmallCreditWo"}, **_AR),
    _spec("cashsale", "CashSaleDto", "referenceNumber", rows=200, series=Series("", 6, 240001),
          constants={"documentType": "CashSale"}, **_AR),
    _spec("customerpayment", "PaymentDto", "type refNbr", rows=1500, series=Series("", 6, 400001),
          title="invoiceText",
          types=("Payment", "Prepayment", "Refund"), status="Balanced"),
    _spec("customerpaymentmethod", "CustomerPaymentMethodDto", "customer.id paymentMethod.id", rows=200,
          fixed=_METHODS[:1], parent="customer"),
    _spec("customersalesprice", "CustomerSalesPriceDto", "recordId", rows=400, series=Series("", 1, 1),
          names="item",
          title="description"),
    _spec("customercontract", "CustomerContractDto", "contractId", rows=40, series=Series("CT", 5, 1),
          names="item",
          title="description", status="Draft"),
    _spec("contracttemplate", "ContractTemplateDto", "id",
          fixed=_fixed("STD Standard avtale; SLA Serviceavtale"),
          title="description"),
    _spec("contractusage", "ContractUsageDto", "contract", rows=40, series=Series("CT", 5, 1)),
    # supplier documents
    _spec("supplierinvoice", "SupplierInvoiceDto", "documentType referenceNumber", rows=4000,
          series=Series("", 6, 300001), title="description", types=("Invoice", "CreditAdj", "DebitAdj",
          "Prepayment"),
          status="Balanced"),
    _spec("supplierpayment", "SupplierPaymentDto", "type refNbr", rows=900, series=Series("", 6, 500001),
          title="description", types=("Payment", "DebitAdj", "Prepayment", "Refund"), status="Balanced"),
    # orders and stock
    _spec("salesorder", "SalesOrderDto", "orderType orderNo", rows=1500, series=Series("", 6, 1),
          title="description",
          types=("SO", "CS", "RM"), status="Open"),
    _spec("salesordertype", "SalesOrderTypeDto", "orderType", title="description",
          fixed=_fixed("SO Salgsordre; CS Kontantsalg; RM Retur; QT Tilbud; IN Faktura; CM Kreditnota")),
    _spec("shipment", "ShipmentDto", "shipmentNumber", rows=600, series=Series("", 6, 600001), status="Open"),
    _spec("purchaseorder", "PurchaseOrderDto", "orderType orderNbr", rows=700, series=Series("PO", 6, 1),
          title="description", types=("RegularOrder", "DropShip", "Blanket"), status="Open"),
    _spec("purchasereceipt", "PurchaseReceiptDto", "receiptType receiptNbr", rows=500, series=Series("PR",
          6, 1),
          types=("PoReceipt", "PoReturn"), status="Balanced"),
    _spec("inventoryadjustment", "InventoryAdjustmentDto", "referenceNumber", rows=120, series=Series("IA",
          6, 1),
          title="description", status="Balanced"),
    _spec("inventoryissue", "InventoryIssueDto", "referenceNumber", rows=200, series=Series("II", 6, 1),
          title="description", status="Balanced"),
    _spec("inventoryreceipt", "InventoryReceiptDto", "referenceNumber", rows=200, series=Series("IR", 6, 1),
          title="description", status="Balanced"),
    _spec("inventorytransfer", "InventoryTransferDto", "referenceNumber", rows=80, series=Series("IT", 6, 1),
          title="description", status="Balanced"),
    _spec("kitassembly", "KitAssemblyDto", "type refNo", rows=60, series=Series("KA", 6, 1),
          title="description",
          types=("Production", "Disassembly"), status="Balanced"),
    _spec("kitspecifications", "KitSpecificationDto", "kitInventoryID revision", rows=40, title="description",
          fixed=_fixed("1 Revisjon 1"), parent="inventory"),
    _spec("stocktake", "StocktakeV2dto", "referenceNbr", rows=30, series=Series("ST", 6, 1),
          title="description",
          status="Counting"),
    _spec("warehouse", "WarehouseDto", "warehouseID", fixed=_WAREHOUSES, title="description"),
    _spec("inventory/itemclass", "ItemClassDto", "id", title="description",
          fixed=_fixed("VARE Handelsvarer; TJENESTE Tjenester; FERDIG Ferdigvarer; RÅ Råvarer")),
    _spec("inventory/itempostclass", "PostingClassDto", "id", title="description",
          fixed=_fixed("STD Standard; AVGFRI Avgiftsfri; IMP Import")),
    _spec("lotserialclass", "LotSerialClassDto", "id", title="description",
          fixed=_fixed("NO Ikke sporet; LOT Partinummer")),
    _spec("salescategory", "SalesCategoryDto", "categoryID", rows=8, series=Series("", 1, 1), names="item",
          title="description"),
    _spec("packagingtype", "PackagingTypeDto", "boxId", title="description",
          fixed=_fixed("ESKE Eske; PALL EUR-pall")),
    _spec("carrier", "CarrierDto", "carrierId", title="carrierDescription",
          fixed=_fixed("POST Posten; BRING Bring; DHL DHL")),
    _spec("landedcostcode", "LandedCostCodeDto", "landedCostCodeId", title="description",
          fixed=_fixed("FRAKT Frakt; TOLL Toll")),
    _spec("discount", "DiscountDto", "discountCode series", rows=20, series=Series("D", 3, 1),
          title="description",
          types=("KVANTUM", "KUNDE")),
    _spec("discountcode", "DiscountCodeDto", "discountCode", title="description",
          fixed=_fixed("KVANTUM Kvantumsrabatt; KUNDE Kunderabatt; KAMPANJE Kampanje")),
    _spec("unitofmeasure", "UnitOfMeasureDto", "fromUnit", fixed=_UNITS),
    # ledger, tax, cash
    _spec("journaltransaction", "JournalTransactionDto", "batchNumber", rows=1200, series=Series("", 6,
          700001),
          title="description", status="Balanced"),
    _spec("generalledgerbalance", "GeneralLedgerBalanceDto", "subAccountCd", rows=600, series=Series("", 6,
          1)),
    _spec("generalledgertransactions", "GeneralLedgerTransactionDetailsDto", "batchNumber", rows=1500,
          series=Series("", 6, 700001), title="description"),
    _spec("account", "AccountDto", "accountCD", fixed=_ACCOUNTS, title="description", internal="accountID"),
    _spec("subaccount", "SubAccountDto", "subaccountNumber", rows=40, series=Series("", 4, 1),
          title="description",
          internal="subaccountId"),
    _spec("ledger", "LedgerDto", "number", fixed=_fixed("1 Hovedbok; 2 Budsjett; 3 Rapportering"),
          title="description",
          internal="internalId"),
    _spec("budget", "BudgetDto", "account.number", rows=28, fixed=_ACCOUNTS[:28], title="description"),
    _spec("financialperiod", "FinancialPeriodDto", "period", rows=60, title="description"),
    _spec("cashaccount", "CashAccountDto", "number", fixed=_ACCOUNTS[5:8], title="description"),
    _spec("cashtransaction", "CashTransactionDto", "referenceNbr", rows=200, series=Series("CA", 6, 1),
          title="description", status="Balanced"),
    _spec("currency", "CurrencyDto", "id", fixed=_CURRENCIES, title="description"),
    _spec("currencyrate", "CurrencyRateDto", "id", rows=180, series=Series("", 1, 1)),
    _spec("currencyratetype", "CurrencyRateTypeDto", "id", fixed=_fixed("SPOT Spotkurs; MND Månedskurs"),
          title="description"),
    _spec("creditterm", "CreditTermDto", "termsId", fixed=_TERMS, title="description"),
    _spec("paymentmethod", "PaymentMethodDto", "paymentMethodID", fixed=_METHODS, title="description"),
    _spec("vat", "VatInformationDto", "vatId", fixed=_VAT, title="description"),
    _spec("vatcategory", "VatCategoryDto", "vatCategoryId", fixed=_VAT, title="description"),
    _spec("vatzone", "VatZoneDto", "id", fixed=_VAT_ZONES),
    _spec("deferralcode", "DeferralCodeDto", "deferralCode",
          fixed=_fixed("12MND Tolv måneder; KVARTAL Kvartal"),
          title="description"),
    _spec("fixedasset", "FixedAssetDto", "assetID", rows=60, series=Series("FA", 6, 1), title="description"),
    _spec("fixedassetclass", "FixedAssetClassDto", "classID", title="description",
          fixed=_fixed("BIL Biler; DATA Datautstyr; INVENTAR Inventar")),
    _spec("fixedassetpropertytaxgroup", "FixedAssetPropertyTaxDto", "propertyTaxID",
          fixed=_fixed("A Gruppe A; B Gruppe B")),
    _spec("fixedassettransaction", "FixedAssetTransactionDto", "refNo", rows=150, series=Series("FT", 6, 1)),
    # organisation
    _spec("branch", "BranchDto", "number", fixed=_BRANCHES, names="company", title="name",
          internal="branchId"),
    _spec("organization", "ExtendedOrganizationDto", "organizationCd", fixed=_fixed("1 Nordvik Gruppen AS"),
          title="name"),
    _spec("department", "DepartmentDto", "departmentId", fixed=_DEPARTMENTS, title="description"),
    _spec("country", "CountryDto", "id", fixed=_COUNTRIES, title="name"),
    _spec("numbersequence", "NumberingDto", "numberingId", title="description",
          fixed=_fixed("ARINVOICE Kundefaktura; APBILL Leverandørfaktura; CUSTOMER Kunde; "
          "VENDOR Leverandør; BATCH Bilag")),
    _spec("attribute", "AttributeDto", "attributeID", title="description",
          fixed=_fixed("FARGE Farge; BRANSJE Bransje; NIVÅ Nivå")),
    _spec("customer/customerclass", "CustomerClassDto", "id",
          fixed=_fixed("1 Norske kunder; 2 Svenske kunder; 3 Øvrige kunder")),
    _spec("supplier/supplierclass", "SupplierClassDto", "id",
          fixed=_fixed("1 Innenlands leverandører; 2 Utenlandske leverandører")),
    _spec("customerinvoice/worktypes", "WorkTypeDto", "xmlTag", title="description",
          fixed=_fixed("Bygg Bygg; El El; Maling Maling; VVS VVS")),
    _spec("uiextension", "UiExtensionDto", "internalId", rows=0, series=Series("", 1, 1)),
    _spec("uiextension/availablescreens", "UiExtensionScreenDto", "screenId",
          fixed=_fixed("AR303000; AP303000; SO301000")),
    _spec("multilanguage/languages", "ActiveMultilanguageDto", "languageISO", title="nativeName",
          fixed=_fixed("nb-NO Norsk; sv-SE Svenska; en-US English; fi-FI Suomi")),
    # time and expenses
    _spec("timecard", "TimeCardDto", "refNbr", rows=120, series=Series("TC", 6, 1), status="Hold"),
    _spec("earningtype", "EarningTypeDto", "code", fixed=_fixed("RG Ordinær tid; OT Overtid; FE Ferie"),
          title="description"),
    _spec("expenseclaim", "ExpenseClaimDto", "refNbr", rows=100, series=Series("EC", 6, 1), names="item",
          title="description", status="Hold"),
    _spec("expensereceipt", "ExpenseReceiptDto", "receiptId", rows=100, series=Series("ER", 6, 1),
          names="item",
          title="description", internal="internalId", status="Open"),
    _spec("projectaccountgroup", "ProjectAccountGroupDto", "accountGroupId", title="description",
          fixed=_fixed("INNTEKT Inntekter; KOST Kostnader; TIMER Timer")),
    _spec("projectbudget", "ProjectBudgetDto", "projectID projectTaskID", rows=150,
          fixed=_fixed("01 Oppgave 1"),
          title="description", parent="project"),
    _spec("projecttransaction", "ProjectTransactionDocumentDto", "refNbr", rows=120, series=Series("PM", 6,
          1),
          title="description", status="Balanced"),
)  # fmt: skip

SPECS: dict[str, TableSpec] = {spec.name: spec for spec in _ALL}

# collections that show the rows of another table (in their own shape, where that differs)
ALIASES: dict[str, str] = {
    "customer/internal": "customer",
    "customer/balance": "customer",
    "supplier/balance": "supplier",
    "supplier/pobalance": "supplier",
    "supplieraccount": "supplier",
    "inventory/internal": "inventory",
    "inventorysummary": "inventory",
    "multilanguage/inventory": "inventory",
    "inventory/barcode/purchasereceipt": "purchasereceipt",
    "inventory/barcode/salesorder": "salesorder",
    "inventory/barcode/shipment": "shipment",
    "inventory/barcode/stocktake": "stocktake",
    "payment": "customerpayment",
    "creditnote": "customercreditnote",
    "project/internal": "project",
    "projectbasic": "project",
    "project/tasks": "projecttask",
    "purchaseorderbasic": "purchaseorder",
    "purchasereceiptbasic": "purchasereceipt",
    "salesorderbasic": "salesorder",
    "supplierinvoice/documenttype": "supplierinvoice",
    "salesorder/ordertype": "salesorder",
    "salesorderbasic/ordertype": "salesorder",
    "journaltransaction/module": "journaltransaction",
}


def canonical_name(name: str, known: Iterable[str]) -> str:
    """Return the table meant by `customer_invoice`, `CustomerInvoice` or `customerinvoice`.

    Raises:
        KeyError: No table has such a name; the text names the nearest ones.
    """
    plain = name.replace("_", "").lower()
    plain = ALIASES.get(plain, plain)
    names = list(known)
    if plain in names:
        return plain
    near = ", ".join(get_close_matches(plain, names, 3))
    hint = f"Did you mean {near}?" if near else "Simulator.resources() and `vismanet resources` list them."
    raise KeyError(f"the simulator has no resource {name!r}. {hint}")
