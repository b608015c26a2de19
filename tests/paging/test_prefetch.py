"""How many pages may be under way: those handled meanwhile, a small stock, never more than twice the places."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from vismanet_async._paging.prefetch import PrefetchWindow

SECONDS = st.floats(0.0001, 60)


def window(*, answer: float, handling: float, work: float = 0.001) -> PrefetchWindow:
    made = PrefetchWindow()
    made.response_time(answer + 60)  # the first
    made.response_time(answer)
    made.loop_time(work)
    made.consumer_time(handling)
    return made


def test_nothing_is_held_back_before_anything_is_known() -> None:
    assert PrefetchWindow().pages(in_flight=8) == 16


def test_the_second_answer_of_a_near_server_is_waited_for_with_few_pages_only() -> None:
    made = PrefetchWindow()
    made.response_time(0.020)
    made.loop_time(0.001)
    assert made.pages(in_flight=8) == 1 + 1
    made.response_time(0.015)
    assert made.pages(in_flight=8) == 15 + 1


def test_a_server_far_away_gets_a_full_first_wave() -> None:
    made = PrefetchWindow()
    made.response_time(0.100)
    made.loop_time(0.010)
    assert made.pages(in_flight=8) == 16


@pytest.mark.parametrize(
    ("seconds", "pages"),
    [
        pytest.param({"answer": 0.002, "handling": 0.010}, 1, id="a server next door needs a small stock only"),
        pytest.param({"answer": 0.300, "handling": 5}, 1, id="a slow reader, too"),
        pytest.param({"answer": 0.020, "handling": 0.010}, 2, id="between them: for the time of an answer"),
        pytest.param({"answer": 0.020, "handling": 0.0001, "work": 0.010}, 2, id="the loop's own work counts"),
        pytest.param({"answer": 0.100, "handling": 0.040}, 10, id="a writer's stalls leave a far server its requests"),
        pytest.param({"answer": 0.300, "handling": 0.010}, 15, id="a server far away gets all that may wait"),
    ],
)
def test_pages_are_handled_while_an_answer_is_on_its_way(seconds: dict[str, float], pages: int) -> None:
    assert window(**seconds).pages(in_flight=8) == pages + 1


@pytest.mark.parametrize(
    ("answers", "pages"),
    [
        pytest.param([3], 1, id="only the fastest counts"),
        pytest.param([3] * 64, 15, id="unless the server became slow"),
        pytest.param([0.070] * 640, 1, id="those that waited for one another do not widen it"),
        pytest.param([*[3] * 64, 0.070], 1, id="after a stall the fastest counts again"),
    ],
)
def test_answers_of_a_near_server(answers: list[float], pages: int) -> None:
    made = window(answer=0.010, handling=0.010)
    for seconds in answers:
        made.response_time(seconds)
    assert made.pages(in_flight=8) == pages + 1


def test_answers_from_disk_say_nothing_of_the_server() -> None:
    made = PrefetchWindow()
    made.served_from_cache()
    assert made.pages(in_flight=8) == 1 + 1
    made.response_time(0.300)
    made.loop_time(0.010)
    assert made.pages(in_flight=8) == 16


def test_one_stall_of_the_reader_changes_little_and_many_do() -> None:
    made = window(answer=0.050, handling=0.010)
    before = made.pages(in_flight=16)
    made.consumer_time(0.030)
    assert before - 3 <= made.pages(in_flight=16) <= before
    for _ in range(50):
        made.consumer_time(0.030)
    assert made.pages(in_flight=16) == 2 + 1


@given(answer=SECONDS, handling=SECONDS, work=SECONDS, in_flight=st.integers(1, 64))
def test_it_stays_within_its_bounds(answer: float, handling: float, work: float, in_flight: int) -> None:
    pages = window(answer=answer, handling=handling, work=work).pages(in_flight=in_flight)
    assert min(2, 2 * in_flight) <= pages <= 2 * in_flight
    # the reader never waits for pages as long as answers take no longer than the fastest one
    assert pages == 2 * in_flight or pages * max(handling, work) >= answer
