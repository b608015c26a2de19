"""The simulator against its own OpenAPI document: what schemathesis makes up is answered as the document says.

Each run sends one right request to every operation, and wrong ones to some; `make openapi` sends more of both to all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable

from vismanet_async._simulator.catalog import load, load_orders
from vismanet_async._simulator.openapi import document
from vismanet_async._simulator.order_openapi import order_document
from vismanet_async._simulator.tables import SPECS
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SHARES: Final = 20
_EXAMPLES: Final = int(os.environ.get("VISMANET_OPENAPI_EXAMPLES", "0"))
"""Of each kind and operation; 0: one that is right, and three that are wrong to one operation of each share."""
_SEED: Final = int(os.environ.get("VISMANET_OPENAPI_SEED", "1"))
_ROWS: Final = dict.fromkeys(SPECS, 12)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Simulator, Any]]:
    """The simulator in a thread of its own, and its document as schemathesis reads it."""
    import schemathesis  # takes a second, which only this module should pay

    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Simulator(rows=_ROWS, quota=10**9)) as simulator,
    ):
        yield simulator, schemathesis.openapi.from_url(f"{simulator.base_url}/openapi.json")


@pytest.mark.timeout(max(900, 180 * _EXAMPLES))
@pytest.mark.parametrize("share", range(_SHARES))
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_made_up_requests_are_answered_as_documented(
    running: tuple[Simulator, Any], share: int, mode: str, record_property: Callable[[str, object], None]
) -> None:
    simulator, schema = running
    chosen = [result.ok() for result in schema.get_all_operations()][share::_SHARES]
    if mode == "negative" and not _EXAMPLES:
        chosen = chosen[share : share + 1]  # schemathesis takes seconds to make up something wrong
    record_property("requests", send_made_up(simulator, simulator.base_url, chosen, mode))


@pytest.mark.timeout(max(900, 180 * _EXAMPLES))
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_made_up_requests_to_the_sales_order_service_are_too(
    running: tuple[Simulator, Any], mode: str, record_property: Callable[[str, object], None]
) -> None:
    import schemathesis

    simulator, _ = running
    url = simulator.sales_order_url
    schema: Any = schemathesis.openapi.from_url(f"{url}/swagger/v3/swagger.json")
    chosen = [result.ok() for result in schema.get_all_operations()]
    assert len(chosen) == 19
    if mode == "negative" and not _EXAMPLES:
        chosen = chosen[::4]
    record_property("requests", send_made_up(simulator, url, chosen, mode))


def send_made_up(simulator: Simulator, url: str, chosen: list[Any], mode: str) -> int:
    """Send made up requests and hold the answers to the document; return how many there were."""
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    token = simulator.issue_token(lifetime_seconds=1e9)
    # the service is laxer than any schema (it converts and ignores) and stricter too (rules, references): both with a
    # documented 400, so neither of these is a disagreement; nor is a documented 501, and no other 5xx is documented
    leave_out = [checks.positive_data_acceptance, checks.negative_data_rejection, not_a_server_error]
    sent = faultless = 0
    for operation in chosen:

        @seed(_SEED)
        @settings(
            max_examples=_EXAMPLES or (3 if mode == "negative" else 1),
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=GenerationMode(mode)))
        def check(case: Any) -> None:
            nonlocal sent
            sent += 1
            case.call_and_validate(
                base_url=url, headers={"Authorization": f"Bearer {token}"}, excluded_checks=leave_out
            )

        try:
            check()
        except Unsatisfiable:
            assert mode == "negative"
            faultless += 1  # there is nothing that could be wrong in a request without parameters
    assert sent >= len(chosen) - faultless
    return sent


def test_every_operation_of_the_catalog_is_in_the_document() -> None:
    catalog = load()
    paths = document(catalog, "http://127.0.0.1", "http://127.0.0.1/token")["paths"]
    told = {one["operationId"]: (method.upper(), path) for path, ways in paths.items() for method, one in ways.items()}
    assert told == {one.id: (one.method, one.path) for one in catalog.operations.values()}
    assert len(told) == 509


def test_every_operation_and_schema_of_the_sales_order_service_is_in_its_document() -> None:
    catalog = load_orders()
    told = order_document(catalog, "http://127.0.0.1", "http://127.0.0.1/token")
    ways = [(path, method, one) for path, known in told["paths"].items() for method, one in known.items()]
    assert {(one["operationId"], method.upper(), path) for path, method, one in ways} == {
        (one.id, one.method, one.path) for one in catalog.operations.values()
    }
    assert told["components"]["schemas"].keys() == catalog.schemas.keys()
    assert (len(ways), len(catalog.schemas)) == (19, 67)
    guarded = {one["operationId"] for _, _, one in ways for part in one["parameters"] if part["name"] == "If-Match"}
    assert len(guarded) == 5
