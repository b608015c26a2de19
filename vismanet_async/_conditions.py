"""Date and number conditions: `after`, `before`, `on_or_after`, `on_or_before`.

The API takes a condition as two parameters, a value and an operator, and ignores the value when the operator is
missing (docs/facts.md 5). Here both travel as one value, so neither can be left out.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import attrs

from vismanet_async._decimals import MOST_DIGITS, plain
from vismanet_async._names import beside
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = [
    "Condition",
    "DateTimeCondition",
    "NumberCondition",
    "after",
    "before",
    "on_or_after",
    "on_or_before",
]

Operator = Literal[">", "<", ">=", "<="]
Moment = date | datetime | str
V = TypeVar("V", bound=Moment | Decimal | int)
V_co = TypeVar("V_co", bound=Moment | Decimal | int, covariant=True)

_MILLISECOND = 1000  # microseconds; the finest unit that the API reads
_TEXT = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}:\d{2}(\.\d{3})?)?", re.ASCII)
"""The API's formats (docs/facts.md 5.1)."""
_OPERATORS = frozenset({">", "<", ">=", "<="})


@attrs.frozen
class Condition(Generic[V_co]):
    """A value with its comparison, as one argument.

    Built by `after`, `before`, `on_or_after` and `on_or_before`.

    Args:
        operator: what the API calls the condition: `>`, `<`, `>=` or `<=`.
        value: a date, a datetime, its text, a Decimal or an int.
    """

    operator: Operator
    value: V_co

    def __attrs_post_init__(self) -> None:
        if self.operator not in _OPERATORS:
            raise RequestRefused(f"a condition compares by >, <, >= or <=, not {self.operator!r}; nothing was sent.")
        if isinstance(self.value, bool | float) or not isinstance(self.value, date | str | Decimal | int):
            raise RequestRefused(
                "a condition takes a date, a datetime, its text, a Decimal or an int, "
                f"not {type(self.value).__name__}; nothing was sent."
            )

    def parameters(self, name: str, *, zone: tzinfo | None = None) -> tuple[tuple[str, str], tuple[str, str]]:
        """Return the two query parameters for the filter `name`.

        Args:
            name: the API's parameter name, such as `lastModifiedDateTime`.
            zone: the company's declared time zone; aware datetimes are converted to it. Without one they are refused. A
                local time that comes twice, in the night when summer time ends, is widened to the whole of that hour.

        Returns:
            `(name, value)` and `(nameCondition, operator)`.

        Raises:
            RequestRefused: for an aware datetime without a declared zone, or on a day in the books (a parameter whose
                name ends in `Date`), which in another zone would be another day; for text that the API cannot read.

        Examples:
            >>> on_or_after("2025-05-25").parameters("lastModifiedDateTime")
            (('lastModifiedDateTime', '2025-05-25'), ('lastModifiedDateTimeCondition', '>='))
        """
        if isinstance(self.value, datetime) and self.value.tzinfo is not None and name.lower().endswith("date"):
            raise RequestRefused(
                f"{beside(name)}: {self.value.isoformat()} is a moment, and this a day in the books, which has no time "
                f"zone: give the day, such as date({self.value.year}, {self.value.month}, {self.value.day}); nothing "
                "was sent."
            )
        return (name, _wire(self.value, beside(name), zone, self.operator)), (f"{name}Condition", self.operator)


DateTimeCondition = Condition[Moment]
"""A condition on a moment: a `date`, a naive `datetime`, or text in one of the API's formats."""
NumberCondition = Condition[Decimal | int]
"""A condition on a number."""


def after(value: V, /) -> Condition[V]:
    """Later (greater) than `value`. Visma's texts disagree whether `>` includes it: prefer `on_or_after`.

    Examples:
        >>> after(Decimal("10.5")).parameters("balance")
        (('balance', '10.5'), ('balanceCondition', '>'))
    """
    return Condition(">", value)


def before(value: V, /) -> Condition[V]:
    """Earlier (less) than `value`, not including it.

    Examples:
        >>> before(date(2025, 5, 25)).parameters("dueDate")
        (('dueDate', '2025-05-25'), ('dueDateCondition', '<'))
    """
    return Condition("<", value)


def on_or_after(value: V, /) -> Condition[V]:
    """At `value` or later (greater).

    Examples:
        >>> len(await visma.customer.list(last_modified_date_time=on_or_after("2001-01-01")))
        40
    """
    return Condition(">=", value)


def on_or_before(value: V, /) -> Condition[V]:
    """At `value` or earlier (less).

    Examples:
        >>> on_or_before(datetime(2025, 5, 25, 13, 30)).parameters("lastModifiedDateTime")
        (('lastModifiedDateTime', '2025-05-25T13:30:00'), ('lastModifiedDateTimeCondition', '<='))
    """
    return Condition("<=", value)


def _wire(value: Moment | Decimal | int, name: str, zone: tzinfo | None, operator: Operator) -> str:
    if isinstance(value, datetime):
        return _datetime(value, name, zone, operator)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return _text(value, name)
    if isinstance(value, Decimal) and not value.is_finite():
        raise RequestRefused(f"{name}: {value} is not a number to compare with; nothing was sent.")
    digits = plain(value)
    if digits is None:
        raise RequestRefused(
            f"{name}: a number of more than {MOST_DIGITS} digits before or behind the decimal point; nothing was sent."
        )
    return digits


def _datetime(value: datetime, name: str, zone: tzinfo | None, operator: Operator) -> str:
    if value.tzinfo is not None:
        if zone is None:
            raise RequestRefused(
                f"{name}: {value.isoformat()} has a time zone, but the API compares times without one. Give the "
                "client the company's zone (time_zone=...) or pass a datetime without a zone; nothing was sent."
            )
        try:
            # by way of UTC: a time in the hour that spring skips is no other in its own zone than elsewhere
            value = _local(value.astimezone(UTC).astimezone(zone), operator)
        except OverflowError:
            raise RequestRefused(f"{name}: {value.isoformat()} does not exist in {zone}; nothing was sent.") from None
    if value.microsecond % _MILLISECOND:
        raise RequestRefused(
            f"{name}: {value.isoformat()} is finer than the API's milliseconds: use .replace(microsecond=0). "
            "Nothing was sent."
        )
    return value.isoformat(timespec="milliseconds" if value.microsecond else "seconds")


def _local(value: datetime, operator: Operator) -> datetime:
    """Return the local time that the server shows, so that a filter loses nothing.

    In the night when summer time ends an hour of local times comes twice. Rows of both are found by its beginning where
    later ones are wanted, and by its end where earlier ones are: rather some too many than one too few.
    """
    local = value.replace(tzinfo=None, fold=0)
    is_first = value.fold == 0
    if not _comes_twice(value) or is_first == (operator in {"<", "<="}):
        return local
    step = timedelta(minutes=-1 if is_first else 1)
    edge = value.replace(second=0, microsecond=0)
    while _comes_twice(edge + step):
        edge += step
    return edge.replace(tzinfo=None, fold=0) + (timedelta(0) if is_first else step)


def _comes_twice(value: datetime) -> bool:
    before, after = (value.replace(fold=fold).utcoffset() for fold in (0, 1))
    return before is not None and after is not None and before > after


def _text(value: str, name: str) -> str:
    if _TEXT.fullmatch(value):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            pass  # such as the 30th of February
        else:
            return value
    raise RequestRefused(
        f"{name}: {value!r} is not a moment the API reads. Use 2025-05-25, 2025-05-25T13:30:00 or "
        "2025-05-25T13:30:00.123, without zone letters or offset; nothing was sent."
    )
