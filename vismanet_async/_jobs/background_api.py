"""The client interface that the job manager requires: send an operation to the background queue, read its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from vismanet_async._http.message import Request, no_headers
from vismanet_async._jobs.core.answers import in_utf8, job_id
from vismanet_async.errors import ApiError, RateLimited

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vismanet_async._http.message import Sender
    from vismanet_async._http.rate_limit import Quota
    from vismanet_async._operation import Operation

__all__ = ["Answer", "SenderSubmitter", "Submitter", "job_id_in"]

_POLL_SECONDS: Final = 60.0
"""One poll's deadline; a state document is small."""


@attrs.frozen(kw_only=True)
class Answer:
    """A complete response of any status."""

    status: int
    headers: Mapping[str, str] = attrs.field(factory=no_headers, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    asked: int = 1
    """How often the request was sent; a renewed token repeats it."""

    @property
    def text(self) -> bytes:
        """The body, JSON in UTF-8 whatever character set it came in."""
        return in_utf8(self.body, self.headers.get("Content-Type")) or self.body


class Submitter(Protocol):
    """The client, as the job manager uses it. Each method sends its request once, or again if it was not executed.

    All raise the transport errors of `vismanet_async.errors`: `NotSent` when nothing left, `OutcomeUnknown` (or
    `DeadlineExceeded` with `sent`) when a submission may have arrived.
    """

    @property
    def quota(self) -> Quota | None:
        """The rate-limit window as the server last reported it, on the monotonic clock."""
        ...

    @property
    def sender(self) -> Sender | None:
        """What the client's own calls are made with, by which they are known; None: any call is its own."""
        ...

    async def submit(self, operation: Operation[Any], *, background: str) -> Answer:
        """Send the operation with this value of `erp-api-background`; error statuses are answers too."""
        ...

    async def state(self, job_id: str) -> Answer:
        """Send `GET /v1/background/{id}`."""
        ...

    async def content(self, job_id: str) -> Answer:
        """Send `GET /v1/background/{id}/content`."""
        ...


class SenderSubmitter:
    """A `Submitter` over the client's pipeline."""

    def __init__(self, sender: Sender, *, quota: Quota | None = None) -> None:
        """Create a submitter.

        Args:
            sender: the client's pipeline.
            quota: the rate-limit window that the pipeline updates.
        """
        self.sender = sender
        self._quota = quota

    @property
    def quota(self) -> Quota | None:
        """The rate-limit window as the server last reported it."""
        return self._quota

    async def submit(self, operation: Operation[Any], *, background: str) -> Answer:
        """Send the operation to the background queue."""
        return await self._send(operation.request(background=background))

    async def state(self, job_id: str) -> Answer:
        """Send `GET /v1/background/{id}`."""
        return await self._read("Background_GetBackgroundApiOperationByrequestId", "/v1/background/{requestId}", job_id)

    async def content(self, job_id: str) -> Answer:
        """Send `GET /v1/background/{id}/content`."""
        return await self._read(
            "Background_GetBackgroundApiOperationContentByrequestId", "/v1/background/{requestId}/content", job_id
        )

    async def _read(self, operation: str, template: str, job_id: str) -> Answer:
        # marked as background so that the pipeline does not repeat it: the schedule alone counts and spaces polls
        return await self._send(
            Request(
                operation=operation,
                template=template,
                method="GET",
                path=template.replace("{requestId}", job_id),
                deadline_seconds=_POLL_SECONDS,
                background=True,
            )
        )

    async def _send(self, request: Request) -> Answer:
        try:
            response = await self.sender.send(request)
        except RateLimited:
            raise
        except ApiError as error:
            asked = max(1, len(error.attempts))
            return Answer(status=error.status, headers=error.headers, body=error.body, asked=asked)
        asked = max(1, len(response.attempts))
        return Answer(status=response.status, headers=response.headers, body=response.body, asked=asked)


def job_id_in(answer: Answer) -> str | None:
    """Return the job id of a 202; see `answers.job_id`.

    Examples:
        >>> job_id_in(Answer(status=202, body=b'{"stateLocation": "https://example.org/v1/background/7?x=1"}'))
        '7'
    """
    return job_id(answer.text, answer.headers)
