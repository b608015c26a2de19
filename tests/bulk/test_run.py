"""Bulk runs over HTTP: what the ledger of the simulator says was executed, and what each row is reported as."""

from __future__ import annotations

import json
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from tests.bulk.company import COMPANY, executed, keys, on_a_clock, opened
from tests.support.clock import VirtualClock
from vismanet_async import NotFound, RequestRefused, StaticToken, VismaNet
from vismanet_async._bulk.intake import CHUNK_ROWS
from vismanet_async._bulk.judging import answered
from vismanet_async._bulk.transitions import Answered, Lost
from vismanet_async._clock import SystemClock
from vismanet_async._http.message import Response
from vismanet_async.bulk import Row, matching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from datetime import datetime

    from vismanet_async.simulator import Simulator


async def test_a_load_of_many_and_the_same_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        wanted = keys(300)
        summary, results = await company.run(company.rows(wanted))
        company.check(results)
        assert (summary.done, summary.complete, str(summary)) == (300, True, "300 rows: 300 done")
        assert all(each.id and each.attempts == 1 and not each.earlier for [each] in results.values())
        again, repeated = await company.run(company.rows(wanted))
        assert (again.done, again.earlier) == (300, 300)
        assert {key: each.id for key, [each] in repeated.items()} == {key: each.id for key, [each] in results.items()}
        assert len(company.simulator.ledger) == 300


async def test_input_of_every_kind(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:

        async def slowly() -> AsyncIterator[Row]:
            for row in company.rows(keys(3, first=20)):
                await anyio.lowlevel.checkpoint()
                yield row

        for rows in (list(company.rows(keys(3))), company.rows(keys(3, first=10)), slowly(), []):
            summary, results = await company.run(rows)
            assert summary.complete
            company.check(results)
        assert len(executed(company.simulator)) == 9


async def test_a_few_hundred_rows_are_in_memory_whatever_the_length_of_the_input(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        read = ended = most = 0

        def rows() -> Iterator[Row]:
            nonlocal read, most
            for row in company.rows(keys(1500)):
                read += 1
                most = max(most, read - ended)
                yield row

        await company.run(company.rows(keys(1200)))  # what is done is passed over as fast as it is read
        run = company.visma.bulk.run(rows(), journal=company.journal)
        async for _ in run:
            ended += 1
        assert ended == 1500
        assert most <= 2 * CHUNK_ROWS + 100


async def test_lost_answers_are_looked_up_and_only_what_is_missing_is_sent_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        faults = company.simulator.faults
        faults.add("reset_after", method="POST", every=5)
        faults.add("reset_before", method="POST", after=2, every=7)
        faults.add("status", status=503, method="POST", after=3, every=11)
        faults.add("status", status=503, method="POST", after=4, every=13, executed=True)
        faults.add("status", status=429, retry_after=1, method="POST", after=6, times=2)
        faults.add("cut_body", method="POST", after=7, every=17)
        summary, _ = await company.run(company.rows(keys(60)), find=company.find(), max_failure_share=None)
        for _ in range(2):  # one that fails three times in a row is left to the next run
            summary, results = await company.run(company.rows(keys(60)), find=company.find(), max_failure_share=None)
            company.check(results)
            assert summary.unknown == summary.failed == 0
        assert summary.complete
        assert sum(executed(company.simulator).values()) == 60


async def test_a_row_that_got_lost_three_times_is_said_not_to_be_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        company.simulator.faults.add("reset_before", method="POST", times=3)
        summary, results = await company.run(company.rows(keys(1)), find=company.find())
        [[result]] = results.values()
        assert (summary.not_sent, result.outcome, result.attempts) == (1, "not_sent", 3)
        assert str(result.error).endswith("It was looked up since, and is not there.")
        assert str(result.error).count("looked up") == 1
        summary, results = await company.run(company.rows(keys(1)), find=company.find())
        [[result]] = results.values()
        assert (result.outcome, result.error) == ("done", None)


async def test_without_a_resolver_what_was_lost_stays_unknown_until_a_person_decides(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        faults = company.simulator.faults
        faults.add("reset_after", method="POST", times=2)
        faults.add("reset_before", method="POST", after=2, times=1)
        wanted = keys(10)
        summary, results = await company.run(company.rows(wanted))
        company.check(results)
        assert (summary.done, summary.unknown) == (7, 3)
        assert {each.error_type for each in summary.problems} == {"OutcomeUnknown"}
        again, _ = await company.run(company.rows(wanted))
        assert (again.done, again.unknown, again.earlier) == (7, 3, 10)
        looked, results = await company.run(company.rows(wanted), find=company.find())
        company.check(results)
        assert looked.complete


async def test_a_person_may_send_the_unknown_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        company.simulator.faults.add("reset_before", method="POST", times=3)
        wanted = keys(5)
        await company.run(company.rows(wanted))
        summary, results = await company.run(company.rows(wanted), retry_unknown=True)
        company.check(results)
        assert summary.complete


async def test_what_cannot_be_looked_up_stays_unknown(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        faults = company.simulator.faults
        faults.add("reset_after", method="POST", times=1)
        faults.add("status", status=403, method="GET")
        summary, _ = await company.run(company.rows(keys(3)), find=company.find())
        assert (summary.done, summary.unknown) == (2, 1)
        assert "looking it up failed" in (summary.problems[0].error or "")
        faults.clear()
        faults.add("reset_after", method="POST", times=1)

        async def two(_: Row) -> list[str]:
            return ["1", "2"]

        summary, _ = await company.run(company.rows(keys(3, first=10)), find=two)
        assert "find returned 2 records" in (summary.problems[0].error or "")


async def test_looked_up_by_number(tmp_path: Path) -> None:
    async with opened(tmp_path, behaviours={}) as company:
        visma = company.visma
        company.simulator.faults.add("reset_after", method="PUT", times=1)
        company.simulator.faults.add("reset_before", method="PUT", after=1, times=1)
        numbers = list(company.simulator.truth("customer").keys)
        rows = [Row(number, visma.customer.update(number, {"name": f"new {number}"})) for number in numbers]

        async def shows(row: Row) -> Any:
            record = await visma.customer.get(row.key)
            return record if record.name == f"new {row.key}" else None

        summary, _ = await company.run(rows, find=shows)
        assert summary.complete
        assert len(company.simulator.ledger.matching(succeeded=True)) == len(numbers)

        async def missing(_: Row) -> Any:
            raise NotFound("x", status=404)

        company.simulator.faults.add("reset_before", method="POST", times=1)
        created, results = await company.run(company.rows(keys(2)), find=missing)
        assert created.complete
        company.check(results)


async def test_a_conflict_fails_and_what_may_be_its_own_effect_is_looked_up(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        visma = company.visma
        numbers = company.simulator.truth("customer").keys
        first, second, third = [await visma.customer.get(each) for each in numbers]
        await visma.customer.update(first.number or "", {"name": "somebody else's"})
        before = len(company.simulator.ledger)
        # executed, and repeated by the transport, which then meets its own effect
        for number in numbers[1:]:
            company.simulator.faults.add("reset_after", method="PUT", path=f"/v1/customer/{number}", times=1)

        def rows() -> Iterator[Row]:
            for customer in (first, second, third):
                number = customer.number or ""
                yield Row(number, visma.customer.update(number, {"name": f"new {number}"}, if_match=customer))

        async def find(row: Row) -> Any:
            return matching(await visma.customer.get(row.key), row)

        unsure, _ = await company.run(rows())
        assert (unsure.done, unsure.failed, unsure.unknown) == (0, 1, 2)
        assert unsure.problems[0].error_type == "PreconditionFailed"
        summary, results = await company.run(rows(), find=find)
        assert (summary.done, summary.failed) == (2, 1)
        assert results[first.number or ""][0].status == 412
        executed_now = company.simulator.ledger.matching(succeeded=True)[before:]
        assert len(executed_now) == 2, "the change of somebody else stands, and each of ours was made once"


class SetClock(VirtualClock):
    """A clock whose wall time a person or the network can set."""

    set_by = timedelta()

    def utc_now(self) -> datetime:
        return super().utc_now() + self.set_by


@asynccontextmanager
async def losing_an_answer() -> AsyncIterator[tuple[SetClock, Simulator, VismaNet]]:
    """A company that executes the next create and loses its answer."""
    clock = SetClock()
    async with on_a_clock(clock) as (simulator, visma):
        simulator.faults.add("reset_after", method="POST", times=1)
        yield clock, simulator, visma


async def test_the_same_body_with_another_header_is_another_write(tmp_path: Path) -> None:
    """A header chooses the branch, for one."""
    async with opened(tmp_path) as company:
        create = company.visma.customer.create({"name": "Vega AS"})
        for headers, outcome in (
            ({"branchid": "1", "X-More": "a"}, "done"),
            ({"x-more": "a", "BranchId": "1"}, "done"),
            ({"branchid": "2", "x-more": "a"}, "changed"),
        ):
            _, results = await company.run([Row("a", create.with_options(headers=headers))])
            assert results["a"][0].outcome == outcome


@pytest.mark.parametrize(("goes_on_seconds", "outcome"), [(30.0, "done"), (3600.0, "unknown")])
async def test_an_action_that_the_erp_goes_on_with_is_done_when_that_shows_and_is_not_sent_again(
    goes_on_seconds: float, outcome: str, tmp_path: Path
) -> None:
    async with on_a_clock(VirtualClock(), customer_invoice=1) as (simulator, visma):
        [invoice] = await visma.customer_invoice.list()
        number = str(invoice.reference_number)
        simulator.touch("customer_invoice", number, status="Balanced", hold=False)
        simulator.behaviours.actions_go_on_seconds = goes_on_seconds

        async def released(row: Row) -> str | None:
            return None if (await visma.customer_invoice.get(row.key)).status == "Balanced" else row.key

        async def run(find: Any = released) -> Any:
            rows = [Row(number, visma.customer_invoice.release(number))]
            await visma.bulk.run(rows, journal=tmp_path / "j.sqlite", find=find)
            [result] = [each async for each in visma.bulk.results(tmp_path / "j.sqlite")]
            return result

        assert (await run()).outcome == outcome
        if outcome == "unknown":
            again = await run(lambda _: None)  # a look that fails, too, leaves it accepted
            for result in (again, await run()):
                assert (result.outcome, result.error_type) == ("unknown", "ActionGoesOn")
            simulator.clock.advance(4000)
            assert (await run()).outcome == "done"
        assert len(simulator.ledger.matching(operation="CustomerInvoice_ReleaseInvoiceByinvoiceNumber")) == 1


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"actionResult": "Done"}, "done"),
        ({"actionResult": {"value": " DONE "}}, "done"),
        ({"actionId": "1"}, "done"),
        ({"actionResult": "Queued"}, "unknown"),
        ([{"actionResult": "Error"}], "unknown"),
    ],
)
@pytest.mark.parametrize("operation", ["customer_invoice.release", "/v1/customerinvoice/1/action/release"])
def test_an_action_is_done_when_its_answer_says_so_or_nothing(answer: Any, outcome: str, operation: str) -> None:
    visma = VismaNet(StaticToken("x", tenant_id=COMPANY))
    by_hand = operation.startswith("/")
    call = visma.request("POST", operation, json={}) if by_hand else visma.customer_invoice.release("1")
    _ = call.preview()
    if isinstance(answer, list) and not by_hand:
        [answer] = answer
    result = call.decode(
        Response(status=200, headers=CIMultiDictProxy(CIMultiDict()), body=json.dumps(answer).encode())
    )
    event = answered(result, at=SystemClock().utc_now())
    assert isinstance(event, Answered if outcome == "done" else Lost)


@pytest.mark.parametrize("set_by", [timedelta(), timedelta(days=1), timedelta(days=-1)])
async def test_what_is_not_there_yet_is_looked_for_again_before_it_is_sent_again(
    tmp_path: Path, set_by: timedelta
) -> None:
    async with losing_an_answer() as (clock, simulator, visma):
        looks: list[float] = []

        async def late(_: Row) -> Any:
            looks.append(clock.monotonic())
            clock.set_by = set_by
            return None if len(looks) == 1 else "10"

        row = Row("a", visma.customer.create({"name": "Vega AS"}))
        summary = await visma.bulk.run([row], journal=tmp_path / "j.sqlite", find=late, settle_seconds=240)
        assert summary.complete
        assert len(simulator.ledger) == 1
        assert 239 <= looks[1] - looks[0] <= 241


async def test_a_clock_that_was_ahead_makes_the_next_run_wait_no_longer(tmp_path: Path) -> None:
    async with losing_an_answer() as (clock, simulator, visma):
        clock.set_by = timedelta(days=1)
        row = Row("a", partial(visma.customer.create, {"name": "Vega AS"}))
        assert (await visma.bulk.run([row], journal=tmp_path / "j.sqlite")).unknown == 1
        clock.set_by = timedelta()
        looks: list[float] = []

        async def late(_: Row) -> Any:
            looks.append(clock.monotonic())
            return None if len(looks) == 1 else "10"

        summary = await visma.bulk.run([row], journal=tmp_path / "j.sqlite", find=late, settle_seconds=240)
        assert summary.complete
        assert len(simulator.ledger) == 1
        assert 239 <= looks[1] - looks[0] <= 241


async def test_refused_rows_fail_alone_and_can_be_mended(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        visma = company.visma
        company.simulator.faults.add("status", status=400, method="POST", after=1, times=1, message="no such class")

        def rows(third: dict[str, Any]) -> Iterator[Row]:
            for key, body in {"a": {"name": "a"}, "b": {"name": "b"}, "c": third}.items():
                yield Row(key, partial(visma.customer.create, body))

        summary, results = await company.run(rows({"nam": "c"}))
        assert (summary.done, summary.failed) == (1, 2)
        assert sorted(each.error_type or "" for each in summary.problems) == ["BadRequest", "UnknownName"]
        assert results["c"][0].error is not None
        assert "Did you mean" in results["c"][0].error
        again, _ = await company.run(rows({"nam": "c"}))
        assert (again.done, again.failed) == (1, 2), "the same again is not sent"
        mended, _ = await company.run(rows({"name": "c"}), retry_failed=True)
        assert mended.complete
        assert sorted(executed(company.simulator)) == ["a", "b", "c"]


async def test_keys_that_come_twice_or_changed_are_reported(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        visma = company.visma
        twice = [*company.rows(keys(2)), *company.rows(keys(1))]
        summary, _ = await company.run(twice)
        assert (summary.done, summary.duplicate) == (2, 1)
        assert "row 1 of the input has the same key" in (summary.problems[0].error or "")
        assert summary.problems[0].position == 3
        both = [*company.rows(keys(2, first=5)), *company.rows(keys(2, first=5))]  # most of it comes in one chunk
        summary, _ = await company.run(both)
        assert (summary.done, summary.duplicate) == (2, 2)
        far = [*company.rows(keys(600, first=10)), *company.rows(keys(1, first=10))]
        summary, _ = await company.run(far)
        assert (summary.done, summary.duplicate) == (600, 1)
        other = [Row(keys(1)[0], visma.customer.create({"name": "another"}))]
        summary, _ = await company.run(other)
        assert (summary.done, summary.changed) == (0, 1)
        assert max(executed(company.simulator).values()) == 1
        assert "another" not in executed(company.simulator)


async def test_the_order_of_members_is_no_other_content(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        create = company.visma.customer.create
        one = {"name": "a", "credit_limit": "1.10", "main_address": {"country_id": "NO", "city": "Oslo"}}
        other = {"main_address": {"city": "Oslo", "country_id": "NO"}, "credit_limit": "1.10", "name": "a"}
        await company.run([Row("a", create(one))])
        summary, _ = await company.run([Row("a", create(other))])
        assert summary.complete
        summary, _ = await company.run([Row("a", create({**one, "credit_limit": "1.1000000000000000001"}))])
        assert summary.changed == 1


async def test_what_the_sdk_refuses_while_sending_fails_its_row_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        visma = company.visma
        release = visma.customer_invoice.release("1")
        guarded = attrs.evolve(release, headers={"If-Match": "x"})
        release.close()
        summary, results = await company.run([Row("a", guarded), Row("b", visma.customer.create({"name": "b"}))])
        assert (summary.done, summary.failed) == (1, 1)
        assert "honours if_match" in (results["a"][0].error or "")


async def test_a_find_that_breaks_leaves_its_row_unknown_and_cuts_nothing_off(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        company.simulator.faults.add("reset_after", method="POST", times=1)

        def broken(row: Row) -> Any:
            raise KeyError(row.key)

        summary, results = await company.run(company.rows(keys(30)), find=broken)
        company.check(results)
        assert (summary.done, summary.unknown) == (29, 1)
        assert summary.problems[0].error_type == "KeyError"


async def test_a_run_is_started_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        run = company.visma.bulk.run([], journal=company.journal)
        await run
        with pytest.raises(RequestRefused, match="was started before"):
            await run


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rows": 5}, "rows takes a list or another iterable of Row"),
        ({"rows": "abc"}, "rows takes a list or another iterable of Row"),
        ({"journal": "sqlite:///x"}, "the path of a file, or postgresql://"),
        ({"journal": Path("sqlite:////x")}, "the path of a file, or postgresql://"),
        ({"journal": Path("postgresql://h/d#x")}, "the path of a file, or postgresql://"),
        ({"journal": 5}, "journal takes a path"),
        ({"find": "x"}, "find takes a function of a row"),
        ({"max_failures": -1}, "max_failures must be at least 0"),
        ({"max_failure_share": 2}, "max_failure_share is from 0 to 1"),
        ({"settle_seconds": -1}, "settle_seconds must be greater than 0"),
        ({"retry_failed": 1}, "retry_failed takes True or False"),
    ],
)
def test_wrong_arguments_are_refused_by_name(given: dict[str, Any], said: str) -> None:
    visma = VismaNet(StaticToken("x", tenant_id=COMPANY), base_url="http://127.0.0.1:1")
    with pytest.raises(RequestRefused, match=said):
        _ = visma.bulk.run(**{"rows": [], "journal": "j.sqlite", **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"key": ""}, "key takes text of 1 to 1,000 characters"),
        ({"key": 5}, "key takes text, not int"),
        ({"group": ""}, "group takes text of 1 to"),
        ({"operation": 5}, "operation takes an operation"),
        ({"operation": VismaNet(StaticToken("x")).customer.get("1")}, "reads: a bulk run takes writes"),
    ],
)
def test_wrong_rows_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestRefused, match=said):
        Row(**{"key": "a", "operation": lambda: None, **given})


async def test_a_poison_row_stops_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        company.simulator.faults.add("status", status=500, method="POST", after=3, every=1000)
        summary, results = await company.run(company.rows(keys(40)))
        company.check(results)
        assert (summary.done, summary.unknown, summary.stopped) == (39, 1, None)


async def test_too_many_failures_stop_it_in_order(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        company.simulator.faults.add("status", status=400, method="POST", after=10)
        summary, results = await company.run(company.rows(keys(500)), max_failures=5)
        company.check(results)
        assert summary.stopped == "6 rows have failed, and 5 may (max_failures)"
        assert (summary.done, summary.unknown) == (10, 0)
        assert 6 <= summary.failed <= 6 + 5  # those that are under way then: one and a half times the concurrency of 4
        company.simulator.faults.clear()
        summary, results = await company.run(company.rows(keys(500)), retry_failed=True)
        company.check(results)
        assert summary.complete


async def test_without_a_sign_in_it_stops_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        company.simulator.faults.add("status", status=401)
        summary, results = await company.run(company.rows(keys(300)))
        company.check(results)
        assert summary.stopped is not None
        assert summary.done == summary.failed == 0
        assert len(company.simulator.ledger) == 0


async def test_rows_of_a_group_go_one_after_the_other(tmp_path: Path) -> None:
    async with opened(tmp_path, concurrency=8) as company:
        visma = company.visma
        # every other request is slow, so that the next one would overtake it
        company.simulator.faults.add("latency", method="POST", every=2, seconds=0.05)
        made = [(f"{group}-{step}", group) for group in "abcdef" for step in range(5)]
        rows = [Row(key, visma.customer.create({"name": key}), group=group) for key, group in made]
        summary, _ = await company.run(rows)
        assert summary.complete
        order = list(executed(company.simulator))
        for group in "abcdef":
            assert [key for key in order if key[0] == group] == [f"{group}-{step}" for step in range(5)]


async def test_after_a_row_that_is_not_done_the_rest_of_its_group_waits(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        visma = company.visma

        def rows() -> Iterator[Row]:
            for step in range(4):
                for group in "ab":
                    key = f"{group}-{step}"
                    yield Row(key, visma.customer.create({"name": key}), group=group)

        refused = company.simulator.faults.add("status", status=400, method="POST", after=2, times=1)
        summary, results = await company.run(rows())
        assert refused.hits == 1
        assert (summary.done, summary.failed, summary.held) == (5, 1, 2)
        first = [Row(f"x-{group}", visma.customer.create({"name": f"x-{group}"}), group=group) for group in "ab"]
        _, results = await company.run([*first, *rows()])
        assert {results[f"x-{group}"][0].outcome for group in "ab"} == {"done"}, "they stand before the row that failed"
        _, results = await company.run(rows())
        [blocking] = [key for key, [each] in results.items() if each.outcome == "failed"]
        assert all(repr(blocking) in (each.error or "") for [each] in results.values() if each.outcome == "held")
        summary, _ = await company.run(rows(), retry_failed=True)
        assert summary.complete
        for group in "ab":
            assert [key for key in executed(company.simulator) if key[0] == group] == [f"{group}-{n}" for n in range(4)]


async def test_stopped_it_finishes_what_is_under_way(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        run = company.visma.bulk.run(company.rows(keys(400)), journal=company.journal)
        seen = 0
        async for _ in run:
            seen += 1
            if seen == 20:
                run.stop("enough")
        assert run.summary is not None
        assert run.summary.stopped == "enough"
        assert run.summary.unknown == 0
        assert run.summary.done < 400
        assert run.summary.done == sum(executed(company.simulator).values())
        summary, results = await company.run(company.rows(keys(400)))
        company.check(results)
        assert summary.complete


async def test_stopped_before_it_began_it_sends_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        run = company.visma.bulk.run(company.rows(keys(5)), journal=company.journal)
        run.stop()
        summary = await run
        assert (summary.rows, summary.stopped) == (0, "it was asked to stop")
        assert not company.simulator.ledger


async def test_an_error_of_the_input_is_raised_when_the_rows_before_it_have_ended(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:

        def rows() -> Iterator[Any]:
            yield from company.rows(keys(30))
            raise OSError("the source is gone")

        with pytest.raises(OSError, match="the source is gone"):
            await company.visma.bulk.run(rows(), journal=company.journal)
        assert len(executed(company.simulator)) == 30

        def others() -> Iterator[Any]:
            yield from company.rows(keys(3, first=50))
            yield "no row"

        with pytest.raises(RequestRefused, match="row 4 of the input is str, not a Row"):
            await company.visma.bulk.run(others(), journal=company.journal)
        assert [each.outcome async for each in company.visma.bulk.results(company.journal)] == ["done"] * 33


async def test_cancelled_anywhere_it_leaves_nothing_behind(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        wanted = keys(60)
        for most in (1, 2, 8, 26, 41):
            run = company.visma.bulk.run(
                company.rows(wanted), journal=company.journal, find=company.find(), settle_seconds=0
            )
            seen = 0
            async with aclosing(aiter(run)) as ended:
                async for _ in ended:
                    seen += 1
                    if seen == most:
                        break
        summary, results = await company.run(company.rows(wanted), find=company.find())
        assert summary.complete
        company.check(results)


async def test_a_row_of_another_client_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        other = VismaNet(StaticToken("x", tenant_id="other"), base_url=company.simulator.base_url)
        row = Row("a", other.customer.create({"name": "x"}))
        with pytest.raises(RequestRefused, match="an operation of another client"):
            await company.visma.bulk.run([row], journal=company.journal)
        await other.aclose()
        assert not company.simulator.ledger


async def test_a_look_into_another_company_shows_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as company, opened(tmp_path / "elsewhere") as elsewhere:
        company.simulator.faults.add("reset_after", method="POST", times=1)
        summary, results = await company.run(company.rows(keys(1)), find=elsewhere.find(), settle_seconds=0)
        assert summary.unknown == 1, "a record that another company lacks may be here"
        [result] = results[keys(1)[0]]
        assert result.error is not None
        assert "find returned a call of another client" in result.error
        summary, results = await company.run(company.rows(keys(1)), find=company.find())
        assert summary.complete
        company.check(results)
