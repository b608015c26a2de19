"""`Streamed`: a response whose body the caller reads in chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vismanet_async._http.call import ATTEMPT_SECONDS
from vismanet_async._http.classify import final_error, lost, too_late
from vismanet_async.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from multidict import CIMultiDictProxy

    from vismanet_async._clock import Clock
    from vismanet_async._http.call import Call, RunningAttempt

__all__ = ["Streamed"]


class Streamed:
    """A response whose body the caller reads, once."""

    def __init__(self, clock: Clock, call: Call, attempt: RunningAttempt) -> None:
        self._clock = clock
        self._call = call
        self._attempt = attempt

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._attempt.raw.status

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The response headers, case-insensitive."""
        return self._attempt.raw.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, in chunks of at most 64 KiB.

        Raises:
            ResponseLost, OutcomeUnknown: the connection broke, or no data came for the time limit of one attempt.
            DeadlineExceeded: the call's deadline passed.
            UnexpectedResponse: the body is compressed, and too large or in an encoding that is not known.
        """
        call, attempt = self._call, self._attempt
        while True:
            seconds = call.deadline_at - self._clock.monotonic()
            failure: TransportError
            chunk = None
            try:
                with self._clock.move_on_after(min(ATTEMPT_SECONDS, seconds)):
                    chunk = await attempt.http.chunk()
            except TransportError as error:
                failure = error
            else:
                if chunk:
                    yield chunk
                    continue
                if chunk is not None:
                    return
                if seconds <= ATTEMPT_SECONDS:
                    failure = too_late(call, "the answer did not come whole in time", sent=True)
                else:
                    failure = attempt.http.transport_error(f"nothing came for {ATTEMPT_SECONDS:.0f} s")
            raise final_error(call, lost(call, attempt, failure))
