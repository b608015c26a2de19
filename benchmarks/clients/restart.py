"""A worker that starts again: many jobs have ended while nobody looked, and their results are still at the server.

Time is virtual and nothing goes over a network; manager, schedule and the store on the disk are those of the SDK. The
floor is what the service's rules leave of it: each job takes a poll of its state and its content, eight requests are
under way at a time, and polls may use half of what is left of the quota. The rule of five polls a minute binds nobody.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from benchmarks.job import Outcome
from tests.support.clock import VirtualClock
from tests.support.outside import Outside
from vismanet_async._client import VismaNet
from vismanet_async._http.auth.credentials import StaticToken
from vismanet_async._http.rate_limit import Quota
from vismanet_async._jobs.background_api import Answer
from vismanet_async._jobs.manager import JobManager
from vismanet_async._jobs.sql.store import SqlStore

if TYPE_CHECKING:
    from datetime import datetime

    from benchmarks.job import Task
    from vismanet_async._operation import Operation

_ANSWER_SECONDS: Final = 0.1
_AT_ONCE: Final = 8
_REQUESTS_A_JOB: Final = 2
_AWAY_SECONDS: Final = 600.0
_SHARE: Final = 0.5


@attrs.define
class _Server:
    """Answers after a tenth of a second, counts the quota; every job has ended a minute after it came."""

    clock: VirtualClock
    limit: int
    left: int
    resets_at: float
    quota: Quota = attrs.field(factory=Quota)
    sender: None = None
    jobs: dict[str, datetime] = attrs.field(factory=dict)
    refused: int = 0

    async def submit(self, operation: Operation[Any], *, background: str) -> Answer:  # noqa: ARG002 - a Submitter
        job_id = f"00000000-0000-4000-8000-{len(self.jobs):012}"
        self.jobs[job_id] = self.clock.utc_now() + timedelta(minutes=1)
        return await self._answer({"id": job_id}, status=202)

    async def state(self, job_id: str) -> Answer:
        if self.clock.utc_now() < self.jobs[job_id]:
            return await self._answer({"id": job_id, "status": "Started", "statusCode": 0})
        ended = {"finishedUtc": self.jobs[job_id].isoformat()}
        return await self._answer({"id": job_id, "status": "Finished", "statusCode": 200, **ended})

    async def content(self, job_id: str) -> Answer:
        return await self._answer({"actionId": job_id, "actionResult": "Done"})

    async def _answer(self, document: dict[str, Any], *, status: int = 200) -> Answer:
        await self.clock.sleep(_ANSWER_SECONDS)
        now = self.clock.monotonic()
        if now >= self.resets_at:
            self.left, self.resets_at = self.limit, self.resets_at + 3600
        self.left -= 1
        self.refused += self.left < 0
        self.quota.remaining, self.quota.resets_at = max(0, self.left), self.resets_at
        return Answer(status=status, body=msgspec.json.encode(document))


async def plenty(task: Task) -> Outcome:
    """15,000 requests are left for an hour: quota and rule make nobody wait."""
    return await _started_again(task, left=15_000, resets_after=3600.0)


async def scarce(task: Task) -> Outcome:
    """400 are left for ten minutes, of which polls may use half; then 15,000 for an hour."""
    return await _started_again(task, left=400, resets_after=600.0)


async def _started_again(task: Task, *, left: int, resets_after: float) -> Outcome:
    clock, outside, store = VirtualClock(), Outside(), SqlStore(":memory:")
    clock.stand_still_while(lambda: outside.under_way)
    server = _Server(clock, limit=15_000, left=15_000, resets_at=clock.monotonic() + 3600)
    count = task.job.rows
    async with _worker(server, outside, store) as manager, VismaNet(StaticToken("none")) as visma:
        calls = [visma.request("POST", f"/v1/ok/{number}/action/release", json={}) for number in range(count)]
        await manager.submit_many(calls)
    clock.advance(_AWAY_SECONDS)
    began = clock.monotonic()
    server.left, server.resets_at, server.quota = left, began + resets_after, Quota()
    async with _worker(server, outside, store) as manager:
        results = [await job for job in await manager.resume()]
    seconds = clock.monotonic() - began
    await store.aclose()
    if server.refused or len(results) != count:
        raise ValueError(f"{server.refused} requests were beyond the quota, {len(results)} of {count} results came")
    job_seconds = _REQUESTS_A_JOB * _ANSWER_SECONDS / _AT_ONCE
    behind = count - int(left * _SHARE)
    floor = resets_after + behind * job_seconds if behind > 0 else count * job_seconds
    return Outcome(rows=count, figures={"delay_seconds": seconds, "of_floor": seconds / floor})


def _worker(server: _Server, outside: Outside, store: SqlStore) -> JobManager:
    """A process on the store."""
    return JobManager(server, company="c", store=outside.counted(store), clock=server.clock, random=lambda: 0.5)
