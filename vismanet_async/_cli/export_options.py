"""The options of `vismanet export`: their headings on the help page, and their texts."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_type_hints

import attrs
from cyclopts import Group, Parameter

from vismanet_async._export.deletions import Deletions as DeletionsPlan
from vismanet_async._export.formats.registry import FORMATS
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vismanet_async._export.formats import Flag, FormatOptions, SinkFormat

__all__ = [
    "NO_FORMAT_FLAGS",
    "AllowUncertain",
    "AtOnce",
    "Companies",
    "CompaniesFile",
    "Completeness",
    "Concurrency",
    "Connections",
    "Dask",
    "Deletions",
    "DeletionsEvery",
    "DeletionsRequests",
    "FileFormat",
    "FormatFlags",
    "Incremental",
    "Json",
    "OverlapHours",
    "PageSize",
    "PartBytes",
    "Profile",
    "Report",
    "Restart",
    "Since",
    "Spool",
    "Status",
    "To",
    "Verify",
    "Where",
    "deletions",
    "format_options",
]

# --- whose records, and which ----------------------------------------------------------------------------------------

_READ: Final = Group("Source and filters", sort_key=1)

Profile = Annotated[str | None, Parameter(group=_READ, help="Profile to use from the profile file.")]
Where = Annotated[
    list[str] | None,
    Parameter(
        group=_READ,
        consume_multiple=False,
        help=(
            "Only records that match: NAME=VALUE, or NAME>=VALUE (also <=, >, <) for dates and numbers. "
            "RESOURCE.NAME=VALUE filters that resource alone. May be given several times; `vismanet resources "
            "RESOURCE` lists the names."
        ),
    ),
]
Since = Annotated[
    str | None,
    Parameter(
        group=_READ,
        help="Only records that were modified at or after this moment: 2025-05-25 or 2025-05-25T13:30:00.",
    ),
]
Incremental = Annotated[
    bool,
    Parameter(
        group=_READ,
        help=(
            "Read only what was modified since the last run into the same TO, and add it there as new files. The first "
            "run reads everything."
        ),
    ),
]
OverlapHours = Annotated[
    float,
    Parameter(
        group=_READ,
        help=(
            "With --incremental: how many hours before the last known change to read from again, because the server's "
            "time zone is not certain; records that come twice are left out."
        ),
    ),
]

Deletions = Annotated[
    bool,
    Parameter(
        group=_READ,
        help=(
            "With --incremental: read the keys of the whole list as well, and write those of records that are gone to "
            "TO/_deleted. That takes as many requests as an export of everything."
        ),
    ),
]
DeletionsEvery = Annotated[
    str | None,
    Parameter(
        group=_READ,
        help=(
            "With --deletions: read all keys only so often, such as 7d, 12h or 2w. Between, one request asks how many "
            "records there are, and the keys are read at once if there are fewer than are known."
        ),
    ),
]
DeletionsRequests = Annotated[
    int | None,
    Parameter(
        group=_READ,
        help=(
            "With --deletions: how many requests it may take for one list. Beyond that the changes alone are written, "
            "and the manifest says so."
        ),
    ),
]

# --- where to --------------------------------------------------------------------------------------------------------

_WRITE: Final = Group("Where to write", sort_key=2)

To = Annotated[
    str | None,
    Parameter(
        group=_WRITE,
        help=(
            "Output directory, created if it does not exist; or the URL of a folder: s3://bucket/folder, abfs://..., "
            "gs://... A URL needs an extra (s3, azure or gcs); credentials are found as the store's own tools find "
            "them."
        ),
    ),
]
Spool = Annotated[
    Path | None,
    Parameter(
        group=_WRITE,
        help=(
            "If TO is a URL: the local directory in which files are put together before they are uploaded, and from "
            "which a stopped run is continued. By default one in your cache directory; name another where that is too "
            "small, or is lost with the machine."
        ),
    ),
]
_FORMAT_HELP: Final = (
    "Output file format. parquet and jsonl.zst need an extra each: vismanet-async[parquet] and [zstd]."
)
if TYPE_CHECKING:
    FileFormat = str
    FormatFlags = Any
else:
    FileFormat = Annotated[Literal[tuple(FORMATS)], Parameter(group=_WRITE, help=_FORMAT_HELP)]
PartBytes = Annotated[
    int,
    Parameter(
        group=_WRITE,
        help=(
            "Begin a new file when one has reached this size, in bytes; 134217728 is 128 MiB. Smaller for a loader "
            "that takes files side by side, or none above a certain size."
        ),
    ),
]
Restart = Annotated[
    bool,
    Parameter(
        group=_WRITE,
        help="Start anew. Without it, a run of the same export that was stopped in the last 24 hours is continued.",
    ),
]
Report = Annotated[
    Path | None,
    Parameter(
        group=_WRITE,
        help=(
            "Also write an HTML page about the run to this file: verdicts, times, requests, quota, repairs and files."
        ),
    ),
]
Json = Annotated[bool, Parameter(group=_WRITE, help="Print the manifest as JSON instead of a summary.")]

# --- how sure, how fast ----------------------------------------------------------------------------------------------

_SURE: Final = Group("Completeness and performance", sort_key=3)

Completeness = Annotated[
    Literal["best", "prove", "count", "none"],
    Parameter(
        group=_SURE,
        help=(
            "What must be shown about each list. best: proven where the list allows it, else counted. prove: nothing "
            "that existed throughout the read is missing; otherwise the run ends with exit code 4. count: there are as "
            "many records as the server's total says. none: nothing."
        ),
    ),
]
AllowUncertain = Annotated[
    bool,
    Parameter(
        group=_SURE,
        help=(
            "Publish a list too that could not be shown complete; the manifest says so. Without it the run ends with "
            "exit code 4 and publishes nothing."
        ),
    ),
]
PageSize = Annotated[
    int | None,
    Parameter(
        group=_SURE,
        help=(
            "Records asked for in one request; without it as many as the server gives. Fewer where large answers time "
            "out."
        ),
    ),
]
Concurrency = Annotated[
    int | Literal["auto"],
    Parameter(
        group=_SURE,
        help="Requests in flight at most; auto finds out how many. For many companies see --connections.",
    ),
]
Dask = Annotated[
    str | None,
    Parameter(
        group=_SURE,
        help=(
            "Spread the work over a Dask cluster: the address of its scheduler, such as tcp://10.0.0.1:8786. Its "
            "workers see TO under the same path or in the same store, and sign in with their own environment."
        ),
    ),
]

# --- many companies --------------------------------------------------------------------------------------------------

_MANY: Final = Group("Many companies", sort_key=4)

Companies = Annotated[
    list[str] | None,
    Parameter(
        name="--company",
        group=_MANY,
        consume_multiple=False,
        help=(
            "Export this company instead of the one signed in to: TENANT or NAME=TENANT, to a folder of its own below "
            "TO. May be given several times; one that fails does not stop the others."
        ),
    ),
]
CompaniesFile = Annotated[
    Path | None,
    Parameter(
        name="--companies",
        group=_MANY,
        help="The same from a TOML or CSV file with name and tenant_id of each company.",
    ),
]
_OF_MANY: Final = "With --company or --companies"
AtOnce = Annotated[int, Parameter(group=_MANY, help=f"{_OF_MANY}: how many companies are read side by side.")]
Connections = Annotated[
    int, Parameter(group=_MANY, help=f"{_OF_MANY}: requests in flight at most, of all companies together.")
]

# --- formats ---------------------------------------------------------------------------------------------------------

_FIRST_FORMAT: Final = 5
_PERIODS: Final = {"h": "hours", "d": "days", "w": "weeks"}
_annotated: Any = Annotated  # built here of types that only the registry knows


def _flag_fields(chosen: SinkFormat, group: Group) -> Iterator[tuple[str, Any]]:
    """Return the flags of a format as fields of attrs, by name."""
    assert chosen.options is not None
    types, fields = get_type_hints(chosen.options), attrs.fields_dict(chosen.options)
    for flag in chosen.flags:
        default = fields[flag.field].default
        given = _annotated[types[flag.field], Parameter(name=flag.name, group=group, help=flag.help)]
        yield _attribute(flag), attrs.field(default=not default if flag.inverted else default, type=given)


def _attribute(flag: Flag) -> str:
    return flag.name.removeprefix("--").replace("-", "_")


def _flags_class() -> type:
    with_flags = [each for each in FORMATS.values() if each.flags]
    fields: dict[str, Any] = {}
    for number, each in enumerate(with_flags, _FIRST_FORMAT):
        fields |= _flag_fields(each, Group(f"With --format {each.name}", sort_key=number))
    return attrs.make_class("_FormatFlags", fields, frozen=True, kw_only=True)


_FormatFlags: Any = _flags_class()
NO_FORMAT_FLAGS: Final = _FormatFlags()
if not TYPE_CHECKING:
    FormatFlags = Annotated[_FormatFlags, Parameter(name="*")]


def format_options(name: str, flags: Any) -> FormatOptions | None:
    """Return the options of a format from its flags; those of other formats are checked too.

    Raises:
        RequestRefused: the value of a flag cannot be used.
    """
    made = {
        each.name: each.options(**{flag.field: _value(flag, getattr(flags, _attribute(flag))) for flag in each.flags})
        for each in FORMATS.values()
        if each.options is not None
    }
    return made.get(name)


def _value(flag: Flag, given: Any) -> Any:
    return not given if flag.inverted else flag.words.get(given, given)


def deletions(*, wanted: bool, every: str | None, requests: int | None) -> DeletionsPlan | None:
    """Return how deletions are looked for; None: they are not.

    Raises:
        RequestRefused: a value cannot be used.
    """
    if not wanted:
        return None
    period = re.fullmatch(r"(\d{1,5})([hdw])", every or "0d", re.ASCII)
    if period is None:
        raise RequestRefused(f"--deletions-every {every!r} is not a time such as 7d, 12h or 2w; nothing was sent.")
    return DeletionsPlan(every=timedelta(**{_PERIODS[period[2]]: int(period[1])}), max_requests=requests)


# --- no export -------------------------------------------------------------------------------------------------------

_LOOK: Final = Group("Inspect an export", sort_key=_FIRST_FORMAT + len(FORMATS))

Status = Annotated[
    str | None,
    Parameter(
        group=_LOOK,
        help=(
            "Show what was published at this path or URL, its runs, and whether a stopped one can be continued. "
            "Needs no sign-in."
        ),
    ),
]
Verify = Annotated[
    bool, Parameter(group=_LOOK, help="With --status: read every file as well and compare it with the manifest.")
]
