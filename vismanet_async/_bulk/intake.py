"""Reads the input of a run, whatever its length: a few hundred rows are in memory at a time."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import attrs

from vismanet_async._arguments import text_of
from vismanet_async._bulk.judging import trouble_of
from vismanet_async._bulk.rows import READS, Row, fingerprint_of
from vismanet_async._bulk.transitions import Entry, Trouble
from vismanet_async._operation import Operation, refuse_other_client
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from vismanet_async._http.message import Sender

__all__ = ["CHUNK_ROWS", "Input", "Read", "closing", "read_row", "refuse_input"]

CHUNK_ROWS: Final = 256
"""The most rows that are registered in one transaction."""


@attrs.frozen(kw_only=True)
class Read:
    """A row that was read, and what it would be in the journal if it is new."""

    row: Row
    entry: Entry
    operation: Operation[Any] | None
    """None: the row's function refused to make one."""
    trouble: Trouble | None = None
    """Why it was refused."""


def read_row(row: Any, position: int, sender: Sender) -> Read:
    """Return a row with its operation made and its fingerprint taken. An operation that is refused fails its row alone.

    Raises:
        RequestRefused: it is no `Row`, or its operation is another client's.
    """
    if not isinstance(row, Row):
        raise RequestRefused(f"row {position:,} of the input is {text_of(row)}, not a Row; it was not sent.")
    try:
        operation = _made(row)
        fingerprint = fingerprint_of(operation)
    except RequestRefused as error:
        entry = Entry(key=row.key, position=position, fingerprint=b"", operation="", group=row.group)
        return Read(row=row, entry=entry, operation=None, trouble=trouble_of(error))
    refuse_other_client(operation, sender, what=f"row {position:,} of the input, {row.key!a}, has an operation")
    entry = Entry(key=row.key, position=position, fingerprint=fingerprint, operation=operation.spec.id, group=row.group)
    return Read(row=row, entry=entry, operation=operation)


def _made(row: Row) -> Operation[Any]:
    made: Any = row.operation if isinstance(row.operation, Operation) else row.operation()
    if not isinstance(made, Operation):
        raise RequestRefused(f"the row's function returned {text_of(made)}, not an operation; nothing was sent.")
    if made.spec.method in READS:
        raise RequestRefused(f"{made.spec.id} reads: a bulk run takes writes; nothing was sent.")
    return made


def refuse_input(rows: Any) -> None:
    """Refuse what is no input of rows.

    Raises:
        RequestRefused: it cannot be iterated.
    """
    if not isinstance(rows, Iterable | AsyncIterable) or isinstance(rows, str | bytes):
        raise RequestRefused(f"rows takes a list or another iterable of Row, not {text_of(rows)}; nothing was sent.")


class Input:
    """The rows of an iterable in chunks: as many as are ready, so that a slow source does not hold back what has come.

    An error of the iterable ends the input; it is kept in `error`, to be raised when the rows before it have ended.
    Use it as a context manager around the tasks that feed and read it.
    """

    def __init__(self, rows: Iterable[Row] | AsyncIterable[Row], read: Callable[[Any, int], Read]) -> None:
        self.error: Exception | None = None
        self._rows = rows
        self._read = read
        self._send: MemoryObjectSendStream[Read]
        self._receive: MemoryObjectReceiveStream[Read]
        self._scope: anyio.CancelScope
        self._stopped = False

    def __enter__(self) -> Self:
        self._scope = anyio.CancelScope()
        if self._stopped:
            self._scope.cancel()
        self._send, self._receive = anyio.create_memory_object_stream[Read](CHUNK_ROWS)
        return self

    def __exit__(self, *_: object) -> None:
        self._send.close()
        self._receive.close()

    @property
    def total(self) -> int | None:
        """The length of the input, where it has one."""
        try:
            return len(self._rows)  # type: ignore[arg-type]  # a generator has none
        except TypeError:
            return None

    def stop(self) -> None:
        """Read no more."""
        self._stopped = True
        if hasattr(self, "_scope"):
            self._scope.cancel()

    async def feed(self) -> None:
        """Read the iterable to its end. Run it in a task of its own."""
        with self._send, self._scope:
            try:
                position = 0
                async with closing(self._rows) as rows:
                    async for row in rows:
                        position += 1
                        await self._send.send(self._read(row, position))
            except Exception as error:  # noqa: BLE001 - the caller's own code failed: raised once what was sent has ended
                self.error = error

    @property
    def repeatable(self) -> bool:
        """Whether the input can be read once more."""
        rows = self._rows
        return not (isinstance(rows, Iterator | AsyncIterator))

    async def again(self) -> AsyncGenerator[list[Read], None]:
        """Read the input once more; yield it in chunks."""
        chunk: list[Read] = []
        position = 0
        async with closing(self._rows) as rows:
            async for row in rows:
                position += 1
                chunk.append(self._read(row, position))
                if len(chunk) == CHUNK_ROWS:
                    yield chunk
                    chunk = []
        if chunk:
            yield chunk

    async def chunks(self) -> AsyncIterator[list[Read]]:
        """Yield what has been read, in order."""
        async for first in self._receive:
            chunk = [first]
            while len(chunk) < CHUNK_ROWS:
                try:
                    chunk.append(self._receive.receive_nowait())
                except (anyio.WouldBlock, anyio.EndOfStream):
                    break
            yield chunk


def closing(rows: Iterable[Row] | AsyncIterable[Row]) -> Any:
    """Return a context manager that gives the rows as an asynchronous iterator, and closes it at its end."""
    if not isinstance(rows, AsyncIterable):
        return aclosing(_stepping(rows))
    iterator = aiter(rows)
    return aclosing(iterator) if hasattr(iterator, "aclose") else nullcontext(iterator)


async def _stepping(rows: Iterable[Row]) -> AsyncIterator[Row]:
    for row in rows:
        yield row
