"""One export of many companies, each to its own folder; a company that fails does not stop the others.

All companies share the client's connections. Up to `at_once` companies are read concurrently, each with its own token,
its own quota and an equal share of the requests in flight, so that a large or slow company cannot starve the others.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - looked up by whoever asks for the types
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import anyio
import attrs
from anyio import to_thread

from vismanet_async._arguments import expect_count
from vismanet_async._clock import Clock, SystemClock
from vismanet_async._deferred import DeferredCall, mark_used
from vismanet_async._export.companies import Company, companies_of
from vismanet_async._export.events import Event, Progress, Published
from vismanet_async._export.plan import ExportPlan, plan_of
from vismanet_async._export.run import Export, Source
from vismanet_async._export.target.locations import join, parse_location
from vismanet_async._export.target.manifest import Manifest
from vismanet_async._tasks import iterate_events, unwrap_group
from vismanet_async.errors import ExportError, RequestRefused, VismaNetError

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Generator, Iterable, Sequence

    from anyio.streams.memory import MemoryObjectSendStream

    from vismanet_async._http.auth.credentials import ClientCredentials
    from vismanet_async._http.rate_limit import Quota

__all__ = [
    "CompanyDone",
    "CompanyEvent",
    "CompanyOutcome",
    "CompanyProgress",
    "CompanyStarted",
    "ExportMany",
    "ManyEvent",
    "ManyOutcome",
]

_AT_ONCE: Final = 8
"""Each keeps pages of up to four lists in memory."""
_CONNECTIONS: Final = 32
"""Half of the pool's limit; the rest is for other work of the program."""
_MOST_A_COMPANY: Final = 16


class CompanySource(Source, Protocol):
    """What an export of many companies needs of the client of one."""

    @property
    def quota(self) -> Quota:
        """Its rate-limit window."""
        ...


class ManySource(Protocol):
    """What an export of many companies needs of the client that they share."""

    @property
    def base_url(self) -> str:
        """The URL of the service, for the manifests."""
        ...

    def company(
        self, tenant_id: str, *, credentials: ClientCredentials | None, concurrency: int | str | None
    ) -> CompanySource:
        """Return the client of a company; raises `SettingsError` if the credentials cannot sign in to it."""
        ...


@attrs.frozen(kw_only=True)
class CompanyOutcome:
    """How one company ended."""

    company: Company
    manifest: Manifest | None
    """None if the export failed."""
    error: VismaNetError | None
    seconds: float


@attrs.frozen(kw_only=True)
class ManyOutcome:
    """How all companies ended, in the given order."""

    outcomes: tuple[CompanyOutcome, ...]

    @property
    def failed(self) -> tuple[CompanyOutcome, ...]:
        """The companies whose export failed."""
        return tuple(one for one in self.outcomes if one.error is not None)

    @property
    def manifests(self) -> dict[str, Manifest]:
        """The manifests of the others, by the companies' names."""
        return {one.company.name: one.manifest for one in self.outcomes if one.manifest is not None}


@attrs.frozen(kw_only=True)
class CompanyStarted:
    """The export of a company begins."""

    company: Company


@attrs.frozen(kw_only=True)
class CompanyEvent:
    """An event of one company's export."""

    company: Company
    event: Event


@attrs.frozen(kw_only=True)
class CompanyDone:
    """A company was published, or failed."""

    outcome: CompanyOutcome


ManyEvent = CompanyStarted | CompanyEvent | CompanyDone


@attrs.frozen(kw_only=True)
class CompanyProgress:
    """How far a company has come."""

    state: Literal["waiting", "running", "published", "failed"]
    resources: Mapping[str, Progress]
    quota_remaining: int | None = None
    error: VismaNetError | None = None


@attrs.define
class _CompanyRun:
    """The export of one company."""

    company: Company
    export: Export
    client: CompanySource
    started: bool = False
    outcome: CompanyOutcome | None = None


class ExportMany(DeferredCall[ManyOutcome]):
    """An export of the same lists of many companies as a value: building it sends nothing, awaiting it runs it.

    `await many` returns a `ManyOutcome`. `async for event in many` runs it and yields its events. If a company fails
    with an error of the SDK, the outcome holds the error, and the others go on. What it had read stays in its folder:
    the same export started again resumes it there, and adds to or replaces the other companies.

    Args:
        source: the client that the companies share.
        companies: tenant ids, `NAME=TENANT` texts, a mapping of names to tenant ids, or `Company` values.
        resources: the lists, as `ExportPlan` takes them; the same for all.
        to: the directory (or URL) above the companies' folders.
        at_once: companies that are read concurrently.
        connections: requests in flight at most, of all companies together; each gets an equal share.
        clock: for tests.
        options: those of `ExportPlan`.

    Raises:
        RequestRefused: it cannot be carried out; nothing was sent or written.
        SettingsError: the credentials cannot sign in to a company.

    Examples:
        >>> many = ExportMany(visma, [f"north={visma.tenant_id}"], ["customer"], to="out")
        >>> outcome = await many
        >>> outcome.manifests["north"].rows, outcome.failed
        (40, ())
    """

    def __init__(
        self,
        source: ManySource,
        companies: Iterable[str | Company] | Mapping[str, str],
        resources: str | Sequence[str] | Mapping[str, Mapping[str, Any]],
        *,
        to: str | os.PathLike[str],
        at_once: int = _AT_ONCE,
        connections: int = _CONNECTIONS,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        expect_count("at_once", at_once)
        expect_count("connections", connections)
        self.companies = companies_of(companies)
        self._location = parse_location(to, options.get("storage_options"))
        self._clock = clock or SystemClock()
        side_by_side = min(at_once, connections, len(self.companies))
        concurrency = min(_MOST_A_COMPANY, connections // side_by_side)
        self._at_once = anyio.Semaphore(side_by_side)
        self._runs = [
            self._make_run(
                source,
                company,
                plan_of(resources, join(to, company.name), options, where="visma.export_many"),
                concurrency,
            )
            for company in self.companies
        ]

    def _make_run(self, source: ManySource, company: Company, plan: ExportPlan, concurrency: int) -> _CompanyRun:
        client = source.company(company.tenant_id, credentials=company.credentials(), concurrency=concurrency)
        return _CompanyRun(
            company,
            Export(client, plan, company=company.tenant_id, base_url=source.base_url, clock=self._clock),
            client,
        )

    @property
    def progress(self) -> Mapping[str, CompanyProgress]:
        """How far each company has come, as of now, by name."""
        return {one.company.name: _progress(one) for one in self._runs}

    def __await__(self) -> Generator[Any, Any, ManyOutcome]:
        return self.run().__await__()

    async def run(self) -> ManyOutcome:
        """Run the exports and return their outcomes; the same as awaiting."""
        return await self._run(None)

    async def __aiter__(self) -> AsyncGenerator[ManyEvent, None]:
        """Run the exports and yield their events; the last event of each company is `CompanyDone`."""
        async with aclosing(iterate_events(self._run)) as events:
            async for event in events:
                yield event

    async def _run(self, events: MemoryObjectSendStream[ManyEvent] | None) -> ManyOutcome:
        mark_used(self)
        await to_thread.run_sync(self._refuse_single)
        async with anyio.create_task_group() as tasks:
            for one in self._runs:
                tasks.start_soon(self._run_one, one, events, name=f"export {one.company.name}")
        return ManyOutcome(outcomes=tuple(one.outcome for one in self._runs if one.outcome is not None))

    def _refuse_single(self) -> None:
        """Raise if one company's export stands where the companies' folders are to be. Blocks.

        A company's folder could have the name of a resource's there.
        """
        try:
            Manifest.read(self._location)
        except ExportError:
            return  # nothing is published there
        raise RequestRefused(
            f"{self._location} holds the export of one company, so those of several cannot be put there; nothing was "
            "sent. Give them a directory of their own."
        )

    async def _run_one(self, one: _CompanyRun, events: MemoryObjectSendStream[ManyEvent] | None) -> None:
        async with self._at_once:
            began = self._clock.monotonic()
            one.started = True
            if events is not None:
                await events.send(CompanyStarted(company=one.company))
            manifest, error = None, None
            try:
                with unwrap_group():
                    manifest = await _published(one, events)
            except VismaNetError as failure:
                error = failure
            one.outcome = CompanyOutcome(
                company=one.company, manifest=manifest, error=error, seconds=self._clock.monotonic() - began
            )
        if events is not None:
            await events.send(CompanyDone(outcome=one.outcome))


async def _published(one: _CompanyRun, events: MemoryObjectSendStream[ManyEvent] | None) -> Manifest:
    if events is None:
        return await one.export
    manifest: Manifest | None = None
    async with aclosing(aiter(one.export)) as happening:
        async for event in happening:
            await events.send(CompanyEvent(company=one.company, event=event))
            if isinstance(event, Published):
                manifest = event.manifest
    if manifest is None:
        raise RuntimeError(f"the export of {one.company.name} ended without a manifest")
    return manifest


def _progress(one: _CompanyRun) -> CompanyProgress:
    if one.outcome is not None:
        return CompanyProgress(
            state="failed" if one.outcome.error else "published",
            resources=one.export.progress,
            quota_remaining=one.client.quota.remaining,
            error=one.outcome.error,
        )
    return CompanyProgress(
        state="running" if one.started else "waiting",
        resources=one.export.progress,
        quota_remaining=one.client.quota.remaining,
    )
