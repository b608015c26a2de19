"""`vismanet jobs`: background jobs from the shell. Each command is a process of its own over the same store."""

from __future__ import annotations

import os
import re
import sys
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs
import msgspec
from aiohttp import web

from vismanet_async._api.decoders import decoder_of
from vismanet_async._cli.call import check_target, operation_of
from vismanet_async._cli.exit_codes import DONE, INTERRUPTED
from vismanet_async._cli.jobs_view import details, lines_shown, print_record, table, table_shown
from vismanet_async._cli.output import print_json, print_result
from vismanet_async._cli.streams import tell, told_on_stderr
from vismanet_async._client import VismaNet
from vismanet_async._jobs.core.states import OPEN, State
from vismanet_async._jobs.core.transitions import TransitionError
from vismanet_async._jobs.job import Job
from vismanet_async._jobs.sql.store import SqlStore
from vismanet_async._jobs.store import ForeignStore, JobUnknown, StoreNotUsable
from vismanet_async._settings import Settings
from vismanet_async._tasks import unwrap_group
from vismanet_async._webhooks.receiver import WebhookReceiver
from vismanet_async.errors import JobError, RequestRefused, SettingsError, VismaNetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
    from pathlib import Path

    from vismanet_async._cli.call import Call
    from vismanet_async._jobs.core.records import JobRecord
    from vismanet_async._jobs.core.states import Notify, Outcome

__all__ = [
    "Company",
    "list_jobs",
    "listen",
    "prune",
    "result",
    "settle",
    "show",
    "submit",
    "wait",
    "watch",
    "work",
]

_WATCH_SECONDS: Final = 0.5
_WORK_SECONDS: Final = 2.0
"""How often the store is read for what to show."""
_MOST_SHOWN: Final = 100_000
_LONGEST_AGE: Final = timedelta(days=100 * 365)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@attrs.frozen(kw_only=True)
class Company:
    """The company whose jobs are meant, and their store."""

    profile: str | None = None
    store: str | None = None
    as_json: bool = False
    poll_share: float | None = None

    def settings(self) -> Settings:
        """Return the settings; what is given as option overrides the environment's and the profile's."""
        settings = Settings.load(profile=self.profile, job_store=self.store)
        return settings if self.poll_share is None else attrs.evolve(settings, poll_share=self.poll_share)

    @asynccontextmanager
    async def open(self, *, sends: bool = True) -> AsyncIterator[VismaNet]:
        """Open client and store.

        Args:
            sends: False where only the store is asked, so that no sign-in is needed.

        Raises:
            SettingsError: the company is not known, or the sign-in is missing.
        """
        settings = self.settings()
        if not settings.tenant_id:
            raise SettingsError("jobs are kept by company: VISMANET_TENANT_ID is not set.")
        if not sends:
            settings = attrs.evolve(settings, token="none", client_id=None, client_secret=None)  # noqa: S106 - no secret
        store = SqlStore(settings.job_store)
        try:
            async with VismaNet.from_settings(settings, job_store=store) as visma:
                yield visma
        finally:
            await store.aclose()


async def _job(visma: VismaNet, own_id: str) -> Job[Any]:
    """Return a handle by either id, with the operation's own decoder."""
    job = await visma.jobs.get(own_id)
    decode = decoder_of((await job.status()).operation.id)
    return job if decode is None else Job(visma.jobs, job.id, decode)


# --- one job -------------------------------------------------------------------------------------------------------


def submit(
    company: Company,
    call: Call,
    *,
    reference: str | None,
    notify: Notify,
    wait: bool,
    timeout: float | None,
    to: Path | None,
) -> int:
    """Submit, and print the id; or wait, and print the result."""
    check_target(call, to, saves=wait)

    async def run() -> None:
        async with company.open() as visma:
            operation = operation_of(call, call.bind(visma))
            job = await visma.jobs.submit(operation, reference=reference, notify=notify)
            if wait:
                print(job.id, file=sys.stderr, flush=True)
                print_result(await _in_time(job.result(timeout)), to=to, done=f"job {job.id} was executed")
            else:
                with told_on_stderr(
                    f"Submitted as job {job.id}: do not submit it again, `vismanet jobs wait {job.id}`"
                ):
                    print(job.id)

    return _waiting(run)


def wait(company: Company, own_id: str, *, timeout: float | None) -> int:
    """Wait for the end, and print how it ended; raises what the job's own call would have raised."""

    async def run() -> None:
        async with company.open() as visma:
            job = await _job(visma, own_id)
            await _in_time(visma.jobs.wait(job.id, timeout_seconds=timeout, until_certain=True))
            print_record(await job.status(), as_json=company.as_json)
            await job.result()

    return _waiting(run)


def result(company: Company, own_id: str, *, to: Path | None) -> int:
    """Print the result of a settled job."""

    async def run() -> None:
        async with company.open(sends=False) as visma:
            job = await _job(visma, own_id)
            record = await job.status()
            if record.state in OPEN:
                raise JobError(
                    f"job {job.id} is {record.state.value}; `vismanet jobs wait {job.id}` waits for its end."
                )
            print_result(await job.result(), to=to)

    anyio.run(run)
    return DONE


def show(company: Company, own_id: str) -> int:
    """Print what is stored about a job."""

    async def run() -> None:
        async with company.open(sends=False) as visma:
            job = await visma.jobs.get(own_id)
            record = await job.status()
            if company.as_json:
                print_json(msgspec.json.encode(record))
            else:
                print(details(record, await job.error()))

    anyio.run(run)
    return DONE


def settle(company: Company, own_id: str, *, outcome: Outcome | None, job_id: str | None, note: str) -> int:
    """Settle an uncertain job by what the user knows."""

    async def run() -> None:
        # a job found again is asked for at once
        async with company.open(sends=job_id is not None) as visma:
            job = await visma.jobs.get(own_id)
            try:
                record = await visma.jobs.settle(job.id, outcome=outcome, job_id=job_id, note=note)
            except TransitionError as error:
                raise RequestRefused(f"{error}; nothing was changed.") from None
            with told_on_stderr(f"Job {record.id} is {record.state.value} now"):
                print_record(record, as_json=company.as_json)

    anyio.run(run)
    return DONE


async def _in_time(waiting: Awaitable[Any]) -> Any:
    try:
        return await waiting
    except TimeoutError as error:
        if isinstance(error, VismaNetError):
            raise
        raise JobError(str(error)) from None


def _waiting(run: Callable[[], Awaitable[None]]) -> int:
    try:
        anyio.run(run)
    except KeyboardInterrupt:
        print("vismanet: stopped waiting. `vismanet jobs list` shows what is written down.", file=sys.stderr)
        return INTERRUPTED
    return DONE


# --- many ----------------------------------------------------------------------------------------------------------


def list_jobs(company: Company, *, states: Collection[str], reference: str | None, limit: int) -> int:
    """Print jobs, newest first."""

    async def run() -> Sequence[JobRecord]:
        async with company.open(sends=False) as visma:
            chosen = [State(state) for state in states] or None
            return await visma.jobs.list(states=chosen, reference=reference, limit=limit)

    records = anyio.run(run)
    if company.as_json:
        print_json(b"[\n" + b",\n".join(map(msgspec.json.encode, records)) + b"\n]" if records else b"[]")
    else:
        table(records)
    return DONE


def prune(company: Company, *, older_than: str) -> int:
    """Delete jobs that were settled that long ago."""
    age = _duration(older_than)

    async def run() -> int:
        async with company.open(sends=False) as visma:
            return await visma.jobs.prune(older_than=age)

    count = anyio.run(run)
    said = f"{count:,} {'job' if count == 1 else 'jobs'} deleted, with their results"
    if company.as_json:
        with told_on_stderr(said):
            print_json(msgspec.json.encode({"pruned": count}))
    else:
        tell(said, done=said)
    return DONE


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,6})([smhdw])", text.strip())
    age = None if match is None else timedelta(**{_UNITS[match[2]]: int(match[1])})
    if age is None or age > _LONGEST_AGE:
        raise RequestRefused(f"--older-than {text!r} is not a time such as 90d, 12h or 2w; nothing was deleted.")
    return age


# --- following -----------------------------------------------------------------------------------------------------


def watch(company: Company) -> int:
    """Follow the open jobs and show how they go, until none is left."""
    shown = table_shown if sys.stdout.isatty() and not company.as_json else lines_shown

    async def run() -> None:
        async with company.open() as visma:
            with shown(sys.stdout, as_json=company.as_json, now=visma.clock.utc_now) as show:
                await _follow(visma, show, until_settled=True)

    return _until_interrupted(run)


def work(company: Company) -> int:
    """Follow all jobs, now and later, and print how they go."""

    async def run() -> None:
        async with company.open() as visma:
            with lines_shown(sys.stdout, as_json=company.as_json, now=visma.clock.utc_now) as show:
                await _follow(visma, show, until_settled=False)

    return _until_interrupted(run)


async def _follow(visma: VismaNet, show: Callable[[Sequence[JobRecord]], None], *, until_settled: bool) -> None:
    """Work on the jobs that nobody else works on, and show all that were open at some time since.

    With `until_settled` it ends when no job is open; without, it also outlives a store that is out of reach, though not
    one that is something else.
    """
    known: dict[str, JobRecord] = {}
    with unwrap_group():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(visma.jobs.run)
            while True:
                try:
                    known = await _look(visma, known)
                except StoreNotUsable as error:
                    if until_settled or isinstance(error, ForeignStore):
                        raise
                    print(f"vismanet: trying again: {error}", file=sys.stderr, flush=True)
                show([*known.values()])
                if until_settled:
                    if not any(record.state in OPEN for record in known.values()):
                        break
                else:
                    known = {own_id: record for own_id, record in known.items() if not record.settled}
                await visma.clock.sleep(_WATCH_SECONDS if until_settled else _WORK_SECONDS)
            tasks.cancel_scope.cancel()


async def _look(visma: VismaNet, known: dict[str, JobRecord]) -> dict[str, JobRecord]:
    """Return all jobs that are open or uncertain now, and the records of known jobs that were settled since."""
    unsettled = await visma.jobs.list(states=[*OPEN, State.UNCERTAIN], limit=_MOST_SHOWN)
    now = {record.id: record for record in unsettled}
    found = {own_id: record for own_id, record in known.items() if record.settled}
    for own_id in known.keys() - found.keys() - now.keys():
        with suppress(JobUnknown):  # somebody has deleted it
            found[own_id] = await visma.jobs.record(own_id)
    return found | now


def listen(
    company: Company,
    *,
    host: str,
    port: int,
    path: str,
    key_env: str,
    header: str,
    sources: Sequence[str],
    work: bool,
) -> int:
    """Receive webhooks until interrupted."""
    if not path.startswith("/"):
        raise SettingsError(f"--path begins with a slash, unlike {path!r}: it is the path of the subscription's URL.")
    key = os.environ.get(key_env)
    if not key:
        raise SettingsError(f"--key-env {key_env}: that variable is not set; put the subscription's signing key in it.")
    receive = partial(
        _listen, company, host=host, port=port, path=path, key=key, header=header, sources=sources, work=work
    )
    return _until_interrupted(receive)


async def _listen(
    company: Company,
    *,
    host: str,
    port: int,
    path: str,
    key: str,
    header: str,
    sources: Sequence[str],
    work: bool,
) -> None:
    async with company.open(sends=work) as visma:
        store = SqlStore(company.settings().job_store)
        receiver = WebhookReceiver(
            visma.jobs, key=key, signature_header=header, sources=sources or None, seen=store, clock=visma.clock
        )
        application = web.Application()
        application.router.add_post(path, receiver.handle)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await _serve(runner, host, port)
            place = f"http://{host}:{runner.addresses[0][1]}{path}"
            if company.as_json:
                print_json(msgspec.json.encode({"url": place}))
            else:
                print(f"receiving webhooks at {place}, until Ctrl-C")
            sys.stdout.flush()
            if work:
                with lines_shown(sys.stdout, as_json=company.as_json, now=visma.clock.utc_now) as show:
                    await _follow(visma, show, until_settled=False)
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await runner.cleanup()
                await store.aclose()


async def _serve(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise SettingsError(f"cannot listen at {host}:{port}: {error.strerror}.") from None


def _until_interrupted(run: Callable[[], Awaitable[None]]) -> int:
    # an interrupt is the way to end it; what is open goes on at the server, and in the next process
    with suppress(KeyboardInterrupt):
        anyio.run(run)
    return DONE
