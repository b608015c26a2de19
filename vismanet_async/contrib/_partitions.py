"""A partition of an export, read by one worker of a cluster; it is whole or absent.

::

    <partition>/share.json                 written last: what the partition holds
    <partition>/<resource>/part-00000...   its parts
    <partition>/keys.bin                   digests of the rows' keys, if there are other partitions of the list
    <partition>.<random>/                  a partition being read; used by its worker only

    <partition>/overlap.bin                digests of the latest rows, of an incremental export

If two workers read the same partition, because one of them was only believed dead, the second one removes what it wrote
and uses the first result (`_partition_files`).
"""

from __future__ import annotations

import contextlib
import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import anyio
import attrs
import msgspec
from anyio import to_thread

from vismanet_async._api.registry import method_facts
from vismanet_async._client import VismaNet
from vismanet_async._export.deletions import identity_of
from vismanet_async._export.files import writing
from vismanet_async._export.incremental import LONGEST_RUN, DeltaTracker, modified_filter
from vismanet_async._export.key_index import KeysOfRows, is_no_key
from vismanet_async._export.plan import filter_text
from vismanet_async._export.server_clock import ServerClock
from vismanet_async._export.sinks import FINAL
from vismanet_async._export.sinks.opening import open_sink
from vismanet_async._export.target.manifest import Part  # noqa: TC001 - msgspec reads the annotations when it decodes
from vismanet_async._paging.guarantee import Completeness, safe_boundary
from vismanet_async._settings import Settings
from vismanet_async.contrib._partition_bounds import PartitionPlan, divide
from vismanet_async.contrib._partition_files import DONE, fetch, files_of_partition, publish_partition
from vismanet_async.errors import ExportError, VismaNetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from vismanet_async._conditions import Condition
    from vismanet_async._export.companies import Company
    from vismanet_async._export.plan import ExportPlan
    from vismanet_async._export.sinks.parts import PartSink
    from vismanet_async._export.target.locations import Location
    from vismanet_async._paging.delivery import Delivery
    from vismanet_async._paging.listing import Listing

__all__ = [
    "OVERLAP",
    "Access",
    "Failure",
    "Partition",
    "PartitionDone",
    "owner_of",
    "plan_partition",
    "read_partition",
    "result_of",
    "without_newer",
]

T = TypeVar("T")

_CONCURRENCY: Final = 4
_DIGEST_BYTES: Final = 16
_NO_KEY: Final = bytes(_DIGEST_BYTES)
"""Stands for every key that lacks a part."""
_KEYS: Final = "keys.bin"
OVERLAP: Final = "overlap.bin"
_CREATED: Final = "created_date_time"


@attrs.frozen(kw_only=True)
class Access:
    """How a worker signs in. Its repr, which Dask logs, shows no secret."""

    settings: Settings | None = attrs.field(default=None, repr=False)
    """None: the worker's own environment and profile file, so that no secret travels."""
    profile: str | None = None
    concurrency: int | str = _CONCURRENCY
    """Requests in flight of one worker thread; all of them share the quota of a company."""

    def client(self, company: Company | None) -> VismaNet:
        """Return a client for a company; None: the company in the settings."""
        settings = self.settings or Settings.load(profile=self.profile)
        if company is not None:
            settings = attrs.evolve(settings, tenant_id=company.tenant_id)
            if (own := company.credentials()) is not None:
                settings = attrs.evolve(settings, token=None, client_id=own.client_id, client_secret=own.client_secret)
        return VismaNet.from_settings(settings, concurrency=self.concurrency)


@attrs.frozen(kw_only=True)
class Partition:
    """One list of one company, or a range of it. Holds no secret."""

    directory: Location
    """Its directory when it is whole."""
    company: Company | None
    resource: str
    plan: ExportPlan = attrs.field(repr=False)
    range: Mapping[str, Condition[Any]] = attrs.field(factory=dict)
    """On top of the plan's filters."""
    divided: bool = False
    """Whether the list has other partitions, whose rows are compared with these."""
    edge: str | None = None
    """The moment by which it was divided; None: it was not."""
    known: bytes = attrs.field(default=b"", repr=False)
    """Digests of rows that are published already, and left out."""

    def __str__(self) -> str:
        where = " and ".join(f"{name} {filter_text(value)}" for name, value in self.range.items())
        return f"{self.resource}{where and f' where {where}'}{f' of {self.company.name}' if self.company else ''}"

    @property
    def filters(self) -> dict[str, Any]:
        """The filters of the plan and of the range."""
        return {**self.plan.resources[self.resource], **self.range}

    def done(self) -> PartitionDone | None:
        """Return what the partition holds if it is whole, else None. Blocks."""
        with contextlib.suppress(FileNotFoundError):
            return _DONE_DECODER.decode((self.directory / DONE).read_bytes())
        return None

    def listing(self, visma: VismaNet) -> Listing[Any]:
        """Return the listing to read."""
        plan = self.plan
        return visma.list_by_name(
            self.resource,
            self.filters,
            page_size=plan.page_size,
            allow_uncertain=plan.allow_uncertain,
            completeness=plan.completeness,
        )


@attrs.frozen(kw_only=True)
class PartitionDone:
    """What a whole partition holds."""

    directory: str
    """Of the partition."""
    parts: tuple[Part, ...]
    completeness: Completeness
    company: str | None
    base_url: str
    unfit: dict[str, int] = attrs.field(factory=dict)
    """Values that their columns could not hold, by column; of rows that another partition replaces, too."""
    neutralised: int = 0
    """Cells that got an apostrophe; as above."""
    watermark: str | None = None
    """The greatest time of change among the rows, of an incremental export."""
    repeated: int = 0
    """Rows that are published already, and were left out."""
    note: str = ""
    """What the reason of the verdict has to add."""

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(part.rows for part in self.parts)


_DONE_DECODER: Final = msgspec.json.Decoder(PartitionDone)


@attrs.frozen
class Failure:
    """An error of this package as a plain value.

    Dask would send the exception with its traceback and all that led to it, which it cannot always pickle: what
    arrives then is a bare `Exception`.
    """

    kept: tuple[Any, ...]

    @classmethod
    def of(cls, error: VismaNetError) -> Failure:
        """Return an error as a value."""
        return cls(error.__reduce__())

    def error(self) -> VismaNetError:
        """Return the error."""
        rebuild, arguments = self.kept
        error: VismaNetError = rebuild(*arguments)
        return error


def result_of(work: Callable[..., T], *args: Any, **options: Any) -> T | Failure:
    """Return the result of work, or its `VismaNetError` as a `Failure`. This is what a worker runs."""
    try:
        return work(*args, **options)
    except VismaNetError as error:
        return Failure.of(error)


def owner_of(partition: Partition, access: Access) -> tuple[str | None, str]:
    """Return the company that a partition will be read of, None if that is not known, and its server. Blocks."""

    async def find() -> tuple[str | None, str]:
        async with access.client(partition.company) as visma:
            return visma.tenant_id, visma.base_url

    return anyio.run(find)


def plan_partition(partition: Partition, access: Access, *, least_rows: int, most: int) -> PartitionPlan | None:
    """Return date ranges for a list, if dividing it is worth it (`_partition_bounds`). Blocks; runs in a worker."""
    facts = method_facts(partition.resource, "list")
    frozen, filters = facts.get("frozen_filter"), partition.filters
    names = [one["name"] for one in facts.get("parameters", ()) if one["kind"] == "condition"]
    modified = next((one["name"] for one in facts.get("parameters", ()) if frozen and one["json"] == frozen[0]), None)
    given = {name.replace("_", "").casefold() for name in filters}
    free = [name for name in names if name.replace("_", "").casefold() not in given]
    provable = partition.plan.completeness in {"best", "prove"} and facts.get("identity") and modified in free
    if not provable or facts["style"] in {"lines", "unpaged"} or most <= 1:
        return None
    dates = sorted((name for name in free if name != modified), key=lambda name: name != _CREATED)

    async def find() -> PartitionPlan | None:
        async with access.client(partition.company) as visma:
            now = visma.clock.utc_now()
            server = ServerClock(safe_boundary(now))

            async def count(more: Mapping[str, Condition[str]]) -> int:
                listing = visma.list_by_name(partition.resource, {**filters, **more})
                return await listing.with_sender(server.wrap).count()

            if await count({}) < 2 * least_rows:
                return None
            boundary = server.edge  # now that the server has told its time
            found = await divide(
                count,
                modified=cast("str", modified),
                boundary=boundary,
                dates=dates,
                least_rows=least_rows,
                most=most,
                today=now.date(),
            )
            return found if server.edge == boundary else None  # one of several servers is behind the others

    return anyio.run(find)


def read_partition(partition: Partition, access: Access) -> PartitionDone:
    """Read a partition, unless it is whole already, and return what it holds. Blocks; runs in a worker.

    Raises:
        VismaNetError: those of an export; nothing of the partition is left then.
    """
    return partition.done() or publish_partition(
        partition.directory, lambda attempt: anyio.run(_read, partition, access, attempt), partition.done
    )


def without_newer(partition: Partition, newer: PartitionDone) -> PartitionDone:
    """Return a whole partition without the rows of which another one has later versions. Blocks."""
    done = partition.done()
    if done is None:
        raise ExportError(
            f"{partition}: its directory {partition.directory} is not there any more. Start the export again."
        )
    options = partition.plan.storage_options
    files = files_of_partition(done, options)
    later = set(_digests(files_of_partition(newer, options)))
    dropped = [number for number, digest in enumerate(_digests(files)) if digest in later]
    if not dropped:
        return done
    if _NO_KEY in later and _NO_KEY in set(_digests(files)):
        raise ExportError(
            f"{partition}: several rows have a key that the server left empty, so that nothing tells which of them was "
            "changed meanwhile. Nothing was published. Export the list undivided, with most_ranges=1."
        )
    final = attrs.evolve(partition, directory=partition.directory.with_name(f"{partition.directory.name}-final"))

    def rewrite(attempt: Path) -> PartitionDone:
        (attempt / partition.resource).mkdir()
        for part in done.parts:
            fetch(files / part.file, attempt / part.file)
        if partition.plan.incremental:  # of rows taken out, too: what is left out is published in its newer version
            fetch(files / OVERLAP, attempt / OVERLAP)
        sink = _sink(partition, attempt, operation_id=method_facts(partition.resource, "list")["id"])
        sink.adopt(done.parts)
        return attrs.evolve(done, parts=_finished(sink, dropped, attempt / partition.resource))

    return final.done() or publish_partition(final.directory, rewrite, final.done)


async def _read(partition: Partition, access: Access, attempt: Path) -> PartitionDone:
    async with access.client(partition.company) as visma:
        server = ServerClock(partition.edge or safe_boundary(visma.clock.utc_now()))
        listing = partition.listing(visma).with_sender(server.wrap)
        keys = KeysOfRows(identity_of(partition.resource)) if partition.divided else None
        sink = _sink(partition, attempt, operation_id=listing.operation_id)
        tracker = _tracker(partition, server)
        writer = _Writer(sink, keys, attempt / _KEYS, tracker)
        try:
            async with listing.raw_pages(ordered=True) as pages:
                async for page in pages:
                    await to_thread.run_sync(writer.write, page)
            report = listing.completeness
            if report is None:
                raise RuntimeError(f"the listing of {partition.resource} ended without a report")
            if partition.edge is not None and server.edge != partition.edge:
                raise ExportError(
                    f"{partition}: a clock of the server is behind the one by which the list was divided at "
                    f"{partition.edge}, so that a row can have gone from one range to another unseen. Nothing was "
                    "published. Start it again with resume=False (--restart), or undivided, with most_ranges=1."
                )
            parts = await to_thread.run_sync(partial(_finished, sink, writer.dropped, attempt / partition.resource))
            await to_thread.run_sync(writer.forget_dropped)
            if tracker is not None:
                await to_thread.run_sync(partial(tracker.write, attempt / OVERLAP, took=LONGEST_RUN))
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(sink.close)
        return PartitionDone(
            directory=str(partition.directory),
            parts=parts,
            completeness=report,
            company=visma.tenant_id,
            base_url=visma.base_url,
            unfit=sink.notes.unfit.counts(without=writer.dropped),
            neutralised=sum(sink.notes.neutralised.counts(without=writer.dropped).values()),
            watermark=None if tracker is None else tracker.watermark,
            repeated=0 if tracker is None else tracker.repeated,
            note="" if tracker is None else tracker.note,
        )


def _tracker(partition: Partition, server: ServerClock) -> DeltaTracker | None:
    plan, name = partition.plan, partition.resource
    if not plan.incremental:
        return None
    return DeltaTracker(
        modified_filter(name, plan.resources[name])[1],
        known=partition.known,
        overlap=plan.overlap,
        edge=lambda: server.edge,
    )


@attrs.define
class _Writer:
    """Writes pages in a worker thread, one after the other."""

    sink: PartSink[Any]
    keys: KeysOfRows | None
    keys_file: Path
    tracker: DeltaTracker | None = None
    dropped: set[int] = attrs.field(factory=set)
    """Numbers of the written rows that later ones have replaced."""
    _starts: dict[int, int] = attrs.field(factory=dict)

    def write(self, page: Delivery) -> None:
        self._starts[page.number] = self.sink.rows
        self.dropped.update(self._starts[old.delivery] + old.row for old in page.supersedes)
        if self.tracker is not None:
            self.dropped.update(self.sink.rows + at for at in self.tracker.repeats(page.rows))
        self.sink.write(page)
        if self.keys is not None:
            with writing(self.keys_file), self.keys_file.open("ab") as file:
                file.write(b"".join(map(_digest, self.keys.read(page.rows))))

    def forget_dropped(self) -> None:
        """Remove the keys of dropped rows from the file, so that the keys match the rows in the parts."""
        if self.dropped and self.keys is not None:
            kept = [key for number, key in enumerate(_digests(self.keys_file.parent)) if number not in self.dropped]
            with writing(self.keys_file):
                self.keys_file.write_bytes(b"".join(kept))


def _sink(partition: Partition, directory: Path, *, operation_id: str) -> PartSink[Any]:
    plan = partition.plan
    sink = open_sink(
        plan.format,
        directory / partition.resource,
        operation_id=operation_id,
        part_bytes=plan.part_bytes,
        options=plan.format_options,
        identity=identity_of(partition.resource),
    )
    return cast("PartSink[Any]", sink)  # always, as nothing is to be resumed


def _finished(sink: PartSink[Any], dropped: Iterable[int], directory: Path) -> tuple[Part, ...]:
    parts = sink.finish(dropped=dropped)
    for final in directory.glob(f"{FINAL}/*"):
        final.replace(directory / final.name)
    return parts


def _digest(key: bytes) -> bytes:
    return _NO_KEY if is_no_key(key) else hashlib.blake2b(key, digest_size=_DIGEST_BYTES).digest()


def _digests(directory: Location) -> Iterator[bytes]:
    try:
        content = (directory / _KEYS).read_bytes()
    except FileNotFoundError:  # of no rows
        content = b""
    return (content[at : at + _DIGEST_BYTES] for at in range(0, len(content), _DIGEST_BYTES))
