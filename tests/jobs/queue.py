"""A background queue over real HTTP, with a ledger of what it executed. Behaves as a job's path says:

`/v1/<words>/<number>/action/<name>` with words such as `ok`, `bad`, `stale`, `broken`, `strange`, `gone`, `empty`.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

FOREIGN = "https://elsewhere.example"


@attrs.define
class Queued:
    id: str
    path: str
    header: str
    if_match: str | None
    began: float
    ends: float

    @property
    def word(self) -> str:
        return self.path.split("/")[2]


@attrs.define
class Queue:
    """The server's memory; `ledger` is what was executed, by path."""

    run_seconds: float = 0.05
    now: Callable[[], float] = time.monotonic
    utc_now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ledger: list[str] = attrs.field(factory=list)
    jobs: dict[str, Queued] = attrs.field(factory=dict)
    asked: dict[str, list[float]] = attrs.field(factory=dict)
    lose_next: list[str] = attrs.field(factory=list)
    """What to do with the next submissions: `lost` executes without an answer, `refused` never takes the connection."""
    fail_polls: int = 0
    pending_polls: int = 0
    """So many polls of a job say that it is not done, whatever the time."""
    overlapping: list[str] = attrs.field(factory=list)
    quota: int | None = None

    def text(self, when: float) -> str:
        """A moment as the service writes it: called Utc, with an offset all the same."""
        moment = self.utc_now() + timedelta(seconds=when - self.now())
        return moment.astimezone(timezone(timedelta(hours=1))).isoformat()

    def header_of(self, path: str) -> str:
        return next(job.header for job in self.jobs.values() if job.path == path)

    async def submit(self, request: web.Request) -> web.StreamResponse:  # noqa: PLR0911 - one for each behaviour
        header = request.headers.get("erp-api-background")
        if request.headers.get("Authorization") != "Bearer t0ken":
            return web.json_response({"message": "who?"}, status=401)
        path = request.path
        word = path.split("/")[2]
        if word == "now":
            return web.json_response({"actionResult": "Done"}, headers={"ETag": '"now"', "Set-Cookie": "s=1"})
        if word == "refused":
            return web.json_response({"message": "VismaId: 6c6eb585-da38-4765-b80d-e9552a8721f8. No."}, status=400)
        if word == "gateway":
            return web.Response(status=500, text="<html>sorry</html>", content_type="text/html")
        if header is None:
            return web.json_response({"message": "synchronous"}, status=400)
        behaviour = self.lose_next.pop(0) if self.lose_next else ""
        job = Queued(
            id=str(uuid.uuid4()),
            path=path,
            header=header,
            if_match=request.headers.get("If-Match"),
            began=self.now(),
            ends=self.now() + self.run_seconds,
        )
        document = path.split("/action/")[0]
        if any(other.path.startswith(document + "/") and other.ends > self.now() for other in self.jobs.values()):
            self.overlapping.append(path)
        self.jobs[job.id] = job
        self.ledger.append(path)
        if behaviour == "lost":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if behaviour == "unreadable":
            headers = {"Content-Encoding": "zstd", "Location": f"{FOREIGN}/v1/background/{job.id}"}
            return web.Response(status=202, body=b"(\xb5/\xfd", headers=headers)
        if behaviour == "nameless":
            return web.json_response({}, status=202)
        body = {"id": job.id, "stateLocation": f"{FOREIGN}/v1/background/{job.id}"}
        return web.json_response(body, status=202, headers={"Location": f"{FOREIGN}/x/{job.id}"})

    def document(self, job: Queued) -> dict[str, Any]:
        done = self.now() >= job.ends and len(self.asked[f"/v1/background/{job.id}"]) > self.pending_polls
        code = {"bad": 400, "stale": 412, "five": 503}.get(job.word, 200)
        state: dict[str, Any] = {
            "id": job.id,
            "status": "Finished" if done else "Started",
            "statusCode": code if done else 0,
            "receivedUtc": self.text(job.began),
            "startedUtc": self.text(job.began),
            "finishedUtc": self.text(job.ends) if done else None,
            "originalUri": f"https://finance.visma.net/0921001005/api{job.path}",
            "hasResponseContent": job.word != "empty",
            "contentLocation": f"{FOREIGN}/v1/background/{job.id}/content",
            "errorMessage": None,
            "responseHeaders": {"ETag": '"after"', "Set-Cookie": "secret=1"},
        }
        if job.word == "strange" and not done:
            state["status"] = "Paused?"
        if job.word == "broken" and done:
            state.update(status="Failed", statusCode=0, errorMessage="the queue fell over", hasResponseContent=False)
        if job.word == "older":
            del state["receivedUtc"], state["originalUri"]
        if job.word == "never":
            state.update(status="Completed", statusCode=200, finishedUtc=None)
        return state

    async def state(self, request: web.Request) -> web.Response:
        job_id = request.match_info["id"]
        self.asked.setdefault(request.path, []).append(self.now())
        if self.fail_polls:
            self.fail_polls -= 1
            return web.Response(status=502, text="<html>bad gateway</html>")
        job = self.jobs.get(job_id)
        if job is None or job.word == "gone":
            return web.json_response({"message": "unknown"}, status=404)
        return web.json_response(self.document(job))

    async def content(self, request: web.Request) -> web.Response:
        self.asked.setdefault(request.path, []).append(self.now())
        job = self.jobs[request.match_info["id"]]
        if job.word == "vanish":
            return web.json_response({}, status=410)
        if job.word in {"bad", "stale"}:
            return web.json_response({"message": "Payment can't be updated because it is already released."})
        body = json.dumps({"actionResult": "Done", "path": job.path, "amount": 1.10})
        return web.Response(text=re.sub(r"1\.1\b", "1234567890123.4567", body), content_type="application/json")


@asynccontextmanager
async def serve(queue: Queue) -> AsyncIterator[str]:
    async def tell_time(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = formatdate(queue.utc_now().timestamp(), usegmt=True)

    app = web.Application()
    app.on_response_prepare.append(tell_time)
    app.router.add_get("/v1/background/{id}", queue.state)
    app.router.add_get("/v1/background/{id}/content", queue.content)
    app.router.add_route("*", "/{rest:.*}", queue.submit)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
