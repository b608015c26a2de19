"""`VismaNet`: the client. Owns the pool and wires transport, jobs, bulk writes and exports together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from vismanet_async._api.resources import Resources
from vismanet_async._arguments import expect, named_keywords
from vismanet_async._client_options import ClientJobs, ClientOptions, Transports, check_credentials, options_in
from vismanet_async._deferred import warn_if_dropped
from vismanet_async._elsewhere import CLIENT
from vismanet_async._http.auth.credentials import ClientCredentials, Credentials, credentials_of
from vismanet_async._http.pool import SessionPool
from vismanet_async._http.retry import MAX_SENT
from vismanet_async._settings import ERP_URL, SALES_ORDER_URL, TOKEN_URL, Settings
from vismanet_async.errors import SettingsError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from vismanet_async._api.base import IfMatch
    from vismanet_async._bulk.bulk import Bulk
    from vismanet_async._clock import Clock
    from vismanet_async._export.batch import ExportMany
    from vismanet_async._export.companies import Company
    from vismanet_async._export.run import Export
    from vismanet_async._http.message import Service
    from vismanet_async._http.network import Certificates
    from vismanet_async._http.pipeline import Transport
    from vismanet_async._http.rate_limit import Quota
    from vismanet_async._jobs.manager import JobManager
    from vismanet_async._jobs.store import JobStore
    from vismanet_async._observer import Observer
    from vismanet_async._operation import Operation
    from vismanet_async._paging.list_spec import ListSource
    from vismanet_async._paging.listing import Listing

__all__ = ["VismaNet"]

_DEADLINE_SECONDS: Final = 300.0
_NEVER_RUN: Final = "was never awaited, so nothing was read or written. Write `await visma.export(...)`."


class VismaNet(Resources):
    """A client for one company; its resources are attributes, such as `visma.customer`.

    Use it as an async context manager, or call `aclose()`. It belongs to the event loop it is first used in; within
    it any number of tasks may share it. Nothing is sent by building it.

    Args:
        credentials: `ClientCredentials`, `StaticToken` or `AuthorizationCode`.
        base_url: what stands before `/v1/...`; https, or http on loopback. Tokens go to this origin and no other.
        sales_order_url: what stands before `/api/v3/...` of the Sales Order service.
        token_url: the identity service's token endpoint.
        time_zone: the company's zone, or its name such as `Europe/Oslo`. Needed only to pass aware datetimes to date
            conditions (docs/facts.md 5.10).
        concurrency: requests in flight at most, or `"auto"`: 8, and from there down to 4 or up to 16, as it pays.
        job_store: where `visma.jobs` keeps background jobs: a path, a `sqlite` or `postgresql` URL, or an opened store;
            a file under the user's state directory if not given. `from_env` takes it from `VISMANET_JOB_STORE`.
        poll_share: the part of the quota that is left which looking for ended jobs may use (`visma.jobs.poll_share`);
            0.5 if not given. `from_env` takes it from `VISMANET_POLL_SHARE`.
        timeout_seconds: for one call in all: queueing, token, attempts, reading; `with_options` changes it for one.
        max_attempts: how often one call is sent at most, 1 to 5 (docs/explanation/retries.md). It only lowers what the
            retry table allows: 1 sends everything once. A token that has expired is renewed all the same.
        headers: sent with each request, such as `ipp-company-id` where a gateway still wants it (docs/facts.md 2.9).
        proxy: the proxy to go through, such as `http://proxy.example:8080`; it sees which hosts are called, and neither
            tokens nor data. As for `trust_env` and `ssl`: `SessionPool` has the whole story.
        trust_env: take `HTTPS_PROXY` and `NO_PROXY` from the environment where no proxy is given.
        ssl: an `ssl.SSLContext`, or a file or folder of authorities to trust beside the system's.
        pool: connections to share with other clients; its owner closes it, and sets its proxy.
        observer: is notified of calls, jobs and exports, such as `vismanet_async.contrib.opentelemetry.Telemetry()`.
        clock: for tests.

    Raises:
        SettingsError: something given cannot be used.

    Examples:
        >>> async with VismaNet.from_env() as visma:  # or VismaNet(ClientCredentials(...))
        ...     customer = await visma.customer.get("10000")
        >>> customer.number
        '10000'
    """

    @named_keywords(where="VismaNet", elsewhere=CLIENT)
    def __init__(
        self,
        credentials: Credentials,
        *,
        base_url: str = ERP_URL,
        sales_order_url: str = SALES_ORDER_URL,
        token_url: str = TOKEN_URL,
        time_zone: Any = None,
        concurrency: int | str = "auto",
        timeout_seconds: float = _DEADLINE_SECONDS,
        max_attempts: int = MAX_SENT,
        headers: Mapping[str, str] | None = None,
        job_store: JobStore | str | Path | None = None,
        poll_share: float | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        ssl: Certificates = None,
        pool: SessionPool | None = None,
        observer: Observer | None = None,
        clock: Clock | None = None,
    ) -> None:
        check_credentials(credentials)
        if pool is not None:
            expect("pool", pool, SessionPool, words="a SessionPool", error=SettingsError)
            if proxy is not None or trust_env or ssl is not None:
                raise SettingsError("proxy, trust_env and ssl are settings of the pool: give them to SessionPool(...).")
        self._options = ClientOptions.checked(
            base_url=base_url,
            sales_order_url=sales_order_url,
            token_url=token_url,
            time_zone=time_zone,
            concurrency=concurrency,
            timeout_seconds=timeout_seconds,
            max_attempts=max_attempts,
            headers=headers,
            clock=clock,
            job_store=job_store,
            poll_share=poll_share,
            observer=observer,
        )
        self._credentials = credentials
        self._pool = pool or SessionPool(proxy=proxy, trust_env=trust_env, ssl=ssl)
        self._owns_pool = pool is None
        self._wire(Transports(self._options, self._pool), followed=[])

    def _wire(self, transports: Transports, *, followed: list[ClientJobs]) -> None:
        """Build what is this company's own on what siblings share."""
        options = self._options
        self._transports = transports
        self._transport = transports.of(self._credentials, company=self.tenant_id, concurrency=options.concurrency)
        self._jobs = ClientJobs(options=options, transport=self._transport, followed=followed)

    @classmethod
    def from_settings(cls, settings: Settings, **options: Any) -> Self:
        """Build a client from gathered settings; `options` are those of the class."""
        expect("settings", settings, Settings, error=SettingsError)
        return cls(credentials_of(settings), **options_in(settings, own_pool=not options.get("pool")) | options)

    @classmethod
    def from_env(cls, *, profile: str | None = None, **options: Any) -> Self:
        """Build a client from `VISMANET_*` variables and the profile file (see `vismanet_async._settings`)."""
        return cls.from_settings(Settings.load(profile=profile), **options)

    def company(
        self, tenant_id: str, *, credentials: ClientCredentials | None = None, concurrency: int | str | None = None
    ) -> VismaNet:
        """Return a client for another company: same connections, own token, quota and limit of requests in flight.

        Clients of one company and one application share these three, so a sibling may be made for each call, from any
        thread: the token is fetched once, and a pause that one of them was told holds back all. It need not be closed:
        the connections belong to this client, and end with it, as does following its jobs.

        Args:
            tenant_id: the Company tenant id; also that of this client.
            credentials: of another application; None: those of this client.
            concurrency: requests in flight at most; None: as this client. Clients of one company that are given
                different numbers have a limit each.

        Raises:
            SettingsError: the credentials are not client credentials, so they are bound to one company.

        Examples:
            >>> other = visma.company("99999999-2222-4333-8444-555555555555")
            >>> other.tenant_id
            '99999999-2222-4333-8444-555555555555'
        """
        signing_in = self._credentials if credentials is None else credentials
        if credentials is not None:
            expect("credentials", credentials, ClientCredentials, words="ClientCredentials(...)", error=SettingsError)
        if not isinstance(signing_in, ClientCredentials):
            raise SettingsError("only ClientCredentials can sign in to another company; this token is bound to one.")
        options = attrs.asdict(self._options, recurse=False)
        if concurrency is not None:
            options["concurrency"] = concurrency
        sibling = VismaNet(signing_in.for_company(tenant_id), pool=self._pool, **options)
        sibling._wire(self._transports, followed=self._jobs.followed)
        return sibling

    async def __aenter__(self) -> Self:
        try:
            asyncio.get_running_loop()
        except RuntimeError as error:
            raise RuntimeError(
                "VismaNet runs on asyncio, and no loop of asyncio runs here (trio?): start it with asyncio.run, or "
                "call it through Blocking in a thread. Nothing was sent."
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop following jobs and close the connections, unless they were given. May be called more than once.

        It waits three seconds at most for an `on_refresh_token` that has not ended.
        Jobs still open stay in the store, free for the next process.
        """
        async with AsyncExitStack() as stack:
            if self._owns_pool:
                stack.push_async_callback(self._pool.aclose)
            stack.push_async_callback(self._transports.aclose)
            for jobs in list(self._jobs.followed) if self._owns_pool else [self._jobs]:
                stack.push_async_callback(jobs.aclose)

    def __repr__(self) -> str:
        return f"<VismaNet {self._credentials.identity} at {self._options.base_url}>"

    @property
    def quota(self) -> Quota:
        """The rate-limit window as the server last told it."""
        return self._transport.quota

    @property
    def sender(self) -> Transport:
        """What operations of this client are sent through."""
        return self._transport

    @property
    def clock(self) -> Clock:
        """The clock that every wait of this client goes by."""
        return self._options.clock

    @property
    def time_zone(self) -> Any:
        """The company's declared zone, or None."""
        return self._options.time_zone

    @property
    def base_url(self) -> str:
        """What stands before `/v1/...`."""
        return self._options.base_url

    @property
    def tenant_id(self) -> str | None:
        """The company that this client is bound to; None for a ready token or a user's sign-in that does not tell."""
        return getattr(self._credentials, "tenant_id", None)

    @property
    def jobs(self) -> JobManager:
        """Background jobs of this company, kept through crashes (extra `sqlite` or `postgres`).

        Raises:
            SettingsError: the company is not known (give `StaticToken` its `tenant_id`), or the extra is missing.
        """
        return self._jobs.manager(self.tenant_id)

    @property
    def bulk(self) -> Bulk:
        """Bulk writes: thousands of documents, each written down before it is sent (extra `sqlite`)."""
        from vismanet_async._bulk.bulk import Bulk  # noqa: PLC0415 - loaded by those who load

        return Bulk(
            self._transport,
            caller=self,
            jobs=lambda: self.jobs,
            clock=self._options.clock,
            company=self.tenant_id,
            base_url=self._options.base_url,
        )

    def listing(self, source: ListSource) -> Listing[Any]:
        """Return the listing of a list call; what the resources build theirs with."""
        from vismanet_async._paging.listing import Listing  # noqa: PLC0415 - paging is loaded with the first list

        return Listing(source, sender=self._transport, clock=self._options.clock)

    def export(
        self,
        resources: str | Sequence[str] | Mapping[str, Mapping[str, Any]],
        *,
        to: str | os.PathLike[str],
        **options: Any,
    ) -> Export:
        """Build an export of lists to files, as a value: `await` runs it, `async for` runs it and yields its events.

        Args:
            resources: names, or names with their filters: `{"customer": {"status": "Active"}}`.
            to: the directory; `manifest.json` is published there last.
            options: those of `vismanet_async._export.plan.ExportPlan`: `format`, `completeness`, `page_size`, ...

        Raises:
            RequestRefused: the plan cannot be carried out; nothing was sent or written.

        Examples:
            >>> manifest = await visma.export(["customer", "supplier"], to="out")
            >>> manifest.resources["customer"].rows, manifest.resources["customer"].verdict
            (40, 'proven')
        """
        from vismanet_async._export.plan import plan_of  # noqa: PLC0415 - loaded by those who export
        from vismanet_async._export.run import Export  # noqa: PLC0415

        plan = plan_of(resources, to, options, where="visma.export")
        export = Export(
            self, plan, company=self.tenant_id, base_url=self._options.base_url, observer=self._options.observer
        )
        warn_if_dropped(export, f"the export of {', '.join(plan.resources)} to {plan.to} {_NEVER_RUN}")
        return export

    def export_many(
        self,
        companies: Iterable[str | Company] | Mapping[str, str],
        resources: str | Sequence[str] | Mapping[str, Mapping[str, Any]],
        *,
        to: str | os.PathLike[str],
        **options: Any,
    ) -> ExportMany:
        """Build an export of the same lists of many companies, each to a folder of its own below `to`.

        Args:
            companies: tenant ids, names with their tenant ids, or what `read_companies` gives.
            resources: as `export` takes them.
            to: the directory above the companies' folders.
            options: those of `vismanet_async._export.batch.ExportMany` and of `ExportPlan`.

        Raises:
            RequestRefused: it cannot be carried out; nothing was sent or written.
            SettingsError: a company cannot be signed in to with what is given.
        """
        from vismanet_async._export.batch import ExportMany  # noqa: PLC0415 - loaded by those who export

        exports = ExportMany(self, companies, resources, to=to, **options)
        warn_if_dropped(exports, f"the export of {len(exports.companies):,} companies to {to} {_NEVER_RUN}")
        return exports

    def list_by_name(self, name: str, filters: Mapping[str, Any] | None = None, **options: Any) -> Listing[Any]:
        """Return the list of a resource by its name, for programs that learn it at run time.

        Args:
            name: such as `customer_invoice`; other spellings of it will do.
            filters: by the method's names or the API's. Text is read as the parameter's type; conditions must be
                given as `on_or_after(...)` and its like.
            options: those of `Listing.with_options`.

        Raises:
            UnknownName: no such resource or filter; nothing was sent.
            RequestRefused: a value that the API would misread; nothing was sent.

        Examples:
            >>> len(await visma.list_by_name("customer", {"status": "Active"}))
            36
        """
        # the registry is only read where names come as text
        from vismanet_async._api.registry import find_resource, list_arguments  # noqa: PLC0415

        if filters is not None:
            expect("filters", filters, Mapping)
        resource = find_resource(name)
        arguments = list_arguments(resource, filters or {})
        listing: Listing[Any] = getattr(self, resource).list(**arguments)
        return listing.with_options(**options) if options else listing

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        if_match: IfMatch | None = None,
        service: Service = "erp",
    ) -> Operation[Any]:
        """Build a call that the catalog lacks, as a value: `await` sends it, `visma.jobs.submit` queues it.

        Args:
            method: `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
            path: below the service's base URL, percent-encoded, such as `/v1/customer/10000`.
            query: parameters by the API's own names. Nothing checks them: the API ignores those it does not know.
            json: the body, as Python values; Decimals go out as numbers to the last digit.
            headers: more headers; those that the SDK owns are refused.
            if_match: the version that a write is for, as the methods of the resources take it. Nothing checks whether
                the API honours it there: where the catalog does not say so, a write whose answer gets lost raises
                `OutcomeUnknown`, as one without it.
            service: which service, hence which base URL and token.

        Returns:
            An operation whose result is the answer's JSON with numbers as int or Decimal, or None where the answer
            has no body.

        Examples:
            >>> (await visma.request("GET", "/v1/customer/10000"))["number"]
            '10000'
        """
        # loaded by those who call by hand
        from vismanet_async._api.by_hand import operation_by_hand  # noqa: PLC0415

        return operation_by_hand(
            method,
            path,
            query=query,
            json=json,
            headers=headers,
            if_match=if_match,
            service=service,
            sender=self._transport,
        )
