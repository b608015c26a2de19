"""What goes into a bulk run and what comes out: a row, its result, progress and summary."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping  # noqa: TC003 - looked up by whoever asks for the types
from typing import Any, Final, Literal, get_args

import attrs
import msgspec

from vismanet_async._arguments import expect
from vismanet_async._codec.tolerant_decoder import loads_exact
from vismanet_async._deferred import mark_used
from vismanet_async._operation import Operation
from vismanet_async.errors import RequestRefused, VismaNetError

__all__ = [
    "GOOD",
    "MOST_PROBLEMS",
    "OUTCOMES",
    "READS",
    "BulkProgress",
    "BulkSummary",
    "Outcome",
    "Row",
    "RowResult",
    "check_key",
    "fingerprint_of",
]

Outcome = Literal[
    "done",
    "created",
    "updated",
    "unchanged",
    "failed",
    "conflict",
    "unknown",
    "not_sent",
    "held",
    "duplicate",
    "changed",
]
"""How a row ended.

- `done`: executed, in this run or an earlier one.
- `created`, `updated`: the same, in an upsert. `unchanged`: the record has all its values; nothing was sent.
- `failed`: refused by the API or by the SDK; it was not executed.
- `conflict`: in an upsert, the record is not as it was read: somebody else changed it, or took it away. Nothing was
  changed; the next run compares anew.
- `unknown`: it may have been executed; look it up before it is sent again.
- `not_sent`: it was certainly not executed; the next run sends it.
- `held`: not sent, because a row before it in its group is not done.
- `duplicate`: not sent, because an earlier row of the same input has its key.
- `changed`: not sent, because its key was sent in an earlier run with another content.
"""
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
GOOD: Final[frozenset[Outcome]] = frozenset({"done", "created", "updated", "unchanged"})
"""The record is as the row wants it."""
MOST_PROBLEMS: Final = 100
_KEY_CHARS: Final = 1000
READS: Final = frozenset({"GET", "HEAD"})


def _operation(_row: object, _attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, Operation):
        if value.spec.method in READS:
            raise RequestRefused(f"{value.spec.id} reads: a bulk run takes writes; nothing was sent.")
        mark_used(value)  # it is the run that warns if it is forgotten
    elif isinstance(value, type) or not callable(value):
        expect("operation", value, Operation, words="an operation, or a function without arguments that makes one")


def _key(_row: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None or attribute.name != "group":
        check_key(attribute.name, value)


def check_key(name: str, value: object) -> None:
    """Refuse what is no key.

    Raises:
        RequestRefused: it is no text, or too long, or cannot be stored.
    """
    expect(name, value, str)
    if not value or len(str(value)) > _KEY_CHARS or "\0" in str(value):
        what = f"text of 1 to {_KEY_CHARS:,} characters, none of them NUL"
        raise RequestRefused(f"{name} takes {what}; nothing was sent.")


@attrs.frozen
class Row:
    """One write of a bulk run.

    Args:
        key: tells the row from all others, and is the same in every run: the number in the source system, for instance.
        operation: the write, or a function without arguments that makes it. What the function raises as
            `RequestRefused` fails this row alone.
        group: rows of one group are sent one after the other, in the order of the input, and only while each is done;
            so are those of several runs with one journal.
        data: anything of yours, for the `find` of the run.

    Raises:
        RequestRefused: an argument is of the wrong type, or the operation is a read.

    Examples:
        >>> row = Row("crm-17", visma.customer.create({"name": "Nordlys AS"}))
        >>> summary = await visma.bulk.run([row], journal="load.sqlite")
        >>> summary.done
        1
    """

    key: str = attrs.field(validator=_key)
    operation: Operation[Any] | Callable[[], Operation[Any]] = attrs.field(validator=_operation)
    group: str | None = attrs.field(default=None, validator=_key, kw_only=True)
    data: Any = attrs.field(default=None, kw_only=True, repr=False)


@attrs.frozen(kw_only=True)
class RowResult:
    """What became of one row."""

    key: str
    position: int
    """Which row of the input it was in the run that last saw it, from 1."""
    outcome: Outcome
    earlier: bool = False
    """Whether an earlier run had this outcome already; this one sent nothing for the row."""
    id: str | None = None
    """The id of what was created, where the API told it."""
    etag: str | None = None
    """The record's new version, where the API told it."""
    error_type: str | None = None
    """The class of `vismanet_async.errors`; `ActionGoesOn`: the ERP accepted an action, and did not call it done."""
    error: str | None = None
    status: int | None = None
    """The HTTP status of the refusal."""
    reference: str | None = None
    """The id that Visma's support asks for (`VismaId`)."""
    attempts: int = 0
    """HTTP requests that were made for it, those of earlier runs included; looking it up is not counted."""
    row: Row | None = attrs.field(default=None, repr=False, eq=False)
    """The row as it was given; None in what a journal says."""


@attrs.frozen(kw_only=True)
class BulkProgress:
    """How far a run has come."""

    rows: int
    """Rows that have an outcome."""
    total: int | None
    """Rows of the input, where its length is known."""
    outcomes: Mapping[Outcome, int]
    seconds: float
    """Since the run began."""

    @property
    def rows_per_second(self) -> float:
        """Since the run began."""
        return self.rows / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far; None where the length of the input is not known."""
        if self.total is None or not self.rows or self.seconds <= 0:
            return None
        return max(0, self.total - self.rows) * self.seconds / self.rows


@attrs.frozen(kw_only=True)
class BulkSummary:
    """How a bulk run ended: each row that was read is counted under one outcome.

    Examples:
        >>> rows = [Row(name, visma.customer.create({"name": name})) for name in ("Vega AS", "Nordlys AS")]
        >>> summary = await visma.bulk.run(rows, journal="load.sqlite")
        >>> print(summary)
        2 rows: 2 done
        >>> again = await visma.bulk.run(rows, journal="load.sqlite")  # the same call sends nothing twice
        >>> print(again, again.earlier)
        2 rows: 2 done 2
    """

    rows: int
    done: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    conflict: int = 0
    unknown: int = 0
    not_sent: int = 0
    held: int = 0
    duplicate: int = 0
    changed: int = 0
    earlier: int = 0
    """Rows whose outcome an earlier run had found; nothing was sent for them in this one."""
    stopped: str | None = None
    """Why the run stopped before the end of its input; None if it did not."""
    stop_error: VismaNetError | None = attrs.field(default=None, repr=False, eq=False)
    """The error that stopped it, because all other rows would have ended in it; None if none did."""
    problems: tuple[RowResult, ...] = ()
    """The first 100 rows that are not done. `visma.bulk.results(journal)` yields all that were written down."""
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether every row of the input is done, or in an upsert created, updated or unchanged."""
        return sum(getattr(self, name) for name in GOOD) == self.rows and self.stopped is None

    def __str__(self) -> str:
        parts = [f"{getattr(self, name):,} {name.replace('_', ' ')}" for name in OUTCOMES if getattr(self, name)]
        text = f"{self.rows:,} {'row' if self.rows == 1 else 'rows'}: {', '.join(parts) or 'nothing to do'}"
        return f"{text}. Stopped: {self.stopped}" if self.stopped else text


def fingerprint_of(operation: Operation[Any]) -> bytes:
    """Return what tells one write from another: method, path, query, headers such as that of the branch, and body.

    The order in which members of the body come, and the headers, tells nothing. If-Match is left out: a later run reads
    a later version, and means the same write.

    Raises:
        RequestRefused: the body is streamed and cannot be told apart.
    """
    body = operation.body
    if body is not None and not isinstance(body, bytes):
        raise RequestRefused(
            f"{operation.spec.id} streams a file: a bulk run takes writes with a JSON body or none; nothing was sent."
        )
    digest = hashlib.sha256()
    headers = sorted((name.lower(), value) for name, value in operation.headers.items() if name.lower() != "if-match")
    for part in (operation.spec.method, operation.path, repr(operation.query), *map(repr, headers)):
        digest.update(part.encode() + b"\0")
    # numbers keep all their digits: they become texts
    digest.update(b"" if body is None else msgspec.json.encode(loads_exact(body), order="sorted"))
    return digest.digest()
