from __future__ import annotations

import asyncio
import errno
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.export.pages import FakeListing, FakePage, FakeSource, Old, customers, page
from vismanet_async._conditions import on_or_after
from vismanet_async._export.events import PageWritten, Published, ResourceDone
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.run import Export
from vismanet_async._export.sinks.jsonl import JsonlSink
from vismanet_async._export.target.local import Target
from vismanet_async._export.target.manifest import MANIFEST_NAME, validate
from vismanet_async.errors import RequestRefused, ServerError, TargetBusy, TargetNotWritable

if TYPE_CHECKING:
    from pathlib import Path

    from vismanet_async._export.target.manifest import Manifest


def listing(pages: int, **more: Any) -> FakeListing:
    return FakeListing([page(customers(10 * number, 10)) for number in range(pages)], **more)


def export(source: FakeSource, to: Path, **plan: Any) -> Export:
    return Export(source, ExportPlan(resources=list(source.listings), to=to, **plan))


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*")) if root.exists() else []


def lines(root: Path, manifest: Manifest, name: str) -> list[bytes]:
    return [line for part in manifest.resources[name].parts for line in (root / part.file).read_bytes().splitlines()]


async def test_several_resources_become_files_and_a_manifest(tmp_path: Path) -> None:
    source = FakeSource({"customer": listing(30), "supplier": listing(2, verdict="proven"), "branch": listing(0)})
    manifest = await export(source, tmp_path, part_bytes=4_000)
    assert validate(tmp_path) == manifest
    assert [(name, entry.rows, entry.verdict) for name, entry in manifest.resources.items()] == [
        ("customer", 300, "counted"),
        ("supplier", 20, "proven"),
        ("branch", 0, "counted"),
    ]
    assert len(manifest.resources["customer"].parts) > 2
    for name, one in source.listings.items():
        assert lines(tmp_path, manifest, name) == [bytes(row) for each in one.pages for row in each.rows]
        assert one.open == 0
    assert ".export" not in files(tmp_path)


async def test_filters_and_options_reach_the_listing_and_the_manifest(tmp_path: Path) -> None:
    source = FakeSource({"customer": listing(1)})
    filters = {"status": "Active", "last_modified_date_time": on_or_after("2026-01-01")}
    plan = ExportPlan(
        resources={"customer": filters}, to=tmp_path, page_size=50, completeness="count", allow_uncertain=True
    )
    manifest = await Export(source, plan, company="tenant-1")
    assert source.asked == [("customer", filters)]
    assert source.listings["customer"].options == {
        "page_size": 50,
        "allow_uncertain": True,
        "completeness": "count",
    }
    assert manifest.company == "tenant-1"
    assert manifest.resources["customer"].filters == {
        "status": "Active",
        "last_modified_date_time": ">= 2026-01-01",
    }


async def test_rows_that_a_newer_version_replaced_are_dropped(tmp_path: Path) -> None:
    newer = FakePage(
        page(b'[{"number":"3","name":"newer"},{"number":"15","name":"newer"}]').rows, supersedes=[Old(0, 3), Old(1, 5)]
    )
    source = FakeSource({"customer": FakeListing([page(customers(0, 10)), page(customers(10, 10)), newer])})
    manifest = await export(source, tmp_path)
    old = [bytes(row) for one in source.listings["customer"].pages[:2] for row in one.rows]
    assert lines(tmp_path, manifest, "customer") == [
        *(row for number, row in enumerate(old) if number not in {3, 15}),
        *(bytes(row) for row in newer.rows),
    ]
    assert manifest.resources["customer"].rows == 20
    validate(tmp_path)


async def test_events_tell_what_happens_in_order(tmp_path: Path) -> None:
    source = FakeSource({"customer": listing(3)})
    events = [event async for event in export(source, tmp_path)]
    assert [type(event) for event in events] == [PageWritten, PageWritten, PageWritten, ResourceDone, Published]
    assert isinstance(events[-1], Published)
    assert events[-1].manifest == validate(tmp_path)


async def test_leaving_the_events_early_cancels_it(tmp_path: Path) -> None:
    source = FakeSource({"customer": listing(1_000)})
    async with aclosing(aiter(export(source, tmp_path / "out"))) as events:
        async for _ in events:
            break
    assert source.listings["customer"].open == 0
    assert len(asyncio.all_tasks()) == 1
    assert not (tmp_path / "out").exists()


async def test_an_error_comes_through_the_events_too(tmp_path: Path) -> None:
    async def fail(number: int) -> None:
        raise ServerError("Customer_GetAll", status=503)

    with pytest.raises(ServerError):
        async for _ in export(FakeSource({"customer": listing(3, before=fail)}), tmp_path):
            pass


async def test_a_later_export_of_another_resource_keeps_the_first(tmp_path: Path) -> None:
    first = await export(FakeSource({"customer": listing(3)}), tmp_path)
    both = await export(FakeSource({"supplier": listing(2)}), tmp_path)
    assert list(both.resources) == ["customer", "supplier"]
    assert both.resources["customer"] == first.resources["customer"]
    validate(tmp_path)


@pytest.mark.parametrize("stop", ["fail", "cancel"])
async def test_failing_or_cancelled_it_leaves_nothing_behind(tmp_path: Path, stop: str) -> None:
    before = await export(FakeSource({"customer": listing(2)}), tmp_path)
    there = files(tmp_path)

    with anyio.CancelScope() as scope:

        async def halfway(number: int) -> None:
            if number == 5:
                assert any(name.startswith(".export/1/customer/part-") for name in files(tmp_path))
                if stop == "fail":
                    raise ServerError("Customer_GetAll", status=503)
                scope.cancel()

        source = FakeSource({"supplier": listing(400), "customer": listing(20, before=halfway)})
        try:
            await export(source, tmp_path, part_bytes=1_024)
        except ServerError:
            assert stop == "fail"
    assert [one.open for one in source.listings.values()] == [0, 0]
    assert len(asyncio.all_tasks()) == 1
    assert files(tmp_path) == there
    assert validate(tmp_path) == before


async def test_a_disk_that_fills_up_is_one_error_and_publishes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: JsonlSink, one: object) -> None:
        raise TargetNotWritable("no space left")

    monkeypatch.setattr(JsonlSink, "write", full)
    source = FakeSource({"customer": listing(3), "supplier": listing(3)})
    with pytest.raises(TargetNotWritable, match="no space left"):
        await export(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("step", ["fsync", "replace"])
async def test_a_failing_sync_or_rename_publishes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.fsync" if step == "fsync" else "pathlib.Path.replace", refuse)
    with pytest.raises(TargetNotWritable, match="Input/output error"):
        await export(FakeSource({"customer": listing(3)}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


async def test_two_runs_on_one_target(tmp_path: Path) -> None:
    async def second(number: int) -> None:
        if number == 1:
            other = FakeSource({"customer": listing(1)})
            with pytest.raises(TargetBusy):
                await export(other, tmp_path)
            assert other.listings["customer"].open == 0

    manifest = await export(FakeSource({"customer": listing(3, before=second)}), tmp_path)
    assert validate(tmp_path) == manifest


async def test_an_unwritable_target_is_found_before_reading(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    asked = []

    async def ask(number: int) -> None:
        asked.append(number)

    with pytest.raises(TargetNotWritable):
        await export(FakeSource({"customer": listing(3, before=ask)}), tmp_path / "file")
    assert not asked


async def test_a_slow_sink_holds_the_reading_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few pages are taken from the listing before those before them are written."""
    written = 0
    ahead = []
    real = JsonlSink.write

    def count(self: JsonlSink, one: Any) -> None:
        nonlocal written
        time.sleep(0.001)  # a disk
        real(self, one)
        written += 1

    async def look(number: int) -> None:
        ahead.append(number - written)
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(JsonlSink, "write", count)
    await export(FakeSource({"customer": listing(200, before=look)}), tmp_path)
    assert written == 200
    assert max(ahead) <= 4


async def test_an_interrupted_publishing_is_finished_before_a_new_run(tmp_path: Path) -> None:
    source = FakeSource({"customer": listing(3)})
    await export(source, tmp_path)
    # as if killed when the staged manifest stood and nothing had been moved
    (tmp_path / ".export" / "1").mkdir(parents=True)
    (tmp_path / "customer").rename(tmp_path / ".export" / "1" / "customer")
    (tmp_path / MANIFEST_NAME).rename(tmp_path / ".export" / "1" / MANIFEST_NAME)
    both = await export(FakeSource({"supplier": listing(1)}), tmp_path)
    assert list(both.resources) == ["customer", "supplier"]
    assert validate(tmp_path) == both


async def test_publishing_is_not_torn_by_a_cancel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scope = anyio.CancelScope()
    real = Target.publish

    def publish(self: Target, manifest: Manifest, staging: Path) -> Manifest:
        anyio.from_thread.run_sync(scope.cancel)
        return real(self, manifest, staging)

    monkeypatch.setattr(Target, "publish", publish)
    with scope:
        await export(FakeSource({"customer": listing(3)}), tmp_path)
    validate(tmp_path)
    assert not [name for name in files(tmp_path) if name.startswith(".export")]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"resources": []}, "no resource"),
        ({"resources": ["customer", "customer"]}, "twice"),
        ({"format": "xml"}, "no format 'xml'"),
        ({"completeness": "sure"}, "completeness is one of"),
        ({"part_bytes": 5}, "part_bytes"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestRefused, match=said):
        ExportPlan(**{"resources": ["customer"], "to": tmp_path, **wrong})
