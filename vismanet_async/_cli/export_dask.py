"""`vismanet export --dask ADDRESS`: exports on a cluster, with a line for each partition that is whole."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import attrs

from vismanet_async._export.plan import ExportPlan
from vismanet_async.errors import RequestRefused

try:  # Dask is an extra and loads slowly: this module is imported only with --dask
    from vismanet_async.contrib._partitions import Access, Partition, PartitionDone
    from vismanet_async.contrib.dask import export_many_on_dask, export_on_dask
except ModuleNotFoundError as missing:
    raise RequestRefused(f"{missing} Nothing was sent.") from missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vismanet_async._export.batch import ManyOutcome
    from vismanet_async._export.companies import Company
    from vismanet_async._export.target.manifest import Manifest

__all__ = ["access_of", "many_on_dask", "one_on_dask"]


def access_of(profile: str | None, concurrency: int | str) -> Access:
    """Return how workers sign in."""
    access = Access(profile=profile)
    # auto is for one process; here are several
    return access if concurrency == "auto" else attrs.evolve(access, concurrency=concurrency)


async def one_on_dask(plan: ExportPlan, address: str, access: Access) -> Manifest:
    """Export one company and return its manifest."""
    options = {field.name: getattr(plan, field.name) for field in attrs.fields(ExportPlan)}
    return await export_on_dask(**options, cluster=address, access=access, on_done=_print_done)


async def many_on_dask(
    companies: Sequence[Company],
    resources: Mapping[str, Mapping[str, Any]],
    address: str,
    access: Access,
    *,
    to: str,
    options: Mapping[str, Any],
) -> ManyOutcome:
    """Export many companies and return their outcomes."""
    return await export_many_on_dask(
        companies, resources, to=to, cluster=address, access=access, on_done=_print_done, **options
    )


def _print_done(partition: Partition, done: PartitionDone) -> None:
    print(f"{partition}: {done.rows:,} rows, {done.completeness.verdict}", file=sys.stderr, flush=True)
