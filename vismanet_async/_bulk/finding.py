"""Helps a `find` of updates: has the record what a row sends?"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from vismanet_async._arguments import expect
from vismanet_async._bulk.rows import Row
from vismanet_async._codec.model import Record
from vismanet_async._operation import Operation
from vismanet_async.errors import OutcomeUnknown

if TYPE_CHECKING:
    from typing import Any

__all__ = ["matching"]

R = TypeVar("R", bound=Record)


def matching(record: R, row: Row) -> R | None:
    """Return a record if it has every value that a row sends, else None: for the `find` of updates.

    Args:
        record: as it was read.
        row: a row whose operation sends JSON.

    Raises:
        OutcomeUnknown: it cannot be compared, because the row sends lines or a field that the record does not show.

    Examples:
        >>> row = Row("10000", visma.customer.update("10000", {"name": "Vega AS"}))
        >>> async def find(row):
        ...     return matching(await visma.customer.get(row.key), row)
        >>> (await visma.bulk.run([row], journal="names.sqlite", find=find)).done
        1
    """
    from vismanet_async._codec.record_matches import record_matches  # noqa: PLC0415 - only after a lost answer

    expect("record", record, Record, words="a record that was read")
    expect("row", row, Row, words="a Row")
    operation: Operation[Any] = row.operation if isinstance(row.operation, Operation) else row.operation()
    body = operation.body
    verdict = record_matches(record.raw_json, body) if isinstance(body, bytes) else None
    if verdict is None:
        raise OutcomeUnknown(
            f"{operation.spec.id} sends what the record does not show in a way that can be compared. It was not sent "
            "again: look at the record."
        )
    return record if verdict else None
