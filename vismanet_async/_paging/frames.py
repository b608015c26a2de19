"""Whole lists as tables: `to_arrow`, `to_polars`, `to_pandas`.

The rows are never objects of Python. Batches of pages go to Arrow's reader in a thread (`vismanet_async._columns`),
while the next pages are fetched. The columns are those of an export to Parquet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anyio
import msgspec
from anyio import to_thread

from vismanet_async._extras import extra
from vismanet_async._paging.fetcher import first_error
from vismanet_async._paging.row_lines import lines_of
from vismanet_async._paging.row_scanner import lengths
from vismanet_async.errors import UnexpectedResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from vismanet_async._columns.arrow import ArrowReader, Batch
    from vismanet_async._columns.tally import Tally
    from vismanet_async._paging.delivery import Delivery
    from vismanet_async._paging.guarantee import Completeness
    from vismanet_async._paging.options import ListingOptions

__all__ = ["VERDICT_KEY", "ListFrames"]

VERDICT_KEY: Final = "vismanet_async"
"""The key of the verdict in a table's metadata, and in the `attrs` of a pandas frame."""

_CLAIMS: Final = (
    "verdict", "reason", "rests_on", "unique", "total_first", "total_last", "requests", "window", "watermark"
)  # fmt: skip

_BATCH_BYTES: Final = 1 << 21
"""Parsed in one call: a page of 1,000 rows. Larger batches take more memory and are hardly faster."""
_BATCHES_JOINED: Final = 8
_THREADS: Final = 2
"""They parse; with more, the event loop waits too long for the interpreter lock."""


class ListFrames:
    """What makes tables of a listing, for its class."""

    if TYPE_CHECKING:

        @property
        def operation_id(self) -> str: ...

        @property
        def completeness(self) -> Completeness | None: ...

        _options: ListingOptions

        def raw_pages(self) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]: ...

    async def to_arrow(self) -> pa.Table:
        """Return the whole list as an Arrow table, each row once in its newest version.

        The columns are those of an export to Parquet, also for an empty list: nested records and lists, decimals that
        keep every digit, times as written, and `_extra` for what has no column or does not fit into its own. The
        metadata of the schema hold the verdict on the list as JSON, by the key `vismanet_async`, with `unfit`: how many
        values did not fit, by column. Whatever takes Arrow takes the table (`__arrow_c_stream__`): DuckDB, polars,
        pandas.

        Memory: that of the table, and a few pages. Needs the extra `arrow`.

        Raises:
            RequestRefused: pyarrow is not installed, or the catalog does not say what the rows are; nothing was sent.
            IncompleteListing: the list could not be shown complete; there is no table then.
            UnexpectedResponse: a row is no JSON.
            VismaNetError: what a request can raise.

        Examples:
            >>> table = await visma.customer.list().to_arrow()
            >>> table.num_rows, str(table.schema.field("creditLimit").type)
            (40, 'decimal128(18, 4)')
        """
        from vismanet_async._columns.arrow import ArrowReader  # noqa: PLC0415 - most programs make no tables
        from vismanet_async._columns.schema import columns_of  # noqa: PLC0415 - as above
        from vismanet_async._columns.tally import Tally  # noqa: PLC0415 - as above

        pyarrow = extra("pyarrow", "arrow")
        reader = ArrowReader(
            columns_of(self.operation_id),
            operation_id=self.operation_id,
            unreadable=_there_is_no_table,
        )
        unfit = Tally()
        tables, replaced, report = await self._read(reader, unfit)
        table = pyarrow.concat_tables(_without(tables, replaced)) if tables else reader.schema.empty_table()
        limit = self._options.limit
        if limit is not None:
            replaced.update(range(limit, table.num_rows))
            table = table.slice(0, limit)
        said = {
            "operation": self.operation_id,
            "rows": table.num_rows,
            **_claims(None if limit is not None else report),
            "unfit": unfit.counts(without=replaced),
        }
        return table.replace_schema_metadata({VERDICT_KEY: msgspec.json.encode(said)})

    async def to_polars(self) -> pl.DataFrame:
        """Return the whole list as a polars frame, with the columns of `to_arrow`.

        A polars frame has no place for the verdict: `listing.completeness` has it. Memory: that of the frame. Needs the
        extra `polars`.

        Raises:
            RequestRefused: polars or pyarrow is not installed; nothing was sent.
            VismaNetError: what `to_arrow` raises.

        Examples:
            >>> frame = await visma.customer.list().to_polars()
            >>> frame.height, frame["creditLimit"].dtype
            (40, Decimal(precision=18, scale=4))
        """
        found = extra("polars", "polars")
        frame: pl.DataFrame = found.from_arrow(await self.to_arrow())
        return frame

    async def to_pandas(self) -> pd.DataFrame:
        """Return the whole list as a pandas frame on Arrow, with the columns of `to_arrow`.

        The columns have Arrow's types (`pandas.ArrowDtype`), so that amounts stay decimals, whole numbers with gaps
        stay whole, and nothing is copied. `frame.attrs["vismanet_async"]` has the verdict. Memory: that of the table.
        Needs the extra `pandas`.

        Raises:
            RequestRefused: pandas or pyarrow is not installed; nothing was sent.
            VismaNetError: what `to_arrow` raises.

        Examples:
            >>> frame = await visma.customer.list(status="Active").to_pandas()
            >>> len(frame), frame.attrs["vismanet_async"]["verdict"]
            (36, 'proven')
        """
        found = extra("pandas", "pandas")
        table = await self.to_arrow()
        frame: pd.DataFrame = table.to_pandas(types_mapper=found.ArrowDtype)
        frame.attrs[VERDICT_KEY] = msgspec.json.decode(table.schema.metadata[VERDICT_KEY.encode()])
        return frame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the whole list as an Arrow stream, to a library that takes one in a worker thread of anyio.

        In the event loop, where nothing can be awaited meanwhile, pass the table: `await listing.to_arrow()`.

        Raises:
            RuntimeError: called in the event loop, or in a thread that anyio did not start; nothing was sent.
        """
        from anyio import from_thread  # noqa: PLC0415 - loads what few need

        try:
            table = from_thread.run(self.to_arrow)
        except RuntimeError as error:
            raise RuntimeError(
                "a list is read asynchronously, and this is no worker thread of anyio: pass the table, `await "
                "listing.to_arrow()`, or `run(listing.to_arrow())` of a Blocking. Nothing was sent."
            ) from error
        return table.__arrow_c_stream__(requested_schema)

    async def _read(self, reader: ArrowReader, unfit: Tally) -> tuple[list[pa.Table], set[int], Completeness | None]:
        """Return the rows in tables, the numbers of those that newer ones replaced, and the listing's report."""
        from vismanet_async._columns.arrow import Batch  # noqa: PLC0415 - as above

        parts = _Parts(reader, unfit)
        starts: dict[int, int] = {}
        replaced: set[int] = set()
        threads = anyio.CapacityLimiter(_THREADS)
        free = anyio.Semaphore(_THREADS)

        async def parse(number: int, batch: Batch) -> None:
            await to_thread.run_sync(parts.add, number, batch, limiter=threads)
            free.release()

        try:
            async with anyio.create_task_group() as parsing, self.raw_pages() as deliveries:
                number, batch = 0, Batch(0)
                async for delivery in deliveries:
                    starts[delivery.number] = batch.first_row + batch.rows
                    replaced.update(starts[old.delivery] + old.row for old in delivery.supersedes)
                    batch.add(lines_of(delivery.rows, delivery.body), lengths(delivery.rows))
                    del delivery  # pages are what memory goes to
                    if len(batch.lines) >= _BATCH_BYTES:
                        await free.acquire()
                        parsing.start_soon(parse, number, batch)
                        number, batch = number + 1, Batch(batch.first_row + batch.rows)
                report = self.completeness  # now: another task may read the same listing
                if batch.rows:
                    parsing.start_soon(parse, number, batch)
        except BaseExceptionGroup as group:
            raise first_error(group) from None
        return await to_thread.run_sync(parts.tables, limiter=threads), replaced, report


class _Parts:
    """Batches that were read, put together a few at a time. Several threads may add."""

    def __init__(self, reader: ArrowReader, unfit: Tally) -> None:
        self._reader = reader
        self._unfit = unfit
        self._groups: dict[int, dict[int, Any]] = {}
        self._tables: dict[int, list[pa.Table]] = {}

    def add(self, number: int, batch: Batch) -> None:
        """Read a batch; `number` counts them in the order of their rows."""
        structs = self._reader.structs(batch, self._unfit)
        group = self._groups.setdefault(number // _BATCHES_JOINED, {})
        group[number] = structs
        if len(group) == _BATCHES_JOINED:
            self._join(number // _BATCHES_JOINED)

    def tables(self) -> list[pa.Table]:
        """Return all rows, in order."""
        for group in [*self._groups]:
            self._join(group)
        return [table for group in sorted(self._tables) for table in self._tables[group]]

    def _join(self, group: int) -> None:
        batches = self._groups.pop(group, None)
        if batches is not None:  # else another thread has them
            self._tables[group] = [*self._reader.joined([batches[number] for number in sorted(batches)])]


def _without(tables: Sequence[pa.Table], replaced: set[int]) -> Iterator[pa.Table]:
    """Yield tables whose rows are numbered through, without some of the rows."""
    first = 0
    for table in tables:
        numbers = range(first, first + table.num_rows)
        kept = [number not in replaced for number in numbers] if replaced else []
        yield table if all(kept) else table.filter(kept)
        first = numbers.stop


def _there_is_no_table(text: str) -> UnexpectedResponse:
    return UnexpectedResponse(f"{text}. No table was made.")


def _claims(report: Completeness | None) -> dict[str, Any]:
    if report is None:
        return {"verdict": None, "reason": "only some rows were asked for"}
    return {name: getattr(report, name) for name in _CLAIMS}
