"""Read, change, write back, without losing anybody's update.

A record is read, the change is worked out from it, and the PUT carries the version that was read as If-Match. If
somebody else wrote in between, the API refuses (412) and it is done again from the present state. Tasks of one client
take turns at one record, so that they do not push each other over the limit of attempts.

A PUT whose answer gets lost may have been executed. The record is read again: if its version is the one that was read
before, it was not; if it has another version and shows every value sent, it was; otherwise nobody can tell and
`OutcomeUnknown` is raised. The API gives no better sign (docs/facts.md 6 and 10), so one case stays open: the request
got lost on its way there and, in that same moment, a client elsewhere wrote the very same values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from vismanet_async._api.base import etag_of
from vismanet_async._api.results import Updated
from vismanet_async._arguments import expect_count, text_of
from vismanet_async.errors import (
    DeadlineExceeded,
    OutcomeUnknown,
    PreconditionFailed,
    RequestRefused,
    ResponseLost,
    TransportError,
    VismaNetError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async._api.base import Resource
    from vismanet_async._codec.model import Record
    from vismanet_async._operation import Operation

__all__ = ["modify"]

R = TypeVar("R", bound="Record")


async def modify(
    resource: Resource,
    read: Callable[[], Operation[R]],
    write: Callable[[Any, str], Operation[Updated]],
    change: Callable[[R], Any],
    *,
    attempts: int,
) -> Updated:
    """Apply `change` to the record's present state until it is written.

    Args:
        resource: where the record is; its tasks take turns.
        read: gives the read of the record.
        write: gives the update of the record, from a body and the version it is for.
        change: gives what to write, from the present record: an update model, a mapping, or None to leave it. It may be
            called several times, so it must have no effects of its own.
        attempts: how often to write at most.

    Returns:
        The record's new version.

    Raises:
        PreconditionFailed: others wrote first, `attempts` times; nothing of ours was written.
        OutcomeUnknown: an answer got lost and the record does not show whether the change was made.
        RequestRefused: the record has no version to hold on to, or `change` gave what the API would misread.

    Examples:
        >>> from vismanet_async._api.models.customer import CustomerUpdate
        >>> updated = await visma.customer.modify("10000", lambda customer: CustomerUpdate(name=f"{customer.name} AS"))
        >>> (await visma.customer.get("10000")).name
        '... AS'
    """
    expect_count("attempts", attempts)
    if not callable(change):
        raise RequestRefused(f"change takes a function of the record, not {text_of(change)}; nothing was sent.")
    first = read()
    async with resource._turn(first.path):  # noqa: SLF001 - the other half of Resource
        return await _Round(first.send, read, write, change, attempts).run()


class _Round:
    """One call of `modify`: the state between its attempts."""

    def __init__(self, first: Any, read: Any, write: Any, change: Any, attempts: int) -> None:
        self._first = first
        self._read = read
        self._write = write
        self._change = change
        self._left = attempts
        self._unsure: list[tuple[str, bytes, TransportError]] = []
        """Writes without an answer: the version they were for, what they sent, and how they were lost."""

    async def run(self) -> Updated:
        try:
            return await self._rounds()
        except VismaNetError as error:
            if not self._unsure or isinstance(error, OutcomeUnknown):
                raise
            raise self._unsettled(error) from error

    async def _rounds(self) -> Updated:
        current: Record = await self._first()
        while True:
            version = etag_of(current)
            if self._was_own(current, version):
                return Updated(etag=version)
            wanted = self._change(current)
            if wanted is None:
                return Updated(etag=version)
            operation = self._write(wanted, version)
            self._left -= 1
            try:
                return await operation  # type: ignore[no-any-return]  # an Updated
            except PreconditionFailed as error:
                self._refused(error, operation, version)
            except (OutcomeUnknown, ResponseLost, DeadlineExceeded) as error:
                self._lost(error, operation, version)
            current = await self._read()

    def _refused(self, error: PreconditionFailed, operation: Operation[Updated], version: str) -> None:
        if _maybe_executed(error):
            # the transport repeated it: an earlier attempt of its own may be what it now runs into
            lost = OutcomeUnknown(f"{error}")
            lost.attempts = error.attempts
            self._unsure.append((version, _sent(operation), lost))
        if self._left == 0 and not self._unsure:
            raise error

    def _lost(self, error: TransportError, operation: Operation[Updated], version: str) -> None:
        if isinstance(error, DeadlineExceeded) and not error.sent:
            raise error
        self._unsure.append((version, _sent(operation), error))

    def _was_own(self, current: Record, version: str) -> bool:
        """Return whether a write without an answer is what the record shows now; raises where nobody can tell."""
        from vismanet_async._codec.record_matches import record_matches  # noqa: PLC0415 - only after a loss

        if not self._unsure:
            return False
        before, sent, error = self._unsure[-1]
        if version == before:
            # nothing has been written since; a late arrival would now be told apart by its version
            if self._left == 0:
                raise error
            return False
        if record_matches(current.raw_json, sent):
            return True
        unknown = OutcomeUnknown(
            f"{error} The record has another version now and does not show what was sent, so whether the change "
            "was made and then changed again, or never made, cannot be told. Read it and decide."
        )
        unknown.attempts = error.attempts
        raise unknown from error

    def _unsettled(self, error: VismaNetError) -> OutcomeUnknown:
        """Add a note to an error that came after a write without an answer: what it leaves open."""
        lost = self._unsure[-1][2]
        unknown = OutcomeUnknown(f"{lost} Looking the record up failed: {error}")
        unknown.attempts = (*lost.attempts, *error.attempts)
        return unknown


def _sent(operation: Operation[Updated]) -> bytes:
    return operation.body if isinstance(operation.body, bytes) else b"{}"


def _maybe_executed(error: PreconditionFailed) -> bool:
    return len([one for one in error.attempts if not one.outcome.isdigit() or one.outcome[0] == "5"]) > 0
