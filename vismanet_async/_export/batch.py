"""One export of many companies: a folder each, side by side, and one that fails does not stop the others.

All share the client's connections. As many companies as `at_once` are read at a time, each with its own token, its own
quota and an equal share of the requests in flight, so that a large or a slow company cannot starve the rest.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - looked up by whoever asks for the types
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import anyio
import attrs

from vismanet_async._arguments import expect_count
from vismanet_async._clock import Clock, SystemClock
from vismanet_async._deferred import DeferredCall, mark_used
from vismanet_async._export.companies import Company, companies_of
from vismanet_async._export.events import Event, Progress, Published
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.run import Export, Source
from vismanet_async._export.target.locations import join
from vismanet_async._export.target.manifest import Manifest  # noqa: TC001 - as above
from vismanet_async._export.tasks import iterate_events, unwrap_group
from vismanet_async.errors import VismaNetError

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Generator, Iterable, Sequence

    from anyio.streams.memory import MemoryObjectSendStream

    from vismanet_async._http.auth import ClientCredentials
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
"""Half of what the pool allows; other work of the program has the rest."""
_MOST_A_COMPANY: Final = 16


class CompanySource(Source, Protocol):
    """What is needed of one company's client."""

    @property
    def quota(self) -> Quota:
        """Its rate-limit window."""
        ...


class ManySource(Protocol):
    """What is needed of the client that all share."""

    @property
    def base_url(self) -> str:
        """Where the rows come from, for the manifests."""
        ...

    def company(
        self, tenant_id: str, *, credentials: ClientCredentials | None, concurrency: int | str | None
    ) -> CompanySource:
        """Give the client of a company; raises `SettingsError` where the credentials cannot sign in to it."""
        ...


@attrs.frozen(kw_only=True)
class CompanyOutcome:
    """How one company ended."""

    company: Company
    manifest: Manifest | None
    """What was published; None where it failed."""
    error: VismaNetError | None
    seconds: float


@attrs.frozen(kw_only=True)
class ManyOutcome:
    """How all companies ended, in the order in which they were given."""

    outcomes: tuple[CompanyOutcome, ...]

    @property
    def failed(self) -> tuple[CompanyOutcome, ...]:
        """Those that published nothing."""
        return tuple(one for one in self.outcomes if one.error is not None)

    @property
    def manifests(self) -> dict[str, Manifest]:
        """What was published, by the companies' names."""
        return {one.company.name: one.manifest for one in self.outcomes if one.manifest is not None}


@attrs.frozen(kw_only=True)
class CompanyStarted:
    """A company's turn has come."""

    company: Company


@attrs.frozen(kw_only=True)
class CompanyEvent:
    """Something happened in one company's export."""

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
class _Turn:
    """One company's part."""

    company: Company
    export: Export
    client: CompanySource
    started: bool = False
    outcome: CompanyOutcome | None = None


class ExportMany(DeferredCall[ManyOutcome]):
    """The same lists of many companies as a value: building it sends nothing, awaiting it runs it.

    `await many` gives a `ManyOutcome`. `async for event in many` runs it and yields what happens. A company that
    fails with one of the SDK's errors is on record in the outcome, and the others go on; what it had read stays in its
    folder, so that the same run started again goes on there, and adds to or replaces the rest.

    Args:
        source: the client that all share.
        companies: tenant ids, `NAME=TENANT` texts, a mapping of names to tenant ids, or `Company` values.
        resources: the lists, as `ExportPlan` takes them; the same for all.
        to: the directory (or URL) above the companies' folders.
        at_once: companies that are read side by side.
        connections: requests in flight at most, of all companies together; shared equally.
        clock: for tests.
        options: those of `ExportPlan`.

    Raises:
        RequestRefused: it cannot be carried out; nothing was sent or written.
        SettingsError: a company cannot be signed in to with what is given.

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
        self._clock = clock or SystemClock()
        side_by_side = min(at_once, connections, len(self.companies))
        share = min(_MOST_A_COMPANY, connections // side_by_side)
        self._places = anyio.Semaphore(side_by_side)
        self._turns = [
            self._turn(source, company, ExportPlan(resources=resources, to=join(to, company.name), **options), share)
            for company in self.companies
        ]

    def _turn(self, source: ManySource, company: Company, plan: ExportPlan, share: int) -> _Turn:
        client = source.company(company.tenant_id, credentials=company.credentials(), concurrency=share)
        return _Turn(
            company,
            Export(client, plan, company=company.tenant_id, base_url=source.base_url, clock=self._clock),
            client,
        )

    @property
    def progress(self) -> Mapping[str, CompanyProgress]:
        """How far each company has come, as of now, by name."""
        return {turn.company.name: _progress(turn) for turn in self._turns}

    def __await__(self) -> Generator[Any, Any, ManyOutcome]:
        return self.run().__await__()

    async def run(self) -> ManyOutcome:
        """Run it; the same as awaiting it."""
        return await self._run(None)

    async def __aiter__(self) -> AsyncGenerator[ManyEvent, None]:
        """Run it and yield what happens; the last event of each company is `CompanyDone`."""
        async with aclosing(iterate_events(self._run)) as events:
            async for event in events:
                yield event

    async def _run(self, events: MemoryObjectSendStream[ManyEvent] | None) -> ManyOutcome:
        mark_used(self)
        async with anyio.create_task_group() as tasks:
            for turn in self._turns:
                tasks.start_soon(self._take, turn, events, name=f"export {turn.company.name}")
        return ManyOutcome(outcomes=tuple(turn.outcome for turn in self._turns if turn.outcome is not None))

    async def _take(self, turn: _Turn, events: MemoryObjectSendStream[ManyEvent] | None) -> None:
        async with self._places:
            began = self._clock.monotonic()
            turn.started = True
            if events is not None:
                await events.send(CompanyStarted(company=turn.company))
            manifest, error = None, None
            try:
                with unwrap_group():
                    manifest = await _published(turn, events)
            except VismaNetError as failure:
                error = failure
            turn.outcome = CompanyOutcome(
                company=turn.company, manifest=manifest, error=error, seconds=self._clock.monotonic() - began
            )
        if events is not None:
            await events.send(CompanyDone(outcome=turn.outcome))


async def _published(turn: _Turn, events: MemoryObjectSendStream[ManyEvent] | None) -> Manifest:
    if events is None:
        return await turn.export
    manifest: Manifest | None = None
    async with aclosing(aiter(turn.export)) as happening:
        async for event in happening:
            await events.send(CompanyEvent(company=turn.company, event=event))
            if isinstance(event, Published):
                manifest = event.manifest
    if manifest is None:
        raise RuntimeError(f"the export of {turn.company.name} ended without a manifest")
    return manifest


def _progress(turn: _Turn) -> CompanyProgress:
    if turn.outcome is not None:
        return CompanyProgress(
            state="failed" if turn.outcome.error else "published",
            resources=turn.export.progress,
            quota_remaining=turn.client.quota.remaining,
            error=turn.outcome.error,
        )
    return CompanyProgress(
        state="running" if turn.started else "waiting",
        resources=turn.export.progress,
        quota_remaining=turn.client.quota.remaining,
    )
