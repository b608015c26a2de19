"""`vismanet export`: from the words of the command line to a published manifest."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs

from vismanet_async.api.registry import list_arguments
from vismanet_async.cli.exit_codes import DONE
from vismanet_async.cli.progress import progress_shown, summary
from vismanet_async.cli.where import read_where, refuse_bare_conditions
from vismanet_async.conditions import on_or_after
from vismanet_async.errors import RequestRefused
from vismanet_async.export.plan import ExportPlan
from vismanet_async.export.run import Export
from vismanet_async.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vismanet_async.export.manifest import Manifest
    from vismanet_async.export.plan import Completeness, Format

__all__ = ["filters_by_resource", "run_export"]

_MODIFIED: Final = "last_modified_date_time"


def run_export(
    resources: Sequence[str],
    *,
    to: Path,
    output_format: Format,
    where: Sequence[str],
    since: str | None,
    page_size: int | None,
    concurrency: int | str,
    completeness: Completeness,
    allow_uncertain: bool,
    resume: bool,
    profile: str | None,
    report: Path | None,
    dask: str | None,
    as_json: bool,
) -> int:
    """Do it; prints the manifest or a summary to stdout, progress to stderr."""
    plan = ExportPlan(
        resources=filters_by_resource(resources, where, since=since),
        to=to,
        format=output_format,
        completeness=completeness,
        allow_uncertain=allow_uncertain,
        resume=resume,
        page_size=page_size,
    )
    if dask is None:
        manifest = anyio.run(_export, plan, Settings.load(profile=profile), concurrency, report)
    else:
        if report is not None:
            raise RequestRefused("--report tells of the requests of one process: it cannot be had with --dask yet.")
        manifest = anyio.run(_export_on_dask, plan, dask, profile, concurrency)
    if as_json:
        sys.stdout.write(manifest.to_json().decode())
    else:
        print(summary(manifest, plan))
    return DONE


async def _export_on_dask(plan: ExportPlan, address: str, profile: str | None, concurrency: int | str) -> Manifest:
    try:  # Dask takes its time to load, and is an extra
        from vismanet_async.contrib.dask_export import Access, Share, ShareDone, export_on_dask  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise RequestRefused(f"{missing} Nothing was sent.") from missing

    def told(share: Share, done: ShareDone) -> None:
        print(f"{share}: {done.rows:,} rows, {done.completeness.verdict}", file=sys.stderr, flush=True)

    options = {field.name: getattr(plan, field.name) for field in attrs.fields(ExportPlan)}
    access = Access(profile=profile)
    if concurrency != "auto":  # which finds out what one process may have; here are several
        access = attrs.evolve(access, concurrency=concurrency)
    manifests = await export_on_dask(**options, cluster=address, access=access, told=told)
    return manifests[None]


async def _export(plan: ExportPlan, settings: Settings, concurrency: int | str, report: Path | None) -> Manifest:
    from vismanet_async.client import VismaNet  # noqa: PLC0415 - aiohttp takes its time; wrong use is told without it

    async with VismaNet.from_settings(settings, concurrency=concurrency) as visma:
        export = Export(visma, plan, company=settings.tenant_id, base_url=settings.base_url)
        async with progress_shown(export, visma.quota, sys.stderr):
            if report is None:
                return await export
            from vismanet_async.export.report import run_reported  # noqa: PLC0415 - for those who want one

            return await run_reported(export, report, title=f"Export of {', '.join(plan.resources)}")


def filters_by_resource(
    resources: Sequence[str], where: Sequence[str], *, since: str | None = None
) -> dict[str, dict[str, Any]]:
    """Give each resource its filters.

    >>> filters_by_resource(["customer", "supplier"], ["status=Active", "supplier.name=Fjord"])
    {'customer': {'status': 'Active'}, 'supplier': {'status': 'Active', 'name': 'Fjord'}}

    Raises:
        UnknownName: for a resource or a filter that there is not.
        RequestRefused: for a text that is no filter, a resource that is not exported, a filter given twice, or one
            whose value cannot be read.
    """
    # a plan built from the bare names finds those named twice
    chosen: dict[str, dict[str, Any]] = {name: {} for name in ExportPlan(resources=list(resources), to=".").resources}
    given = [read_where(text) for text in where]
    if since is not None:
        given.append((None, _MODIFIED, on_or_after(since)))
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
