"""`vismanet export`: runs an export from the arguments of the command line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

import anyio

from vismanet_async._api.registry import list_arguments, registry
from vismanet_async._cli.exit_codes import DONE
from vismanet_async._cli.filters import read_where, refuse_bare_conditions
from vismanet_async._cli.progress import progress_shown, summary
from vismanet_async._cli.streams import tell
from vismanet_async._conditions import on_or_after
from vismanet_async._export.companies import companies_of, read_companies
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.run import Export
from vismanet_async._settings import Settings
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vismanet_async._export.target.manifest import Manifest

__all__ = ["filters_by_resource", "run_export"]

_MODIFIED: Final = "last_modified_date_time"
_NO_TARGET: Final = "say what to export, and where to: vismanet export customer --to DIRECTORY"


def run_export(
    resources: Sequence[str],
    *,
    to: str | None,
    where: Sequence[str],
    since: str | None,
    company: Sequence[str],
    companies: Path | None,
    at_once: int,
    connections: int,
    concurrency: int | str,
    profile: str | None,
    report: Path | None,
    dask: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Run an export and return the exit code. The manifest or a summary goes to stdout, progress to stderr.

    Args:
        resources: from the command line, like all further arguments.
        to: None is refused.
        where: filters.
        since: one more filter.
        company: companies as texts.
        companies: a file of companies.
        at_once: companies read concurrently.
        connections: requests in flight at most, of many companies.
        concurrency: requests in flight at most.
        profile: to sign in with.
        as_json: print the manifest instead of a summary.
        report: the HTML page to write.
        dask: the scheduler's address.
        options: those of `ExportPlan`.
    """
    if to is None:
        raise RequestRefused(f"{_NO_TARGET}; nothing was sent.")
    if report is not None:
        _check_report(report)
    chosen = filters_by_resource(resources, where, since=since)
    settings = Settings.load(profile=profile)
    if dask is not None and report is not None:
        raise RequestRefused("--report is about the requests of one process, and --dask has several. Nothing was sent.")
    if company or companies is not None:
        from vismanet_async._cli.export_many import run_many, run_many_on_dask  # noqa: PLC0415 - only for many companies

        many = [*companies_of(company)] if company else []
        many += [] if companies is None else read_companies(companies)
        if dask is not None:
            return run_many_on_dask(
                many, chosen, to=to, address=dask, access=(profile, concurrency), as_json=as_json, **options
            )
        return run_many(
            many,
            chosen,
            to=to,
            settings=settings,
            report=report,
            as_json=as_json,
            at_once=at_once,
            connections=connections,
            **options,
        )
    plan = ExportPlan(resources=chosen, to=to, **options)
    if dask is None:
        manifest = anyio.run(_export, plan, settings, concurrency, report)
    else:
        from vismanet_async._cli.export_dask import access_of, one_on_dask  # noqa: PLC0415 - Dask is an extra

        manifest = anyio.run(one_on_dask, plan, dask, access_of(profile, concurrency))
    done = f"The export is published: {plan.to / 'manifest.json'}"
    tell(manifest.to_json() if as_json else summary(manifest, plan), done=done)
    return DONE


def _check_report(path: Path) -> None:
    """Raise if the report could not be written at the end of the export."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise RequestRefused(f"--report {path} is there and no regular file; nothing was sent. Name a file.")
    above = next((folder for folder in path.absolute().parents if folder.exists()), None)
    if above is None or not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise RequestRefused(f"--report {path} cannot be written: {above or path} is no folder to write in.")


async def _export(plan: ExportPlan, settings: Settings, concurrency: int | str, report: Path | None) -> Manifest:
    from vismanet_async._client import VismaNet  # noqa: PLC0415 - aiohttp loads slowly, and wrong use does not need it

    async with VismaNet.from_settings(settings, concurrency=concurrency) as visma:
        export = Export(visma, plan, company=settings.tenant_id, base_url=settings.base_url)
        async with progress_shown(export, visma.quota, sys.stderr):
            if report is None:
                return await export
            from vismanet_async._export.report import run_reported  # noqa: PLC0415 - only if a report is wanted

            return await run_reported(export, report, title=f"Export of {', '.join(plan.resources)}")


def _is_plain(resource: str) -> bool:
    """Return whether the time of a resource's changes is asked for without an operator."""
    facts = registry()["resources"][resource]["methods"].get("list", {})
    return "changed_since" in facts


def filters_by_resource(
    resources: Sequence[str], where: Sequence[str], *, since: str | None = None
) -> dict[str, dict[str, Any]]:
    """Return the filters of each resource.

    Examples:
        >>> filters_by_resource(["customer", "supplier"], ["status=Active", "supplier.name=Fjord"])
        {'customer': {'status': 'Active'}, 'supplier': {'status': 'Active', 'name': 'Fjord'}}

    Raises:
        UnknownName: for a resource or a filter that there is not.
        RequestRefused: for a text that is no filter, a resource that is not exported, a filter given twice, or one
            whose value cannot be read.
    """
    # a plan of the names refuses those named twice
    chosen: dict[str, dict[str, Any]] = {name: {} for name in ExportPlan(resources=list(resources), to=".").resources}
    given = [read_where(text) for text in where]
    if since is not None:
        given += [(name, _MODIFIED, since if _is_plain(name) else on_or_after(since)) for name in chosen]
    for resource, name, value in given:
        if resource is not None and resource not in chosen:
            raise RequestRefused(f"--where {resource}.{name}: {resource} is not exported here; nothing was sent.")
        for filters in chosen.values() if resource is None else (chosen[resource],):
            if name in filters:
                raise RequestRefused(f"the filter {name} is given twice; nothing was sent. Give it once.")
            filters[name] = value
    for resource, filters in chosen.items():
        refuse_bare_conditions(resource, "list", list_arguments(resource, filters))
    return chosen
