"""A Visma Net company on this machine: stateful, the same for the same seed, over real HTTP.

It shares nothing with the SDK but the catalog of facts, so that a mistake in one cannot hide in the other.
"""

from __future__ import annotations

from vismanet_async.simulator.background import BackgroundQueue, Duration, Job, JobScript
from vismanet_async.simulator.behaviours import Behaviour, Behaviours, list_behaviours, parse_behaviour
from vismanet_async.simulator.clock import Clock, RealClock, VirtualClock
from vismanet_async.simulator.company import Churn, Company, Truth
from vismanet_async.simulator.faults import Fault, FaultScript
from vismanet_async.simulator.ledger import Execution, Ledger
from vismanet_async.simulator.log import LoggedRequest, RequestLog
from vismanet_async.simulator.serve import serve
from vismanet_async.simulator.simulator import Simulator
from vismanet_async.simulator.webhooks import Delivery, Notice, WebhookSender, signature

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
    "Fault",
    "FaultScript",
    "Job",
    "JobScript",
    "Ledger",
    "LoggedRequest",
    "Notice",
    "RealClock",
    "RequestLog",
    "Simulator",
    "Truth",
    "VirtualClock",
    "WebhookSender",
    "list_behaviours",
    "parse_behaviour",
    "serve",
    "signature",
]
