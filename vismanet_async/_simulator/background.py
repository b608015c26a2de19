"""The background queue: requests with `erp-api-background`, their states, contents and end (facts 7.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from attrs import define, evolve, field

from vismanet_async._simulator.clock import Clock, zone
from vismanet_async._simulator.messages import Reply, gateway_error, json_reply, refuse
from vismanet_async._simulator.webhooks import Notice

if TYPE_CHECKING:
    from vismanet_async._simulator.company import Call, Company

__all__ = ["BackgroundQueue", "Duration", "Job", "JobScript", "draw"]

_KEPT_SECONDS = 24 * 3600.0
_SUBSCRIPTION = re.compile(r"subscription(?::(.*))?", re.IGNORECASE | re.DOTALL)
_HOSTS = {
    "api_host": "https://api.finance.visma.net",
    "integration_host": "https://integration.visma.net/API/controller/api",
}

Duration = float | tuple[float, float] | Callable[[Random], float]
"""Seconds: fixed, uniform between two, or drawn by a function from a seeded random."""


def draw(duration: Duration, random: Random) -> float:
    """Return one duration in seconds."""
    if callable(duration):
        return duration(random)
    return random.uniform(*duration) if isinstance(duration, tuple) else duration


@define
class Job:
    """One request in the background."""

    id: str
    tenant_id: str
    operation: str
    method: str
    path: str
    body: bytes = field(repr=False)
    received_at: float
    starts_at: float
    ends_at: float
    origin: str = field(repr=False)
    notify: str = "none"
    values: dict[str, str] = field(factory=dict)
    """The name=value pairs given after `subscription:`; each becomes a header of the webhook."""
    status: str | None = None
    status_code: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    error_message: str | None = None
    response: Reply | None = field(default=None, repr=False)
    executed: bool = False
    polls: int = 0
    pending_polls: int = 0

    @property
    def done(self) -> bool:
        """Whether it has come to an end."""
        return self.finished_at is not None


@define(kw_only=True)
class JobScript:
    """What shall happen to the next jobs that fit.

    `outcome`: `execute` does the operation; `fail` ends as `Failed` without doing it; `fail_after` does it
    and ends as `Failed` all the same; `hang` never starts.
    """

    operation: str | None = None
    path: str | None = None
    delay_seconds: Duration | None = None
    run_seconds: Duration | None = None
    outcome: Literal["execute", "fail", "fail_after", "hang"] = "execute"
    status_code: int | None = None
    """Answer with this status and a message instead of doing the operation."""
    message: str = "Payment can't be updated because it is already released."
    lose_answer: bool = False
    """Queue it, but cut the connection instead of answering 202."""
    synchronous: bool = False
    """Do it at once and answer as without the header."""
    state_host: str | None = None
    """Scheme and host in stateLocation and contentLocation."""
    pending_polls: int = 0
    """So many reads of its state still show it running, whatever has happened: a number of polls to rely on."""
    times: int = 1
    """How many jobs it is good for; 0: all."""
    used: int = 0

    def fits(self, call: Call) -> bool:
        """Return whether the next such request is meant."""
        return (
            (not self.times or self.used < self.times)
            and (self.operation is None or self.operation == call.operation.id)
            and (self.path is None or self.path.lower() in call.request.path.lower())
        )


class BackgroundQueue:
    """The jobs of one company.

    Attributes:
        delay_seconds: How long a job waits in the queue.
        run_seconds: How long it runs.
        workers: How many run at the same time; 0: any number.
    """

    def __init__(self, company: Company, clock: Clock, random: Random) -> None:
        self.delay_seconds: Duration = 0.5
        self.run_seconds: Duration = 1.0
        self.workers = 0
        self.foreign_url = ""
        self.jobs: dict[str, Job] = {}
        self.scripts: list[JobScript] = []
        self.perform: Callable[[Call, Job], Reply] | None = None
        self.notify: Callable[[Notice], None] | None = None
        self._company = company
        self._clock = clock
        self._random = random
        self._busy_until: list[float] = []

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs.values())

    def __len__(self) -> int:
        return len(self.jobs)

    def script(self, **what: Any) -> JobScript:
        """Set what happens to the next jobs; the fields are those of `JobScript`."""
        made = JobScript(**what)
        self.scripts.append(made)
        return made

    # -- taking requests ----------------------------------------------------------------------------------

    def submit(self, call: Call, header: str) -> Reply | None:
        """Queue a request; None means that it is to be done at once."""
        behaviours = self._company.behaviours
        script = next((one for one in self.scripts if one.fits(call)), None)
        if script is not None:
            script.used += 1
        if behaviours.background_synchronous or (script is not None and script.synchronous):
            return None
        wanted = self._notification(header)
        if wanted is None:
            return refuse(400, f"The value '{header}' of erp-api-background is not valid.")
        job = self._make(call, script, *wanted)
        self.jobs[job.id] = job
        self._plan(call, job, script)
        reply = self._accepted(job)
        reply.dropped = bool(script is not None and script.lose_answer)
        return reply

    def _notification(self, header: str) -> tuple[str, dict[str, str]] | None:
        text = header.strip()
        if text.lower() == "none":
            return "none", {}
        if re.match(r"https?://", text, re.IGNORECASE):
            return ("url", {"": text}) if self._company.behaviours.background_url_values else None
        found = _SUBSCRIPTION.fullmatch(text)
        if found is None:
            return None
        pairs = [pair.partition("=") for pair in (found.group(1) or "").split(",") if pair.strip()]
        if any(not equals or not name.strip() for name, equals, _ in pairs):
            return None
        return "subscription", {name.strip(): value.strip() for name, _, value in pairs}

    def _make(self, call: Call, script: JobScript | None, notify: str, values: dict[str, str]) -> Job:
        now = self._clock.now()
        delay = self.delay_seconds if script is None or script.delay_seconds is None else script.delay_seconds
        run = self.run_seconds if script is None or script.run_seconds is None else script.run_seconds
        starts = self._free_from(now + draw(delay, self._random))
        ends = starts + draw(run, self._random)
        if self.workers:
            self._busy_until.append(ends)
        if self._company.behaviours.state_host == "foreign":
            origin = self.foreign_url
        else:
            origin = _HOSTS.get(self._company.behaviours.state_host, call.request.origin)
        if script is not None and script.state_host is not None:
            origin = script.state_host
        return Job(
            id=self._company.new_id(), tenant_id=self._company.tenant_id, operation=call.operation.id,
            method=call.request.method,
            path=call.request.path, body=call.request.body, received_at=now, starts_at=starts, ends_at=ends,
            origin=origin, pending_polls=0 if script is None else script.pending_polls,
            notify=notify, values=values, status=self._company.behaviours.queued_status or None,
        )  # fmt: skip

    def _free_from(self, earliest: float) -> float:
        """Return when a worker is free: jobs go to the first one."""
        self._busy_until = [end for end in self._busy_until if end > self._clock.now()]
        if not self.workers or len(self._busy_until) < self.workers:
            return earliest
        return max(earliest, sorted(self._busy_until)[-self.workers])

    def _plan(self, call: Call, job: Job, script: JobScript | None) -> None:
        if script is not None and script.outcome == "hang":
            return
        self._company.at(job.starts_at, lambda: self._start(job))
        self._company.at(job.ends_at, lambda: self._finish(call, job, script))

    def _accepted(self, job: Job) -> Reply:
        location = f"{job.origin}/v1/background/{job.id}"
        if self._company.behaviours.background_accepted == "older":
            return json_reply(self._state(job), 202, {"Location": location})
        return json_reply({"id": job.id, "stateLocation": location}, 202)

    # -- doing them ---------------------------------------------------------------------------------------

    def _start(self, job: Job) -> None:
        job.status, job.started_at = "Started", job.starts_at

    def _finish(self, call: Call, job: Job, script: JobScript | None) -> None:
        outcome = script.outcome if script is not None else "execute"
        reply: Reply | None = None
        if script is not None and script.status_code is not None:
            reply = refuse(script.status_code, script.message)
        elif outcome in {"execute", "fail_after"} and self.perform is not None:
            reply = self.perform(call, job)
            job.executed = True
        job.finished_at = job.ends_at
        if outcome in {"fail", "fail_after"} or reply is None:
            job.status, job.error_message = "Failed", "The background operation could not be completed."
        else:
            job.status, job.status_code, job.response = "Finished", reply.status, reply
        if job.notify != "none" and self.notify is not None:
            self.notify(Notice(self._company.tenant_id, "BACKGROUND_API_RESPONSE", {
                "id": job.id, "reference": job.values.get("reference"), "statusCode": job.status_code,
                "status": job.status,
                "stateLocation": f"{job.origin}/v1/background/{job.id}",
                "contentLocation": self._content_location(job),
            }, dict(job.values), job.values.get("") or None))  # fmt: skip

    # -- asking about them --------------------------------------------------------------------------------

    def _content_location(self, job: Job) -> str:
        return f"{job.origin}/v1/background/{job.id}/content"

    def _time(self, at: float | None) -> str | None:
        if at is None:
            return None
        form = self._company.behaviours.background_times
        where = zone(self._company.behaviours.time_zone) if form == "offset" else UTC
        text = datetime.fromtimestamp(at, where).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z") if form == "z" else text

    def _state(self, job: Job) -> dict[str, Any]:
        if job.done and job.polls <= job.pending_polls:
            job = evolve(job, status="Started", status_code=0, finished_at=None, response=None, error_message=None)
        reply = job.response
        kept = (
            {name: value for name, value in reply.headers.items() if name in {"ETag", "Location"}}
            if reply is not None
            else {}
        )
        return {
            "id": job.id,
            "status": job.status,
            "statusCode": job.status_code,
            "receivedUtc": self._time(job.received_at),
            "startedUtc": self._time(job.started_at),
            "finishedUtc": self._time(job.finished_at),
            "webhookAddress": "none" if job.notify == "none" else job.values.get("") or "subscription",
            "originalUri": f"https://finance.visma.net/{self._company.tenant_id}{job.path}",
            "hasResponseContent": reply is not None and bool(reply.body),
            "hasRequestContent": bool(job.body),
            "contentLocation": self._content_location(job),
            "errorMessage": job.error_message,
            "reference": job.values.get("reference"),
            "responseHeaders": kept or None,
        }

    def state(self, job_id: str) -> Reply | None:
        """Answer GET /background/{id}; None: no such job here."""
        job = self.jobs.get(job_id.lower())
        if job is None:
            return None
        if self._expired(job):
            status = self._company.behaviours.background_expired_status
            return gateway_error(status, "The background operation was not found.")
        job.polls += 1
        return json_reply(self._state(job))

    def content(self, job_id: str) -> Reply | None:
        """Answer GET /background/{id}/content; None: no such job here."""
        job = self.jobs.get(job_id.lower())
        if job is None:
            return None
        if self._expired(job):
            return gateway_error(410, "The background operation state has been removed.")
        if job.response is None or not job.response.body:
            return gateway_error(404, "The background operation has no content.")
        kept = job.response
        return Reply(200, kept.body, kept.content_type, {})

    def _expired(self, job: Job) -> bool:
        since = job.finished_at if job.finished_at is not None else job.received_at
        return self._clock.now() - since >= _KEPT_SECONDS
