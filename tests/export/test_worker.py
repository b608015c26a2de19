"""The worker thread: in order, bounded, and nothing of it left behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import anyio
import pytest

from vismanet_async._export.writer_thread import SerialWriter, serial_writer


async def test_it_works_in_order_and_the_block_waits_for_all() -> None:
    seen: list[int] = []
    threads: set[int] = set()

    def work(number: int) -> None:
        threads.add(threading.get_ident())
        seen.append(number)

    async with serial_writer(work) as worker:
        for number in range(50):
            await worker.submit(number)
    assert seen == list(range(50))
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    await anyio.lowlevel.checkpoint()
    assert worker.done == 50


async def test_one_piece_lies_ready_while_it_works_on_another() -> None:
    go_on = threading.Semaphore(0)

    taken: list[int] = []

    def work(_: int) -> None:
        go_on.acquire()

    async def give_another(worker: SerialWriter) -> None:
        await worker.submit(1)
        taken.append(worker.done)

    async with serial_writer(work) as worker:
        await worker.submit(0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(give_another, worker)
            await anyio.wait_all_tasks_blocked()
            assert taken == []
            go_on.release()
        assert taken == [1]
        go_on.release()


async def test_what_work_raises_ends_the_block() -> None:
    seen: list[int] = []

    def work(number: int) -> None:
        seen.append(number)
        if number == 1:
            raise ValueError(number)

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="1")):
        async with serial_writer(work) as worker:
            for number in range(50):
                await worker.submit(number)
    assert seen == [0, 1]


async def test_what_is_not_begun_is_dropped_when_the_block_fails() -> None:
    threads = anyio.CapacityLimiter(1)
    threads.acquire_on_behalf_of_nowait("somebody else")
    seen: list[int] = []
    with pytest.RaisesGroup(KeyError):
        async with serial_writer(seen.append, threads=threads) as worker:
            await worker.submit(0)
            # not before the block is left
            asyncio.get_running_loop().call_soon(threads.release_on_behalf_of, "somebody else")
            raise KeyError
    assert seen == []


async def test_what_was_done_is_let_go_of_while_the_next_is_waited_for() -> None:
    class Page:
        """Something large."""

    page = Page()
    alive = weakref.ref(page)
    async with serial_writer(lambda _: None) as worker:
        await worker.submit(page)
        del page
        await worker.submit(None)  # there is room again, so the first one is done
        gc.collect()
        assert alive() is None
