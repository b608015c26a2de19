"""The dlt source, into DuckDB, from a simulated company that changes between the loads."""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import attrs
import dlt
import duckdb
import pytest
from anyio.from_thread import start_blocking_portal
from dlt.pipeline.exceptions import PipelineStepFailed

from vismanet_async import ClientCredentials, StaticToken, VismaNet
from vismanet_async._api.registry import method_facts
from vismanet_async._columns.schema import Column
from vismanet_async.contrib._dlt_deletions import TableSweep
from vismanet_async.contrib.dlt import _hints, _hoisted, visma_source
from vismanet_async.errors import IncompleteListing, RequestRefused, UnknownName
from vismanet_async.exports import Deletions
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anyio.from_thread import BlockingPortal

    from vismanet_async.contrib._dlt_deletions import TableKeys

OTHER = "22222222-2222-4333-8444-555555555555"


@attrs.frozen
class Warehouse:
    """A simulated company, and a DuckDB file that it is loaded into."""

    simulator: Simulator
    portal: BlockingPortal
    directory: Path

    def connect(self, tenant: str | None = None) -> VismaNet:
        simulator = self.simulator
        credentials = ClientCredentials(
            simulator.client_id, simulator.client_secret, tenant_id=tenant or simulator.tenant_id
        )
        return VismaNet(credentials, base_url=simulator.base_url, token_url=simulator.token_url)

    def load(self, resources: Any, *, tenant: str | None = None, pipeline_name: str = "test", **options: Any) -> None:

        pipeline = dlt.pipeline(
            pipeline_name,
            pipelines_dir=str(self.directory / "pipelines"),
            destination=dlt.destinations.duckdb(str(self.directory / "warehouse.duckdb")),
            dataset_name="erp",
        )
        pipeline.run(visma_source(resources, connect=lambda: self.connect(tenant), **options)).raise_on_failed_jobs()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.directory / "warehouse.duckdb")) as database:
            return database.execute(f"set schema = 'erp'; {sql}").fetchall()

    def keys(self, table: str = "subaccount", column: str = "subaccount_number") -> list[str]:
        return [key for (key,) in self.ask(f"select {column} from {table} order by 1")]

    def truth(self, resource: str = "subaccount") -> list[str]:
        return sorted(self.simulator.truth(resource).keys)

    def notes(self, resource: str) -> list[dict[str, Any]]:
        names = ["mode", "verdict", "rows", "rows_at_server", "unfit", "since"]
        found = self.ask(
            f"select {', '.join(names)} from visma_loads where resource = '{resource}' order by _dlt_load_id"
        )
        return [dict(zip(names, row, strict=True)) for row in found]

    def others(self, change: str, resource: str, **options: Any) -> list[str]:
        changed: list[str] = self.portal.call(lambda: getattr(self.simulator, change)(resource, **options))
        return changed

    def asked(self) -> int:
        return len([one for one in self.simulator.requests if one.path.startswith("/v1/")])


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    simulator = Simulator(
        rows={"subaccount": 150, "customer_invoice": 60, "carrier": 20, "customer_sales_price": 40}, companies=[OTHER]
    )
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(simulator):
        yield Warehouse(simulator, portal, tmp_path)


def test_the_second_load_brings_only_what_changed(warehouse: Warehouse) -> None:
    warehouse.load(["subaccount", "carrier"])
    assert warehouse.keys() == warehouse.truth()
    touched = warehouse.others("touch", "subaccount", count=4, description="Nytt navn")
    added = warehouse.others("add", "subaccount", count=3)
    warehouse.load(["subaccount", "carrier"])
    assert warehouse.keys() == warehouse.truth()  # each once
    assert {
        key for (key,) in warehouse.ask("select subaccount_number from subaccount where description = 'Nytt navn'")
    } >= set(touched)
    first, second = warehouse.notes("subaccount")
    assert (first["mode"], first["verdict"], first["rows"], first["since"]) == ("full", "proven", 150, None)
    assert (second["mode"], second["verdict"]) == ("delta", "proven")
    assert len({*touched, *added}) <= second["rows"] < 30  # and the few in the overlap
    assert second["since"] is not None
    # nothing that was not read again was written again
    stayed = warehouse.ask("select count(*) from subaccount group by _dlt_load_id order by _dlt_load_id")
    assert stayed == [(153 - second["rows"],), (second["rows"],)]


def test_deletions_are_noted_and_a_full_load_takes_them_over(warehouse: Warehouse) -> None:
    warehouse.load("carrier")
    at_first = len(warehouse.truth("carrier"))
    warehouse.others("remove", "carrier", count=2)
    warehouse.load("carrier")
    assert warehouse.notes("carrier")[-1]["rows_at_server"] == at_first - 2
    assert len(warehouse.keys("carrier", "carrier_id")) == at_first
    warehouse.load("carrier", full=True)
    assert warehouse.keys("carrier", "carrier_id") == warehouse.truth("carrier")
    warehouse.others("touch", "carrier")
    warehouse.load("carrier")
    assert warehouse.keys("carrier", "carrier_id") == warehouse.truth("carrier")
    assert [note["mode"] for note in warehouse.notes("carrier")] == ["full", "delta", "full", "delta"]


LISTS = ["customer_invoice", "customer_sales_price"]
KEYS = {"customer_invoice": ["documentType", "referenceNumber"], "customer_sales_price": ["recordId"]}
FAULTS: list[Any] = ["reset_before", "cut_body", "blank_list", "repeated_page"]
ROUNDS = int(os.environ.get("VISMANET_DLT_ROUNDS", "1"))


def snake(name: str) -> str:
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name)


def to_the_millisecond(moment: str) -> str:
    """Write a moment of the server, which leaves out zeros at its end, and a whole second's fraction."""
    return datetime.fromisoformat(moment).isoformat(timespec="milliseconds")


def as_loaded(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    """Return the key and the version of each row in the warehouse, and how many child rows the invoices have."""
    version = "strftime(last_modified_date_time, '%Y-%m-%dT%H:%M:%S.%g')"
    found = {
        name: sorted(warehouse.ask(f"select {', '.join(map(snake, keys))}, {version} from {name}"))
        for name, keys in KEYS.items()
    }
    return found | {"lines": warehouse.ask("select count(*) from customer_invoice__invoice_lines")}


def as_it_is(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    rows = {name: list(warehouse.simulator.truth(name).rows()) for name in LISTS}
    found = {
        name: sorted(
            (*(row[key] for key in keys), to_the_millisecond(row["lastModifiedDateTime"])) for row in rows[name]
        )
        for name, keys in KEYS.items()
    }
    return found | {"lines": [(sum(len(row.get("invoiceLines") or ()) for row in rows["customer_invoice"]),)]}


def test_with_deletions_each_load_ends_as_the_truth(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others write between the loads and within them, and the server is faulty; VISMANET_DLT_ROUNDS: how many loads."""
    chance, deleted = Random("deletions"), 0
    sweep = TableSweep.run
    changed: dict[str, str] = {}

    def after_a_removal(self: TableSweep, keys: TableKeys) -> Any:
        # what the changes have brought just now is gone when the sweep looks
        name = next(name for name in LISTS if self.facts is method_facts(name, "list"))
        warehouse.others("remove", name, key=changed[name])
        return sweep(self, keys)

    monkeypatch.setattr(TableSweep, "run", after_a_removal)
    warehouse.load(LISTS, deletions=True)
    for _ in range(ROUNDS):
        for name in LISTS:
            deleted += 1 + len(warehouse.others("remove", name, count=chance.randint(1, 4)))
            changed[name] = warehouse.others("touch", name, count=chance.randint(1, 4))[0]
            warehouse.others("add", name, count=chance.randint(0, 5), where="random")
        for fault in chance.sample(FAULTS, 2):
            more = {"of_page": 1} if fault == "repeated_page" else {}
            add = partial(warehouse.simulator.faults.add, fault, after=chance.randrange(4), times=1, **more)
            warehouse.portal.call(add)
        warehouse.load(LISTS, deletions=True, page_size=20)
        warehouse.portal.call(warehouse.simulator.faults.clear)
        assert as_loaded(warehouse) == as_it_is(warehouse)
    assert warehouse.ask("select sum(deleted), min(deletions), max(deletions) from visma_loads") == [
        (deleted, "proven", "proven")
    ]


def test_deletions_have_a_schedule_and_a_budget(warehouse: Warehouse) -> None:
    weekly = Deletions(every=timedelta(days=7))
    warehouse.load("subaccount", deletions=weekly)
    warehouse.load("subaccount", deletions=weekly)
    gone = warehouse.others("remove", "subaccount", count=3)
    # there are fewer rows than the table has: a sweep does not wait for its day, but for its budget
    warehouse.load("subaccount", deletions=attrs.evolve(weekly, max_requests=2), page_size=10)
    assert set(gone) <= set(warehouse.keys())
    # to believe that a list is empty takes three requests, which are of the budget
    warehouse.others("remove", "subaccount", count=147)
    warehouse.load("subaccount", deletions=attrs.evolve(weekly, max_requests=2))
    found = warehouse.ask("select deletions, deleted, rows_at_server from visma_loads order by _dlt_load_id")
    assert found == [("proven", 0, 150), ("counted", 0, 150), ("skipped", 0, 147), ("skipped", 0, 0)]
    assert "budget" in warehouse.ask("select deletions_reason from visma_loads order by _dlt_load_id")[-1][0]


def test_a_list_that_is_not_proven_removes_nothing(warehouse: Warehouse) -> None:
    warehouse.load("subaccount", deletions=True, page_size=20)
    gone = warehouse.others("remove", "subaccount", count=2)
    warehouse.portal.call(lambda: warehouse.simulator.faults.add("wrong_total", total="+page", times=1_000))
    warehouse.load("subaccount", deletions=True, allow_uncertain=True, page_size=20)
    assert set(gone) <= set(warehouse.keys())
    assert warehouse.ask("select deletions, deleted from visma_loads order by _dlt_load_id")[-1] == ("uncertain", 0)


def nowhere(items: Any, table: Any) -> None:
    """Take rows as a destination of one's own does, which nobody can ask."""


def test_deletions_need_a_destination_that_can_be_asked(warehouse: Warehouse) -> None:
    asked = warehouse.asked()
    files = dlt.pipeline(
        "files",
        pipelines_dir=str(warehouse.directory / "pipelines"),
        destination=dlt.destination(nowhere),
        dataset_name="erp",
    )
    with pytest.raises(PipelineStepFailed, match="deletions need a destination"):
        files.run(visma_source("subaccount", connect=warehouse.connect, deletions=True))
    assert warehouse.asked() == asked


def test_values_are_the_servers_to_the_last_digit(warehouse: Warehouse) -> None:
    warehouse.others("touch", "customer_invoice", count=1, amount=Decimal("12345678901234.5678"))
    warehouse.load("customer_invoice")
    rows = {row["referenceNumber"]: row for row in warehouse.simulator.truth("customer_invoice").rows()}
    found = warehouse.ask(
        "select reference_number, amount, exchange_rate, strftime(last_modified_date_time, '%Y-%m-%dT%H:%M:%S.%g') "
        "from customer_invoice"
    )
    assert len(found) == len(rows) == 60
    assert Decimal("12345678901234.5678") in {amount for _, amount, *_ in found}
    for number, amount, rate, modified in found:
        row = rows[number]
        assert (amount, rate) == (row.get("amount"), row.get("exchangeRate"))
        assert to_the_millisecond(row["lastModifiedDateTime"]) == modified
    lines = sum(len(row.get("invoiceLines") or ()) for row in rows.values())
    assert warehouse.ask("select count(*) from customer_invoice__invoice_lines") == [(lines,)]
    assert warehouse.ask("select distinct typeof(amount), typeof(document_date) from customer_invoice") == [
        ("DECIMAL(18,4)", "TIMESTAMP")
    ]


def test_an_amount_beyond_its_column_is_counted_and_kept(warehouse: Warehouse) -> None:
    warehouse.others("touch", "customer_invoice", count=1, amount=Decimal("0.12345"))
    warehouse.load("customer_invoice")
    ((amount, extra),) = warehouse.ask("select amount, _extra from customer_invoice where _extra is not null")
    assert (amount, extra) == (None, '{"amount":0.12345}')
    assert [note["unfit"] for note in warehouse.notes("customer_invoice")] == [1]


def test_rows_without_a_key_are_not_merged(warehouse: Warehouse) -> None:
    """dlt would take two of them for versions of one record."""
    (key,) = warehouse.others("add", "carrier")
    for empty in (7, "", None):  # a number is in no column of texts
        warehouse.others("touch", "carrier", key=key, carrierId=empty)
        key = "" if empty is None else str(empty)
        with pytest.raises(PipelineStepFailed) as raised:
            warehouse.load("carrier")
        assert any("all such rows for versions of one record" in str(one) for one in causes(raised.value))


def test_a_list_with_filters_is_replaced(warehouse: Warehouse) -> None:
    filters = {"subaccount": {"active": True}}
    warehouse.others("touch", "subaccount", count=5, active=False)
    warehouse.load(filters)
    active = warehouse.keys()
    assert 0 < len(active) < 150
    warehouse.others("touch", "subaccount", key=active[0], active=False)
    warehouse.load(filters)
    assert warehouse.keys() == active[1:]
    assert [note["mode"] for note in warehouse.notes("subaccount")] == ["full", "full"]


def test_a_list_that_cannot_be_shown_complete_loads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    simulator = Simulator(rows={"subaccount": 90}, behaviours={"list_order": "unstable"})
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(simulator):
        warehouse = Warehouse(simulator, portal, tmp_path)
        with pytest.raises(PipelineStepFailed) as raised:
            warehouse.load("subaccount", page_size=10)
        assert IncompleteListing in [type(cause) for cause in causes(raised.value)]
        for _ in range(2):  # no watermark is kept: all of it is read again
            warehouse.load("subaccount", allow_uncertain=True, page_size=10)
        assert [(note["verdict"], note["mode"]) for note in warehouse.notes("subaccount")] == 2 * [
            ("uncertain", "full")
        ]
        assert len(set(warehouse.keys())) == len(warehouse.keys())


def test_a_failed_load_leaves_the_watermark_where_it_was(warehouse: Warehouse) -> None:
    warehouse.load(["subaccount", "carrier"])
    warehouse.others("touch", "subaccount", count=2, description="Nytt navn")
    warehouse.portal.call(lambda: warehouse.simulator.faults.add("status", status=403, path="/v1/carrier"))
    with pytest.raises(PipelineStepFailed):
        warehouse.load(["subaccount", "carrier"])
    assert len(warehouse.notes("subaccount")) == 1
    warehouse.portal.call(warehouse.simulator.faults.clear)
    warehouse.load(["subaccount", "carrier"])
    assert len(warehouse.ask("select 1 from subaccount where description = 'Nytt navn'")) == 2


def test_one_company_to_a_pipeline(warehouse: Warehouse) -> None:
    warehouse.load("carrier")
    asked = warehouse.asked()
    with pytest.raises(PipelineStepFailed, match="a pipeline and a dataset of its own"):
        warehouse.load("carrier", tenant=OTHER)
    # a pipeline that knows of no company: all rows of the other one would look deleted
    with pytest.raises(PipelineStepFailed, match="they would be removed"):
        warehouse.load("carrier", tenant=OTHER, pipeline_name="other", deletions=True)
    assert warehouse.asked() == asked


def test_a_company_that_is_not_known_is_refused(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(_: Warehouse, tenant: str | None = None) -> VismaNet:
        return VismaNet(StaticToken("token"), base_url=warehouse.simulator.base_url)

    monkeypatch.setattr(Warehouse, "connect", connect)
    asked = warehouse.asked()
    with pytest.raises(PipelineStepFailed, match="Give StaticToken or AuthorizationCode its tenant_id"):
        warehouse.load("carrier")
    assert warehouse.asked() == asked


@pytest.mark.parametrize(
    ("resources", "error"),
    [("custmer", UnknownName), ({"subaccount": {"statu": "x"}}, UnknownName), ([], RequestRefused)],
)
def test_wrong_names_are_refused_before_anything_is_sent(resources: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        visma_source(resources)


def test_lists_in_records_become_child_tables_with_types() -> None:
    inner = Column("lines", "record", repeated=True, fields=(Column("rate", "decimal"),))
    columns = (Column("head", "record", fields=(inner, Column("note", "text"))),)
    flat, nested = _hints(columns)
    assert list(flat) == ["head__note"]
    assert nested["head_lines",]["columns"]["rate"]["scale"] == 8
    assert _hoisted({"head": {"lines": [{"rate": 1}], "note": "x"}}, columns) == {
        "head": {"note": "x"},
        "head_lines": [{"rate": 1}],
    }
