"""A pytest plugin: the fixture `visma_simulator` gives each test a company of its own.

    @pytest.mark.visma_simulator(rows={"customer": 5_000}, behaviours={"empty_list": "null"})
    async def test_sync(visma_simulator):
        visma_simulator.churn("customer", add=1, remove=1)
        ...  # a client on visma_simulator.base_url

Arguments of the marker are those of `Simulator`. Without it a small company on a virtual clock is made. The
fixture is asynchronous and needs pytest-asyncio, or anyio's plugin and a test marked for it.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import pytest

from vismanet_async.simulator.clock import VirtualClock
from vismanet_async.simulator.simulator import Simulator
from vismanet_async.simulator.tables import SPECS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["pytest_configure", "visma_simulator"]

_MARKER = "visma_simulator"
_SMALL = 50


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", f"{_MARKER}(**options): arguments of the Simulator that the fixture starts")


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the arguments for this test: those of its markers, the nearest one last, over small defaults."""
    options: dict[str, Any] = {"rows": dict.fromkeys(SPECS, _SMALL), "clock": VirtualClock()}
    for marker in reversed(list(request.node.iter_markers(_MARKER))):
        rows = {**options["rows"], **marker.kwargs.get("rows", {})}
        options.update(marker.kwargs, rows=rows)
    return options


def _async_fixture() -> Callable[..., Any]:
    if importlib.util.find_spec("pytest_asyncio") is None:
        return pytest.fixture
    import pytest_asyncio  # noqa: PLC0415 - only where it is installed

    return pytest_asyncio.fixture


@_async_fixture()
async def visma_simulator(request: pytest.FixtureRequest) -> AsyncIterator[Simulator]:
    """A running `Simulator`, new for each test; see `@pytest.mark.visma_simulator`."""
    async with Simulator(**_options(request)) as simulator:
        yield simulator
