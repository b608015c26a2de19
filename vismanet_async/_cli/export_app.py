"""The options of `vismanet export`. What the commands do is imported when they are called."""

from __future__ import annotations

from datetime import timedelta

from cyclopts import App

from vismanet_async._cli import export_options as options
from vismanet_async._cli.help_texts import SIGNING_IN
from vismanet_async.errors import RequestRefused

__all__ = ["export_app"]

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
    """Write lists to files, whole or not at all.

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
    if verify and status is None:
        raise RequestRefused("--verify checks what was exported: say where that is, --status PATH --verify.")
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
