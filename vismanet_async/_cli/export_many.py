"""`vismanet export --company ... / --companies FILE`: a folder for each company, a table at the end."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import msgspec

from vismanet_async._cli.exit_codes import DONE, SOME_FAILED
from vismanet_async._cli.progress_many import many_shown
from vismanet_async._cli.streams import tell
from vismanet_async._export.companies import companies_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vismanet_async._export.batch import CompanyOutcome, ManyOutcome
    from vismanet_async._export.companies import Company
    from vismanet_async._settings import Settings

__all__ = ["run_many", "run_many_on_dask"]


def run_many(
    companies: Sequence[Company],
    resources: Mapping[str, Mapping[str, Any]],
    *,
    to: str,
    settings: Settings,
    report: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Run the exports and return the exit code. A table or the manifests go to stdout, progress to stderr."""
    chosen = companies_of(companies)  # from the command line and from a file
    outcome = anyio.run(_export, chosen, resources, _signing_in(settings, chosen), report, {"to": to, **options})
    return _report(outcome, resources, to=to, as_json=as_json)


def run_many_on_dask(
    companies: Sequence[Company],
    resources: Mapping[str, Mapping[str, Any]],
    *,
    to: str,
    address: str,
    access: tuple[str | None, int | str],
    as_json: bool,
    **options: Any,
) -> int:
    """Run the exports on a cluster, whose workers sign in; prints the same."""
    from vismanet_async._cli.export_dask import access_of, many_on_dask  # noqa: PLC0415 - Dask is an extra

    work = partial(
        many_on_dask, companies_of(companies), resources, address, access_of(*access), to=to, options=options
    )
    return _report(anyio.run(work), resources, to=to, as_json=as_json)


def _report(outcome: ManyOutcome, resources: Mapping[str, Any], *, to: str, as_json: bool) -> int:
    code = SOME_FAILED if outcome.failed else DONE
    table = _table(outcome, to, list(resources))
    # if one failed, the outcome of each company matters
    done = "\n".join(table) if outcome.failed else table[-1]
    tell(_json(outcome) if as_json else "\n".join(table), done=done, code=code or None)
    return code


def _signing_in(settings: Settings, companies: Sequence[Company]) -> Settings:
    """Return settings for the shared client; where they name no company, with the first of the companies."""
    own = companies[0].credentials()
    if own is not None and not settings.client_id:
        settings = attrs.evolve(settings, token=None, client_id=own.client_id, client_secret=own.client_secret)
    return attrs.evolve(settings, tenant_id=settings.tenant_id or companies[0].tenant_id)


async def _export(
    companies: Sequence[Company],
    resources: Mapping[str, Mapping[str, Any]],
    settings: Settings,
    report: Path | None,
    options: Mapping[str, Any],
) -> ManyOutcome:
    from vismanet_async._client import VismaNet  # noqa: PLC0415 - aiohttp loads slowly, and wrong use does not need it

    async with VismaNet.from_settings(settings) as visma:
        many = visma.export_many(companies, resources, **options)
        async with many_shown(many, sys.stderr):
            if report is None:
                return await many
            from vismanet_async._export.report import run_many_reported  # noqa: PLC0415 - only if a report is wanted

            return await run_many_reported(many, report, title=f"Export of {len(companies):,} companies")


def _table(outcome: ManyOutcome, to: str, resources: Sequence[str]) -> list[str]:
    wide = max(len(one.company.name) for one in outcome.outcomes)
    lines = [_line(one, wide, resources) for one in outcome.outcomes]
    published, all_of_them = len(outcome.manifests), len(outcome.outcomes)
    rows = sum(_rows(one, resources) for one in outcome.outcomes)
    lines.append(f"{published:,} of {all_of_them:,} companies published below {to}, {rows:,} rows")
    if outcome.failed:
        lines.append("Start it again to go on where the failed ones were stopped.")
    return lines


def _line(one: CompanyOutcome, wide: int, resources: Sequence[str]) -> str:
    head = f"{one.company.name:{wide}}  "
    if one.manifest is None:
        return f"{head}FAILED  {' '.join(str(one.error).split())}"
    entries = [one.manifest.resources[name] for name in resources]
    verdicts = ", ".join(sorted({entry.verdict for entry in entries}))
    requests = sum(entry.runs[-1].requests for entry in entries)
    sent = f"{requests:>6,} {'request ' if requests == 1 else 'requests'}"
    return f"{head}{_rows(one, resources):>11,} rows  {verdicts:9}  {sent}  {one.seconds:>8,.1f} s"


def _rows(one: CompanyOutcome, resources: Sequence[str]) -> int:
    """Return the rows that this run added."""
    manifest = one.manifest
    return 0 if manifest is None else sum(manifest.resources[name].runs[-1].rows for name in resources)


def _json(outcome: ManyOutcome) -> bytes:
    companies = {
        one.company.name: {
            "tenant_id": one.company.tenant_id,
            "manifest": None if one.manifest is None else attrs.asdict(one.manifest),
            "error": None if one.error is None else {"type": type(one.error).__name__, "text": str(one.error)},
            "seconds": round(one.seconds, 3),
        }
        for one in outcome.outcomes
    }
    return msgspec.json.format(msgspec.json.encode({"companies": companies}), indent=2) + b"\n"
