from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vismanet_async._columns.flat import FlatReader
from vismanet_async._columns.schema import EXTRA, Column, arrow_schema, columns_of, leaves
from vismanet_async._export.formats.registry import FORMATS
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

CATALOG = resources.files("vismanet_async._api") / "catalog"
OPERATIONS = msgspec.json.decode((CATALOG / "operations.json").read_bytes())["operations"]
ORDERS = msgspec.json.decode((CATALOG / "sales_order.json").read_bytes())["operations"]
LISTS = [one["id"] for one in OPERATIONS + ORDERS if one["response"]["kind"] in {"list", "envelope", "paged"}]


def test_every_list_has_columns_that_parquet_can_hold() -> None:
    assert len(LISTS) > 130
    for operation_id in LISTS:
        columns = columns_of(operation_id)
        schema = arrow_schema(columns)
        assert schema.names == [*(column.name for column in columns), EXTRA]
        with pq.ParquetWriter(pa.BufferOutputStream(), schema):
            pass
        paths = list(leaves(columns))
        assert len({".".join(path).lower() for path in paths}) == len(paths)  # for readers that ignore case


def _named(columns: Sequence[Column], *path: str) -> dict[str, Any]:
    """Return a record whose values are the paths of their columns."""
    return {
        column.name: _named(column.fields, *path, column.name)
        if column.kind == "record" and not column.repeated
        else ".".join([*path, column.name])
        for column in columns
    }


def test_flat_values_are_those_of_their_columns_in_every_list() -> None:
    for operation_id in LISTS:
        columns = columns_of(operation_id)
        (values,) = FlatReader(columns).read([msgspec.json.encode(_named(columns))])
        assert values == tuple(map(".".join, leaves(columns)))


def test_types_are_those_of_the_catalog() -> None:
    schema = arrow_schema(columns_of("CustomerInvoice_GetAll"))
    assert schema.field("amount").type == pa.decimal128(18, 4)
    assert schema.field("dunningLetterLevel").type == pa.int64()
    assert schema.field("hold").type == pa.bool_()
    assert schema.field("lastModifiedDateTime").type == pa.timestamp("us")
    assert schema.field("referenceNumber").type == pa.string()
    assert schema.field("status").type == pa.string()
    assert pa.types.is_struct(schema.field("customer").type)
    line = schema.field("invoiceLines").type.value_type
    assert line.field("unitPrice").type == pa.decimal128(18, 6)
    assert line.field("quantity").type == pa.decimal128(19, 6)
    assert schema.field("exchangeRate").type == pa.decimal128(19, 8)
    assert line.field("account").type.field("number").type == pa.string()
    assert schema.field(EXTRA).type == pa.string()


def test_orders_have_columns_of_their_own_and_points_in_time_are_text() -> None:
    summary = arrow_schema(columns_of("SalesOrders_GetList_type"))
    assert summary.field("orderTotal").type == pa.decimal128(18, 4)
    assert summary.field("lastModified").type == pa.string()
    assert summary.field("_links").type == pa.string()
    lines = arrow_schema(columns_of("SalesOrders_GetItemLines_typeorderIdlines"))
    assert lines.field("inventory").type.field("id").type == pa.string()
    (address,) = [
        one for one in columns_of("Customers_GetCustomerLocationList_customerIdlocations") if one.name == "address"
    ]
    assert [one.name for one in address.fields][:3] == ["city", "country", "county"]  # the ERP has another AddressDto


def test_times_are_read_as_text() -> None:
    reading = arrow_schema(columns_of("CustomerInvoice_GetAll"), moments_as_text=True)
    assert reading.field("lastModifiedDateTime").type == pa.string()
    assert reading.field("amount").type == pa.decimal128(18, 4)


def test_a_record_within_itself_is_cut_and_kept_as_json() -> None:
    assert columns_of("SalesCategory_Get")[-1] == Column("subCategories", "json")


def test_a_list_of_plain_texts_is_one_column() -> None:
    assert columns_of("Dimension_GetDimensionList") == (Column("value", "text"),)


@pytest.mark.parametrize("operation_id", ["Nothing_GetAll", "Customer_GetBycustomerCd", "Account_Post"])
def test_what_is_no_list_has_no_columns(operation_id: str) -> None:
    with pytest.raises(RequestRefused, match=f"{operation_id} are; nothing was sent. Export it as jsonl"):
        columns_of(operation_id)


@pytest.mark.parametrize(("name", "install"), [("parquet", "parquet"), ("jsonl.zst", "zstd")])
def test_a_missing_extra_is_asked_for(name: str, install: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str) -> None:
        raise ModuleNotFoundError(f"No module named {module!r}")

    monkeypatch.setattr("vismanet_async._extras.importlib.import_module", missing)
    with pytest.raises(RequestRefused, match=rf"nothing was sent.*pip install 'vismanet-async\[{install}\]'"):
        FORMATS[name].require()
    FORMATS["csv"].require()
