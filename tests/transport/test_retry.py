from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from vismanet_async._http.retry import MOST_SENT, TABLE, Fault, backoff_seconds, fault_of, next_step

KINDS: tuple[Any, ...] = ("read", "guarded", "write")
# written out by hand from docs/facts.md 11.8: how many attempts of one call may end in the fault
TRIES = {
    (Fault.NOT_SENT, "read"): 4,
    (Fault.NOT_SENT, "guarded"): 4,
    (Fault.NOT_SENT, "write"): 4,
    (Fault.NO_ANSWER, "read"): 3,
    (Fault.NO_ANSWER, "guarded"): 3,
    (Fault.NO_ANSWER, "write"): 1,
    (Fault.RATE_LIMITED, "read"): 5,
    (Fault.RATE_LIMITED, "guarded"): 5,
    (Fault.RATE_LIMITED, "write"): 5,
    (Fault.SIGNED_OUT, "read"): 2,
    (Fault.SIGNED_OUT, "guarded"): 2,
    (Fault.SIGNED_OUT, "write"): 2,
    (Fault.BUSY, "read"): 3,
    (Fault.BUSY, "guarded"): 1,
    (Fault.BUSY, "write"): 1,
    (Fault.BROKEN, "read"): 2,
    (Fault.BROKEN, "guarded"): 1,
    (Fault.BROKEN, "write"): 1,
}


@pytest.mark.parametrize(("fault", "kind"), list(product(Fault, KINDS)))
def test_each_cell_of_the_table(fault: Fault, kind: Any) -> None:
    for times in range(1, 8):
        step = next_step(fault, times=times, sent=1, kind=kind, randomness=0.5)
        assert (step is not None) == (times < TRIES[fault, kind])
        if step is not None:
            assert (step == 0) == (fault in {Fault.RATE_LIMITED, Fault.SIGNED_OUT})


def test_the_table_has_one_row_for_each_fault() -> None:
    assert sorted(rule.fault.name for rule in TABLE) == sorted(fault.name for fault in Fault)


@pytest.mark.parametrize(("fault", "kind"), list(product(Fault, KINDS)))
def test_no_call_reaches_the_server_more_than_five_times(fault: Fault, kind: Any) -> None:
    assert next_step(fault, times=1, sent=MOST_SENT, kind=kind, randomness=0.5) is None
    assert MOST_SENT == 5


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status_is_classified(status: int) -> None:
    named = {429: Fault.RATE_LIMITED, 401: Fault.SIGNED_OUT, 408: Fault.BUSY, 502: Fault.BUSY}
    named |= {503: Fault.BUSY, 504: Fault.BUSY}
    assert fault_of(status) is named.get(status, Fault.BROKEN if status >= 500 else None)


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
    step = {"fault": Fault.BUSY, "times": 1, "sent": 1, "kind": "read", "randomness": 1.0}
    assert next_step(**step, asked_seconds=7.0) == 7.0  # type: ignore[arg-type] # one dict, many types
    assert next_step(**step, asked_seconds=0.1) == 0.5  # type: ignore[arg-type]
