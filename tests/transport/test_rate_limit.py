from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from multidict import CIMultiDict

from vismanet_async._http.rate_limit import Quota, retry_after_seconds

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def headers(**given: object) -> CIMultiDict[str]:
    names = {"limit": "X-RateLimit-Limit", "remaining": "X-RateLimit-Remaining", "reset": "X-RateLimit-Reset"}
    names |= {"policy": "X-RateLimit-Policy", "retry": "Retry-After"}
    return CIMultiDict({names[key]: str(value) for key, value in given.items()})


def observe(quota: Quota, *, now: float = 100.0, status: int = 200, randomness: float = 0.0, **given: Any) -> None:
    quota.observe(headers(**given), status=status, now=now, utc_now=NOW, randomness=randomness)


def test_a_window_with_room_lets_go() -> None:
    quota = Quota()
    assert (quota.wait_seconds(100), quota.max_in_flight(100)) == (0, None)
    observe(quota, limit=1000, remaining=999, reset=60, policy="4-fixed-window")
    assert (quota.limit, quota.remaining, quota.policy, quota.resets_at) == (1000, 999, "4-fixed-window", 160)
    assert (quota.wait_seconds(100), quota.max_in_flight(100)) == (0, 999)


def test_an_empty_window_waits_for_its_end_and_recovers() -> None:
    quota = Quota()
    observe(quota, remaining=0, reset=60)
    assert quota.wait_seconds(100) == 60
    assert quota.max_in_flight(100) == 1
    assert quota.wait_seconds(159.5) == 0.5
    assert (quota.wait_seconds(160), quota.max_in_flight(160)) == (0, None)
    observe(quota, now=160.1, remaining=999, reset=60)
    assert (quota.wait_seconds(160.1), quota.max_in_flight(160.1)) == (0, 999)


def test_overtaking_answers_of_one_window_never_raise_the_budget() -> None:
    quota = Quota()
    for remaining in (10, 7, 9, 8):
        observe(quota, remaining=remaining, reset=60)
    assert quota.remaining == 7
    observe(quota, now=101.5, remaining=9, reset=58)  # the same window, rounded and late
    assert quota.remaining == 7
    observe(quota, now=170, remaining=990, reset=50)  # the next one
    assert quota.remaining == 990


def test_a_window_that_ended_says_nothing_about_the_next_though_it_ends_close_by() -> None:
    quota = Quota()
    observe(quota, now=100, remaining=0, reset=0)
    observe(quota, now=100.5, remaining=50, reset=1)
    assert quota.remaining == 50


@settings(deadline=None)
@given(st.permutations(range(20)))
def test_any_order_of_answers_ends_at_the_least(order: list[int]) -> None:
    quota = Quota()
    for remaining in order:
        observe(quota, remaining=remaining, reset=60)
    assert quota.remaining == 0


@pytest.mark.parametrize("reset", [NOW.timestamp() + 60, int(NOW.timestamp()) + 60])
def test_reset_may_be_an_epoch_time(reset: float) -> None:
    quota = Quota()
    observe(quota, remaining=0, reset=reset)
    assert quota.wait_seconds(100) == pytest.approx(60)


@pytest.mark.parametrize("reset", ["soon", "-5", "nan", "inf", "", NOW.timestamp() - 60, NOW.timestamp() * 1000])
def test_an_unusable_reset_paces_nothing(reset: object) -> None:
    quota = Quota()
    observe(quota, remaining=0, reset=reset)
    assert (quota.wait_seconds(100), quota.remaining) == (0, None)


def test_missing_headers_pace_nothing() -> None:
    quota = Quota()
    observe(quota)
    observe(quota, reset=60)
    observe(quota, remaining="many", reset=60)
    assert (quota.wait_seconds(100), quota.max_in_flight(100), quota.limit) == (0, None, None)
    observe(quota, remaining=0)
    assert quota.wait_seconds(100) == 0


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"retry": 7}, 7),
        ({"retry": 7, "reset": 60, "remaining": 0}, 7),  # Retry-After wins
        ({"reset": 60, "remaining": 0}, 60),
        ({"reset": 60}, 60),
        ({}, 30),
        ({"retry": "a while"}, 30),
        ({"retry": 0}, 1),
        ({"retry": NOW.timestamp() + 9}, 9),
        ({"retry": format_datetime(NOW + timedelta(seconds=11), usegmt=True)}, 11),
        ({"retry": format_datetime(NOW - timedelta(seconds=11), usegmt=True)}, 1),  # it has passed: now
        ({"retry": "Sat, 28 Nov 2020 22:00:00 GMT"}, 1),
        ({"retry": NOW.timestamp() - 11}, 1),
        ({"retry": "Sun, 01 Mar 2026 12:00:13 -0000"}, 13),
        ({"retry": NOW.timestamp() * 1000}, 30),  # milliseconds would pause for fifty thousand years
    ],
)
def test_the_pause_after_a_429(given: dict[str, Any], seconds: float) -> None:
    quota = Quota()
    observe(quota, status=429, **given)
    assert quota.wait_seconds(100) == pytest.approx(seconds)
    assert quota.throttled == 1
    assert quota.wait_seconds(100 + seconds) == 0


def test_a_shorter_pause_never_shortens_a_longer_one() -> None:
    quota = Quota()
    observe(quota, status=429, retry=60)
    observe(quota, status=429, retry=5)
    assert quota.wait_seconds(100) == 60


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(1, 3600))
def test_the_restart_is_spread_a_little(randomness: float, seconds: float) -> None:
    quota = Quota()
    observe(quota, status=429, randomness=randomness, retry=seconds)
    assert seconds - 1e-6 <= quota.wait_seconds(100) <= seconds + min(3.0, seconds * 0.1) + 1e-6


@settings(deadline=None)
@given(st.text(), st.text(), st.text(), st.text(), st.sampled_from([200, 429, 503]))
def test_no_header_text_breaks_it(limit: str, remaining: str, reset: str, retry: str, status: int) -> None:
    quota = Quota()
    observe(quota, status=status, limit=limit, remaining=remaining, reset=reset, retry=retry)
    assert 0 <= quota.wait_seconds(100) <= 86_403.1


def test_retry_after_is_not_made_of_the_window() -> None:
    assert retry_after_seconds(headers(reset=60), utc_now=NOW) is None
