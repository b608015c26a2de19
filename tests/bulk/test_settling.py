"""How long a row that an earlier run was sending may still come: its request may have left long after its intent."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.bulk.company import COMPANY, on_a_clock
from tests.support.clock import VirtualClock
from vismanet_async import StaticToken, VismaNet
from vismanet_async._bulk.intake import read_row
from vismanet_async._bulk.journal import SqliteJournal
from vismanet_async._bulk.sending import Pauses, Sending
from vismanet_async._bulk.transitions import Entry, RowState, Sent, advance
from vismanet_async.bulk import Row

if TYPE_CHECKING:
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


def sending(clock: VirtualClock, *, began_at: datetime | None, find: Any) -> Sending:
    unused: Any = None
    queue: Any = Queue()
    return Sending(
        writer=Written(),
        quota_of=unused,
        clock=clock,
        pauses=Pauses(),
        find=find,
        settle_seconds=SETTLE_SECONDS,
        deadline_seconds=DEADLINE_SECONDS,
        began_at=began_at,
        stop=unused,
        background=queue,
    )


def intent(at: datetime, *, within: float | None = DEADLINE_SECONDS, job: str | None = None) -> Entry:
    planned = Entry(key="a", position=1, fingerprint=b"f", operation="Customer_Post")
    return advance(planned, Sent(at=at, leaves_within_seconds=within, job=job))


@pytest.mark.parametrize(
    ("passed", "began", "waits"),
    [
        # alone: it had left when this run began, or when its deadline passed, whatever was earlier
        (200, 200, [240]),
        (200, 150, [190]),
        (1000, 1000, []),
        (400, 400, [140]),
        (-86_400, -86_400, [240]),
        # shared: a process that was taken for dead may still send until its deadline
        (35, None, [505]),
        (400, None, [140]),
        (1000, None, []),
        (-86_400, None, [540]),
    ],
)
@pytest.mark.parametrize("within", [DEADLINE_SECONDS, None])
async def test_what_was_being_sent_may_have_left_as_late_as_its_deadline(
    passed: float, began: float | None, waits: list[float], within: float | None
) -> None:
    clock = VirtualClock()
    at = clock.utc_now() - timedelta(seconds=passed)
    began_at = None if began is None else at + timedelta(seconds=began)

    async def find(_: Row) -> None:
        await anyio.lowlevel.checkpoint()

    row: Any = None
    entry = await sending(clock, began_at=began_at, find=find).look(row, intent(at, within=within))
    assert entry.state is RowState.PLANNED
    assert clock.slept == pytest.approx(waits)


@pytest.mark.parametrize(("hours", "state"), [(23, RowState.UNKNOWN), (25, RowState.PLANNED)])
async def test_a_job_s_day_in_the_queue_begins_when_it_had_left(hours: float, state: RowState) -> None:
    clock = VirtualClock()
    began_at = clock.utc_now() - timedelta(hours=hours)

    async def find(_: Row) -> None:
        await anyio.lowlevel.checkpoint()

    row: Any = None
    entry = intent(began_at - timedelta(hours=12), job="j")
    assert (await sending(clock, began_at=began_at, find=find).look(row, entry)).state is state


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
