"""`Blocking`: calls from code that is not asynchronous, through an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, Self, TypeVar, cast

import anyio
import attrs
from anyio.from_thread import BlockingPortal

from vismanet_async._arguments import expect
from vismanet_async._client import VismaNet
from vismanet_async._paging.listing import Listing
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Blocking"]

T = TypeVar("T")
_LOOK_SECONDS: Final = 0.5
"""Ctrl-C takes at most so long: a signal that comes just before a thread waits for a lock does not end the wait."""


@attrs.define(eq=False)
class _Running(Generic[T]):
    """What runs in the other thread."""

    future: Future[T] | None = None
    task: asyncio.Task[Any] | None = None
    """Its task, from the moment on that it runs."""
    abandoned: bool = False
    """Nobody waits for it any more: it need not begin."""
    ended: threading.Event = attrs.field(factory=threading.Event)
    notes: list[str] = attrs.field(factory=list)
    """What its end said beside the error, such as that a write may have been executed."""
    leaving: BaseException | None = None
    """What it raised that is no `Exception`, such as `SystemExit`: the loop would end, and with it what others run."""

    def result(self) -> T:
        """Wait for the end, and return or raise what it brought."""
        assert self.future is not None
        done = threading.Event()
        self.future.add_done_callback(lambda _: done.set())
        while not done.wait(_LOOK_SECONDS):
            pass
        found = self.future.result()
        if self.leaving is not None:
            raise self.leaving
        return found

    def cancel(self) -> None:
        """Cancel it and wait until it has ended; its future is done before that."""
        self.abandoned = True
        if self.future is not None:
            if self.future.cancel():
                self.ended.wait()
        elif self.task is not None and not self.ended.is_set():  # Ctrl-C came while it was handed over
            self.task.get_loop().call_soon_threadsafe(self.task.cancel)
            self.ended.wait()


class Blocking:
    """Runs calls of a client for code that cannot `await`: scripts, notebooks, Django views, Airflow tasks.

    A call is a value, so nothing else is different: build it with the client, and pass it here. The event loop runs in
    a thread of its own, so this also works where another loop is running, as in a notebook.

    Any number of threads may use it at the same time. Ctrl-C cancels the call that waits, and returns when it has
    ended; where that was a write that may have been executed, the `KeyboardInterrupt` carries a note that says so. A
    child process that was forked needs a `Blocking` of its own. `close`, the end of a `with` block, or the end of the
    interpreter closes the client; calls under way are cancelled then.

    Args:
        visma: a client that nothing has used yet; it is closed with this object. The clients that its `company`
            returns can be used, too.

    Raises:
        RequestRefused: an event loop has used the client, which is left as it is.
        VismaNetError: from each call: what awaiting it raises.
        RuntimeError: from each call: this is closed, belongs to another process, or is called from its own event loop.
            Nothing was sent.

    Examples:
        >>> with Blocking(VismaNet.from_env()) as run:
        ...     customer = run(run.visma.customer.get("10000"))
        >>> customer.number
        '10000'
    """

    def __init__(self, visma: VismaNet) -> None:
        expect("visma", visma, VismaNet, words="a VismaNet")
        if visma._pool.used:  # noqa: SLF001 - a name for it in public would say no more than this error
            raise RequestRefused(
                "visma: another event loop uses this client, and would lose it; it is left as it is, and nothing was "
                "sent. Make a client for Blocking alone."
            )
        self.visma = visma
        """The client."""
        self._pid = os.getpid()
        ready: Future[BlockingPortal] = Future()
        # a daemon: the interpreter would wait for another one before `finalize` has it end
        self._thread = threading.Thread(
            target=anyio.run, args=(_serve, visma, ready), name="vismanet_async", daemon=True
        )
        self._thread.start()
        self._portal = ready.result()
        self._running: set[_Running[Any]] = set()
        self._starting = threading.Lock()
        self._closing = weakref.finalize(
            self, _close, self._portal, self._thread, self._running, starting=self._starting, pid=self._pid
        )

    def __call__(self, call: Awaitable[T]) -> T:
        """Send a call and return what awaiting it returns: a listing's rows in a list, a job's result."""
        expect("call", call, Awaitable, words="a call, a listing, an export or a job")

        async def awaited() -> T:
            return await call

        return self._run(awaited)

    def iter(self, source: AsyncIterable[T]) -> Iterator[T]:
        """Iterate over the rows of a listing or the events of an export, while the next ones are fetched.

        Rows come in the listing's order. Memory: what the listing reads ahead, and two pages more. Leaving the loop
        early ends the reading.
        """
        expect("source", source, AsyncIterable, words="a listing or an export")
        self._check()
        return self._iterate(source)

    if not TYPE_CHECKING:  # a type checker names what is missing by itself

        def __getattr__(self, name: str) -> NoReturn:
            """Say how the client is called through this, where somebody looks for what the client has."""
            advice = f"; its client has: run(run.visma.{name}...)" if hasattr(VismaNet, name) else ""
            raise AttributeError(f"Blocking has no attribute {name!r}{advice}", name=name, obj=self)

    def close(self) -> None:
        """Close the client and stop its event loop; closing again does nothing."""
        self._closing()

    def __enter__(self) -> Self:
        """Return itself; the end of the block closes it."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _iterate(self, source: AsyncIterable[T]) -> Iterator[T]:
        # pages, not rows: each step between threads takes as long as decoding several rows
        pages: AsyncIterable[Any] = source.pages() if isinstance(source, Listing) else source
        send, receive = anyio.create_memory_object_stream[Any](1)

        async def feed() -> None:
            async with send:
                async for each in pages:
                    await send.send(each)

        feeding: _Running[None] = _Running()
        try:
            self._start(feeding, feed)
            while True:
                try:
                    found = self._run(receive.receive)
                except anyio.EndOfStream:
                    break
                if isinstance(source, Listing):
                    yield from found.rows
                else:
                    yield found
            if feeding.future is not None:
                feeding.result()  # raises what ended the reading
        finally:
            if os.getpid() == self._pid:  # a forked child that drops the iterator has nothing to cancel
                feeding.cancel()
                receive.close()

    def _run(self, make: Callable[[], Awaitable[T]]) -> T:
        running: _Running[T] = _Running()
        try:
            self._start(running, make)
            return running.result()
        except BaseException as error:  # Ctrl-C here leaves the call running there
            running.cancel()
            for note in running.notes:
                if note not in getattr(error, "__notes__", ()):
                    error.add_note(note)
            raise

    def _start(self, running: _Running[T], make: Callable[[], Awaitable[T]]) -> None:
        async def tracked() -> T:
            running.task = asyncio.current_task()
            try:
                return cast("T", None) if running.abandoned else await make()
            except BaseException as error:
                if not isinstance(error, Exception | anyio.get_cancelled_exc_class()):
                    running.leaving = error
                    return cast("T", None)  # `result` raises it
                running.notes += getattr(error, "__notes__", ())
                raise
            finally:
                self._running.discard(running)
                running.ended.set()

        with self._starting:  # so that closing sees it, or it sees that this is closed
            self._check()
            self._running.add(running)
            running.future = self._portal.start_task_soon(tracked)

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise RuntimeError("this Blocking belongs to another process: make one in each child; nothing was sent.")
        if threading.current_thread() is self._thread:
            raise RuntimeError("this is the event loop of this Blocking: await the call instead; nothing was sent.")
        if not self._closing.alive:
            raise RuntimeError("this Blocking is closed; nothing was sent.")


async def _serve(visma: VismaNet, ready: Future[BlockingPortal]) -> None:
    """Run the client until the portal is stopped."""
    async with BlockingPortal() as portal:
        try:
            async with visma:
                ready.set_result(portal)
                await portal.sleep_until_stopped()
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)
        await portal.stop(cancel_remaining=True)


def _close(
    portal: BlockingPortal,
    thread: threading.Thread,
    running: set[_Running[Any]],
    *,
    starting: threading.Lock,
    pid: int,
) -> None:
    if os.getpid() != pid:
        return  # a forked child has neither the thread nor its loop
    with starting:
        under_way = list(running)
    for each in under_way:
        each.cancel()
    portal.start_task_soon(portal.stop)
    if threading.current_thread() is not thread:  # the garbage collector may run this there
        thread.join()
