"""Upserts over HTTP: what is compared, what is sent, and what becomes of rows whose answers get lost."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest
from msgspec.structs import force_setattr

from tests.bulk.company import COMPANY, Company, opened
from vismanet_async import OutcomeUnknown, RequestRefused
from vismanet_async._bulk.earlier_runs import EarlierRuns
from vismanet_async._bulk.existing import Existing, reads_by_key
from vismanet_async._bulk.journal import SqliteJournal
from vismanet_async._bulk.target import read_target, with_operations
from vismanet_async._bulk.transitions import Entry, RowState, Trouble
from vismanet_async._bulk.upserting import Upsert
from vismanet_async.errors import UnknownName
from vismanet_async.models import CustomerUpdate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from vismanet_async.bulk import BulkSummary, RowResult

NUMBERS = ("10000", "10001", "10002")


def new(number: str, **fields: Any) -> dict[str, Any]:
    """A customer whose number is kept although the series is automatic."""
    return {"number": number, "override_number_series": True, "name": f"name of {number}", **fields}


async def upsert(
    company: Company, rows: Any, *, key: str = "number", **options: Any
) -> tuple[BulkSummary, dict[str, RowResult]]:
    run = company.visma.bulk.upsert(
        "customer", rows, key=key, journal=company.journal, **({"settle_seconds": 0} | options)
    )
    results = {result.key: result async for result in run}
    assert run.summary is not None
    return run.summary, results


def sent(company: Company) -> list[tuple[str, dict[str, Any]]]:
    return [
        (each.operation.partition("_")[2].partition("By")[0], json.loads(each.body, parse_float=Decimal))
        for each in company.simulator.ledger.matching()
    ]


class Counted:
    """A list that was counted, and lacks every record."""

    completeness = SimpleNamespace(verdict="counted")

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def list(self, **filters: str) -> Counted:
        self.asked.append(filters)
        return self

    def with_options(self, **options: str) -> Counted:
        self.asked.append(options)
        return self

    async def all(self) -> Sequence[Any]:
        return []


@pytest.mark.parametrize(
    ("name", "asked"), [(None, [{}, {"completeness": "prove"}]), ("corporate_id", [{}, {"corporate_id": "1"}])]
)
async def test_what_a_counted_list_lacks_is_not_taken_for_missing(name: str | None, asked: list[Any]) -> None:
    target = attrs.evolve(read_target("customer", "corporateId"), by_get=False, filter=name)
    customer = Counted()
    existing = Existing(cast("Any", SimpleNamespace(customer=customer)), target)
    await existing.load(None)
    assert await existing.at("1") == []
    assert customer.asked == asked


async def test_only_fields_that_differ_are_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        first, second, third = await company.visma.customer.list()
        rows = [
            {"number": first.number, "name": first.name, "credit_limit": "1000.10", "main_address": {"city": "Voss"}},
            CustomerUpdate(number=second.number, name="Sol AS"),
            {"number": {"value": third.number}, "name": third.name, "creditLimit": str(third.credit_limit) + "00"},
            new("90000"),
        ]
        summary, results = await upsert(company, rows)
        assert str(summary) == "4 rows: 1 created, 2 updated, 1 unchanged"
        assert summary.complete
        assert [results[each].outcome for each in (*NUMBERS, "90000")] == ["updated", "updated", "unchanged", "created"]
        address = {"value": {"city": {"value": "Voss"}}}
        by_number = {"number": {"value": "90000"}, "overrideNumberSeries": {"value": True}}
        assert sorted(sent(company), key=str) == sorted(
            [
                ("Put", {"creditLimit": {"value": Decimal("1000.10")}, "mainAddress": address}),
                ("Put", {"name": {"value": "Sol AS"}}),
                ("Post", {"name": {"value": "name of 90000"}, **by_number}),
            ],
            key=str,
        )
        again, _ = await upsert(company, rows)
        assert str(again) == "4 rows: 4 unchanged"
        assert len(company.simulator.ledger) == 3


async def test_requests_are_those_of_reading_and_one_for_each_row_that_differs(tmp_path: Path) -> None:
    async with opened(tmp_path, customers=1200) as company:
        listed = await company.visma.customer.list()
        reading = company.simulator.requests.total
        rows = [{"number": each.number, "name": each.name} for each in listed]
        for row in rows[::100]:
            row["name"] = f"new {row['number']}"
        before = company.simulator.requests.total
        summary, _ = await upsert(company, rows)
        assert str(summary) == "1,200 rows: 12 updated, 1,188 unchanged"
        # one more asks how many there are, to choose between the list and one read a row
        assert company.simulator.requests.total - before <= reading + 1 + 12


async def test_few_rows_are_read_by_their_key(tmp_path: Path) -> None:
    async with opened(tmp_path, customers=40) as company:
        customer = await company.visma.customer.get("10000")
        before = company.simulator.requests.total
        rows = [{"number": "10000", "name": customer.name}, {"number": "10001", "name": "Sol AS"}, new("90000")]
        summary, _ = await upsert(company, rows)
        assert str(summary) == "3 rows: 1 created, 1 updated, 1 unchanged"
        assert company.simulator.requests.total - before == 3 + 2 + 1, "reads, writes, and the look at the first create"
        assert all("mainAddress" not in body for _, body in sent(company))


def test_the_cheaper_way_is_chosen_by_counts() -> None:
    assert [reads_by_key(rows, records=10_000, page_rows=1_000) for rows in (5, 12, 13, 10_000)] == [
        True,
        True,
        False,
        False,
    ]


async def test_a_key_found_twice_or_in_another_case_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path, customers=40) as company:
        visma = company.visma
        for number in ("10000", "10001"):
            await visma.customer.update(number, {"corporate_id": "Twice"})
        await visma.customer.update("10002", {"corporate_id": "Abc"})
        await visma.customer.update("10003", {"corporate_id": "Xyz"})
        rows = [{"corporate_id": key, "name": f"new {key}"} for key in ("Twice", "abc", "absent", "absent", "", "Xyz")]
        before = len(company.simulator.ledger)
        summary, results = await upsert(company, rows, key="corporate_id")
        assert "2 records have the corporateId 'Twice': 10000, 10001" in (results["Twice"].error or "")
        assert "called 'Abc' and the row 'abc'" in (results["abc"].error or "")
        assert "has no corporateId" in (results["?"].error or "")
        assert (summary.failed, summary.created, summary.updated, summary.duplicate) == (3, 1, 1, 1)
        assert len(company.simulator.ledger) == before + 2


@pytest.mark.parametrize("first", ["no-77", "NO-77", "No-77 "])
async def test_keys_that_the_erp_takes_for_one_are_one(tmp_path: Path, first: str) -> None:
    async with opened(tmp_path) as company:
        rows = [{"corporate_id": key, "name": "Vega AS"} for key in (first, "nO-77")]
        rehearsal = await company.visma.bulk.rehearse_upsert("customer", rows, key="corporate_id")
        assert (rehearsal.requests, [each.key for each in rehearsal.mistakes]) == (1, ["nO-77"])
        summary, results = await upsert(company, rows, key="corporate_id")
        assert (summary.created, summary.duplicate, results["nO-77"].outcome) == (1, 1, "duplicate")
        assert len(company.simulator.ledger) == 1


async def test_a_row_whose_key_comes_in_another_case_is_still_the_same_row(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        done = Entry(key="No-77", position=1, fingerprint=b"x", operation="Customer_Post", state=RowState.DONE)
        journal = SqliteJournal(company.journal)
        await journal.open(company=COMPANY, base_url=company.visma.base_url)
        await journal.register([done])
        await journal.aclose()
        rows = [{"corporate_id": "NO-77", "name": "Vega AS"}]
        rehearsal = await company.visma.bulk.rehearse_upsert(
            "customer", rows, key="corporate_id", journal=company.journal
        )
        assert (rehearsal.requests, rehearsal.created, rehearsal.mistakes_found) == (0, 0, 1), "as the run says"
        assert "it was deleted" in rehearsal.mistakes[0].text
        summary, results = await upsert(company, rows, key="corporate_id")
        assert (summary.conflict, list(results)) == (1, ["No-77"]), "an earlier run created it, and it is gone"
        assert not company.simulator.ledger


def test_processes_that_share_a_journal_write_a_key_in_one_way() -> None:
    target = read_target("customer", "corporate_id")
    alone, shared = EarlierRuns(target), EarlierRuns(target)
    shared._shared = True
    assert [alone.key_of(key) for key in ("No-1", "NO-1", "no-1 ", "17 ", "17")] == ["No-1"] * 3 + ["17"] * 2
    assert [shared.key_of(key) for key in ("No-1", "NO-1", "no-1 ", "17 ", "17")] == ["no-1"] * 3 + ["17"] * 2


async def without_versions(existing: Existing, rows: int | None) -> None:
    await load(existing, rows)
    for record in (each for records in (existing._by_key or {}).values() for each in records):
        force_setattr(cast("Any", record), "time_stamp", None)


load = Existing.load


@pytest.mark.parametrize(
    ("change", "row", "outcome"),
    [
        ({"name": "a colleague's"}, {"name": "ours"}, "conflict"),
        ({"credit_limit": 5}, {"name": "ours"}, "updated"),
        ({"name": "ours"}, {"name": "ours"}, "unchanged"),
        # the list does not show the note, so the record is read anew for that
        ({"name": "somebody else's"}, {"name": None, "note": "ours"}, "conflict"),
    ],
)
async def test_a_change_after_a_list_without_versions_is_a_conflict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, row: Any, outcome: str
) -> None:
    monkeypatch.setattr(Existing, "load", without_versions)
    async with opened(tmp_path) as company:
        visma = company.visma
        first = await visma.customer.get("10000")

        async def rows() -> AsyncIterator[dict[str, Any]]:
            await visma.customer.update("10000", change)  # after the list was read
            yield {"number": "10000", **row, "name": row["name"] or first.name}

        summary, results = await upsert(company, rows())
        assert results["10000"].outcome == outcome, results["10000"].error
        assert len(company.simulator.ledger) == 1 + (outcome == "updated")
        await upsert(company, rows())
        if outcome == "conflict":
            assert len(company.simulator.ledger) == 3, "the next run compares anew"
            change["name"], row["name"] = "again somebody else's", "ours again"
            summary, _ = await upsert(company, rows())
            assert summary.conflict == 1, "also where the night before is done"


async def test_a_line_that_is_there_is_not_inserted_again_where_if_match_is_ignored(tmp_path: Path) -> None:
    async with opened(tmp_path, rows={"inventory": 2}) as company:
        visma, target = company.visma, read_target("inventory", "inventory_number")
        number = company.simulator.truth("inventory").keys[0]
        barcode = {"alternate_type": "Barcode", "alternate_id": "7046110000014"}
        row = {"inventory_number": number, "description": "ours", "cross_references": [barcode]}
        decided: list[Any] = [each async for each in Upsert(visma, target, [row])]
        look = partial(Upsert(visma, target, []).find, decided[0], numbers_hold=True)
        assert await look() is None, "it was not executed"
        await decided[0].operation()
        assert await look() == number
        await visma.inventory.update(number, {"description": "somebody else's"})
        with pytest.raises(OutcomeUnknown, match="a line that it inserts is there"):
            await look()


@pytest.mark.parametrize(("fault", "outcome"), [("reset_after", "unknown"), ("reset_before", "updated")])
async def test_an_update_that_no_record_shows_is_told_by_the_version(tmp_path: Path, fault: Any, outcome: str) -> None:
    async with opened(tmp_path) as company:
        faults = company.simulator.faults
        faults.add(fault, method="PUT", times=1)
        _, results = await upsert(company, [{"number": "10000", "note": "by hand"}])
        assert results["10000"].outcome == outcome, results["10000"].error
        assert len(company.simulator.ledger.matching(succeeded=True)) == 1, "neither lost nor twice"


async def test_an_update_that_no_record_shows_is_repeated_where_it_inserts_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, rows={"inventory": 2}) as company:
        visma, target = company.visma, read_target("inventory", "inventory_number")
        number = company.simulator.truth("inventory").keys[0]
        rows = [{"inventory_number": number, "body": "by hand"}]
        [row] = [each async for each in Upsert(visma, target, rows)]
        assert [each.shown for each in row.differences] == [False]
        for _ in range(2):
            assert await Upsert(visma, target, []).find(row, numbers_hold=True) is None
            await row.operation()  # type: ignore[operator]


async def test_somebody_else_s_change_stands(tmp_path: Path) -> None:
    async with opened(tmp_path, customers=40) as company:
        visma = company.visma

        async def rows() -> AsyncIterator[dict[str, Any]]:
            await visma.customer.update("10000", {"name": "somebody else's"})  # after the list was read
            for number in NUMBERS:
                yield {"number": number, "name": f"ours {number}"}

        summary, results = await upsert(company, rows())
        assert (summary.conflict, summary.updated, results["10000"].outcome) == (1, 2, "conflict")
        assert (await visma.customer.get("10000")).name == "somebody else's"
        again, _ = await upsert(company, [{"number": number, "name": f"ours {number}"} for number in NUMBERS])
        assert (again.updated, again.unchanged) == (1, 2), "the next run compares anew"


async def test_a_company_that_numbers_by_itself_stops_the_run_at_its_first_create(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        rows = [{"number": str(number), "name": f"new {number}"} for number in range(90000, 90020)]
        summary, _ = await upsert(company, rows)
        assert "the company numbers records by itself" in (summary.stopped or "")
        assert (summary.created, len(company.simulator.ledger)) == (1, 1)
        again, _ = await upsert(company, rows[:1])
        assert (again.conflict, len(company.simulator.ledger)) == (1, 1), "not created a second time"
        assert "an earlier run created it as 10003" in (again.problems[0].error or "")
        for night in (rows, rows[1:], rows[1:2]):
            summary, _ = await upsert(company, night)
            assert "an earlier run created '90000' as 10003" in (summary.stopped or "")
            assert (summary.created, summary.not_sent) == (0, len([each for each in night if each is not rows[0]]))
            assert len(company.simulator.ledger) == 1, "no second stray record"


async def test_a_record_that_was_deleted_stops_no_creates(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        await upsert(company, [new("90000"), new("90001")])
        company.simulator.remove("customer", "90000")
        summary, results = await upsert(company, [new("90000"), new("90002")])
        assert (results["90000"].outcome, results["90002"].outcome) == ("conflict", "created")
        assert summary.stopped is None


class Written:
    """A journal that says what an earlier run wrote."""

    shared = False

    def __init__(self, *entries: Entry) -> None:
        self._entries = entries

    async def entries(self) -> AsyncIterator[Entry]:
        for entry in self._entries:
            yield entry


class Known:
    """Records by their key."""

    def __init__(self, *keys: str) -> None:
        self._keys = keys

    async def at(self, key: str) -> list[str]:
        return [key] if key in self._keys else []


@pytest.mark.parametrize(
    ("key", "known", "told"),
    [
        ("number", (), "A"),
        ("number", ("A",), "B"),
        ("number", ("A", "B"), None),
        ("number", ("A", "C"), None),  # creates are answered with ids of another kind
        ("corporate_id", (), "A"),
        ("corporate_id", ("A",), None),
    ],
)
async def test_what_earlier_runs_show_of_numbers(key: str, known: tuple[str, ...], told: str | None) -> None:
    target = read_target("customer", key)
    made = partial(Entry, position=1, fingerprint=b"", operation=target.create_id, state=RowState.DONE)
    mark = Trouble(kind="VismaNetError", text="not there")
    journal = Written(
        made(key="A", id="1", trouble=mark),
        made(key="B", id="2"),
        made(key="C", id="3"),
        made(key="D", id="D"),  # it had this number, and was deleted
        made(key="E"),
        made(key="F", id="4", operation=target.update_id),
        made(key="G", id="5", state=RowState.UNKNOWN),
    )
    earlier = EarlierRuns(target)
    await earlier.read(cast("Any", journal))
    found = await earlier.renumbered(cast("Any", Known(*known)))
    assert (found and found.key) == told


async def test_a_key_that_was_not_kept_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_existing: Existing, _key: str) -> list[Any]:
        return []

    async with opened(tmp_path) as company:
        rows = [{"corporate_id": key, "name": f"new {key}"} for key in ("x-1", "x-2", "x-3")]
        with monkeypatch.context() as patch:
            patch.setattr(Existing, "fresh", nothing)  # a company that writes these keys in a form of its own
            patch.setattr(Existing, "at", nothing)
            for _ in range(2):
                summary, _ = await upsert(company, rows, key="corporate_id")
                assert "the company numbers records by itself" in (summary.stopped or "")
                assert len(company.simulator.ledger) == 1
        summary, _ = await upsert(company, rows, key="corporate_id")
        assert (summary.created, summary.stopped) == (2, None), "it is found by its key again"


async def test_a_lost_create_that_may_have_got_another_number_is_not_sent_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        company.simulator.faults.add("reset_after", method="POST", times=1)
        rows = [{"number": "90000", "name": "Vega AS"}]
        for _ in range(2):
            summary, _ = await upsert(company, rows)
            assert (summary.unknown, len(company.simulator.ledger)) == (1, 1)
            assert "10003 has all its values" in (summary.problems[0].error or "")


async def test_lost_answers_are_looked_up_by_the_key(tmp_path: Path) -> None:
    async with opened(tmp_path, customers=40) as company:
        faults = company.simulator.faults
        for method, first in (("POST", 0), ("PUT", 2)):
            faults.add("reset_after", method=method, after=first, every=5)
            faults.add("reset_before", method=method, after=first + 2, every=7)
            faults.add("status", status=503, method=method, after=first + 3, every=11)
        faults.add("status", status=503, method="POST", after=4, every=13, executed=True)
        numbers = [each.number or "" for each in await company.visma.customer.list()]
        rows = [{"number": number, "name": f"new {number}"} for number in numbers]
        rows += [new(str(number), name=f"new {number}") for number in range(90000, 90030)]
        for _ in range(3):
            await upsert(company, rows, max_failure_share=None)
        summary, _ = await upsert(company, rows, max_failure_share=None)
        assert summary.complete
        faults.clear()
        done = company.simulator.ledger.matching(succeeded=True)
        posts = [json.loads(each.body)["number"]["value"] for each in done if each.operation == "Customer_Post"]
        assert sorted(posts) == [str(number) for number in range(90000, 90030)], "each was created once"
        assert {each.name for each in await company.visma.customer.list()} == {f"new {row['number']}" for row in rows}


async def test_what_no_list_shows_is_looked_for_in_the_record_and_sent_each_time(tmp_path: Path) -> None:
    async with opened(tmp_path, customers=40) as company:
        rows = [{"number": number, "note": "by hand"} for number in (*NUMBERS, "10003", "10004", "10005")]
        for _ in range(2):
            summary, _ = await upsert(company, rows)
            assert summary.updated == 6
        rehearsal = await company.visma.bulk.rehearse_upsert("customer", rows[:1], key="number")
        assert str(rehearsal.changes[0]) == "10000: note: not shown -> 'by hand'"


async def test_a_rehearsal_shows_what_differs_and_writes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, customers=40) as company:
        customer = await company.visma.customer.get("10000")
        rows = [
            {"number": "10000", "name": "Sol AS", "credit_limit": 5},
            {"number": "10001", "nmae": "x"},
            new("90000"),
            {"number": "10000", "name": "x"},
            {"number": "10002"},
        ]
        rehearsal = await company.visma.bulk.rehearse_upsert("customer", rows, key="number", journal=company.journal)
        assert [str(each) for each in rehearsal.changes] == [
            f"10000: name: {customer.name!r} -> 'Sol AS'; creditLimit: {customer.credit_limit} -> 5",
            "90000: create",
        ]
        assert [(each.position, each.text.partition(";")[0]) for each in rehearsal.mistakes] == [
            (2, "there is no field 'nmae' in CustomerUpdate"),
            (4, "an earlier row of the input has the same key"),
        ]
        assert str(rehearsal).startswith(
            "5 rows, 1 to be created, 1 to be updated, 1 unchanged, 2 mistakes. A run takes 2 requests"
        )
        assert not company.simulator.ledger
        assert not company.journal.exists()


def test_resources_and_keys_that_are_none_are_refused() -> None:
    with pytest.raises(RequestRefused, match="location is not written by upsert"):
        read_target("location", "location_id")
    with pytest.raises(UnknownName, match="there is no key 'nmber' that customer has and is sent"):
        read_target("customer", "nmber")
    with pytest.raises(RequestRefused, match="main_address is no key"):
        read_target("customer", "main_address")
    for resource, key, shown in (
        ("customer_contract", "customer", "NumberName"),
        ("subaccount", "subaccount_id", "int"),
        ("sales_order", "transactionType", "IntegerIdDescription"),
    ):
        with pytest.raises(RequestRefused, match=rf"{key} is no key: it takes \w+, and records show {shown}\. Nothing"):
            read_target(resource, key)
    target = read_target("customerInvoice", "referenceNumber")
    assert (target.path_name, target.guarded, target.by_get) == ("reference_number", True, True)
    assert read_target("customer", "corporateId").filter == "corporate_id"
    assert not read_target("inventory", "inventory_number").guarded


async def test_a_whole_number_is_one_key_however_it_is_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        before = len(await company.visma.customer.list())
        rows = [new("90000", credit_days_past_due=days) for days in ("0077", 77)]
        # the second journal knows nothing of the first, and the record shows 77
        for journal, outcomes in {"first": ["created", "duplicate"], "second": ["duplicate", "failed"]}.items():
            run = company.visma.bulk.upsert(
                "customer", rows, key="credit_days_past_due", journal=tmp_path / journal, settle_seconds=0
            )
            assert sorted([result.outcome async for result in run]) == outcomes
        assert len(await company.visma.customer.list()) == before + 1


def test_lines_that_do_not_say_what_they_are_for_are_updated_by_number() -> None:
    body = {"invoiceLines": [{"line_number": 1, "quantity": 2}, {"quantity": 3}, {"operation": "Delete"}]}
    told = with_operations("CustomerInvoiceUpdate", body)["invoiceLines"]
    assert [each["operation"] for each in told] == ["Update", "Insert", "Delete"]
