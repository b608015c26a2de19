from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from vismanet_async._http.retry import MAX_SENT, TABLE, Fault, backoff_seconds, fault_of, next_delay

KINDS: tuple[Any, ...] = ("read", "conditional", "write")
# written out by hand from docs/facts.md 11.8: how many attempts of one call may end in the fault
ATTEMPTS = {
    (Fault.NOT_SENT, "read"): 4,
    (Fault.NOT_SENT, "conditional"): 4,
    (Fault.NOT_SENT, "write"): 4,
    (Fault.NO_RESPONSE, "read"): 3,
    (Fault.NO_RESPONSE, "conditional"): 3,
    (Fault.NO_RESPONSE, "write"): 1,
    (Fault.RATE_LIMITED, "read"): 5,
    (Fault.RATE_LIMITED, "conditional"): 5,
    (Fault.RATE_LIMITED, "write"): 5,
    (Fault.UNAUTHORIZED, "read"): 2,
    (Fault.UNAUTHORIZED, "conditional"): 2,
    (Fault.UNAUTHORIZED, "write"): 2,
    (Fault.UNAVAILABLE, "read"): 3,
    (Fault.UNAVAILABLE, "conditional"): 1,
    (Fault.UNAVAILABLE, "write"): 1,
    (Fault.SERVER_ERROR, "read"): 2,
    (Fault.SERVER_ERROR, "conditional"): 1,
    (Fault.SERVER_ERROR, "write"): 1,
}


@pytest.mark.parametrize(("fault", "kind"), list(product(Fault, KINDS)))
def test_each_cell_of_the_table(fault: Fault, kind: Any) -> None:
    for times in range(1, 8):
        step = next_delay(fault, failures=times, attempts_sent=1, kind=kind, randomness=0.5)
        assert (step is not None) == (times < ATTEMPTS[fault, kind])
        if step is not None:
            assert (step == 0) == (fault in {Fault.RATE_LIMITED, Fault.UNAUTHORIZED})


def test_the_table_has_one_row_for_each_fault() -> None:
    assert sorted(rule.fault.name for rule in TABLE) == sorted(fault.name for fault in Fault)


@pytest.mark.parametrize(("fault", "kind"), list(product(Fault, KINDS)))
def test_no_call_reaches_the_server_more_than_five_times(fault: Fault, kind: Any) -> None:
    assert next_delay(fault, failures=1, attempts_sent=MAX_SENT, kind=kind, randomness=0.5) is None
    assert MAX_SENT == 5


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status_is_classified(status: int) -> None:
    named: dict[int, Fault | None] = {
        429: Fault.RATE_LIMITED,
        401: Fault.UNAUTHORIZED,
        408: Fault.UNAVAILABLE,
        502: Fault.UNAVAILABLE,
    }
    named |= {503: Fault.UNAVAILABLE, 504: Fault.UNAVAILABLE}
    named |= {501: None}  # it never does this: to ask again is of no use
    assert fault_of(status) is named.get(status, Fault.SERVER_ERROR if status >= 500 else None)


@settings(deadline=None)
@given(times=st.integers(1, 5000), randomness=st.floats(0, 1))
def test_backoff_grows_to_a_cap_and_is_never_nothing(times: int, randomness: float) -> None:
    seconds = backoff_seconds(times, randomness=randomness)
    assert 0.25 <= seconds <= 20
    assert seconds <= backoff_seconds(times + 1, randomness=randomness)
    assert backoff_seconds(times, randomness=0.0) <= seconds <= backoff_seconds(times, randomness=1.0)


def test_backoff_doubles_from_half_a_second() -> None:
    assert [backoff_seconds(n, randomness=1.0) for n in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 20, 20]


def test_a_server_that_asks_for_longer_gets_it() -> None:
    step = {"fault": Fault.UNAVAILABLE, "failures": 1, "attempts_sent": 1, "kind": "read", "randomness": 1.0}
    assert next_delay(**step, retry_after=7.0) == 7.0  # type: ignore[arg-type] # one dict, many types
    assert next_delay(**step, retry_after=0.1) == 0.5  # type: ignore[arg-type]
