"""Exports to object stores: fsspec's memory, a store that fails at will, and an S3 server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import fsspec
import msgspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from moto.server import ThreadedMotoServer

from tests.support.begun import begun_from_now_on
from vismanet_async._client import VismaNet
from vismanet_async._export.events import PageWritten
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.run import Export
from vismanet_async._export.status import status_of
from vismanet_async._export.target.lease import Holder, Lease
from vismanet_async._export.target.locations import RemotePath, parse_location
from vismanet_async._export.target.manifest import Manifest, validate
from vismanet_async._export.target.remote import RemoteTarget
from vismanet_async._http.auth.credentials import StaticToken
from vismanet_async.errors import ExportError, RequestRefused, TargetBusy, TargetNotWritable
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ROWS = {"customer": 350, "supplier": 120}
NOW = datetime(2026, 11, 22, 13, 30, tzinfo=UTC)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(seed=9, rows=ROWS) as running:
        yield running


@pytest.fixture
def store() -> Iterator[MemoryFileSystem]:
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield filesystem
    filesystem.store.clear()


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, Any]]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield {"key": "test", "secret": "test", "client_kwargs": {"endpoint_url": f"http://{host}:{port}"}}
    finally:
        server.stop()


async def export(
    simulator: Simulator, to: str, spool: Path, *, stop_after: int | None = None, **plan: Any
) -> Manifest | None:
    options = {"resources": list(ROWS), "page_size": 100, "part_bytes": 300_000, "spool": spool, **plan}
    async with VismaNet(StaticToken(simulator.issue_token()), base_url=simulator.base_url, concurrency=2) as visma:
        run = Export(visma, ExportPlan(to=to, **options), company=simulator.tenant_id, base_url=simulator.base_url)
        if stop_after is None:
            return await run
        pages = 0
        with anyio.CancelScope() as scope:
            async for event in run:
                pages += isinstance(event, PageWritten)
                if pages == stop_after:
                    scope.cancel()
        return None


def numbers(store: Any, manifest: Manifest, name: str, root: str = "/out") -> list[str]:
    content = [store.cat_file(f"{root}/{part.file}") for part in manifest.resources[name].parts]
    return [msgspec.json.decode(line)["number"] for part in content for line in part.splitlines()]


async def test_an_export_to_a_store(simulator: Simulator, store: MemoryFileSystem, tmp_path: Path) -> None:
    manifest = await export(simulator, "memory://out", tmp_path / "spool")
    assert manifest is not None
    for name in ROWS:
        assert numbers(store, manifest, name) == simulator.truth(name).keys
    published = validate("memory://out")
    assert len(published.resources["customer"].parts) > 2
    files = {part.file for entry in published.resources.values() for part in entry.parts}
    assert {path.removeprefix("/out/") for path in store.find("/out")} == {"manifest.json", *files}
    assert not (tmp_path / "spool").exists()  # nothing stays behind
    status = status_of(parse_location("memory://out"), now=NOW, verify=True, spool=tmp_path / "spool")
    assert (status.state, status.faults, status.manifest) == ("published", (), published)


async def test_the_next_export_replaces_it(simulator: Simulator, store: MemoryFileSystem, tmp_path: Path) -> None:
    await export(simulator, "memory://out", tmp_path)
    store.pipe_file("/out/notes.txt", b"mine")
    first = validate("memory://out")
    simulator.remove("customer", count=200)
    await export(simulator, "memory://out", tmp_path, resources=["customer"])
    second = validate("memory://out")
    assert second.resources["supplier"] == first.resources["supplier"]
    files = {part.file for entry in second.resources.values() for part in entry.parts}
    assert {path.removeprefix("/out/") for path in store.find("/out")} == {"manifest.json", "notes.txt", *files}
    assert second.resources["customer"].rows == 150


async def test_an_incremental_export_adds_to_it(simulator: Simulator, store: MemoryFileSystem, tmp_path: Path) -> None:
    await export(simulator, "memory://out", tmp_path, incremental=True)
    first = validate("memory://out").resources["customer"]
    changed = {*simulator.touch("customer", count=5), *simulator.add("customer")}
    await export(simulator, "memory://out", tmp_path, incremental=True)
    entry = validate("memory://out").resources["customer"]
    assert entry.parts[: len(first.parts)] == first.parts
    (new,) = entry.parts[len(first.parts) :]
    rows = [msgspec.json.decode(line)["number"] for line in store.cat_file(f"/out/{new.file}").splitlines()]
    assert set(rows) == changed
    assert entry.runs[-1].parts == (new.file,)
    store.rm_file(f"/out/{new.file}")
    with pytest.raises(ExportError, match="is missing"):
        await export(simulator, "memory://out", tmp_path, incremental=True)


async def test_stopped_it_goes_on_from_the_spool(
    simulator: Simulator, store: MemoryFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await export(simulator, "memory://out", tmp_path, stop_after=4, completeness="count")
    assert not store.find("/out")  # the lease was given up too
    status = status_of(parse_location("memory://out"), now=datetime.now(UTC), spool=tmp_path)
    assert status.state == "resumable"
    begun = begun_from_now_on(monkeypatch)
    await export(simulator, "memory://out", tmp_path, completeness="count")
    assert len(begun) < 4 + 2  # six pages in all
    validate("memory://out")


class DownError(Exception):
    """What a store may say is not always an OSError."""


@pytest.mark.parametrize("fails_at", range(1, 12))
async def test_a_store_that_fails_at_any_write_leaves_the_earlier_export_or_the_next(
    simulator: Simulator, store: MemoryFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    await export(simulator, "memory://out", tmp_path, completeness="count")
    before = validate("memory://out")
    simulator.touch("customer", count=30)
    writes = 0

    def failing(real: Any) -> Any:
        def write(self: MemoryFileSystem, *args: Any, **options: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes >= fails_at:
                raise DownError("the store is down")
            return real(self, *args, **options)

        return write

    with monkeypatch.context() as patch:
        for name in ("pipe_file", "put_file", "rm_file"):
            patch.setattr(MemoryFileSystem, name, failing(getattr(MemoryFileSystem, name)))
        with pytest.raises(TargetNotWritable, match="the store is down"):
            await export(simulator, "memory://out", tmp_path, completeness="count")
    after = validate("memory://out")  # whichever it is, it is whole
    if fails_at == 1:
        assert after == before
    manifest = await export(simulator, "memory://out", tmp_path, completeness="count")
    assert manifest is not None
    assert set(numbers(store, manifest, "customer")) == set(simulator.truth("customer").keys)
    files = {part.file for entry in validate("memory://out").resources.values() for part in entry.parts}
    assert {path.removeprefix("/out/") for path in store.find("/out")} == {"manifest.json", *files}


async def test_a_part_that_changed_in_the_spool_is_not_uploaded(
    simulator: Simulator, store: MemoryFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RemoteTarget.publish

    def harm(self: RemoteTarget, manifest: Manifest, staging: Path) -> Manifest:
        part = staging / "customer" / "part-00000.jsonl"
        part.write_bytes(part.read_bytes().replace(b"AS", b"AB", 1))
        return real(self, manifest, staging)

    monkeypatch.setattr(RemoteTarget, "publish", harm)
    with pytest.raises(TargetNotWritable, match="another sha256; nothing was uploaded"):
        await export(simulator, "memory://out", tmp_path)
    assert not store.find("/out")


async def test_a_file_that_is_not_ours_is_not_replaced(
    simulator: Simulator, store: MemoryFileSystem, tmp_path: Path
) -> None:
    store.pipe_file("/out/manifest.json", b'{"name": "a web app"}')
    with pytest.raises(TargetNotWritable, match="not written by an export"):
        await export(simulator, "memory://out", tmp_path)
    assert store.find("/out") == ["/out/manifest.json"]
    assert simulator.requests.total == 0


async def test_two_machines_on_one_target(simulator: Simulator, store: MemoryFileSystem, tmp_path: Path) -> None:
    other = Lease(parse_location("memory://out/.export.lease"), owner="other")  # type: ignore[arg-type]  # a URL is remote
    other.take()
    assert status_of(parse_location("memory://out"), now=datetime.now(UTC), spool=tmp_path).state == "running"
    with pytest.raises(TargetBusy, match="process"):
        await export(simulator, "memory://out", tmp_path)
    assert simulator.requests.total == 0
    other.release()
    await export(simulator, "memory://out", tmp_path)


LEASE = RemotePath("memory://lease")


@pytest.mark.usefixtures("store")
def test_a_folder_is_removed_whatever_its_name_would_match(store: MemoryFileSystem) -> None:
    """`rm` takes patterns: that of `acme[1]/work` would remove `acme1/work`."""
    for folder in ("acme[1]/work", "acme1/work", "a*", "ab", "acme[1]/worked"):
        (parse_location(f"memory://out/{folder}") / "x" / "y").write_bytes(b"1")
    for folder in ("acme[1]/work", "a*", "never*there", "neither"):
        RemotePath(f"memory://out/{folder}").remove_folder()
    left = sorted(path.removeprefix("/") for path in store.find("/"))
    assert [path.partition("/")[2] for path in left] == ["ab/x/y", "acme1/work/x/y", "acme[1]/worked/x/y"]


def test_a_lease_of_a_clock_that_was_far_ahead_is_none() -> None:
    dead = Lease(LEASE, owner="dead", now=lambda: NOW + timedelta(days=1))
    dead.take()
    dead._stop.set()
    heir = Lease(LEASE, owner="heir", now=lambda: NOW)
    heir.take()
    heir.release()


@pytest.mark.usefixtures("store")
def test_a_lease_runs_out_when_its_holder_is_gone() -> None:
    now = NOW
    dead = Lease(LEASE, owner="dead", now=lambda: now)
    dead.take()
    dead._stop.set()
    heir = Lease(LEASE, owner="heir", now=lambda: now + timedelta(minutes=14))
    with pytest.raises(TargetBusy):
        heir.take()
    heir = Lease(LEASE, owner="heir", now=lambda: now + timedelta(minutes=16))
    heir.take()
    with pytest.raises(TargetBusy, match="held by another run"):
        dead.require()
    dead.release()  # which must not give up what is another's
    heir.require()
    heir.release()
    assert heir.holder() is None


@pytest.mark.usefixtures("store")
def test_the_same_spool_takes_its_own_lease_over_at_once() -> None:
    killed = Lease(LEASE, owner="same")
    killed.take()
    killed._stop.set()
    again = Lease(LEASE, owner="same")
    again.take()
    again.release()


@pytest.mark.usefixtures("store")
def test_a_lease_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vismanet_async._export.target.lease._RENEW_SECONDS", 0.001)
    times = iter(NOW + timedelta(seconds=number) for number in range(1_000_000))
    lease = Lease(LEASE, owner="me", now=lambda: next(times))
    lease.take()
    first = lease.holder()
    assert first is not None
    while (holder := lease.holder()) is None or holder.until <= first.until:
        pass
    lease.release()


async def test_a_run_that_lost_its_lease_publishes_nothing(
    simulator: Simulator, store: MemoryFileSystem, tmp_path: Path
) -> None:
    thief = msgspec.json.encode(Holder("thief", "elsewhere", NOW + timedelta(days=10_000)))
    async with VismaNet(StaticToken(simulator.issue_token()), base_url=simulator.base_url) as visma:
        run = Export(visma, ExportPlan(resources=["supplier"], to="memory://out", spool=tmp_path))
        events = aiter(run)
        await anext(events)
        store.pipe_file("/out/.export.lease", thief)
        with pytest.raises(TargetBusy, match="elsewhere"):
            _ = [event async for event in events]
    assert store.find("/out") == ["/out/.export.lease"]


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
async def test_an_s3_server(simulator: Simulator, s3: dict[str, Any], tmp_path: Path, format_: str) -> None:
    filesystem = fsspec.filesystem("s3", **s3)
    bucket = f"books-{format_}"
    filesystem.mkdir(bucket)
    to = f"s3://{bucket}/out"
    options: dict[str, Any] = {"storage_options": s3, "format": format_, "incremental": True}
    await export(simulator, to, tmp_path, stop_after=3, **options)
    await export(simulator, to, tmp_path, **options)
    changed = simulator.touch("customer", count=3)
    manifest = await export(simulator, to, tmp_path, **options)
    assert manifest is not None
    location = parse_location(to, s3)
    assert isinstance(location, RemotePath)
    published = validate(location)
    entry = published.resources["customer"]
    assert [run.rows for run in entry.runs] == [350, len(changed)]
    filesystem.invalidate_cache()
    files = {part.file for one in published.resources.values() for part in one.files}
    assert {path.removeprefix(f"{bucket}/out/") for path in filesystem.find(f"{bucket}/out")} == {
        "manifest.json",
        *files,
    }
    if format_ == "jsonl":
        assert set(numbers(filesystem, published, "customer", f"{bucket}/out")) == set(simulator.truth("customer").keys)
    holder = Lease(location / ".export.lease", owner="other")
    holder.take()
    with pytest.raises(TargetBusy):
        await export(simulator, to, tmp_path, **options)
    holder.release()


async def test_a_bucket_that_is_not_there(simulator: Simulator, s3: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(TargetNotWritable, match="s3://nowhere"):
        await export(simulator, "s3://nowhere/out", tmp_path, storage_options=s3)
    assert simulator.requests.total == 0


def test_places() -> None:
    assert str(parse_location("s3://bucket/a/")) == "s3://bucket/a"
    assert parse_location("file:///tmp/with%20space") == parse_location("/tmp/with space")
    assert str(parse_location("out")) == str(Path.cwd() / "out")
    assert str(parse_location("abfs://container@account.dfs.core.windows.net/a") / "b").endswith("/a/b")
    secret = RemotePath("s3://bucket", {"secret": "hush"})
    assert "hush" not in repr(secret)


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("", "no name"),
        ("s3:/bucket/x", "as from a Path"),
        ("s3://key:hush@bucket/x", "holds a password"),
        ("s3://bucket/x?versionId=1", "query"),
        ("nothere://x", "nothere"),
    ],
)
def test_a_target_that_is_no_place_is_refused(to: str, said: str) -> None:
    with pytest.raises(TargetNotWritable, match=said) as refused:
        ExportPlan(resources=["customer"], to=to)
    assert "hush" not in str(refused.value)


def test_a_missing_extra_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(RequestRefused, match=r"vismanet-async\[s3\]"):
        ExportPlan(resources=["customer"], to="s3://bucket/x")
