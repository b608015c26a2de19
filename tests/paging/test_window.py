"""How many pages may be under way: those handled meanwhile, a small stock, never more than twice the places."""

from __future__ import annotations

from hypothesis import given, strategies as st

from vismanet_async.paging.window import Window

SECONDS = st.floats(0.0001, 60)


def window(*, answer: float, handling: float, work: float = 0.001) -> Window:
    made = Window()
    made.answered(answer + 60)  # the first
    made.answered(answer)
    made.worked(work)
    made.handled(handling)
    return made


def test_nothing_is_held_back_before_anything_is_known() -> None:
    assert Window().pages(in_flight=8) == 16


def test_the_second_answer_of_a_near_server_is_waited_for_with_few_pages_only() -> None:
    made = Window()
    made.answered(0.020)
    made.worked(0.001)
    assert made.pages(in_flight=8) == 1 + 1
    made.answered(0.015)
    assert made.pages(in_flight=8) == 15 + 1


def test_a_server_far_away_gets_a_full_first_wave() -> None:
    made = Window()
    made.answered(0.100)
    made.worked(0.010)
    assert made.pages(in_flight=8) == 16


def test_a_server_next_door_needs_a_small_stock_only() -> None:
    assert window(answer=0.002, handling=0.010).pages(in_flight=8) == 1 + 1


def test_a_slow_reader_needs_a_small_stock_only() -> None:
    assert window(answer=0.300, handling=5).pages(in_flight=8) == 1 + 1


def test_a_server_far_away_gets_all_that_may_wait() -> None:
    assert window(answer=0.300, handling=0.010).pages(in_flight=8) == 16


def test_stalls_of_the_writer_leave_a_server_far_away_its_requests() -> None:
    assert window(answer=0.100, handling=0.040).pages(in_flight=8) == 10 + 1


def test_between_the_two_pages_are_on_their_way_for_the_time_of_an_answer() -> None:
    assert window(answer=0.020, handling=0.010).pages(in_flight=8) == 2 + 1


def test_the_loops_own_work_counts_where_it_takes_longer_than_the_reader() -> None:
    assert window(answer=0.020, handling=0.0001, work=0.010).pages(in_flight=8) == 2 + 1


def test_only_the_fastest_answer_counts() -> None:
    made = window(answer=0.010, handling=0.010)
    made.answered(3)
    assert made.pages(in_flight=8) == 1 + 1


def test_a_server_that_became_slow_gets_more_again() -> None:
    made = window(answer=0.010, handling=0.010)
    for _ in range(64):
        made.answered(3)
    assert made.pages(in_flight=8) == 16


def test_answers_that_wait_for_one_another_do_not_widen_it() -> None:
    made = window(answer=0.010, handling=0.010)
    for _ in range(640):
        made.answered(0.070)
    assert made.pages(in_flight=8) == 1 + 1


def test_after_a_stall_the_fastest_answer_counts_again() -> None:
    made = window(answer=0.010, handling=0.010)
    for _ in range(64):
        made.answered(3)
    made.answered(0.070)
    assert made.pages(in_flight=8) == 1 + 1


def test_answers_from_disk_say_nothing_of_the_server() -> None:
    made = Window()
    made.replayed()
    assert made.pages(in_flight=8) == 1 + 1
    made.answered(0.300)
    made.worked(0.010)
    assert made.pages(in_flight=8) == 16


def test_one_stall_of_the_reader_changes_little_and_many_do() -> None:
    made = window(answer=0.050, handling=0.010)
    before = made.pages(in_flight=16)
    made.handled(0.030)
    assert before - 3 <= made.pages(in_flight=16) <= before
    for _ in range(50):
        made.handled(0.030)
    assert made.pages(in_flight=16) == 2 + 1


@given(answer=SECONDS, handling=SECONDS, work=SECONDS, in_flight=st.integers(1, 64))
def test_it_stays_within_its_bounds(answer: float, handling: float, work: float, in_flight: int) -> None:
    pages = window(answer=answer, handling=handling, work=work).pages(in_flight=in_flight)
    assert min(2, 2 * in_flight) <= pages <= 2 * in_flight
    # the reader never waits for pages as long as answers take no longer than the fastest one
    assert pages == 2 * in_flight or pages * max(handling, work) >= answer
