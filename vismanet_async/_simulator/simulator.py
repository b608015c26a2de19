"""The simulator as one object: `async with Simulator() as sim`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vismanet_async._simulator import catalog as catalog_module
from vismanet_async._simulator.answering import Answering
from vismanet_async._simulator.behaviours import Behaviours
from vismanet_async._simulator.clock import Clock, RealClock
from vismanet_async._simulator.company import Churn, Company, Truth
from vismanet_async._simulator.events import listener
from vismanet_async._simulator.faults import FaultScript
from vismanet_async._simulator.ledger import Ledger
from vismanet_async._simulator.log import RequestLog
from vismanet_async._simulator.router import Router
from vismanet_async._simulator.runner import Runner
from vismanet_async._simulator.salesorders import SalesOrders
from vismanet_async._simulator.seeding import of_ids, seeded
from vismanet_async._simulator.server import HttpServer
from vismanet_async._simulator.service import SALES_ORDER_PREFIX, Service
from vismanet_async._simulator.snapshots import read_snapshot, restore, write_snapshot
from vismanet_async._simulator.tables import SPECS
from vismanet_async._simulator.tokens import TokenService
from vismanet_async._simulator.webhooks import WebhookSender

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from vismanet_async._simulator.background import BackgroundQueue, Duration
    from vismanet_async._simulator.farm import Farm

__all__ = ["Simulator"]


_MIB = 1024 * 1024


@cache
def _router() -> Router:
    return Router(catalog_module.load().operations.values())


class Simulator:
    """A Visma Net company (or several) on this machine, over real HTTP on a free port.

    Same seed, sizes and requests give the same data. What the server makes up as it goes along (ids of background
    jobs and of files, tokens, references in errors) differs from one simulator to the next unless `id_seed` is given.
    Rows are made when they are read, so a million customers cost nothing until then.

    Args:
        seed: Decides all data and chance.
        id_seed: Decides the ids and tokens that the server makes. By default no two simulators share one: a job
            store or a log that outlives a simulator never takes the ids of the next one for those it knows.
        rows: Rows per resource where the default does not suit: `{"customer": 100_000}`.
        port: Port to listen on; 0 takes a free one.
        host: Address to listen on; loopback.
        tenant_id: The company that exists from the start.
        companies: Further tenants, each with data of its own.
        client_id: The application that may ask for tokens.
        client_secret: Its secret.
        clock: Source of all time; `VirtualClock()` lets hours pass at once.
        latency: Seconds before each answer of the API: fixed, a (low, high) range, or drawn.
        quota: Requests per window, company and client (facts 3.6: not published; the last known number).
        quota_window_seconds: Length of that window.
        behaviours: Switches by name; `list_behaviours()` names them.
        log_limit: How many requests the log keeps.
        cache_bytes: Bound of the encoded pages kept per company.
        farm: The servers that answer, where they are several and differ.

    Raises:
        ValueError: A resource, behaviour or size is not known or not possible.

    Examples:
        >>> async with Simulator(seed=7, rows={"customer": 50_000}) as company:
        ...     removed = company.remove("customer", count=3)
        ...     len(company.truth("customer")), sorted(company.environment())[0]
        (49997, 'VISMANET_BASE_URL')
    """

    def __init__(self, *, seed: int = 1, id_seed: int | None = None, rows: Mapping[str, int] | None = None,
                 port: int = 0, host: str = "127.0.0.1",
                 tenant_id: str = "11111111-2222-4333-8444-555555555555", companies: Sequence[str] = (),
                 client_id: str = "isv_simulator", client_secret: str = "simulator-secret",
                 clock: Clock | None = None, latency: Duration = 0.0, quota: int = 15_000,
                 quota_window_seconds: float = 3600.0, behaviours: Mapping[str, Any] | None = None,
                 log_limit: int = 100_000, cache_bytes: int = 256 * _MIB,
                 farm: Farm | None = None) -> None:  # fmt: skip
        self.seed = seed
        self.id_seed = id_seed
        self.clock: Clock = clock if clock is not None else RealClock()
        self.behaviours = Behaviours()
        self.behaviours.set(**(behaviours or {}))
        self.latency = latency
        self._rows = dict(rows or {})
        self.faults = FaultScript(seed)
        self.tenant_id = tenant_id
        self.client_id = client_id
        self.client_secret = client_secret
        self.requests = RequestLog(log_limit)
        self.ledger = Ledger()
        catalog = catalog_module.load()
        try:
            self._companies = {
                tenant: Company(
                    tenant, catalog=catalog, seed=seed + place * 7919, ids=of_ids(id_seed, tenant), rows=rows or {},
                    clock=self.clock,
                    behaviours=self.behaviours,
                    quota=quota, quota_window_seconds=quota_window_seconds, cache_bytes=cache_bytes,
                )
                for place, tenant in enumerate([tenant_id, *companies])
            }  # fmt: skip
        except KeyError as error:
            raise ValueError(str(error.args[0])) from error
        self.tokens = TokenService(
            {client_id: client_secret}, self._may_ask_for, default_tenant=tenant_id, clock=self.clock,
            behaviours=self.behaviours, ids=of_ids(id_seed, "tokens"),
        )  # fmt: skip
        self._service = Service(
            catalog,
            _router(),
            self.tokens,
            self.behaviours,
            self._companies,
            SalesOrders(),
            self.ledger,
        )
        self.faults.is_list = self._service.is_list
        self.farm = farm
        answering = Answering(self, self._service, self._companies, seeded(seed, "simulator"))
        self._http = HttpServer(answering.answer, host, port)
        self._foreign = HttpServer(answering.answer_foreign, host, 0)
        self.foreign_requests = RequestLog(log_limit)
        """What reached the foreign listener, which nobody should send a token to."""
        self.webhooks = WebhookSender(clock=self.clock, ids=of_ids(id_seed, "webhooks"))
        self._runner = Runner(self.clock, list(self._companies.values()), self.webhooks)
        for company in self._companies.values():
            company.background.perform = self._service.perform
            company.background.notify = self._runner.notify
            company.on_timer = self._runner.wake
            company.world.on_write = listener(company.tenant_id, self.webhooks.events, self._runner.notify)

    # -- where it is --------------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """What stands before `/v1/...`."""
        return self._http.url

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return f"{self._http.url}/connect/token"

    @property
    def authorize_url(self) -> str:
        """Where a browser would be sent to sign in."""
        return f"{self._http.url}/connect/authorize"

    @property
    def sales_order_url(self) -> str:
        """What stands before `/api/v3/...`."""
        return f"{self._http.url}{SALES_ORDER_PREFIX}"

    @property
    def legacy_url(self) -> str:
        """The old base URL: what stands before `/v1/...` there."""
        return f"{self._http.url}/API/controller/api"

    @property
    def foreign_url(self) -> str:
        """A listener that is not the service; see `foreign_requests`."""
        return self._foreign.url

    @property
    def background(self) -> BackgroundQueue:
        """The background queue of the first company."""
        return self.company().background

    def run_due(self) -> None:
        """Process everything that is due at the clock's time (requests do so by themselves)."""
        for company in self._companies.values():
            company.run_due()

    @property
    def farm(self) -> Farm | None:
        """The servers that take turns; None: one server, to which all is true at once. It can be set at any time."""
        return self._farm

    @farm.setter
    def farm(self, farm: Farm | None) -> None:
        self._farm = farm
        for company in self._companies.values():
            company.farm = farm

    # -- snapshots ----------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write all data to a file; `Simulator.load` reads it."""
        settings = {
            "seed": self.seed, "rows": self._rows, "tenant_id": self.tenant_id,
            "companies": list(self._companies)[1:],
            "client_id": self.client_id, "client_secret": self.client_secret,
            "behaviours": self.behaviours.as_dict(),
        }  # fmt: skip
        write_snapshot(Path(path), settings, self._companies)

    @classmethod
    def load(cls, path: str | Path, **options: Any) -> Self:
        """Return a simulator with the data of a snapshot; further arguments are those of `Simulator`.

        Raises:
            ValueError: The file is no snapshot.
        """
        content = read_snapshot(Path(path))
        made = cls(**{**content["settings"], **options})
        for tenant, saved in content["companies"].items():
            restore(made.company(tenant), saved)
        return made

    @property
    def customer_tenant_id(self) -> str:
        """A tenant that gives valid tokens and then 401 on every call (the customer's own; facts 2.7)."""
        return f"customer-{self.tenant_id}"

    def environment(self) -> dict[str, str]:
        """Return the environment variables that point a client at the simulator."""
        return {
            "VISMANET_CLIENT_ID": self.client_id,
            "VISMANET_CLIENT_SECRET": self.client_secret,
            "VISMANET_TENANT_ID": self.tenant_id,
            "VISMANET_BASE_URL": self.base_url,
            "VISMANET_TOKEN_URL": self.token_url,
            "VISMANET_SALES_ORDER_URL": self.sales_order_url,
        }

    async def start(self) -> None:
        """Open the port.

        Raises:
            OSError: The port is taken.
        """
        await self._foreign.start()
        try:
            await self._http.start()
        except BaseException:
            await self._foreign.stop()
            raise
        for company in self._companies.values():
            company.background.foreign_url = self._foreign.url
        await self._runner.start()

    async def stop(self) -> None:
        """Close the port and every connection."""
        await self._runner.stop()
        await self._http.stop()
        await self._foreign.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # -- the data -----------------------------------------------------------------------------------------

    def company(self, tenant_id: str | None = None) -> Company:
        """Return a tenant's data; without argument the first one's.

        Raises:
            KeyError: No such tenant.
        """
        return self._companies[tenant_id or self.tenant_id]

    @staticmethod
    def resources() -> list[str]:
        """Return the names of all tables."""
        return sorted(SPECS)

    def add(self, resource: str, count: int = 1, **options: Any) -> list[str]:
        """Add rows as another user would; see `Company.add`."""
        return self.company().add(resource, count, **options)

    def remove(self, resource: str, key: str | None = None, *, count: int = 1) -> list[str]:
        """Delete a row by key, or so many seeded-random ones; see `Company.remove`."""
        return self.company().remove(resource, key, count=count)

    def touch(self, resource: str, key: str | None = None, **options: Any) -> list[str]:
        """Change rows as another user would; see `Company.touch`."""
        return self.company().touch(resource, key, **options)

    def truth(self, resource: str) -> Truth:
        """Return what the resource's table holds now."""
        return self.company().truth(resource)

    def churn(self, resource: str, **options: Any) -> Churn:
        """Change the resource, as others would, after every n-th request for it; see `Company.churn`."""
        return self.company().churn(resource, **options)

    def restamp(self, resource: str) -> None:
        """Set the same time of change for all rows, as an upgrade of the service does (facts 5.11)."""
        self.company().restamp(resource)

    def issue_token(self, tenant_id: str | None = None, *, lifetime_seconds: float | None = None) -> str:
        """Return a bearer token without a token request."""
        return self.tokens.issue(self.client_id, tenant_id or self.tenant_id, lifetime_seconds=lifetime_seconds).token

    def _may_ask_for(self, tenant_id: str) -> bool:
        return tenant_id in self._companies or tenant_id == self.customer_tenant_id
