"""`vismanet export --status PATH`: what is published there, and what a stopped run left."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from vismanet_async._cli.exit_codes import DONE, NOT_WRITTEN
from vismanet_async._cli.output import counted
from vismanet_async._cli.streams import write_bytes
from vismanet_async._export.status import Status, status_of
from vismanet_async._export.target.locations import RemotePath, parse_location
from vismanet_async.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vismanet_async._export.target.locations import Location
    from vismanet_async._export.target.manifest import Manifest, ResourceEntry

__all__ = ["run_status"]

_RUNS_SHOWN: Final = 5
_STATES: Final = {
    "nothing": "nothing is published here",
    "published": "published",
    "running": "a run is writing here now",
    "resumable": "a run was stopped; the same command goes on from there",
    "publishing": "a run was killed while it put its files in place; the next one ends that first",
}


def run_status(target: str, *, spool: Path | None, verify: bool, as_json: bool) -> int:
    """Print the status and return the exit code: whether something is there, and verified files match the manifest.

    Raises:
        ExportError: there is no such directory, or its manifest cannot be read.
    """
    location = parse_location(target)
    companies: list[Path] = []
    if isinstance(location, RemotePath):
        location.require()
    elif location.is_dir():
        companies = sorted(path.parent for path in location.glob("*/manifest.json"))
    else:
        raise ExportError(f"there is no directory {location}.")
    here = status_of(location, now=datetime.now(UTC), verify=verify, spool=spool)
    if here.state == "nothing" and companies:
        return _several(companies, verify=verify, as_json=as_json)
    if as_json:
        write_bytes(_json(_plain(here)))
    else:
        print("\n".join(_lines(location, here)))
    return NOT_WRITTEN if here.faults or here.state == "nothing" else DONE


def _several(directories: list[Path], *, verify: bool, as_json: bool) -> int:
    """Print the companies of an export of many."""
    found = {path.name: status_of(path, now=datetime.now(UTC), verify=verify) for path in directories}
    if as_json:
        write_bytes(_json({name: _plain(status) for name, status in found.items()}))
    else:
        print("\n\n".join("\n".join(_lines(path, found[path.name])) for path in directories))
    return NOT_WRITTEN if any(status.faults for status in found.values()) else DONE


def _plain(status: Status) -> dict[str, Any]:
    return attrs.asdict(status)


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _lines(directory: Location, status: Status) -> Iterator[str]:
    yield f"{directory}: {_STATES[status.state]}"
    if status.unfinished is not None:
        kept = ", ".join(f"{name} {count:,}" for name, count in sorted(status.unfinished.answers.items()))
        yield (
            f"unfinished: begun {_moment(status.unfinished.begun_at)}, can be resumed until "
            f"{_moment(status.unfinished.until)}; answers kept: {kept}"
        )
    if status.leftovers is not None:
        yield from (f"left by a run that was killed: {file}" for file in status.leftovers.files)
        yield from (f"an upload that was cut off, and is billed: {name}" for name in status.leftovers.unfinished)
        yield "the next export to this place removes that"
    if status.manifest is not None:
        yield from _manifest(status.manifest)
    if status.faults is not None:
        yield from (f"FAULT: {fault}" for fault in status.faults)
        yield counted(len(status.faults), "fault") if status.faults else "every file is as the manifest states"


def _manifest(manifest: Manifest) -> Iterator[str]:
    yield f"company {manifest.company or 'not known'} at {manifest.base_url or 'not known'}, by {manifest.tool}"
    for name, entry in manifest.resources.items():
        yield ""
        files = counted(len(entry.parts), f"{entry.format} file")
        yield f"{name}: {counted(entry.rows, 'row')} in {files}, {entry.verdict} ({entry.reason})"
        if entry.filters:
            yield f"  filters: {', '.join(f'{key} {value}' for key, value in entry.filters.items())}"
        yield f"  watermark: {entry.watermark or 'none'}"
        yield from _runs(entry)


def _runs(entry: ResourceEntry) -> Iterator[str]:
    older = len(entry.runs) - _RUNS_SHOWN
    if older > 0:
        yield f"  {counted(older, 'older run')}"
    for run in entry.runs[-_RUNS_SHOWN:]:
        what = "the whole list" if run.since is None else f"changed since {run.since}"
        repeated = f", {run.repeated:,} known already" if run.repeated else ""
        yield (
            f"  {_moment(run.finished_at)}  {what}: {counted(run.rows, 'row')}{repeated}, {run.verdict}, "
            f"{counted(run.requests, 'request')}"
        )
        if run.sweep is not None:
            yield f"    deletions {run.sweep.verdict}: {run.sweep.deleted:,} found ({run.sweep.reason})"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
