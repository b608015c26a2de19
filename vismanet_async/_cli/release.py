"""`vismanet release`: the documents of a list, each released once."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs

from vismanet_async._api.registry import find_resource, list_arguments, registry
from vismanet_async._cli.bulk_run import RunOptions, run_rows, told_rehearsal
from vismanet_async._cli.filters import read_where, refuse_bare_conditions
from vismanet_async._settings import Settings
from vismanet_async.errors import OutcomeUnknown, RequestRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from vismanet_async._client import VismaNet
    from vismanet_async.bulk import Row

__all__ = ["Release", "default_journal", "read_release", "run_release"]

_OPEN: Final = frozenset({"hold", "balanced"})
"""Statuses that a document has before its release."""
_RELEASED: Final = frozenset({"open", "closed", "released", "completed", "posted", "unposted"})
"""Statuses that it has only afterwards. With any other nobody can tell."""


@attrs.frozen(kw_only=True)
class Release:
    """A release that was checked against the registry."""

    resource: str
    method: str
    read: str | None
    """The method that reads one of the documents by the same ids; None where there is none."""
    identity: Sequence[str]
    """The fields of a row of the list that are the ids of the release, by the API's names."""
    filters: Mapping[str, Any]


def read_release(name: str, where: Sequence[str]) -> Release:
    """Check the words of a release; sends nothing.

    Raises:
        UnknownName: no such resource or filter.
        RequestRefused: it is not released, or has no list, a release needs more than the ids, or nothing says which
            documents.
    """
    resource = find_resource(name)
    methods = registry()["resources"][resource]["methods"]
    identity: list[str] = methods.get("list", {}).get("identity", [])
    # a number alone can be ambiguous (docs/facts.md 10.11)
    named = next((each for each in ("release_by_document_type", "release") if each in methods), None)
    if named is None or not identity:
        known = sorted(each for each, one in registry()["resources"].items() if "release" in one["methods"])
        raise RequestRefused(
            f"{resource} is not released from a list; nothing was sent. These are: {', '.join(known)}."
        )
    if "body" in methods[named]:
        raise RequestRefused(
            f"{resource}.{named} needs a body, so it is loaded from a file: vismanet load {resource}.{named} FILE --id "
            "COLUMN; nothing was sent."
        )
    wanted = len(methods[named]["ids"])
    read = named.replace("release", "get", 1)
    given: dict[str, Any] = {}
    for text in where:
        other, filter_name, value = read_where(text)
        if other not in {None, resource} or filter_name in given:
            raise RequestRefused(f"--where {text} is given twice, or is of {other}; nothing was sent.")
        given[filter_name] = value
    if not given:
        raise RequestRefused(
            f"all of {resource} would be released, also what nobody has looked at; nothing was sent. Say which with "
            "--where, such as --where status=Balanced."
        )
    filters = list_arguments(resource, given)
    refuse_bare_conditions(resource, "list", filters)
    return Release(
        resource=resource,
        method=named,
        read=read if len(methods.get(read, {}).get("ids", [])) == wanted else None,
        identity=identity[-wanted:],
        filters=filters,
    )


def run_release(release: Release, options: RunOptions, *, profile: str | None, concurrency: int | str) -> int:
    """Release, or rehearse it; return the exit code."""
    return anyio.run(_run, release, options, Settings.load(profile=profile), concurrency)


def default_journal(release: Release) -> Path:
    """Return where the journal is if none is named."""
    return Path(f"release-{release.resource}.load") / "journal.sqlite"


async def _run(release: Release, options: RunOptions, settings: Settings, concurrency: int | str) -> int:
    from vismanet_async._client import VismaNet  # noqa: PLC0415 - aiohttp loads slowly, and wrong use does not need it

    async with VismaNet.from_settings(settings, concurrency=concurrency) as visma:
        rows = _rows(release, visma, options.journal)
        find = None if release.read is None else partial(_find, release, visma)
        if options.dry_run:
            journal = options.journal if options.journal.is_file() else None
            rehearsal = await visma.bulk.rehearse(
                rows,
                journal=journal,
                find=find,
                retry_failed=options.retry_failed,
                retry_unknown=options.retry_unknown,
            )
            return told_rehearsal(rehearsal, lambda position: f"document {position}", report=options.report)
        run = visma.bulk.run(rows, journal=options.journal, find=find, **options.for_run())
        return await run_rows(visma, run, options)


async def _rows(release: Release, visma: VismaNet, journal: Path) -> AsyncIterator[Row]:
    """Yield the documents of which an earlier run does not know what became of them, then those of the list."""
    from vismanet_async.bulk import Row  # noqa: PLC0415 - brings SQLAlchemy along

    resource = getattr(visma, release.resource)
    act = getattr(resource, release.method)
    unsure: set[str] = set()
    if await anyio.Path(journal).is_file():
        # a released document is in the list no more, and its row would be unknown for ever
        async for result in visma.bulk.results(journal, outcomes={"unknown"}):
            unsure.add(result.key)
            yield Row(result.key, act(*_ids(release, result.key)))
    for key in await _listed(release, resource):
        if key not in unsure:
            yield Row(key, act(*_ids(release, key)))


async def _listed(release: Release, resource: Any) -> list[str]:
    """Return the keys of the documents in the list. It is read whole before the first release changes it."""
    from vismanet_async._codec.fields import fields_of  # noqa: PLC0415 - brings models along

    keys: list[str] = []
    names: list[str] = []
    async for record in resource.list(**release.filters):
        names = names or [
            field.name for json in release.identity for field in fields_of(type(record)) if field.json == json
        ]
        keys.append("/".join(str(getattr(record, name)) for name in names))
    return keys


def _ids(release: Release, key: str) -> list[str]:
    return key.split("/", len(release.identity) - 1)


async def _find(release: Release, visma: VismaNet, row: Row) -> Any:
    record = await getattr(getattr(visma, release.resource), release.read or "get")(*_ids(release, row.key))
    status = str(getattr(record, "status", None) or "")
    if status.casefold() in _OPEN:
        return None
    if status.casefold() in _RELEASED:
        return row.key
    raise OutcomeUnknown(f"{row.key} has the status {status!r}, which does not tell whether it was released.")
