"""Date and number conditions: `after`, `before`, `on_or_after`, `on_or_before`.

The API takes a condition as two parameters, a value and an operator, and ignores the value when the operator is
missing (docs/facts.md 5). Here both travel as one value, so neither can be left out.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import attrs

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

_MILLISECOND = 1000  # microseconds; the finest unit that the API reads
_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%d %H:%M:%S.%f",
)


@attrs.frozen
class Condition(Generic[V]):
    """A value with its comparison, as one argument.

    Built by `after`, `before`, `on_or_after` and `on_or_before`; `operator` is what the API calls the condition.
    """

    operator: Operator
    value: V

    def parameters(self, name: str, *, zone: tzinfo | None = None) -> tuple[tuple[str, str], tuple[str, str]]:
        """Give the two query parameters for the filter `name`.

        Args:
            name: the API's parameter name, such as `lastModifiedDateTime`.
            zone: the company's declared time zone; aware datetimes are converted to it. Without one they are refused.

        Returns:
            `(name, value)` and `(nameCondition, operator)`.

        Raises:
            RequestRefused: for an aware datetime without a declared zone, or text in a format the API cannot read.

        >>> on_or_after("2025-05-25").parameters("lastModifiedDateTime")
        (('lastModifiedDateTime', '2025-05-25'), ('lastModifiedDateTimeCondition', '>='))
        """
        return (name, _wire(self.value, name, zone)), (f"{name}Condition", self.operator)


DateTimeCondition = Condition[Moment]
"""A condition on a moment: a `date`, a naive `datetime`, or text in one of the API's formats."""
NumberCondition = Condition[Decimal | int]
"""A condition on a number."""


def after(value: V, /) -> Condition[V]:
    """Later (greater) than `value`. Visma's texts disagree whether `>` includes it: prefer `on_or_after`."""
    return _condition(">", value)


def before(value: V, /) -> Condition[V]:
    """Earlier (less) than `value`, not including it."""
    return _condition("<", value)


def on_or_after(value: V, /) -> Condition[V]:
    """At `value` or later (greater)."""
    return _condition(">=", value)


def on_or_before(value: V, /) -> Condition[V]:
    """At `value` or earlier (less)."""
    return _condition("<=", value)


def _condition(operator: Operator, value: V) -> Condition[V]:
    if isinstance(value, bool | float) or not isinstance(value, date | str | Decimal | int):
        raise RequestRefused(
            f"a condition takes a date, a datetime, its text, a Decimal or an int, not {type(value).__name__}; "
            "nothing was sent."
        )
    return Condition(operator, value)


def _wire(value: Moment | Decimal | int, name: str, zone: tzinfo | None) -> str:
    if isinstance(value, datetime):
        return _datetime(value, name, zone)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return _text(value, name)
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _datetime(value: datetime, name: str, zone: tzinfo | None) -> str:
    if value.tzinfo is not None:
        if zone is None:
            raise RequestRefused(
                f"{name}: {value.isoformat()} has a time zone, but the API compares times without one. Give the "
                "client the company's zone (time_zone=...) or pass a datetime without a zone; nothing was sent."
            )
        value = value.astimezone(zone).replace(tzinfo=None)
    if value.microsecond % _MILLISECOND:
        raise RequestRefused(f"{name}: {value.isoformat()} is finer than the API's milliseconds; nothing was sent.")
    return value.isoformat(timespec="milliseconds" if value.microsecond else "seconds")


def _text(value: str, name: str) -> str:
    for form in _FORMATS:
        try:
            parsed = datetime.strptime(value, form)  # noqa: DTZ007 - the API's times have no zone
        except ValueError:
            continue
        too_fine = form.endswith("%f") and len(value.rpartition(".")[2]) > 3  # noqa: PLR2004 - milliseconds
        # strptime also takes 2025-1-5; the API documents two digits only
        if not too_fine and value[:10] == f"{parsed.year:04d}-{parsed.month:02d}-{parsed.day:02d}":
            return value
    raise RequestRefused(
        f"{name}: {value!r} is not a moment the API reads. Use 2025-05-25, 2025-05-25T13:30:00 or "
        "2025-05-25T13:30:00.123, without zone letters or offset; nothing was sent."
    )
