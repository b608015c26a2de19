"""Exports to S3, Azure and Google Cloud, with a failure at every call to the store, and with two writers."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from tests.export.faults import MOST, Faults, contents, failing_store, moments
from tests.export.stores import STORES, Store
from tests.export.test_target_faults import same, stage
from tests.export.twins import TWINS
from vismanet_async._export.target.conditional import ConditionFailed
from vismanet_async._export.target.lease import Lease
from vismanet_async._export.target.local import pending
from vismanet_async._export.target.locations import RemotePath
from vismanet_async._export.target.manifest import Manifest, validate
from vismanet_async._export.target.publishing import files_of
from vismanet_async._export.target.remote import LEASE_NAME, RemoteTarget, leftovers
from vismanet_async.errors import TargetBusy, TargetNotWritable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAILURES: dict[str, dict[str, Any]] = {
    "memory": {"pairs": 40},
    "s3": {"singles": 6, "pairs": 2},
    "azure": {"singles": 8, "pairs": 2},
    "google": {"singles": 24, "pairs": 6},
}
"""As many as there is time for; `make faults` tries more."""
PAIRS_AT_EMULATORS: Final = 60
"""Of those that `make faults` tries at twins."""


@pytest.fixture(scope="module", params=STORES)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with STORES[request.param]() as running:
        yield running


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a power cut is not what is tried here


class DownError(Exception):
    """What a store may say is not always an OSError."""


def run(location: RemotePath, spool: Path, new: Manifest) -> Manifest | None:
    """What a run does at its ends: everything is read already."""
    target = RemoteTarget.open(location, ["customer", "supplier"], spool=spool)
    published = None
    try:
        published = target.recover()
        if published is None and (spool / ".export" / "1").is_dir():
            published = target.publish(new, spool / ".export" / "1")
        return published
    finally:
        target.close(keep_work=published is None)


def place_in(store: Store, name: str = "out") -> RemotePath:
    return RemotePath(f"{store.bucket()}/{name}", store.options)


def listed(store: Store, location: RemotePath) -> set[str]:
    filesystem = store.filesystem()
    filesystem.invalidate_cache()
    root = filesystem._strip_protocol(location.url)
    return {path.removeprefix(f"{root}/") for path in filesystem.find(root)}


def standing(location: RemotePath) -> Manifest | None:
    try:
        (location / "manifest.json").read_bytes()
    except FileNotFoundError:
        return None
    return validate(location)


def spooled(spool: Path, *, dropped: int) -> Manifest:
    new = stage(spool / ".export" / "1", dropped=dropped)
    (spool / ".export" / "plan.json").touch()
    return new


@attrs.frozen
class Publishing:
    """A publishing over an export that stands at a store, again and again, with failures at other calls each time."""

    options: dict[str, Any]
    old: Manifest
    new: Manifest
    folder: Path
    """With the spools of both."""
    kept: set[bytes]
    """What was downloaded."""
    there: dict[str, bytes]
    """What stands there before."""

    @classmethod
    def of(cls, store: Store, folder: Path) -> Publishing:
        old, new = spooled(folder / "old", dropped=7), spooled(folder / "new", dropped=3)
        kept = {content for content in contents(folder / "new") if content}
        first = RemotePath(f"{store.bucket()}/old", store.options)
        run(first, folder / "old", old)
        there = {name: (first / name).read_bytes() for name in listed(store, first)}
        return cls(store.options, old, new, folder, kept, there)

    def counted(self, store: Store, bucket: str) -> Faults:
        """Count its calls."""
        location, spool = self.begun(f"{bucket}/counted")
        with failing_store(counting := Faults(seen=[])):
            run(location, spool, self.new)
        return counting

    def begun(self, url: str) -> tuple[RemotePath, Path]:
        location = RemotePath(url, self.options)
        for name, content in self.there.items():
            (location / name).write_bytes(content)
        spool = self.folder / "spool"
        shutil.rmtree(spool, ignore_errors=True)
        shutil.copytree(self.folder / "new", spool)
        return location, spool

    def fail(self, store: Store, url: str, at: tuple[int, ...], *, after: bool) -> tuple[int, list[str]]:
        """Run until nothing fails any more; return how often it failed, and all calls to the store."""
        location, spool = self.begun(url)
        faults = Faults(at=at, after=after, error=lambda: DownError("the store is down"), seen=[])
        published, failed = None, 0
        for _ in range(len(at) + 1):
            try:
                with failing_store(faults):
                    published = run(location, spool, self.new)
                break
            except TargetNotWritable:
                failed += 1
                stands = standing(location)
                assert stands is not None
                assert same(stands, self.old) or same(stands, self.new), (at, after)
                if same(stands, self.old):
                    assert self.kept <= contents(spool), (at, after)
        assert published is None or same(published, self.new), (at, after)
        stands = standing(location)
        assert stands is not None
        assert same(stands, self.new), (at, after)
        assert listed(store, location) - {LEASE_NAME} == {*files_of(stands), "manifest.json"}, (at, after)
        assert not pending(spool / ".export")
        assert faults.seen is not None
        return failed, faults.seen


@pytest.mark.timeout(0 if MOST else 600)
def test_a_failure_at_every_call(store: Store, tmp_path: Path) -> None:
    """Alone at each; pairs in part, at emulators, whose twins see the same calls."""
    name = store_name(store)
    publishing = Publishing.of(store, tmp_path)
    twin = Store(scheme=TWINS[name], options={}) if name in TWINS else None
    bucket = store.bucket()
    calls = publishing.counted(store, bucket).calls
    count = failed = 0
    for at, after in moments(calls, **FAILURES[name], most_pairs=None if twin is None else PAIRS_AT_EMULATORS):
        failures, seen = publishing.fail(store, f"{bucket}/{count}", at, after=after)
        failed += failures
        if twin is not None:
            in_memory = attrs.evolve(publishing, options={})
            _, seen_there = in_memory.fail(twin, f"{twin.bucket()}/{count}", at, after=after)
            assert seen_there == seen, (at, after)
        count += 1
    assert failed >= count / 2  # few failures are without consequence
    compared = "" if twin is None else ", each with the same calls at the twin"
    print(f"{name}: {count:,} failures of {calls} calls, alone and in pairs{compared}")  # noqa: T201 - -rP


@pytest.mark.timeout(0 if MOST else 600)
@pytest.mark.parametrize("name", TWINS)
def test_a_failure_at_every_call_of_a_twin(name: str, tmp_path: Path) -> None:
    """All pairs: emulators would take hours for them."""
    twin = Store(scheme=TWINS[name], options={})
    publishing = Publishing.of(twin, tmp_path)
    bucket = twin.bucket()
    calls = publishing.counted(twin, bucket).calls
    count = failed = 0
    for at, after in moments(calls, singles=0, pairs=4):
        failures, _ = publishing.fail(twin, f"{bucket}/{count}", at, after=after)
        failed += failures
        twin.filesystem().objects.clear()
        count += 1
    assert failed >= count / 2
    print(f"the twin of {name}: {count:,} failures of {calls} calls, alone and in pairs")  # noqa: T201 - -rP


def store_name(store: Store) -> str:
    return {"abfs": "azure", "gs": "google"}.get(store.scheme, store.scheme)


def test_a_write_under_a_condition(store: Store) -> None:
    path = place_in(store) / "manifest.json"
    path.replace(b"one", tag=None)
    with pytest.raises(ConditionFailed):
        path.replace(b"two", tag=None)
    content, first = path.read_tagged()
    assert content == b"one"
    path.replace(b"two", tag=first)
    with pytest.raises(ConditionFailed):
        path.replace(b"three", tag=first)
    content, second = path.read_tagged()
    assert (content, second != first) == (b"two", True)
    path.remove()
    with pytest.raises(ConditionFailed):
        path.replace(b"three", tag=second)
    with pytest.raises(FileNotFoundError):
        path.read_bytes()


def test_of_two_writers_one_is_told(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One looks at what stands, sleeps for longer than its lease, and another one publishes meanwhile."""
    location = place_in(store)
    run(location, tmp_path / "a", spooled(tmp_path / "a", dropped=7))
    ours, theirs = spooled(tmp_path / "a", dropped=3), spooled(tmp_path / "b", dropped=8)
    real = RemotePath.read_tagged
    other: list[Any] = []

    def slept(self: RemotePath) -> tuple[bytes, str]:
        seen = real(self)
        if self.name == "manifest.json" and not other:
            other.append(None)
            (location / LEASE_NAME).remove()
            other[0] = run(location, tmp_path / "b", theirs)
        return seen

    monkeypatch.setattr(RemotePath, "read_tagged", slept)
    with pytest.raises(TargetBusy, match="another run has published"):
        run(location, tmp_path / "a", ours)
    assert validate(location) == other[0]
    # started again, it does not put the older one in the place of what stands
    monkeypatch.setattr(RemotePath, "read_tagged", real)
    target = RemoteTarget.open(location, ["customer"], spool=tmp_path / "a")
    assert target.recover() is None
    target.close()
    assert validate(location) == other[0]
    assert listed(store, location) == {*files_of(other[0]), "manifest.json"}


class KilledError(BaseException):
    """The process is gone."""


def killed_while_uploading(location: RemotePath, spool: Path, *, dropped: int = 3) -> None:
    """Leave the store and the spool as a process that is killed before the manifest is replaced."""
    with pytest.MonkeyPatch.context() as patch:

        def dies(*_: object) -> None:
            raise KilledError

        patch.setattr(RemoteTarget, "_commit", dies)
        patch.setattr(RemoteTarget, "close", lambda self, **_: (self._lease._stop.set(), self._local._lock.release()))
        with pytest.raises(KilledError):
            run(location, spool, spooled(spool, dropped=dropped))
    (location / LEASE_NAME).remove()  # as when its time is over


def test_what_a_run_uploaded_whose_spool_is_lost_is_removed(store: Store, tmp_path: Path) -> None:
    location = place_in(store)
    run(location, tmp_path / "b", spooled(tmp_path / "b", dropped=7))
    killed_while_uploading(location, tmp_path / "a")
    shutil.rmtree(tmp_path / "a")
    (location / "customer" / "notes.txt").write_bytes(b"somebody else's")
    left = leftovers(location, standing(location))
    assert len(left.files) == 3
    assert set(left.files) < listed(store, location)
    new = run(location, tmp_path / "b", spooled(tmp_path / "b", dropped=8))
    assert leftovers(location, new) == attrs.evolve(left, files=())
    assert listed(store, location) == {*files_of(new), "manifest.json", "customer/notes.txt"}


def test_what_a_run_is_uploading_that_holds_the_lease_stays(store: Store, tmp_path: Path) -> None:
    """A run that slept through its lease tidies up last of all, beside one that is uploading upon what it published."""
    location = place_in(store)
    killed: list[object] = []
    uploaded: set[str] = set()
    real = RemoteTarget._tidy

    def late(self: RemoteTarget, publication: Any) -> None:
        if not killed:
            killed.append(None)
            (location / LEASE_NAME).remove()
            killed_while_uploading(location, tmp_path / "b")
            uploaded.update(listed(store, location))
            self._lease.location.replace(self._lease._content(), tag=None)
        real(self, publication)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RemoteTarget, "_tidy", late)
        ours = run(location, tmp_path / "a", spooled(tmp_path / "a", dropped=7))
    assert standing(location) == ours
    assert len(uploaded - listed(store, location)) == 1, "more than our own record is gone"
    target = RemoteTarget.open(location, ["customer"], spool=tmp_path / "b")
    finished = target.recover()
    target.close()
    assert finished is not None
    assert standing(location) == finished
    assert listed(store, location) == {*files_of(finished), "manifest.json"}


def test_a_strangers_lease_is_not_taken_away(store: Store, tmp_path: Path) -> None:
    location = place_in(store)
    (location / LEASE_NAME).write_bytes(b"somebody else's")
    with pytest.raises(TargetNotWritable, match="not written by an export"):
        RemoteTarget.open(location, ["customer"], spool=tmp_path)
    assert (location / LEASE_NAME).read_bytes() == b"somebody else's"


def test_of_two_that_find_a_lease_that_is_over_one_takes_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place_in(store) / LEASE_NAME
    dead = Lease(path, owner="dead", now=lambda: Lease(path, owner="")._now().replace(year=2020))
    dead.take()
    dead._stop.set()
    first, second = Lease(path, owner="first"), Lease(path, owner="second")
    real = RemotePath.read_tagged

    def beside(self: RemotePath) -> tuple[bytes, str]:
        seen = real(self)
        monkeypatch.setattr(RemotePath, "read_tagged", real)
        second.take()
        return seen

    monkeypatch.setattr(RemotePath, "read_tagged", beside)
    with pytest.raises(TargetBusy):
        first.take()
    second.require()
    second.release()


def test_uploads_in_pieces_that_were_cut_off_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 keeps them for ever, unseen and billed; a stranger's stay."""
    with STORES["s3"]() as store:
        location = place_in(store)
        filesystem = store.filesystem()
        bucket = location.url.split("/")[2]
        begun = {}
        for key in ("out/customer/20260101T000000Z-abcdef/part-00000.jsonl", "out/customer/theirs.bin", "other/x"):
            begun[key] = filesystem.call_s3("create_multipart_upload", Bucket=bucket, Key=key)["UploadId"]
        new = spooled(tmp_path, dropped=3)
        left = leftovers(location, None)
        assert left.unfinished == ("customer/20260101T000000Z-abcdef/part-00000.jsonl",)
        run(location, tmp_path, new)
        keys = [one["Key"] for one in filesystem.list_multipart_uploads(bucket)]
        assert sorted(keys) == ["other/x", "out/customer/theirs.bin"]
        assert leftovers(location, standing(location)).unfinished == ()
