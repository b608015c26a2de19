"""A pytest plugin, active wherever the package is installed: fixtures `visma_simulator`, `visma`, `visma_responses`.

    @pytest.mark.visma_simulator(rows={"customer": 5_000}, behaviours={"empty_list": "null"})
    async def test_sync(visma_simulator, visma):
        visma_simulator.churn("customer", add=1, remove=1)
        ...  # your program, with `visma` or with a client of its own on visma_simulator.base_url

Both are asynchronous: they run with pytest-asyncio in any mode, or with anyio's plugin where the test is marked for it.
Every pytest run imports this module, also those that never heard of the API, so nothing is loaded before a test asks.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from aioresponses import aioresponses

    from vismanet_async._client import VismaNet
    from vismanet_async._simulator.simulator import Simulator

__all__ = ["pytest_configure", "visma", "visma_responses", "visma_simulator"]

_MARKER = "visma_simulator"
_SMALL = 50


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and fixtures for the plugins that run asynchronous tests here."""
    config.addinivalue_line("markers", f"{_MARKER}(**options): arguments of the Simulator that the fixture starts")
    config.pluginmanager.register(_asynchronous("anyio", pytest.fixture), f"{__name__}.anyio")
    if "pytest_asyncio" in sys.modules:  # where it is active it is loaded by now
        import pytest_asyncio  # noqa: PLC0415 - never the one to load it

        config.pluginmanager.register(_asynchronous("asyncio", pytest_asyncio.fixture), f"{__name__}.asyncio")


@pytest.fixture
def visma_simulator(request: pytest.FixtureRequest) -> Simulator:
    """A running `Simulator`, new for each test: small and on a virtual clock, unless its marker says otherwise."""
    made: Simulator = _made_by_runner(request, "visma_simulator")
    return made


@pytest.fixture
def visma(request: pytest.FixtureRequest) -> VismaNet:
    """A `VismaNet` that is signed in to `visma_simulator`, with a job store of its own.

    Where the simulator's clock is virtual, the client's waits are too: an hour's pause after a 429 takes no time.
    """
    made: VismaNet = _made_by_runner(request, "visma")
    return made


@pytest.fixture
def visma_responses() -> Iterator[aioresponses]:
    """Answers of your own for any client, by `aioresponses`, which has to be installed; nothing leaves the machine.

    For one answer and no behaviour. It does not know how far a request got: what is raised instead of an answer counts
    as never sent. `visma_simulator` loses answers as a server does.
    """
    from vismanet_async.simulator._responses import mocked_responses  # noqa: PLC0415 - only for tests that ask

    with mocked_responses() as mocked:
        yield mocked


def _made_by_runner(request: pytest.FixtureRequest, name: str) -> Any:
    """Return the fixture of the plugin that runs this test, so that it lives on the test's own event loop."""
    runner = "anyio" if "anyio_backend" in request.fixturenames else "asyncio"
    if not request.config.pluginmanager.has_plugin(f"{__name__}.{runner}"):
        raise pytest.UsageError(
            f"the fixture {name} is asynchronous: install pytest-asyncio, or mark the test with pytest.mark.anyio"
        )
    return request.getfixturevalue(f"_{name}_{runner}")


def _asynchronous(runner: str, fixture: Callable[..., Any]) -> type:
    """Return a plugin with both fixtures, made by the decorator of `runner`."""

    async def simulator(request: pytest.FixtureRequest) -> AsyncIterator[Simulator]:
        from vismanet_async._simulator.simulator import Simulator  # noqa: PLC0415 - only for tests that ask

        async with Simulator(**_options(request)) as running:
            yield running

    async def client(visma_simulator: Simulator, tmp_path: Path) -> AsyncIterator[VismaNet]:
        from vismanet_async.simulator._client_fixture import connected  # noqa: PLC0415 - as above

        async with connected(visma_simulator, job_store=tmp_path / "jobs.sqlite") as made:
            yield made

    return type("Fixtures", (), {
        "simulator": fixture(name=f"_visma_simulator_{runner}")(simulator),
        "client": fixture(name=f"_visma_{runner}")(client),
    })  # fmt: skip


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the arguments for this test: those of its markers, the nearest one last, over small defaults."""
    from vismanet_async._simulator.clock import VirtualClock  # noqa: PLC0415 - as above
    from vismanet_async._simulator.tables import SPECS  # noqa: PLC0415

    options: dict[str, Any] = {"rows": dict.fromkeys(SPECS, _SMALL), "clock": VirtualClock()}
    for marker in reversed(list(request.node.iter_markers(_MARKER))):
        if marker.args:
            raise pytest.UsageError(f"@pytest.mark.{_MARKER} takes the Simulator's arguments by name, such as rows=...")
        rows = {**options["rows"], **marker.kwargs.get("rows", {})}
        options.update(marker.kwargs, rows=rows)
    return options
