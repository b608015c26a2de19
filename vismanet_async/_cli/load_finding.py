"""Which of the records that a filter finds is the one that a row made. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from vismanet_async._bulk.finding import matching
from vismanet_async._codec.record_matches import BUSINESS_KEYS, find_value, is_same, unwrapped
from vismanet_async._codec.tolerant_decoder import loads_exact
from vismanet_async.errors import OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async._bulk.rows import Row
    from vismanet_async._codec.model import Record

__all__ = ["meant"]

R = TypeVar("R", bound="Record")

_UNSEEN = (
    "It may have been executed: records do not show {}, by which it was looked up, and what was found has not all of "
    "the row's values. It was not sent again: look at the record."
)


def meant(found: Sequence[R], row: Row, field: str, word: str) -> list[R]:
    """Return the records that have what was looked for: filters of text find parts of it, too (docs/facts.md 5.13).

    Args:
        found: what the filter gave.
        row: the row that was sent.
        field: the filter, by the API's name.
        word: what was looked for.

    Raises:
        OutcomeUnknown: records do not show that field, and none of them has all that the row sends.
    """
    those: list[R] = []
    unseen = False
    for record in found:
        shown, value = find_value(loads_exact(record.raw_json), field)
        if shown:
            those += [record] if _is(value, word) else []
        elif matching(record, row) is not None:
            those.append(record)
        else:
            unseen = True
    if unseen and not those:
        raise OutcomeUnknown(_UNSEEN.format(field))
    return those


def _is(value: Any, word: str) -> bool:
    value = unwrapped(value)
    if isinstance(value, dict):  # a reference
        return any(_is(value[key], word) for key in BUSINESS_KEYS if key in value)
    return value is not None and (_plain(value) == _plain(word) or is_same(value, word))


def _plain(value: object) -> str:
    """Return a value as the ERP compares text: in any case, without blanks around it."""
    return str(value).strip().casefold()
