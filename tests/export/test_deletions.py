"""Deletions: sweeps of incremental exports, with the real client on the simulator."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from tests.support.begun import begun_from_now_on
from vismanet_async._client import VismaNet
from vismanet_async._export.deletions import Deletions, no_sweep
from vismanet_async._export.key_index import KeyIndex, key_of_name, keys_in
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.run import Export
from vismanet_async._export.sweep import KeySweep
from vismanet_async._export.target.local import Target
from vismanet_async._export.target.manifest import Manifest, Sweep, validate
from vismanet_async._http.auth.credentials import StaticToken
from vismanet_async._paging import fetcher
from vismanet_async.errors import ExportError, RequestRefused, ServerError, TargetNotWritable
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
WEEKLY = Deletions(every=timedelta(days=7))


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(seed=9, rows={"customer": 350, "customer_invoice": 120}) as running:
        yield running


async def export(
    simulator: Simulator, to: Path, *, resources: Any = "customer", max_attempts: int = 5, **plan: Any
) -> Manifest:
    options = {"page_size": 50, "incremental": True, "deletions": True, **plan}
    token = StaticToken(simulator.issue_token())
    async with VismaNet(token, base_url=simulator.base_url, concurrency=2, max_attempts=max_attempts) as visma:
        made = ExportPlan(resources=resources, to=to, **options)
        return await Export(visma, made, company=simulator.tenant_id, base_url=simulator.base_url)


def sweep_of(manifest: Manifest, name: str = "customer") -> Sweep:
    sweep = manifest.resources[name].runs[-1].sweep
    assert sweep is not None
    return sweep


def tombstones(root: Path, manifest: Manifest, name: str = "customer") -> list[dict[str, Any]]:
    file = sweep_of(manifest, name).tombstones
    return [] if file is None else [json.loads(line) for line in (root / file).read_bytes().splitlines()]


def known(root: Path, manifest: Manifest, name: str = "customer") -> set[str]:
    part = manifest.resources[name].keys
    assert part is not None
    keys = gzip.decompress((root / part.file).read_bytes()).splitlines()
    assert keys == sorted(keys)
    assert len(keys) == part.rows
    return {"/".join(json.loads(key)) for key in keys}


def published(root: Path, manifest: Manifest, name: str = "customer") -> list[str]:
    parts = manifest.resources[name].parts
    return [json.loads(line)["number"] for part in parts for line in (root / part.file).read_bytes().splitlines()]


async def test_what_is_gone_is_published_as_a_tombstone(simulator: Simulator, tmp_path: Path) -> None:
    first = await export(simulator, tmp_path)
    entry = first.resources["customer"]
    assert (entry.identity, sweep_of(first).verdict, sweep_of(first).requests) == (("number",), "proven", 0)
    assert known(tmp_path, first) == set(simulator.truth("customer").keys)
    assert not (tmp_path / "_deleted").exists()

    gone = simulator.remove("customer", count=5)
    simulator.add("customer", 2)
    second = await export(simulator, tmp_path)
    found = tombstones(tmp_path, second)
    assert [one["key"] for one in found] == [{"number": key} for key in sorted(gone)]
    assert all(datetime.fromisoformat(one["noticed_at"]) <= second.finished_at for one in found)
    assert (sweep_of(second).deleted, sweep_of(second).restored) == (5, 0)
    assert known(tmp_path, second) == set(simulator.truth("customer").keys)
    assert validate(tmp_path) == second

    third = await export(simulator, tmp_path)
    assert (sweep_of(third).deleted, sweep_of(third).tombstones) == (0, None)
    assert third.resources["customer"].tombstones == second.resources["customer"].tombstones
    assert validate(tmp_path) == third
    # only the newest key file stays
    assert [path.name for path in (tmp_path / "_keys").iterdir()] == ["customer-00002.jsonl.gz"]


async def test_keys_of_several_fields(simulator: Simulator, tmp_path: Path) -> None:
    await export(simulator, tmp_path, resources="customer_invoice")
    (gone,) = simulator.remove("customer_invoice")
    manifest = await export(simulator, tmp_path, resources="customer_invoice")
    (found,) = tombstones(tmp_path, manifest, "customer_invoice")
    assert list(found["key"]) == ["documentType", "referenceNumber"]
    assert found["key"] == {"documentType": "Invoice", "referenceNumber": gone}
    left = {f"Invoice/{number}" for number in simulator.truth("customer_invoice").keys}
    assert known(tmp_path, manifest, "customer_invoice") == left


async def test_a_list_that_cannot_be_proven_publishes_none(simulator: Simulator, tmp_path: Path) -> None:
    await export(simulator, tmp_path)
    gone = simulator.remove("customer", count=3)
    simulator.behaviours.set(list_order="unstable")
    second = await export(simulator, tmp_path, completeness="count", allow_uncertain=True)
    sweep = sweep_of(second)
    assert (sweep.verdict, sweep.deleted, sweep.tombstones) == ("uncertain", 0, None)
    assert set(gone) < known(tmp_path, second)
    simulator.behaviours.set(list_order="number")
    third = await export(simulator, tmp_path)  # still due
    assert [one["key"]["number"] for one in tombstones(tmp_path, third)] == sorted(gone)


async def test_between_sweeps_one_request_tells_whether_any_are_missing(simulator: Simulator, tmp_path: Path) -> None:
    await export(simulator, tmp_path, deletions=WEEKLY)
    quiet = await export(simulator, tmp_path, deletions=WEEKLY)
    assert (sweep_of(quiet).verdict, sweep_of(quiet).requests) == ("counted", 1)
    gone = simulator.remove("customer", count=2)
    asked = simulator.requests.total
    noticed = await export(simulator, tmp_path, deletions=WEEKLY)
    assert [one["key"]["number"] for one in tombstones(tmp_path, noticed)] == sorted(gone)
    # the manifest states every request of the run, and those of the sweep among them
    assert noticed.resources["customer"].runs[-1].requests == simulator.requests.total - asked
    assert sweep_of(noticed).requests < simulator.requests.total - asked


async def test_a_budget_that_is_too_small_leaves_the_sweep_out(simulator: Simulator, tmp_path: Path) -> None:
    await export(simulator, tmp_path)
    simulator.remove("customer", count=2)
    changed = simulator.touch("customer", count=3)
    asked = simulator.requests.total
    manifest = await export(simulator, tmp_path, deletions=Deletions(max_requests=9))
    assert sweep_of(manifest).verdict == "skipped"
    assert sweep_of(manifest).reason == "350 keys take some 10 requests, and the budget is 9"
    assert simulator.requests.total - asked < 7
    assert set(changed) <= set(published(tmp_path, manifest)[350:])  # the changes are there all the same


async def test_a_budget_that_runs_out_stops_the_sweep(simulator: Simulator, tmp_path: Path) -> None:
    await export(simulator, tmp_path)
    gone = simulator.remove("customer", count=2)
    # a list that moves takes more than was expected
    churn = simulator.churn("customer", every_requests=1, remove=1, where="start")
    manifest = await export(simulator, tmp_path, deletions=Deletions(max_requests=10))
    churn.stop()
    assert (sweep_of(manifest).verdict, sweep_of(manifest).requests) == ("skipped", 10)
    assert "more than the 10 requests" in sweep_of(manifest).reason
    assert not manifest.resources["customer"].tombstones
    assert set(gone) < known(tmp_path, manifest)
    assert set(gone) <= {one["key"]["number"] for one in tombstones(tmp_path, await export(simulator, tmp_path))}


async def test_the_count_between_sweeps_is_in_the_budget(tmp_path: Path) -> None:
    """A list that has become empty takes three requests to be counted: a blank is believed the third time."""
    async with Simulator(rows={"customer": 3}) as simulator:
        await export(simulator, tmp_path, deletions=WEEKLY)
        gone = simulator.remove("customer", count=3)
        asked = simulator.requests.total
        manifest = await export(simulator, tmp_path, deletions=Deletions(every=WEEKLY.every, max_requests=2))
        sweep, run = sweep_of(manifest), manifest.resources["customer"].runs[-1]
        assert (sweep.verdict, sweep.requests) == ("skipped", 2)
        assert sweep.reason == "it took more than the 2 requests of its budget"
        assert run.requests == simulator.requests.total - asked
        asked = simulator.requests.total
        manifest = await export(simulator, tmp_path, deletions=Deletions(every=WEEKLY.every, max_requests=3))
        assert sweep_of(manifest).reason == "3 keys take some 4 requests, and the budget is 3"
        assert sweep_of(manifest).requests == 3
        assert manifest.resources["customer"].runs[-1].requests == simulator.requests.total - asked
        manifest = await export(simulator, tmp_path, deletions=Deletions(every=WEEKLY.every, max_requests=9))
        assert [one["key"]["number"] for one in tombstones(tmp_path, manifest)] == sorted(gone)


@pytest.mark.parametrize("is_recent", [False, True])
async def test_a_record_that_comes_back_unchanged_is_published_again(
    simulator: Simulator, tmp_path: Path, is_recent: bool
) -> None:
    """It was hidden and is shown again: no time of change tells of that, or one that was read before."""
    number = simulator.truth("customer").keys[7]
    if is_recent:
        simulator.touch("customer", number)
    row = next(row for row in simulator.truth("customer").rows() if row["number"] == number)
    await export(simulator, tmp_path)
    simulator.remove("customer", number)
    gone = await export(simulator, tmp_path)
    assert sweep_of(gone).deleted == 1
    simulator.add("customer", where="random", **row)
    back = await export(simulator, tmp_path)
    assert published(tmp_path, back).count(number) == 2
    assert number in known(tmp_path, back)
    assert number == published(tmp_path, back)[-1]


async def test_a_record_that_was_gone_while_the_keys_were_read(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The changes showed it, so that the next run would take it for one that is published."""
    number = simulator.truth("customer").keys[7]
    await export(simulator, tmp_path)
    simulator.touch("customer", number)
    row = next(row for row in simulator.truth("customer").rows() if row["number"] == number)
    read = KeySweep._read

    async def removed_before(self: KeySweep) -> int:
        simulator.remove("customer", number)
        return await read(self)

    monkeypatch.setattr(KeySweep, "_read", removed_before)
    gone = await export(simulator, tmp_path)
    assert [one["key"]["number"] for one in tombstones(tmp_path, gone)] == [number]
    monkeypatch.undo()
    simulator.add("customer", where="random", **row)
    back = await export(simulator, tmp_path)
    assert published(tmp_path, back)[-1] == number
    assert number in known(tmp_path, back)
    assert back.resources["customer"].runs[-1].rows == 1


async def test_deletions_can_begin_with_any_export(simulator: Simulator, tmp_path: Path) -> None:
    """The keys are then those of the published rows."""
    await export(simulator, tmp_path, deletions=False)
    gone = simulator.remove("customer", count=4)
    manifest = await export(simulator, tmp_path)
    assert [one["key"]["number"] for one in tombstones(tmp_path, manifest)] == sorted(gone)


@pytest.mark.parametrize("fmt", ["jsonl.gz", "jsonl.zst", "csv", "parquet"])
async def test_in_every_format(simulator: Simulator, tmp_path: Path, fmt: str) -> None:
    await export(simulator, tmp_path, deletions=False, format=fmt, resources="customer_invoice")
    gone = simulator.remove("customer_invoice", count=4)
    manifest = await export(simulator, tmp_path, format=fmt, resources="customer_invoice")
    found = tombstones(tmp_path, manifest, "customer_invoice")
    assert sorted(one["key"]["referenceNumber"] for one in found) == sorted(gone)


async def test_with_filters_what_no_longer_matches_is_gone(simulator: Simulator, tmp_path: Path) -> None:
    active = {"customer": {"status": "Active"}}
    first = await export(simulator, tmp_path, resources=active)
    number = published(tmp_path, first)[0]
    simulator.touch("customer", number, status="Inactive")
    manifest = await export(simulator, tmp_path, resources=active)
    assert [one["key"]["number"] for one in tombstones(tmp_path, manifest)] == [number]


async def test_what_a_sweep_costs(simulator: Simulator, tmp_path: Path) -> None:
    """As much as an export of everything; the count between two sweeps is one request."""
    first = await export(simulator, tmp_path)
    swept = await export(simulator, tmp_path)
    assert sweep_of(swept).requests == first.resources["customer"].requests


async def test_a_run_without_deletions_keeps_the_keys(simulator: Simulator, tmp_path: Path) -> None:
    await export(simulator, tmp_path)
    added = simulator.add("customer", 3)
    without = await export(simulator, tmp_path, deletions=False)
    assert without.resources["customer"].runs[-1].sweep is None
    assert set(added) < known(tmp_path, without)
    simulator.remove("customer", added[0])
    assert [one["key"]["number"] for one in tombstones(tmp_path, await export(simulator, tmp_path))] == added[:1]


async def test_a_damaged_key_file_is_refused(simulator: Simulator, tmp_path: Path) -> None:
    manifest = await export(simulator, tmp_path)
    keys = manifest.resources["customer"].keys
    assert keys is not None
    (tmp_path / keys.file).write_bytes(b"\0" * keys.bytes)
    with pytest.raises(ExportError, match=r"another sha256.*Export the whole list again"):
        await export(simulator, tmp_path)


async def test_a_stopped_sweep_goes_on(simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "_RETRY_PAUSE_SECONDS", 0.0)
    await export(simulator, tmp_path)
    gone = simulator.remove("customer", count=4)
    simulator.faults.add("status", status=500, after=9, every=1)
    with pytest.raises(ServerError):
        await export(simulator, tmp_path, max_attempts=1)
    simulator.faults.clear()
    assert (tmp_path / ".export").exists()
    begun = begun_from_now_on(monkeypatch)
    manifest = await export(simulator, tmp_path)
    assert [one["key"]["number"] for one in tombstones(tmp_path, manifest)] == sorted(gone)
    stated = manifest.resources["customer"].runs[-1].requests
    assert len(begun) < stated


async def test_a_sweep_older_than_the_changes_is_read_again(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was killed lost the last answers to the changes, and kept all of the sweep's."""
    await export(simulator, tmp_path)
    gone = simulator.remove("customer", count=4)

    def full(*_: object) -> None:
        raise TargetNotWritable("the disk is full")

    monkeypatch.setattr(Target, "publish", full)
    with pytest.raises(TargetNotWritable, match="full"):
        await export(simulator, tmp_path)
    monkeypatch.undo()
    journal = anyio.Path(tmp_path / ".export" / "1" / "customer" / "pages.jsonl")
    lines = (await journal.read_bytes()).splitlines(keepends=True)
    await journal.write_bytes(b"".join(lines[:-1]))
    added = simulator.add("customer", 2)
    manifest = await export(simulator, tmp_path)
    assert [one["key"]["number"] for one in tombstones(tmp_path, manifest)] == sorted(gone)
    assert set(added) < known(tmp_path, manifest)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"incremental": False}, "looked for by incremental exports"),
        ({"resources": "customer_payment_method"}, "cannot be exported incrementally"),
        ({"resources": "budget"}, "its rows have no key"),
        ({"deletions": "weekly"}, "deletions takes"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    plan = {"resources": "customer", "to": tmp_path / "x", "incremental": True, "deletions": True, **options}
    with pytest.raises(RequestRefused, match=words):
        ExportPlan(**plan)
    assert not (tmp_path / "x").exists()


def test_a_schedule_and_a_budget_that_make_no_sense_are_refused() -> None:
    for wrong in ({"every": timedelta(-1)}, {"every": 7}, {"max_requests": 0}, {"max_requests": True}):
        with pytest.raises(RequestRefused):
            Deletions(**wrong)


@pytest.mark.parametrize("total", [None, 0, 499, 500, 501])
@pytest.mark.parametrize("days_ago", [None, -400, 0, 6, 7, 8])
@pytest.mark.parametrize("budget", [None, 7, 8])
def test_when_a_run_sweeps(total: int | None, days_ago: int | None, budget: int | None) -> None:
    deletions = Deletions(every=timedelta(days=7), max_requests=budget)
    swept = None if days_ago is None else NOW - timedelta(days=days_ago)
    found = no_sweep(deletions, known=500, total=total, page_size=100, swept_at=swept, now=NOW)
    fresh = days_ago is not None and 0 <= days_ago < 7  # one in the future was noted by a clock that was ahead
    if fresh and total is not None and total >= 500:
        assert found is not None
        assert not found.is_due
    elif budget == 7:
        assert found is not None
        assert found.is_due
    else:
        assert found is None


def test_a_key_has_one_spelling() -> None:
    assert key_of_name(b'"a"') == key_of_name(b'"\\u0061"') == b'["a"]'
    assert key_of_name(b'"a,b"\x00"c"') == b'["a,b","c"]' != key_of_name(b'"a"\x00"b,c"')
    assert key_of_name(b'"\\ud83d"') == b'["\\ud83d"]'
    assert key_of_name(b"7") == b"[7]"


def test_the_index_finds_what_a_sweep_has_not_seen(tmp_path: Path) -> None:
    with KeyIndex() as index:
        index.add(msgspec.json.encode([number]) for number in range(10_000))
        assert index.see([b"[3]", b"[x]", b"[x]"]) == [1, 2]
        index.see([msgspec.json.encode([number]) for number in range(10_000) if number % 7])
        assert sorted(index.unseen()) == sorted(b"[%d]" % number for number in range(0, 10_000, 7))
        index.remove_unseen()
        part = index.write(tmp_path / "keys" / "x.jsonl.gz")
        assert part.rows == len(index) == 10_000 - 1_429 + 1
    assert len(list(keys_in(tmp_path, part.file))) == part.rows


async def test_cancelled_at_any_moment_nothing_is_left_open(simulator: Simulator, tmp_path: Path) -> None:
    """Warnings about open databases and files are errors here."""
    await export(simulator, tmp_path)
    simulator.remove("customer")
    begun = simulator.requests.total
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def stop() -> None:
                while simulator.requests.total < begun + 6:
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

            tasks.start_soon(stop)
            await export(simulator, tmp_path)
    assert Manifest.read(tmp_path).resources["customer"].tombstones == ()
    assert sweep_of(await export(simulator, tmp_path)).deleted == 1
