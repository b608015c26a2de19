"""Calls from code that is not asynchronous: results, errors, threads, loops, forks, and how it ends."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from concurrent.futures import CancelledError, ThreadPoolExecutor
from threading import Barrier, Event
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from vismanet_async import Blocking, ClientCredentials, NotFound, RequestRefused, StaticToken, VismaNet
from vismanet_async.exports import PageWritten
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HANG_SECONDS = 300


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Simulator(rows={"customer": 250})) as sim:
        yield sim


def client(sim: Simulator) -> VismaNet:
    return VismaNet(StaticToken(sim.issue_token()), base_url=sim.base_url)


@pytest.fixture
def run(sim: Simulator) -> Iterator[Blocking]:
    with Blocking(client(sim)) as run:
        yield run


def test_calls_lists_and_errors(run: Blocking) -> None:
    customer = run(run.visma.customer.get("10000"))
    assert customer.number == "10000"
    assert customer.etag
    assert len(run(run.visma.customer.list())) == 250
    with pytest.raises(NotFound):
        run(run.visma.customer.get("nobody"))


def test_rows_one_by_one(run: Blocking) -> None:
    listing = run.visma.customer.list().with_options(page_size=20)
    assert len({row.number for row in run.iter(listing)}) == 250
    assert listing.completeness is not None
    assert listing.completeness.verdict == "proven"


def test_leaving_early_ends_the_reading(run: Blocking, sim: Simulator) -> None:
    before = len(sim.requests)
    rows = run.iter(run.visma.customer.list().with_options(page_size=1))
    assert next(rows).number
    assert run._running
    rows.close()  # type: ignore[attr-defined]  # a generator
    assert not run._running
    assert len(sim.requests) - before < 250
    assert list(rows) == []


def test_an_error_in_the_middle_of_a_list_is_raised_there(run: Blocking) -> None:
    async def broken() -> Any:
        yield 1
        raise ValueError("in the middle")

    rows = run.iter(broken())
    assert next(rows) == 1
    with pytest.raises(ValueError, match="in the middle"):
        next(rows)


def test_an_export_and_its_events(run: Blocking, tmp_path: Path) -> None:
    events = list(run.iter(run.visma.export("customer", to=tmp_path / "out")))
    assert any(isinstance(event, PageWritten) for event in events)
    assert (tmp_path / "out" / "manifest.json").is_file()


def test_a_hundred_threads_share_it(run: Blocking) -> None:
    def one(place: int) -> Any:
        return run(run.visma.customer.get(str(10000 + place % 50))).number

    with ThreadPoolExecutor(100) as threads:
        found = list(threads.map(one, range(300)))
    assert found == [str(10000 + place % 50) for place in range(300)]


def test_threads_that_ask_for_a_company_share_its_token(sim: Simulator) -> None:
    credentials = ClientCredentials(sim.client_id, sim.client_secret, tenant_id="not-asked-for")
    before, together = sim.requests.total, Barrier(20)
    with Blocking(VismaNet(credentials, base_url=sim.base_url, token_url=sim.token_url)) as run:

        def one(_place: int) -> Any:
            together.wait()
            company = run.visma.company(sim.tenant_id)
            return company.sender, run(company.customer.get("10000")).number

        with ThreadPoolExecutor(20) as threads:
            found = set(threads.map(one, range(20)))
    assert len(found) == 1
    assert sim.requests.total - before == 20 + 1


def test_a_loop_that_runs_already_is_no_hindrance(run: Blocking) -> None:
    async def cell() -> Any:  # as a notebook runs one
        return run(run.visma.customer.get("10000")).number

    assert asyncio.run(cell()) == "10000"


def test_its_own_loop_is_told_to_await(run: Blocking) -> None:
    async def inside() -> None:
        run(run.visma.customer.get("10000"))

    with pytest.raises(RuntimeError, match="await the call instead"):
        run(inside())


def test_what_is_no_call_is_refused(run: Blocking) -> None:
    wrong: Any = "10000"
    with pytest.raises(RequestRefused, match="call takes a call"):
        run(wrong)
    with pytest.raises(RequestRefused, match="source takes a listing"):
        run.iter(wrong)


def test_a_client_of_another_loop_is_refused_and_left_open(sim: Simulator) -> None:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(client(sim)) as visma:

        async def get() -> str | None:
            return cast("str", (await visma.customer.get("10000")).number)

        assert portal.call(get) == "10000"
        with pytest.raises(RequestRefused, match="visma: another event loop uses this client"):
            Blocking(visma)
        assert portal.call(get) == "10000"


def test_closed_it_sends_nothing(sim: Simulator) -> None:
    run = Blocking(client(sim))
    run.close()
    run.close()
    with pytest.raises(RuntimeError, match="closed; nothing was sent"):
        run(run.visma.customer.get("10000"))


def test_closing_cancels_what_is_under_way(sim: Simulator) -> None:
    started, ended = Event(), Event()

    async def for_ever() -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    with ThreadPoolExecutor(1) as other, Blocking(client(sim)) as run:
        waiting = other.submit(run, for_ever())
        assert started.wait(HANG_SECONDS)
        run.close()
        assert ended.wait(HANG_SECONDS)
        with pytest.raises(CancelledError):
            waiting.result(HANG_SECONDS)


def program(code: str) -> str:
    """Run a program of its own; return what it printed."""
    head = """
        import os, signal, sys, threading
        import anyio
        from vismanet_async import Blocking, StaticToken, VismaNet

        run = Blocking(VismaNet(StaticToken("secret"), base_url="http://127.0.0.1:9"))
        started = threading.Event()

        async def for_ever():
            started.set()
            try:
                await anyio.sleep_forever()
            except BaseException as error:
                error.add_note("it may have been executed")
                raise
            finally:
                print("ended")
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(head) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_interpreter_ends_with_it_open() -> None:
    assert program("print('made')") == "made\n"


def test_an_interrupt_while_a_call_is_handed_over_ends_it_too() -> None:
    assert (
        program("""
        hand_over = run._portal.start_task_soon

        def interrupted(make):
            run._portal.start_task_soon = hand_over
            hand_over(make)
            started.wait()
            raise KeyboardInterrupt

        run._portal.start_task_soon = interrupted
        try:
            run(for_ever())
        except KeyboardInterrupt as error:
            print("interrupted:", *error.__notes__)
    """)
        == "ended\ninterrupted: it may have been executed\n"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_an_interrupt_ends_the_call_first() -> None:
    assert (
        program("""
        def interrupt():
            started.wait()
            # in the wait itself: a signal while Python's own locks are taken may leave one of them taken
            while sys._current_frames()[threading.main_thread().ident].f_code.co_name != "wait":
                pass
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt).start()
        try:
            run(for_ever())
        except KeyboardInterrupt as error:
            print("interrupted:", *error.__notes__)
    """)
        == "ended\ninterrupted: it may have been executed\n"
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_told_to_make_its_own() -> None:
    assert (
        program("""
        async def numbers():
            while True:
                yield 1

        rows = run.iter(numbers())
        next(rows)
        child = os.fork()
        if not child:
            rows.close()
            try:
                run(run.visma.customer.get("1"))
            except RuntimeError as error:
                print(str(error).partition(":")[0], flush=True)
            run.close()
            os._exit(0)
        os.waitpid(child, 0)
    """)
        == "this Blocking belongs to another process\n"
    )


@pytest.mark.parametrize("leaving", [SystemExit(3), KeyboardInterrupt(), pytest.fail.Exception("no name")])
def test_whoever_leaves_in_a_coroutine_of_their_own_leaves_the_others_running(
    run: Blocking, leaving: BaseException
) -> None:
    """What is no `Exception` would end the loop, and with it the calls of all other threads."""
    begun, end = Event(), anyio.Event()

    async def slow() -> str:
        begun.set()
        await end.wait()
        return "whole"

    async def leave() -> None:
        raise leaving

    async def let_go() -> None:
        end.set()

    rows = run.iter(run.visma.customer.list().with_options(page_size=20))
    next(rows)
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(run, slow())
        assert begun.wait(HANG_SECONDS)
        with pytest.raises(type(leaving)):
            run(leave())
        run(let_go())
        assert other.result(HANG_SECONDS) == "whole"
    assert len(list(rows)) == 249
    assert run(run.visma.customer.get("10000")).number == "10000"


def test_what_its_client_has_is_looked_for_there(run: Blocking) -> None:
    with pytest.raises(AttributeError, match=r"run\(run\.visma\.customer\.\.\.\)$"):
        _ = run.customer  # type: ignore[attr-defined]
    assert not hasattr(run, "nonsense")
