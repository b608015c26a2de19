"""A Visma Net company on this machine: stateful, the same for the same seed, over real HTTP.

It shares nothing with the SDK but the catalog of facts, so that a mistake in one cannot hide in the other.
"""

from __future__ import annotations

from vismanet_async.simulator.behaviours import Behaviour, Behaviours, list_behaviours
from vismanet_async.simulator.clock import Clock, RealClock, VirtualClock
from vismanet_async.simulator.company import Churn, Company, Truth
from vismanet_async.simulator.log import LoggedRequest, RequestLog
from vismanet_async.simulator.serve import serve
from vismanet_async.simulator.simulator import Latency, Simulator

__all__ = [
    "Behaviour",
    "Behaviours",
    "Churn",
    "Clock",
    "Company",
    "Latency",
    "LoggedRequest",
    "RealClock",
    "RequestLog",
    "Simulator",
    "Truth",
    "VirtualClock",
    "list_behaviours",
    "serve",
]
