"""The options of `vismanet export`. What the commands do is imported when they are called."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from cyclopts import App, Parameter

from vismanet_async._cli import export_options as options
from vismanet_async._cli.help_texts import MORE, SIGNING_IN
from vismanet_async.errors import RequestRefused

__all__ = ["export_app"]

_CompactTo = Annotated[
    str | None,
    Parameter(
        help="Where to write the new export: a directory or URL. Without it, in the place of SOURCE, where the next "
        "incremental run goes on."
    ),
]

export_app = App(name="export", usage="Usage: vismanet export RESOURCE... --to TO [OPTIONS]", help_epilogue=SIGNING_IN)


@export_app.default
def export(
    *resources: str,
    to: options.To = None,
    spool: options.Spool = None,
    format: options.FileFormat = "jsonl",  # noqa: A002 - what the option is called
    part_bytes: options.PartBytes = 134_217_728,
    restart: options.Restart = False,
    report: options.Report = None,
    json: options.Json = False,
    where: options.Where = None,
    since: options.Since = None,
    incremental: options.Incremental = False,
    overlap_hours: options.OverlapHours = 24.0,
    deletions: options.Deletions = False,
    deletions_every: options.DeletionsEvery = None,
    deletions_requests: options.DeletionsRequests = None,
    completeness: options.Completeness = "best",
    allow_uncertain: options.AllowUncertain = False,
    page_size: options.PageSize = None,
    concurrency: options.Concurrency = "auto",
    dask: options.Dask = None,
    company: options.Companies = None,
    companies: options.CompaniesFile = None,
    at_once: options.AtOnce = 8,
    connections: options.Connections = 32,
    format_flags: options.FormatFlags = options.NO_FORMAT_FLAGS,
    status: options.Status = None,
    verify: options.Verify = False,
    profile: options.Profile = None,
) -> int:
    """Export resources to files, all or nothing.

    For example:
      vismanet export customer customer_invoice --to out
      vismanet export customer --to out --format csv --where status=Active

    The files are TO/RESOURCE/part-NNNNN.FORMAT. In jsonl each record is one line,
    with the very bytes that the server sent; csv and parquet have columns made
    from the description of the API, and exact amounts. TO/manifest.json is
    published last: where it stands, the files are whole.

    Parameters
    ----------
    resources
        What to export, such as customer customer_invoice; `vismanet resources` lists the names.
    """
    if status is not None:
        from vismanet_async._cli.export_status import run_status  # noqa: PLC0415

        return run_status(status, spool=spool, verify=verify, as_json=json)
    from vismanet_async._cli.export import run_export  # noqa: PLC0415

    return run_export(
        resources,
        to=to,
        where=where or [],
        since=since,
        company=company or [],
        companies=companies,
        at_once=at_once,
        connections=connections,
        spool=spool,
        concurrency=concurrency,
        profile=profile,
        as_json=json,
        format=format,
        incremental=incremental,
        overlap=_hours(overlap_hours),
        deletions=options.deletions(wanted=deletions, every=deletions_every, requests=deletions_requests),
        page_size=page_size,
        completeness=completeness,
        allow_uncertain=allow_uncertain,
        resume=not restart,
        part_bytes=part_bytes,
        format_options=options.format_options(format, format_flags),
        report=report,
        dask=dask,
    )


def _hours(count: float) -> timedelta:
    try:
        return timedelta(hours=count)
    except (OverflowError, ValueError):
        raise RequestRefused(f"--overlap-hours {count} is no number of hours; nothing was sent.") from None


@export_app.command(usage="Usage: vismanet export compact SOURCE [--to TO] [OPTIONS]", help_epilogue=MORE)
def compact(
    source: str,
    *,
    to: _CompactTo = None,
    resource: Annotated[list[str] | None, Parameter(consume_multiple=False)] = None,
    part_bytes: int = 134_217_728,
    json: bool = False,
) -> int:
    """Make one file set of all runs of an export: the latest version of each record.

    For example:
      vismanet export compact out
      vismanet export compact out --to latest

    Records that are gone are left out, as far as a run with --deletions has
    noticed. Rows are sorted by key and have no paging metadata, so that the same
    records give the same bytes. Needs no sign-in, and sends nothing.

    Parameters
    ----------
    source
        The directory or URL of an export.
    resource
        Only this list; may be given several times.
    part_bytes
        Begin a new file when one has reached this size, in bytes; 134217728 is 128 MiB.
    json
        Print the manifest as JSON instead of a summary.
    """
    from vismanet_async._cli.export_compact import run_compact  # noqa: PLC0415

    return run_compact(source, to=to, resources=resource, part_bytes=part_bytes, as_json=json)
