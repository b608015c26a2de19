"""How long a row that an earlier run was sending may still come: its request may have left long after its intent."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from tests.bulk.company import COMPANY, on_a_clock
from tests.support.clock import VirtualClock
from vismanet_async import StaticToken, VismaNet
from vismanet_async._bulk.background import Background
from vismanet_async._bulk.elapsed import mark_of, seconds_since
from vismanet_async._bulk.intake import read_row
from vismanet_async._bulk.journal import SqliteJournal
from vismanet_async._bulk.sending import Pauses, Sending
from vismanet_async._bulk.transitions import Entry, RowState, Sent, advance
from vismanet_async._clock import SystemClock
from vismanet_async.bulk import Row
from vismanet_async.errors import NotSent

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

DEADLINE_SECONDS = 300.0
SETTLE_SECONDS = 240.0


class Written:
    """What was written."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    async def write(self, entry: Entry) -> None:
        self.entries.append(entry)


class Queue:
    """The background queue of a run that sends none."""

    async def settle(self, own_id: str, *, executed: bool) -> None: ...


def sending(clock: VirtualClock, *, began: float | None, find: Any, mark: str | None = None) -> Sending:
    unused: Any = None
    queue: Any = Queue()
    return Sending(
        writer=Written(),
        quota_of=unused,
        clock=clock,
        pauses=Pauses(),
        find=find,
        sender=unused,
        settle_seconds=SETTLE_SECONDS,
        deadline_seconds=DEADLINE_SECONDS,
        began=began,
        stop=unused,
        background=queue,
        mark_of=lambda _: mark,
    )


def intent(at: datetime, *, within: float | None = DEADLINE_SECONDS, job: str | None = None) -> Entry:
    planned = Entry(key="a", position=1, fingerprint=b"f", operation="Customer_Post")
    return advance(planned, Sent(at=at, leaves_within_seconds=within, job=job))


async def absent(_: Row) -> None:
    await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("wall_clock_seconds", [-86_400.0, 0.0, 1_000.0, 86_400.0])
@pytest.mark.parametrize("within", [DEADLINE_SECONDS, None])
@pytest.mark.parametrize(
    ("passed", "began_ago", "waits"),
    [
        # alone: it had left when this run began, or when its deadline passed on the clock of the same machine
        (None, 0, [240]),
        (None, 50, [190]),
        (None, 300, []),
        (200, 0, [240]),
        (400, 0, [140]),
        (400, 150, [90]),
        (1000, 0, []),
        # shared: a process that was taken for dead may still send until its deadline
        (None, None, [540]),
        (35, None, [505]),
        (400, None, [140]),
        (1000, None, []),
    ],
)
async def test_what_was_being_sent_counts_from_its_deadline_or_this_run_and_by_no_wall_clock(
    passed: float | None, began_ago: float | None, waits: list[float], within: float | None, wall_clock_seconds: float
) -> None:
    clock = VirtualClock()
    began = None if began_ago is None else clock.monotonic() - began_ago
    written = intent(clock.utc_now() - timedelta(seconds=wall_clock_seconds), within=within)
    written = attrs.evolve(written, boot="other 5.0" if passed is None else f"here {10_000 - passed}")
    row: Any = None
    entry = await sending(clock, began=began, find=absent, mark="here 10000.0").look(row, written)
    assert entry.state is RowState.PLANNED
    assert clock.slept == pytest.approx(waits)


@pytest.mark.parametrize(
    ("began_ago", "boot", "state"),
    [
        (23, None, RowState.UNKNOWN),
        (26, None, RowState.PLANNED),
        (0, "here 90000.0", RowState.UNKNOWN),
        (0, "here 1000.0", RowState.PLANNED),
        (0, "other 1000.0", RowState.UNKNOWN),
    ],
)
async def test_a_job_s_day_in_the_queue_is_counted_by_one_machine(
    began_ago: float, boot: str | None, state: RowState
) -> None:
    clock = VirtualClock()
    written = attrs.evolve(intent(clock.utc_now() - timedelta(days=9), job="j"), boot=boot)
    run = sending(clock, began=clock.monotonic() - began_ago * 3600, find=absent, mark="here 100000.0")
    row: Any = None
    entry = await run.look(row, written)
    assert (entry.state, clock.slept) == (state, [])
    if state is RowState.UNKNOWN and boot != "here 90000.0":
        # from now on this machine knows
        later = sending(clock, began=clock.monotonic(), find=absent, mark=f"here {100_000 + 26 * 3600}")
        assert (await later.look(row, entry)).state is RowState.PLANNED


def test_marks_are_those_of_one_start_of_the_machine_s_own_clock() -> None:
    first, second = mark_of(SystemClock()), mark_of(SystemClock())
    assert mark_of(VirtualClock()) is None
    if first is not None:  # not every system has them
        passed = seconds_since(first, second)
        assert passed is not None
        assert passed >= 0
        assert seconds_since(second, first) == 0, "never less than nothing"


async def test_the_journal_keeps_the_deadline_and_a_slow_disk_takes_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock()
    async with VismaNet(
        StaticToken("t", tenant_id=COMPANY), base_url="http://127.0.0.1:1", clock=clock, timeout_seconds=50
    ) as visma:
        given: list[float | None] = []
        write = SqliteJournal.write

        async def slow(journal: SqliteJournal, entries: Any) -> Any:
            intents.extend(each.leaves_within_seconds for each in entries if each.state is RowState.SENDING)
            await clock.sleep(20)
            return await write(journal, entries)

        intents: list[float | None] = []

        async def send(_: Any, request: Any, /) -> Any:
            given.append(request.deadline_seconds)
            raise RuntimeError("killed here")

        monkeypatch.setattr(SqliteJournal, "write", slow)
        monkeypatch.setattr(type(visma.sender), "send", send)
        with pytest.raises(ExceptionGroup):
            await visma.bulk.run([Row("a", visma.customer.create({"name": "a"}))], journal=tmp_path / "j.sqlite")
        assert intents == [50]
        assert given == [30]
        journal = SqliteJournal(tmp_path / "j.sqlite")
        [left] = [each async for each in journal.entries()]
        await journal.aclose()
        assert (left.state, left.leaves_within_seconds) == (RowState.SENDING, 50)


async def test_a_machine_that_slept_over_an_intent_does_not_send_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = VirtualClock()
    async with VismaNet(StaticToken("t", tenant_id=COMPANY), base_url="http://127.0.0.1:1", clock=clock) as visma:
        given: list[float | None] = []

        async def send(_: Any, request: Any, /) -> Any:
            given.append(request.deadline_seconds)
            raise NotSent("its time is over")

        monkeypatch.setattr(type(visma.sender), "send", send)
        marks = iter((100.0, 110.0, 200.0, 200.0 + DEADLINE_SECONDS))
        run = attrs.evolve(
            sending(clock, began=None, find=absent),
            mark_of=lambda _: f"here {next(marks)}",
            quota_of=visma.sender.quota_of,
            background=Background(lambda: 1 / 0, via="request", clock=clock),  # type: ignore[arg-type, return-value]
        )
        for _ in range(2):
            planned = Entry(key="a", position=1, fingerprint=b"f", operation="Customer_Post")
            operation = visma.customer.create({"name": "a"})
            operation.preview()
            entry = await run.send(None, operation, planned)  # type: ignore[arg-type]
            assert entry.state is RowState.PLANNED
        assert given == [DEADLINE_SECONDS - 10, 0]


async def test_a_run_that_follows_at_once_waits_for_what_the_one_before_may_just_have_sent(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with on_a_clock(clock) as (simulator, visma):
        row = Row("a", visma.customer.create({"name": "a"}))
        journal = SqliteJournal(tmp_path / "j.sqlite")
        await journal.open(company=COMPANY, base_url=visma.base_url)
        planned = read_row(row, 1, visma.sender).entry
        await journal.register([planned])
        await journal.write([advance(planned, Sent(at=clock.utc_now(), leaves_within_seconds=DEADLINE_SECONDS))])
        await journal.aclose()
        await clock.sleep(200)
        looks: list[float] = []

        async def late(_: Row) -> str | None:
            looks.append(clock.monotonic())
            return None if len(looks) == 1 else "10"

        assert (await visma.bulk.run([row], journal=journal.path, find=late)).complete
        assert not simulator.ledger
        assert looks[1] - looks[0] == pytest.approx(SETTLE_SECONDS, abs=1)
