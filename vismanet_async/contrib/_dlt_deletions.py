"""Finds the rows of a dlt table that are gone at the server: what the destination holds, less what the list has.

The keys are those of the destination itself, asked when a load begins. So it does not matter how rows came there, and
what one load missed the next one finds. As in an export, only a list that is proven to be complete shows that a record
is gone (`vismanet_async._export.deletions`).
"""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import attrs
import dlt
import msgspec
from dlt.common.destination.exceptions import SqlClientNotAvailable
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from vismanet_async._export.deletions import is_due, no_sweep
from vismanet_async._export.key_index import KeyIndex, KeysOfRows
from vismanet_async._export.sweep import BudgetedSender, BudgetSpent, count_if_told
from vismanet_async.errors import IncompleteListing, RequestRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from typing import Self

    from anyio.from_thread import BlockingPortal

    from vismanet_async._export.deletions import Deletions
    from vismanet_async._paging.delivery import Delivery
    from vismanet_async._paging.guarantee import Completeness
    from vismanet_async._paging.listing import Listing
    from vismanet_async._paging.row_scanner import RawRow

__all__ = ["DELETED", "SweepNote", "TableKeys", "TableSweep", "deliveries", "require_company"]

DELETED: Final = "_deleted"
"""The column that marks a row that is gone: dlt removes the row with that key, and its child rows."""
_LATEST: Final = "9999-12-31T00:00:00"
"""Sorts a mark after every version of its row that the same load brings."""
_ROWS_AT_ONCE: Final = 10_000
_MARKS_AT_ONCE: Final = 1_000
_PAGE_SIZE: Final = 1_000


@attrs.frozen(kw_only=True)
class SweepNote:
    """How one load looked for rows that are gone, for `visma_loads`."""

    verdict: str = ""
    """`proven`, `counted`, `uncertain` or `skipped`, as in a manifest; empty: it did not."""
    reason: str = ""
    requests: int = 0
    restored: int = 0
    at_server: int | None = None
    """Rows that there are at the server, if that was found out."""
    at: datetime | None = None
    """When the proven reading began; None: there was none."""

    @classmethod
    def of_whole(cls, report: Completeness, now: datetime) -> SweepNote:
        """Return the note of a load that read the whole list: it needs no sweep."""
        at = now if report.verdict == "proven" else None
        return cls(verdict=report.verdict, reason="the whole list was read", at_server=report.unique, at=at)


class TableKeys:
    """The keys of one table: those that the destination holds, those of this load, and which the server still has.

    Args:
        table: the list's name.
        identity: the fields that are its key.
        modified: the field by which dlt chooses among versions of a row.
    """

    def __init__(self, table: str, *, identity: Sequence[str], modified: str) -> None:
        self._identity = tuple(identity)
        self._modified = modified
        self._reader = KeysOfRows(identity)
        self.index = KeyIndex()
        self.deleted = 0
        """Marks that were made."""
        try:
            for rows in _destination(self._identity, table):
                self.index.add(map(_key, rows))
        except BaseException:
            self.index.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.index.close()

    def add(self, rows: Sequence[RawRow]) -> None:
        """Note rows that this load brings."""
        self.index.add(self._reader.read(rows))

    def see(self, rows: Sequence[RawRow]) -> list[RawRow]:
        """Note rows that the server has now; return those that neither the destination nor this load has."""
        return [rows[at] for at in self.index.see(self._reader.read(rows))]

    def marks(self) -> Iterator[list[dict[str, Any]]]:
        """Yield rows that have dlt remove what the server does not have any more."""
        unseen = map(self._mark, self.index.unseen())
        while some := list(islice(unseen, _MARKS_AT_ONCE)):
            self.deleted += len(some)
            yield some

    def _mark(self, key: bytes) -> dict[str, Any]:
        values = zip(self._identity, msgspec.json.decode(key), strict=True)
        return {**dict(values), self._modified: _LATEST, DELETED: True}


@attrs.frozen(kw_only=True)
class TableSweep:
    """The reading of a whole list after its changes, to see what is gone."""

    portal: BlockingPortal
    listing: Listing[Any]
    facts: Mapping[str, Any]
    """Of the list's operation."""
    deletions: Deletions
    page_size: int | None
    swept_at: str | None
    """When the last proven one began."""
    now: datetime

    def run(self, keys: TableKeys) -> Iterator[list[RawRow] | SweepNote]:
        """Yield rows that neither the destination nor this load has, and at the end what became of the sweep.

        `keys` has seen the whole list if the note says when the sweep began, and only then.
        """
        last = None if self.swept_at is None else datetime.fromisoformat(self.swept_at)
        most, total, asked, restored = self.deletions.max_requests, None, 0, 0
        # one budget for the count and the sweep; less than proven shows nothing
        listing = self.listing.with_options(completeness="prove", allow_uncertain=False)
        listing = listing.with_sender(BudgetedSender(most).wrap)
        try:
            # a list that does not page is read whole to be counted: the sweep takes no more
            if self.facts["style"] != "unpaged" and not is_due(self.deletions, swept_at=last, now=self.now):
                total, asked = self.portal.call(count_if_told, listing)
            reason = no_sweep(
                self.deletions,
                known=len(keys.index),
                total=total,
                page_size=self.page_size or self.facts.get("max_page_size") or _PAGE_SIZE,
                swept_at=last,
                now=self.now,
            )
            if reason is not None:
                verdict = "skipped" if reason.is_due else "counted"
                yield SweepNote(verdict=verdict, reason=reason.reason, requests=asked, at_server=total)
                return
            for delivery in deliveries(self.portal, listing):
                if new := keys.see(delivery.rows):
                    restored += len(new)
                    yield new
        except IncompleteListing as error:
            report = error.completeness
            yield SweepNote(
                verdict="uncertain", reason=report.reason, requests=asked + report.requests, restored=restored
            )
            return
        except BudgetSpent:
            why = f"it took more than the {most or 0:,} requests of its budget"
            yield SweepNote(verdict="skipped", reason=why, requests=most or 0, restored=restored)
            return
        found = listing.completeness
        assert found is not None
        yield SweepNote(
            verdict="proven",
            reason=found.reason,
            requests=asked + found.requests,
            restored=restored,
            at_server=found.unique,
            at=self.now,
        )


def deliveries(portal: BlockingPortal, listing: Listing[Any]) -> Iterator[Delivery]:
    """Yield the pages of a list that is read in the portal's event loop."""
    with portal.wrap_async_context_manager(listing.raw_pages(ordered=True)) as pages:
        while (delivery := portal.call(_following, pages)) is not None:
            yield delivery


async def _following(pages: AsyncIterator[Delivery]) -> Delivery | None:
    return await anext(pages, None)


def _destination(columns: Sequence[str], table: str, *, distinct: bool = False) -> Iterator[list[tuple[Any, ...]]]:
    """Yield rows that a table of the pipeline's destination holds, many at a time; none if there is no such table."""
    pipeline, schema = dlt.current.pipeline(), dlt.current.source_schema()
    naming = schema.naming
    try:
        # the first load has no schema in the pipeline yet
        client = pipeline.sql_client(schema.name) if schema.name in pipeline.schema_names else pipeline.sql_client()
    except SqlClientNotAvailable as error:
        raise RequestRefused(
            "deletions need a destination that can be asked which rows it holds, with SQL, and "
            f"{pipeline.destination.destination_name} cannot. Nothing was sent. Leave deletions out, and load with "
            "full=True from time to time."
        ) from error
    with client:
        named = ", ".join(client.escape_column_name(naming.normalize_identifier(name)) for name in columns)
        source = client.make_qualified_table_name(naming.normalize_table_identifier(table))
        what = f"DISTINCT {named}" if distinct else named
        try:
            with client.execute_query(f"SELECT {what} FROM {source}") as cursor:  # noqa: S608 - escaped names
                while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                    yield rows
        except DatabaseUndefinedRelation:
            return


def require_company(company: str | None, *, loads: str) -> None:
    """Raise if the dataset has rows of another company: they are in no list of this one, and would be removed.

    Args:
        company: that is loaded.
        loads: the table that names the company of each load.

    Raises:
        RequestRefused: it has; nothing was sent.
    """
    others = {row[0] for rows in _destination(["company"], loads, distinct=True) for row in rows} - {company}
    if others:
        raise RequestRefused(
            f"the dataset holds rows of the company {', '.join(map(str, sorted(others, key=str)))}, and this is "
            f"{company}: they would be removed. Nothing was sent. Give each company a pipeline and a dataset of its "
            "own."
        )


def _key(row: Sequence[Any]) -> bytes:
    # some destinations give whole numbers as decimals
    return msgspec.json.encode([value if isinstance(value, str) else int(value) for value in row])
