"""`compact`: the latest version of each record of an export, without the deleted ones, as a new export.

For each resource, what its runs published is taken in, one file after the other (`latest_rows`), and written sorted by
key (`compact_files`). So two exports whose runs led to the same records become the same files, byte for byte, whatever
those runs were. Paging metadata is left out, because it belongs to answers.

The new export is published like any other (`target.publishing`), also in the place of the one it was made of, and the
next incremental run goes on from it. Killed and started again, it goes on after the last file that it had taken in.
"""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from vismanet_async._arguments import expect_count
from vismanet_async._clock import SystemClock
from vismanet_async._export.compact_files import parquet_places, write_parts
from vismanet_async._export.files import write_atomically, writing
from vismanet_async._export.latest_rows import LatestRows
from vismanet_async._export.sinks.parts import DEFAULT_PART_BYTES
from vismanet_async._export.stored_rows import row_reader
from vismanet_async._export.target.local import KEYS_NAME, OVERLAP_NAME, Target
from vismanet_async._export.target.locations import RemotePath, parse_location
from vismanet_async._export.target.manifest import Manifest, Part, ResourceEntry, Run, part_fault, require_same_source
from vismanet_async._export.target.remote import RemoteTarget
from vismanet_async._version import __version__
from vismanet_async.errors import ExportError, RequestRefused

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vismanet_async._clock import Clock
    from vismanet_async._export.target.locations import Location

__all__ = ["compact"]

_STAGING: Final = "compact"
_PLAN: Final = "compact.json"


def compact(
    source: str | os.PathLike[str],
    *,
    to: str | os.PathLike[str] | None = None,
    resources: Sequence[str] | None = None,
    part_bytes: int = DEFAULT_PART_BYTES,
    storage_options: Mapping[str, Any] | None = None,
    clock: Clock | None = None,
) -> Manifest:
    """Publish the latest version of each record, without the deleted ones, as a new export. Blocks; sends nothing.

    Reads each file twice, once to check it. Memory: some ten megabytes, for Parquet also a row group. Disk: a SQLite
    file with the rows in the staging area of `to`, which a run that is started again goes on with.

    Args:
        source: the path or URL of an export.
        to: the path or URL of the new one; None: in the place of `source`. Runs are kept out of it meanwhile.
        resources: names; None: all.
        part_bytes: what brings a file to this size closes it.
        storage_options: for URLs, options of fsspec's filesystem.
        clock: for tests.

    Returns:
        the manifest of the new export. Each resource has one run in it, and the format, watermark and keys of before,
        so that incremental runs go on from there. Rows are sorted by key, and have no paging metadata.

    Raises:
        RequestRefused: a resource is not there, or its rows have no key; or `to` holds an export of another company or
            server.
        ExportError: `source` is not as its manifest states.
        TargetNotWritable: `to` cannot be written. What stood there stands.
        TargetBusy: another run is writing to `to`.

    Examples:
        >>> _ = await visma.export("customer", to="grown", incremental=True, deletions=True)
        >>> _ = await visma.export("customer", to="grown", incremental=True, deletions=True)
        >>> latest = compact("grown", to="latest")
        >>> latest.resources["customer"].rows, len(latest.resources["customer"].runs)
        (40, 1)
    """
    expect_count("part_bytes", part_bytes)
    clock = clock or SystemClock()
    begin = parse_location(source, storage_options)
    end = begin if to is None else parse_location(to, storage_options)
    manifest = Manifest.read(begin)
    chosen = _chosen(manifest, resources)
    for name in chosen:  # refused before anything is written
        row_reader(begin, name, manifest.resources[name])
    target = RemoteTarget.open(end, chosen) if isinstance(end, RemotePath) else Target.open(end, chosen)
    published = False
    try:
        if target.recover() is not None or end == begin:
            manifest = Manifest.read(begin)  # the one that stands while the target is ours
        before = target.published()
        if end != begin:
            _refuse_other_source(manifest, before, end, chosen)
        target.mark()
        started = clock.utc_now()
        staging = _staging(target.work, manifest, chosen, part_bytes)
        entries = {
            name: _compacted(begin, name, manifest.resources[name], staging, part_bytes=part_bytes) for name in chosen
        }
        made = Manifest(
            resources={**(before.resources if before else {}), **entries},
            tool=f"vismanet-async {__version__}",
            started_at=started,
            finished_at=clock.utc_now(),
            company=manifest.company,
            base_url=manifest.base_url,
        )
        made = target.publish(made, staging)
        published = True
    finally:
        target.close(keep_work=not published)
    return made


def _chosen(manifest: Manifest, resources: Sequence[str] | None) -> list[str]:
    chosen = list(manifest.resources) if resources is None else list(dict.fromkeys(resources))
    missing = [name for name in chosen if name not in manifest.resources]
    if missing or not chosen:
        raise RequestRefused(
            f"{', '.join(missing) or 'nothing'} is not in the export, which has "
            f"{', '.join(manifest.resources) or 'no resource'}; nothing was written."
        )
    return chosen


def _refuse_other_source(manifest: Manifest, before: Manifest | None, end: Location, chosen: Sequence[str]) -> None:
    if before is None:
        return
    company, base_url = manifest.company, manifest.base_url
    if not before.resources.keys() - set(chosen):  # nothing stays, so that what is not known may be the same
        company, base_url = company or before.company, base_url or before.base_url
        before = attrs.evolve(before, company=before.company or company, base_url=before.base_url or base_url)
    require_same_source(before, where=end, company=company, base_url=base_url, done="nothing was written")


def _staging(work: Path, manifest: Manifest, chosen: Sequence[str], part_bytes: int) -> Path:
    """Return the staging directory, emptied if another compaction left it."""
    staging = work / _STAGING
    fingerprint = [hashlib.sha256(manifest.to_json()).hexdigest(), list(chosen), part_bytes, __version__]
    plan = msgspec.json.encode(fingerprint)
    with writing(staging):
        if staging.exists() and not ((staging / _PLAN).is_file() and (staging / _PLAN).read_bytes() == plan):
            shutil.rmtree(staging)
        staging.mkdir(exist_ok=True)
        write_atomically(staging / _PLAN, plan)
    return staging


def _compacted(location: Location, name: str, entry: ResourceEntry, staging: Path, *, part_bytes: int) -> ResourceEntry:
    reader = row_reader(location, name, entry)
    with LatestRows(staging / f"{name}.sqlite") as latest:
        latest.apply(reader, batches=partial(parquet_places, reader) if entry.format == "parquet" else None)
        contents = (content for _, content in latest.rows())
        parts = write_parts(reader, contents, staging / name, part_bytes=part_bytes)
    rows = sum(part.rows for part in parts)
    entry = attrs.evolve(
        entry,
        rows=rows,
        unique=rows,
        parts=parts,
        identity=reader.identity,
        overlap=_copied(location, entry.overlap, staging / OVERLAP_NAME / f"{name}-00000.bin"),
        keys=_copied(location, entry.keys, staging / KEYS_NAME / f"{name}-00000.jsonl.gz"),
        tombstones=(),
    )
    return attrs.evolve(entry, runs=(_run(entry),))


def _copied(location: Location, part: Part | None, path: Path) -> Part | None:
    if part is None:
        return None
    fault = part_fault(location, part)
    if fault:
        raise ExportError(f"{location / part.file} {fault}; nothing was written. Export it whole again.")
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, (location / part.file).read_bytes())
    return attrs.evolve(part, file=f"{path.parent.name}/{path.name}")


def _run(entry: ResourceEntry) -> Run:
    """Return the one run of a compacted resource: its times are those from which the next run goes on."""
    moment = datetime.min.replace(tzinfo=UTC)  # only foreign manifests lack the times
    last = entry.runs[-1] if entry.runs else entry
    return Run(
        since=None,
        rows=entry.rows,
        verdict=entry.verdict,
        reason=entry.reason,
        total_first=entry.total_first,
        total_last=entry.total_last,
        requests=entry.requests,
        parts=tuple(part.file for part in entry.parts),
        window=entry.window,
        watermark=entry.watermark,
        started_at=last.started_at or moment,
        finished_at=last.finished_at or moment,
    )
