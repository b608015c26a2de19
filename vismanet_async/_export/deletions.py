"""Deletions: when an incremental export looks for records that are gone, and what it may say then (no IO).

The API tells of no deletion: a record that is gone is in no list any more. So after the changes a run *sweeps*: it
reads the keys of the whole list (`sweep`). What was published, and is not in a sweep that is proven, did not exist
throughout it: it is published as a *tombstone*. Less than proven publishes none.

A sweep takes as many requests as reading the whole list, because the API has no way to ask for keys alone. So it has a
schedule and a budget of its own. Between two sweeps one request asks how many records there are. If there are fewer
than are known, some are gone, and the sweep does not wait for its day. As many or more show nothing, since others may
have been added: that is why the schedule stays.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from vismanet_async._arguments import expect, expect_count
from vismanet_async.errors import RequestRefused

__all__ = ["Deletions", "NoSweep", "deletions_wanted", "identity_of", "is_due", "no_sweep", "require_sweepable"]

_PROOF_REQUESTS: Final = 3
"""What proving a quiet list takes beside its pages."""


def _period(_: object, attribute: attrs.Attribute[Any], value: timedelta) -> None:
    expect(attribute.name, value, timedelta)
    if value < timedelta(0):
        raise RequestRefused(f"{attribute.name} cannot be negative ({value}); nothing was sent.")


def _budget(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    expect_count(attribute.name, value, none=True)


@attrs.frozen(kw_only=True)
class Deletions:
    """How an incremental export looks for records that are gone.

    Examples:
        >>> weekly = Deletions(every=timedelta(days=7), max_requests=500)
        >>> manifest = await visma.export("customer", to="weekly", incremental=True, deletions=weekly)
        >>> manifest.resources["customer"].identity
        ('number',)
    """

    every: timedelta = attrs.field(default=timedelta(0), validator=_period)
    """How long a proven sweep is good for. Until then one request asks for the number of records, and a sweep follows
    only if there are fewer than are known. Zero: each run sweeps."""
    max_requests: int | None = attrs.field(default=None, validator=_budget)
    """Requests that the sweep of one list may take; None: as many as it needs. A sweep that would take more is not
    begun, and one that does take more is stopped; the changes are published all the same."""


def deletions_wanted(given: object) -> Deletions | None:
    """Return what `deletions=` means: True is a sweep in each run, False is none.

    Raises:
        RequestRefused: it is neither of these nor `Deletions`.
    """
    if isinstance(given, bool):
        return Deletions() if given else None
    expect("deletions", given, Deletions, bool, type(None))
    return given if isinstance(given, Deletions) else None


@attrs.frozen
class NoSweep:
    """Why a run does not sweep."""

    is_due: bool
    reason: str


def no_sweep(
    deletions: Deletions, *, known: int, total: int | None, page_size: int, swept_at: datetime | None, now: datetime
) -> NoSweep | None:
    """Return why a run does not sweep; None if it does.

    Args:
        deletions: what the caller wants.
        known: keys that are published.
        total: records that there are now; None if that was not asked.
        page_size: keys that one request gives.
        swept_at: when the last proven sweep began; None: never.
        now: UTC.

    Examples:
        >>> from datetime import UTC
        >>> now = datetime(2026, 11, 29, tzinfo=UTC)
        >>> weekly, yesterday = Deletions(every=timedelta(days=7)), now - timedelta(days=1)
        >>> no_sweep(weekly, known=500, total=500, page_size=100, swept_at=yesterday, now=now).reason
        'there are 500 records, and 500 keys are known; the next sweep is due 2026-12-05 00:00 UTC'
        >>> no_sweep(weekly, known=500, total=499, page_size=100, swept_at=yesterday, now=now) is None
        True
    """
    if swept_at is not None and total is not None and not is_due(deletions, swept_at=swept_at, now=now):
        due = swept_at + deletions.every
        if total >= known:
            more = ", so that some were added meanwhile or not shown by the changes" if total > known else ""
            return NoSweep(
                is_due=False,
                reason=f"there are {total:,} records, and {known:,} keys are known{more}; the next sweep is due "
                f"{due:%Y-%m-%d %H:%M} UTC",
            )
    needed = -(-known // page_size) + _PROOF_REQUESTS
    if deletions.max_requests is not None and needed > deletions.max_requests:
        return NoSweep(
            is_due=True,
            reason=f"{known:,} keys take some {needed:,} requests, and the budget is {deletions.max_requests:,}",
        )
    return None


def is_due(deletions: Deletions, *, swept_at: datetime | None, now: datetime) -> bool:
    """Return whether a sweep is due by the schedule.

    A sweep in the future was noted by a clock that was ahead: when it was is not known, so that one is due.

    Examples:
        >>> from datetime import UTC
        >>> now, weekly = datetime(2026, 11, 29, tzinfo=UTC), Deletions(every=timedelta(days=7))
        >>> [is_due(weekly, swept_at=now + timedelta(days=days), now=now) for days in (-8, -6, 400)]
        [True, False, True]
    """
    return swept_at is None or swept_at > now or now - swept_at >= deletions.every


def identity_of(resource: str) -> tuple[str, ...]:
    """Return the fields that together are the key of a resource's rows; empty where they have none."""
    # the help pages need this module, and not the registry
    from vismanet_async._api.registry import method_facts  # noqa: PLC0415

    return tuple(method_facts(resource, "list").get("identity", ()))


def require_sweepable(resource: str) -> None:
    """Raise if the list of a resource can never be swept.

    Raises:
        RequestRefused: its rows have no key, or its keys cannot be proven.
    """
    from vismanet_async._api.registry import method_facts  # noqa: PLC0415 - as above

    facts = method_facts(resource, "list")
    if not facts.get("identity"):
        why = "its rows have no key"
    elif facts["style"] == "lines":
        why = "a list that pages by line cannot be proven"
    else:
        return
    raise RequestRefused(
        f"deletions of {resource} cannot be looked for: {why}, so nothing tells which record is gone. Nothing was "
        "sent. Export it whole, in a run of its own."
    )
