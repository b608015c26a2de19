"""The manifest: what an export published, and the check that the files are unchanged.

`manifest.json` is written last. If it exists, every part that it names is complete.
"""

from __future__ import annotations

import hashlib
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations when it decodes
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

import attrs
import msgspec

from vismanet_async._export.target.locations import join, parse_location
from vismanet_async.errors import ExportError, RequestRefused

if TYPE_CHECKING:
    from pathlib import Path

    from vismanet_async._export.target.locations import Location, RemotePath

__all__ = [
    "MANIFEST_NAME",
    "Manifest",
    "Part",
    "ResourceEntry",
    "Run",
    "Sweep",
    "Verdict",
    "faults_of",
    "part_fault",
    "require_same_source",
    "validate",
]

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1
_CHUNK_BYTES = 1 << 20  # read at once while checking: large enough to be fast, small enough to be nothing

Verdict = Literal["proven", "counted", "uncertain"]
"""How far a list is shown to be complete, strongest first."""


@attrs.frozen(kw_only=True)
class Part:
    """One output file."""

    file: str
    """Below the manifest's directory, with forward slashes."""
    rows: int
    bytes: int
    sha256: str
    """Of the file as published, in hex."""


@attrs.frozen(kw_only=True)
class Sweep:
    """How one run looked for records that are gone (`vismanet_async._export.deletions`).

    Examples:
        >>> for _ in range(2):
        ...     manifest = await visma.export("customer", to="swept", incremental=True, deletions=True)
        >>> sweep = manifest.resources["customer"].runs[-1].sweep
        >>> sweep.verdict, sweep.deleted
        ('proven', 0)
    """

    verdict: Literal["proven", "counted", "uncertain", "skipped"]
    """`proven`: all keys were read, and whatever was not among them is in the tombstones. `counted`: no sweep was due,
    and there were as many records as keys are known. `uncertain`: the keys could not be shown complete. `skipped`: the
    sweep was due, and its budget did not allow it. Only `proven` publishes tombstones."""
    reason: str
    """Why, in words."""
    requests: int
    """Of the sweep alone; those of the run include them."""
    deleted: int = 0
    """Records that were published and are gone."""
    restored: int = 0
    """Records that the sweep saw and no run had published. Their rows are in the run's parts."""
    tombstones: str | None = None
    """The file that names the deleted ones; it counts after the parts of its run."""


@attrs.frozen(kw_only=True)
class Run:
    """What one run added to a resource: the whole list, or what was changed since an earlier run.

    Examples:
        >>> manifest = await visma.export("customer", to="runs", incremental=True)
        >>> [(run.since, run.rows, run.verdict) for run in manifest.resources["customer"].runs]
        [(None, 40, 'proven')]
    """

    since: str | None
    """The filter's value: rows changed then or later were read. None: the whole list was."""
    rows: int
    """Rows in its parts."""
    repeated: int = 0
    """Rows read again in the overlap, unchanged, and left out."""
    verdict: Verdict
    reason: str
    total_first: int | None
    total_last: int | None
    requests: int
    parts: tuple[str, ...]
    """The files that it added."""
    window: str | None = None
    watermark: str | None = None
    """The greatest lastModified value that this run and those before it saw."""
    sweep: Sweep | None = None
    """How it looked for records that are gone; None: it did not."""
    started_at: datetime
    finished_at: datetime


@attrs.frozen(kw_only=True)
class ResourceEntry:
    """What was published of one resource: a whole list, and what incremental runs added to it.

    After incremental runs a record may occur in several versions; the one of the latest run counts. The figures are
    then those of all runs together, the verdict is the weakest, and totals and window are those of the last run.

    Args:
        verdict: what was shown about the list: `proven`, `counted` or `uncertain`.
        total_last: the last total that the server reported; None where it reports none.
        format: what the parts are: `jsonl`, `csv`, `parquet`, ...
        format_options: how it was written where that is not as by default, such as `delimiter`.
        filters: the query parameters that chose the rows.
        columns: of the parts, by name, with their kinds; empty for formats without columns, and in manifests of
            versions that did not record them.
        identity: the fields that together are the key of a row; empty where the rows have none, and in manifests of
            versions that did not record it.
        unfit: values that their column could not hold, counted by column: null there, and whole in `_extra`, so that
            a total of the column lacks them. Of all rows in the parts.
        neutralised: cells of CSV that got an apostrophe, as a spreadsheet would have run them.
    """

    rows: int
    """Rows in the parts together."""
    unique: int | None
    """Different records seen, by the resource's key; None where it has no known key, or after incremental runs."""
    verdict: Verdict
    reason: str
    """Why, in words."""
    total_first: int | None
    """The first total that the server reported; None where it reports none."""
    total_last: int | None
    requests: int
    """Requests sent for this resource, repeats included."""
    parts: tuple[Part, ...]
    """Oldest first."""
    format: str = "jsonl"
    format_options: dict[str, str] = attrs.field(factory=dict)
    filters: dict[str, str] = attrs.field(factory=dict)
    columns: dict[str, str] = attrs.field(factory=dict)
    identity: tuple[str, ...] = ()
    unfit: dict[str, int] = attrs.field(factory=dict)
    neutralised: int = 0
    window: str | None = None
    """The time at which a proven list was split: rows changed before it were read first, the others after them."""
    watermark: str | None = None
    """The greatest lastModified value seen, the server's own text; where the next incremental run starts."""
    started_at: datetime | None = None
    """Of the run that read the whole list, UTC."""
    finished_at: datetime | None = None
    """Of the last run."""
    runs: tuple[Run, ...] = ()
    """The whole list first, then the additions; empty in manifests of older versions of this package."""
    overlap: Part | None = None
    """Digests of rows that the next incremental run leaves out (`vismanet_async._export.incremental`)."""
    tombstones: tuple[Part, ...] = ()
    """Files with the keys of records that are gone, oldest first; `Run.sweep` says which run each belongs to."""
    keys: Part | None = None
    """The keys of the records that are published and not gone; None: no run has looked for deletions."""
    swept_at: datetime | None = None
    """When the last run began that read all keys and proved it, UTC."""

    @property
    def files(self) -> tuple[Part, ...]:
        """Every file of this resource beside the manifest."""
        return (*self.parts, *self.tombstones, *(one for one in (self.keys, self.overlap) if one is not None))


@attrs.frozen(kw_only=True)
class Manifest:
    """What is published in one directory.

    A run replaces the entries of its own resources and keeps the others, each with its own times.
    """

    resources: dict[str, ResourceEntry]
    tool: str
    """Name and version of the program that wrote it."""
    started_at: datetime
    finished_at: datetime
    company: str | None = None
    """The tenant id of the company, where it is known."""
    base_url: str | None = None
    """Where the rows came from."""
    schema_version: int = SCHEMA_VERSION

    @property
    def rows(self) -> int:
        """Rows of all resources together."""
        return sum(entry.rows for entry in self.resources.values())

    @property
    def requests(self) -> int:
        """Requests of all resources together."""
        return sum(entry.requests for entry in self.resources.values())

    def files(self, name: str, *, within: str = "") -> list[str]:
        """Return the files of a list, oldest first: those to read, whatever else is in its folder.

        After incremental runs a record is in several of them, and the last one counts.

        Args:
            name: of the list.
            within: the directory or URL of the export, to be put before each; empty: paths below it.

        Raises:
            RequestRefused: the export has no such list.

        Examples:
            >>> manifest = await visma.export("customer", to="out")
            >>> manifest.files("customer"), manifest.files("customer", within="s3://bucket/visma")
            (['customer/part-00000.jsonl'], ['s3://bucket/visma/customer/part-00000.jsonl'])
        """
        if name not in self.resources:
            raise RequestRefused(f"the export has no list {name!r}, only {', '.join(self.resources)}.")
        return [join(within, part.file) if within else part.file for part in self.resources[name].parts]

    def _repr_html_(self) -> str:
        from vismanet_async._html import html_table  # noqa: PLC0415 - only notebooks ask for it

        rows = [
            (name, f"{entry.rows:,}", entry.verdict, entry.reason, f"{len(entry.parts):,} {entry.format}")
            for name, entry in self.resources.items()
        ]
        title = f"Export of {self.company or 'a company'}, {self.finished_at:%Y-%m-%d %H:%M} UTC"
        return html_table(title, rows, head=("list", "rows", "verdict", "because", "files"))

    def to_json(self) -> bytes:
        """Return the content of the file: indented JSON with a final newline."""
        # asdict keeps the order of the fields, which msgspec's own encoding of slotted classes does not
        return msgspec.json.format(msgspec.json.encode(attrs.asdict(self)), indent=2) + b"\n"

    @classmethod
    def from_json(cls, content: bytes, *, where: str = MANIFEST_NAME) -> Manifest:
        """Return the manifest that a file holds.

        Raises:
            ExportError: when it is not a manifest, or one of a newer schema.
        """
        try:
            version = msgspec.json.decode(content, type=_Version).schema_version
            if version > SCHEMA_VERSION:
                raise ExportError(
                    f"{where} has schema version {version}, and this vismanet_async reads {SCHEMA_VERSION}: "
                    "upgrade it to read this export."
                )
            return msgspec.json.decode(content, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ExportError(f"{where} is not the manifest of an export: {error}.") from error

    @classmethod
    def read(cls, directory: Path | RemotePath | str) -> Manifest:
        """Return the manifest of a directory or URL.

        Raises:
            ExportError: when there is none, or it cannot be read.
        """
        path = parse_location(directory) / MANIFEST_NAME
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise ExportError(f"{directory} holds no {MANIFEST_NAME}: nothing is published there.") from error
        except OSError as error:
            raise ExportError(f"{path} cannot be read: {error.strerror or error}.") from error
        return cls.from_json(content, where=str(path))


def require_same_source(
    before: Manifest,
    *,
    where: object,
    company: str | None,
    base_url: str | None,
    adds: bool = False,
    done: str = "nothing was sent",
) -> None:
    """Raise if rows are to stand beside an export of another company or server, or of one that may be another.

    Args:
        before: what stands there.
        where: that is, for the error.
        company: of the rows; None: it is not known.
        base_url: of their server; None: it is not known.
        adds: whether they become rows of the same lists.
        done: what was done so far, for the error.

    Raises:
        RequestRefused: one of the two differs; also where it is known of one side alone. Of rows that are added, where
            the company is known of neither: two that are not known are not known to be one.
    """
    for what, here, asked in (("company", before.company, company), ("server", before.base_url, base_url)):
        if here != asked:
            raise RequestRefused(
                f"{where} holds an export of {what} {here or 'unknown'}, and this one is of {asked or 'unknown'}; "
                f"{done}. Give each company of each server a directory of its own, and StaticToken its tenant_id."
            )
    if adds and not company:
        raise RequestRefused(
            f"{where} holds an export of an unknown company, and this one is of an unknown one, too: they may be two, "
            f"so {done}. Give StaticToken its tenant_id (VISMANET_TENANT_ID), and export all of it once without "
            "`incremental`; or give this export a directory of its own."
        )


class _Version(msgspec.Struct):
    schema_version: int


def validate(directory: Path | RemotePath | str) -> Manifest:
    """Check every part of an export against its manifest, and return the manifest.

    Reads each part once, a megabyte at a time. Sends nothing.

    Returns:
        the manifest, if every part has the bytes, rows and hash that it states.

    Raises:
        ExportError: naming each part that is missing or different, or a manifest that cannot be read.

    Examples:
        >>> _ = await visma.export("customer", to="checked")
        >>> validate("checked").resources["customer"].rows
        40
    """
    root = parse_location(directory)
    manifest = Manifest.read(root)
    faults = faults_of(root, manifest)
    if faults:
        raise ExportError(f"{root} does not hold what its manifest states: {'; '.join(faults)}. Export it again.")
    return manifest


def faults_of(root: Location, manifest: Manifest) -> list[str]:
    """Return how a directory differs from a manifest, in words. Reads every part."""
    return [fault for name, entry in manifest.resources.items() for fault in _faults(root, name, entry)]


def _faults(root: Location, name: str, entry: ResourceEntry) -> list[str]:
    stated = sum(part.rows for part in entry.parts)
    faults = [] if stated == entry.rows else [f"{name}: {entry.rows} rows, but its parts have {stated}"]
    faults += [f"{part.file} {fault}" for part in entry.files if (fault := part_fault(root, part))]
    return faults


def part_fault(root: Location, part: Part) -> str | None:
    """Return what is wrong with the file of a part, or None."""
    if PurePosixPath(part.file).is_absolute() or ".." in PurePosixPath(part.file).parts:
        return "is not below the manifest's directory"
    digest = hashlib.sha256()
    size = lines = 0
    try:
        with (root / part.file).open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                lines += chunk.count(b"\n")
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    if size != part.bytes:
        return f"has {size} bytes instead of {part.bytes}"
    if digest.hexdigest() != part.sha256:
        return "has another sha256"
    if part.file.endswith(".jsonl") and lines != part.rows:
        return f"has {lines} rows instead of {part.rows}"
    return None
