"""A Visma Net company on this machine: stateful, the same for the same seed, over real HTTP.

It shares nothing with the SDK but the catalog of facts, so that a mistake in one cannot hide in the other. Names are
loaded on first use: the pytest plugin below this package is imported by every pytest run of who installs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._lazy import lazy_names

if TYPE_CHECKING:
    from vismanet_async._simulator.background import BackgroundQueue, Duration, Job, JobScript
    from vismanet_async._simulator.behaviours import Behaviour, Behaviours, list_behaviours, parse_behaviour
    from vismanet_async._simulator.clock import Clock, RealClock, VirtualClock
    from vismanet_async._simulator.company import Churn, Company, Truth
    from vismanet_async._simulator.farm import Farm, Server
    from vismanet_async._simulator.faults import Fault, FaultScript
    from vismanet_async._simulator.ledger import Execution, Ledger
    from vismanet_async._simulator.log import LoggedRequest, RequestLog
    from vismanet_async._simulator.program import serve
    from vismanet_async._simulator.simulator import Simulator
    from vismanet_async._simulator.webhooks import Delivery, Notice, WebhookSender, signature
    from vismanet_async.simulator._cassette import NotRecorded, record, replay

__all__ = [
    "BackgroundQueue",
    "Behaviour",
    "Behaviours",
    "Churn",
    "Clock",
    "Company",
    "Delivery",
    "Duration",
    "Execution",
    "Farm",
    "Fault",
    "FaultScript",
    "Job",
    "JobScript",
    "Ledger",
    "LoggedRequest",
    "NotRecorded",
    "Notice",
    "RealClock",
    "RequestLog",
    "Server",
    "Simulator",
    "Truth",
    "VirtualClock",
    "WebhookSender",
    "list_behaviours",
    "parse_behaviour",
    "record",
    "replay",
    "serve",
    "signature",
]

_HOMES = {
    "background": ("BackgroundQueue", "Duration", "Job", "JobScript"),
    "behaviours": ("Behaviour", "Behaviours", "list_behaviours", "parse_behaviour"),
    "clock": ("Clock", "RealClock", "VirtualClock"),
    "company": ("Churn", "Company", "Truth"),
    "farm": ("Farm", "Server"),
    "faults": ("Fault", "FaultScript"),
    "ledger": ("Execution", "Ledger"),
    "log": ("LoggedRequest", "RequestLog"),
    "program": ("serve",),
    "simulator": ("Simulator",),
    "webhooks": ("Delivery", "Notice", "WebhookSender", "signature"),
}
_CASSETTES: dict[str, tuple[str, ...]] = {"simulator._cassette": ("NotRecorded", "record", "replay")}
if not TYPE_CHECKING:  # to type checkers a module with `__getattr__` has every name
    __getattr__, __dir__ = lazy_names(
        globals(), {f"_simulator.{home}": names for home, names in _HOMES.items()} | _CASSETTES
    )
