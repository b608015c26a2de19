"""Submission of many operations: in parallel, those with the same ordering key one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from vismanet_async._jobs.core.background_header import ordering_key
from vismanet_async.errors import VismaNetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async._jobs.course import Submitted
    from vismanet_async._jobs.submission import Submission
    from vismanet_async._operation import Operation

__all__ = ["submit_batch"]


async def submit_batch(submission: Submission, operations: Sequence[Operation[Any]]) -> list[Submitted]:
    """Submit operations; return what became of each, in order.

    Raises:
        RequestRefused: one of them cannot be sent that way; nothing at all was sent.
        VismaNetError: one could not be submitted. Those under way were finished, no more were begun.
    """
    lanes: dict[str, list[int]] = {}
    for index, operation in enumerate(operations):
        submission.check(operation)
        key = ordering_key(method=operation.spec.method, path=operation.path) or f"#{index}"
        lanes.setdefault(key, []).append(index)
    submitted: dict[int, Submitted] = {}
    failures: list[VismaNetError] = []

    async def run(lane: list[int]) -> None:
        for index in lane:
            if failures:
                return
            try:
                submitted[index] = await submission.submit(operations[index])
            except VismaNetError as error:
                # the others are under way: cutting them off would leave jobs whose ids nobody knows
                failures.append(error)
                return

    async with anyio.create_task_group() as tasks:
        for lane in lanes.values():
            tasks.start_soon(run, lane)
    if failures:
        raise _failure_of(failures, submitted=len(submitted), of=len(operations))
    return [submitted[index] for index in range(len(operations))]


def _failure_of(failures: Sequence[VismaNetError], *, submitted: int, of: int) -> VismaNetError:
    """Return the first failure, with what became of the other operations."""
    first, *others = failures
    first.add_note(f"{submitted} of {of} operations were submitted and are in the store; no more were begun.")
    for other in others:
        first.add_note(str(other))
    return first
