"""One round's company: the simulator, the other users who change its data, and the truth to check against."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from tests.jobs.fast import PATIENCE_SECONDS, patient
from tests.soak.outages import Outages
from vismanet_async._client import VismaNet
from vismanet_async._http.auth.credentials import ClientCredentials
from vismanet_async.errors import DeadlineExceeded, OutcomeUnknown, ServerError, UnexpectedResponse

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from tests.soak.clocks import FastClock
    from vismanet_async.simulator import Simulator

__all__ = ["CHURNED", "Company", "may_have_happened"]

CHURNED: Final = ("customer", "customer_invoice", "inventory")
"""Tables that other users change while they are read."""
_PROTECTED: Final = 6


def may_have_happened(error: Exception) -> bool:
    """Tell whether a write that ended so may have been executed."""
    if isinstance(error, DeadlineExceeded):
        return error.sent
    return isinstance(error, OutcomeUnknown | ServerError | UnexpectedResponse)


@define
class Company:
    """What a round's workers share. Each counts what it did, and says what was wrong."""

    seed: int
    random: Random
    simulator: Simulator
    clock: FastClock
    folder: Path
    cut_off_share: float = 0.0
    """How many calls their callers give up in the middle."""
    counts: Counter[str] = field(factory=Counter)
    wrong: list[str] = field(factory=list)
    removed: dict[str, set[str]] = field(factory=lambda: {name: set() for name in CHURNED})
    touched: dict[str, set[str]] = field(factory=lambda: {name: set() for name in CHURNED})
    added: dict[str, set[str]] = field(factory=lambda: {name: set() for name in CHURNED})
    errors: list[Exception] = field(factory=list)
    """Every error that the SDK raised, to be looked through for secrets."""
    protected: list[str] = field(init=False)
    """Customers that nobody deletes: those that `modify` works on."""
    outages: Outages = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.outages = Outages(self)
        self.protected = self.simulator.truth("customer").keys[:_PROTECTED]
        self.simulator.company().after_request = self._others  # type: ignore[method-assign] # a seam for tests

    def client(self, **options: Any) -> VismaNet:
        """Return another client, signed in to this company."""
        sim = self.simulator
        made = VismaNet(
            ClientCredentials(sim.client_id, sim.client_secret, tenant_id=sim.tenant_id),
            base_url=sim.base_url,
            sales_order_url=sim.sales_order_url,
            token_url=sim.token_url,
            clock=self.clock,
            concurrency=self.random.choice((1, 3, 8)),
            timeout_seconds=PATIENCE_SECONDS,
            **options,
        )
        return patient(made)

    def check(self, holds: object, promise: str, what: str) -> None:
        """Note a promise that was not kept."""
        if not holds:
            self.wrong.append(f"{promise}: {what}")

    def failed(self, error: Exception, kind: str) -> None:
        """Note an error that the SDK raised; it is no fault, it is what the caller is told."""
        self.errors.append(error)
        self.counts[f"{kind}: {type(error).__name__}"] += 1

    def _others(self, table: str) -> None:
        """Change something now and then, as other users do."""
        random = self.random
        name = random.choice(CHURNED)
        if random.random() > 0.25:
            return
        doing = random.choice(("add", "remove", "touch", "both"))
        if doing in {"add", "both"}:
            self.added[name].update(self.simulator.add(name, where=random.choice(("end", "end", "random"))))
        if doing in {"remove", "both"}:
            keys = [key for key in self.simulator.truth(name).keys if key not in self.protected]
            if keys:
                self.removed[name].update(self.simulator.remove(name, random.choice(keys)))
        if doing == "touch":
            self.touched[name].update(self.simulator.touch(name))
        self.counts["changes by others"] += 1
