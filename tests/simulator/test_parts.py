"""The parts that have no HTTP in them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

import anyio
import pytest
from hypothesis import given, settings, strategies as st

from vismanet_async._simulator import sample_names
from vismanet_async._simulator.byte_cache import ByteCache
from vismanet_async._simulator.clock import naive_text, naive_text_of_ms, parse_naive_ms, zone
from vismanet_async._simulator.company import invented_row
from vismanet_async._simulator.filters import Condition
from vismanet_async._simulator.json_text import decode, encode
from vismanet_async._simulator.sequence import RowOrder
from vismanet_async._simulator.tables import SPECS, canonical_name
from vismanet_async.simulator import RealClock, Simulator, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async._clock import Clock


@given(
    st.integers(0, 40),
    st.lists(st.tuples(st.sampled_from(["append", "insert", "remove", "isolate"]), st.integers(0, 60))),
)
def test_the_order_of_rows_behaves_like_a_list(count: int, steps: list[tuple[str, int]]) -> None:
    order, model, fresh = RowOrder(count), list(range(count)), count
    for step, number in steps:
        if step == "append":
            order.append(fresh)
            model.append(fresh)
            fresh += 1
        elif step == "insert":
            order.insert(number, fresh)
            model.insert(number, fresh)
            fresh += 1
        elif step == "remove" and model:
            row = model.pop(number % len(model))
            order.remove(row)
            with pytest.raises(KeyError):
                order.remove(row)
        elif step == "isolate" and model:
            row = model[number % len(model)]
            order.isolate(row)
            assert (row, row + 1) in order.runs
        assert list(order) == model
        assert len(order) == len(model)


_STEPS = st.sampled_from(["add", "add at the start", "remove", "touch", "touch to the end", "save and load"])


@settings(max_examples=60)
@given(st.integers(0, 12), st.lists(st.tuples(_STEPS, st.integers(0, 60)), max_size=12))
def test_filters_find_what_looking_at_every_row_finds(count: int, steps: list[tuple[str, int]]) -> None:
    table = Simulator(rows={"customer": count}).company().world.table("customer")
    condition = (Condition("lastModifiedDateTime", ">=", parse_naive_ms("2020-01-01T00:00:00")),)
    random = Random(1)
    for step, number in steps:
        rows = list(table.order)
        if step.startswith("add"):
            table.insert(invented_row(table, random), index=0 if "start" in step else None)
        elif step == "save and load":
            table.restore(table.export())
        elif rows and step == "remove":
            table.remove(rows[number % len(rows)])
        elif rows:
            row = rows[number % len(rows)]
            data = table.row(row)
            table.stamp(data)
            table.replace(row, data, to_end="end" in step)
        assert list(table.select(condition)) == list(table.order)  # every row was changed after that day


@given(st.integers(0, 250_000))
def test_organisation_numbers_have_the_right_check_digit(index: int) -> None:
    norwegian = sample_names.organisation_number("NO", index)
    assert len(norwegian) == 9
    weights = (3, 2, 7, 6, 5, 4, 3, 2, 1)
    assert sum(int(digit) * weight for digit, weight in zip(norwegian, weights, strict=True)) % 11 == 0
    swedish = sample_names.organisation_number("SE", index).replace("-", "")
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(swedish))]
    assert len(swedish) == 10
    assert sum(sum(divmod(value, 10)) for value in doubled) % 10 == 0
    danish = sample_names.organisation_number("DK", index)
    danish_weights = (2, 7, 6, 5, 4, 3, 2, 1)
    assert sum(int(digit) * weight for digit, weight in zip(danish, danish_weights, strict=True)) % 11 == 0


@given(st.integers(0, 4_000_000_000_000))
def test_times_are_written_and_read_back(milliseconds: int) -> None:
    text = naive_text_of_ms(milliseconds)
    assert parse_naive_ms(text) == milliseconds
    assert not text.endswith("0") or "." not in text


def test_local_time_follows_the_zone_and_goes_back_an_hour_in_october() -> None:
    oslo = zone("Europe/Oslo")
    before, after = naive_text(1_792_889_999, oslo), naive_text(1_792_890_000, oslo)  # 2026-10-25 01:00 UTC
    assert (before, after) == ("2026-10-25T02:59:59", "2026-10-25T02:00:00")
    assert naive_text(0, zone("-02:30")) == "1969-12-31T21:30:00"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**18), max_value=10**18))
def test_decimals_survive_as_they_are_written(number: object) -> None:
    assert decode(encode({"amount": number})) == {"amount": number}
    assert encode([number]) == f"[{number}]".encode()


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 40)), max_size=60))
def test_the_cache_stays_within_its_bound(puts: list[tuple[int, int]]) -> None:
    cache = ByteCache(100)
    for key, size in puts:
        cache.put(key, size, size)
        assert cache.get(key) == size
        assert cache.size_bytes <= 100


@pytest.mark.parametrize("name", ["customer_invoice", "CustomerInvoice", "customerinvoice"])
def test_resources_are_found_by_any_spelling(name: str) -> None:
    assert canonical_name(name, SPECS) == "customerinvoice"


def test_every_table_knows_its_rows_by_key() -> None:
    world = Simulator(rows=dict.fromkeys(SPECS, 30)).company().world
    for name in SPECS:
        table = world.table(name)
        keys = [table.key_of(row) for row in table.order]
        assert len(set(keys)) == len(keys), name
        for row in list(table.order)[:5]:
            assert table.find(table.key_of(row)) == row, name
            assert table.key_in(table.row(row)) == table.key_of(row), name
        made = invented_row(table, Random(1))
        assert "\x01" not in str(made), name


async def test_a_virtual_clock_wakes_who_is_due_in_order() -> None:
    clock, woken = VirtualClock(auto_advance=False), list[str]()

    async def wait(name: str, waiting: Callable[[], object]) -> None:
        await waiting()  # type: ignore[misc] # a coroutine function
        woken.append(name)

    start = clock.now()
    tasks = [
        asyncio.create_task(wait("ten", lambda: clock.sleep(10))),
        asyncio.create_task(wait("five", lambda: clock.wait_until(start + 5))),
    ]
    await anyio.wait_all_tasks_blocked()
    clock.advance(6)
    await anyio.wait_all_tasks_blocked()
    assert woken == ["five"]
    clock.advance(4)
    await asyncio.gather(*tasks)
    assert woken == ["five", "ten"]


async def test_a_virtual_clock_moves_by_itself_when_everybody_sleeps() -> None:
    clock = VirtualClock()
    start = clock.now()
    await asyncio.gather(clock.sleep(3600), clock.sleep(1800), clock.sleep(0))
    assert clock.now() == start + 3600


async def test_a_virtual_clock_is_a_clients_clock_too() -> None:
    virtual = VirtualClock(1_000.0, auto_advance=False)
    clock: Clock = virtual
    assert (clock.monotonic(), clock.utc_now()) == (1_000.0, datetime(1970, 1, 1, 0, 16, 40, tzinfo=UTC))
    virtual.advance(60)
    assert clock.monotonic() == 1_060
    virtual.advance(-30)
    assert clock.monotonic() == 1_060, "it went back"
    assert clock.utc_now().timestamp() == 1_030
    with clock.move_on_after(60) as scope:
        virtual.advance(3600)
        await asyncio.sleep(0)
    assert not scope.cancelled_caught, "time that was jumped over is no time that was waited"
    with clock.move_on_after(-1) as scope:
        await asyncio.sleep(3600)
    assert scope.cancelled_caught


async def test_a_real_clock_notices_jumps() -> None:
    clock = RealClock()
    waiting = asyncio.create_task(clock.wait_until(clock.now() + 3600))
    await anyio.wait_all_tasks_blocked()
    clock.advance(3601)
    await waiting
