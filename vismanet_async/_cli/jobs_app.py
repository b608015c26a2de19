"""The options of `vismanet jobs`. What the commands do is imported when they are called."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from vismanet_async._cli.help_texts import MORE

if TYPE_CHECKING:
    from vismanet_async._cli.jobs import Company

__all__ = ["jobs_app"]

_Several = Annotated[list[str] | None, Parameter(consume_multiple=False)]
_Source = Annotated[
    list[str] | None,
    Parameter(
        consume_multiple=False,
        help="An address or network that deliveries may come from; may be given several times. Not for use behind a "
        "proxy, whose address is all that is seen.",
    ),
]
_Seconds = Annotated[float | None, Parameter(validator=Number(gt=0))]
_PollShare = Annotated[
    float | None,
    Parameter(
        validator=Number(gt=0, lte=1),
        help="The part of the quota that is left which looking for ended jobs may use, above 0 and at most 1; 0.5 if "
        "not given, nor VISMANET_POLL_SHARE. More finds ends sooner, and leaves less for everything else.",
    ),
]
_State = Literal["intent", "submitted", "running", "succeeded", "failed", "expired", "uncertain"]

jobs_app = App(
    name="jobs",
    help="Submit background jobs and follow them; they are written down, and survive crashes.",
    help_epilogue=(
        "Jobs are kept in --store, else in VISMANET_JOB_STORE, else in the profile's job_store, else in a file in your "
        "state directory. Each names a SQLite file by its path, or a database by its URL: sqlite:///... or postgresql://user@host/database.\n\n"
        f"{MORE}"
    ),
)


def _company(
    profile: str | None, store: str | None, *, as_json: bool = False, poll_share: float | None = None
) -> Company:
    from vismanet_async._cli.jobs import Company  # noqa: PLC0415

    return Company(profile=profile, store=store, as_json=as_json, poll_share=poll_share)


@jobs_app.command(usage="Usage: vismanet jobs submit RESOURCE.METHOD [ID...] [OPTIONS]")
def submit(
    name: str,
    /,
    *ids: str,
    where: _Several = None,
    json: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    if_match: str | None = None,
    reference: str | None = None,
    notify: Literal["none", "subscription"] = "none",
    wait: bool = False,
    timeout: _Seconds = None,
    to: Path | None = None,
    profile: str | None = None,
    store: str | None = None,
    **parameters: Annotated[str, Parameter(show=False)],
) -> int:
    """Send a call to the background queue and print the job's id; with --wait its result.

    For example:
      vismanet jobs submit supplier_invoice.release 300004 --reference nightly

    Parameters
    ----------
    name
        RESOURCE.METHOD, such as supplier_invoice.release.
    ids
        The ids in the method's path, in order, such as 300004.
    where
        A parameter of the method, NAME=VALUE; may be given several times. Each is an option of its own as well.
    json
        The body of what is sent: a JSON file, or - for stdin.
    if_match
        Only if the record still has this version when the job runs: the ETag or time stamp it was read with.
    reference
        Your own text, to find the job by; without comma and equals sign.
    notify
        subscription: the server sends a webhook at the end, which `vismanet jobs listen` receives.
    wait
        Wait for the end and print the result.
    timeout
        With --wait: seconds to wait at most; the job goes on, and the exit code is 7.
    to
        With --wait: where to save a result that is a file.
    profile
        Profile to use from the profile file.
    store
        Where jobs are kept, see below.
    """
    from vismanet_async._cli import jobs  # noqa: PLC0415
    from vismanet_async._cli.call import read_call  # noqa: PLC0415

    call = read_call(
        name,
        ids,
        where=where or [],
        parameters=parameters,
        body=json,
        if_match=if_match,
        background=True,
        command="vismanet jobs submit",
    )
    return jobs.submit(
        _company(profile, store), call, reference=reference, notify=notify, wait=wait, timeout=timeout, to=to
    )


@jobs_app.command(name="list")
def list_jobs(
    *,
    state: Annotated[list[_State] | None, Parameter(consume_multiple=False)] = None,
    reference: str | None = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 1000,
    profile: str | None = None,
    store: str | None = None,
    json: bool = False,
) -> int:
    """List jobs, newest first; reads the local job store only and makes no API calls.

    Parameters
    ----------
    state
        Only jobs in this state; may be given several times.
    reference
        Only jobs with this reference.
    limit
        How many jobs to list at most.
    profile
        The profile that names the company.
    store
        Where jobs are kept, see below.
    json
        Print them as JSON.
    """
    from vismanet_async._cli import jobs  # noqa: PLC0415

    return jobs.list_jobs(_company(profile, store, as_json=json), states=state or [], reference=reference, limit=limit)


@jobs_app.command
def show(id: str, /, *, profile: str | None = None, store: str | None = None, json: bool = False) -> int:  # noqa: A002 - what it is called
    """Show all that is known about one job; reads the local job store only and makes no API calls.

    Parameters
    ----------
    id
        The job's id as `vismanet jobs submit` printed it, or the server's.
    profile
        The profile that names the company.
    store
        Where jobs are kept, see below.
    json
        Print it as JSON.
    """
    from vismanet_async._cli import jobs  # noqa: PLC0415

    return jobs.show(_company(profile, store, as_json=json), id)


@jobs_app.command
def wait(
    id: str,  # noqa: A002 - as above
    /,
    *,
    timeout: _Seconds = None,
    profile: str | None = None,
    store: str | None = None,
    json: bool = False,
) -> int:
    """Wait for a job's end; the exit code is that of its call.

    Parameters
    ----------
    id
        The job's id as `vismanet jobs submit` printed it, or the server's.
    timeout
        Seconds to wait at most; the job goes on, and the exit code is 7.
    profile
        Profile to use from the profile file.
    store
        Where jobs are kept, see below.
    json
        Print the job as JSON.
    """
    from vismanet_async._cli import jobs  # noqa: PLC0415

    return jobs.wait(_company(profile, store, as_json=json), id, timeout=timeout)


@jobs_app.command
def watch(
    *, poll_share: _PollShare = None, profile: str | None = None, store: str | None = None, json: bool = False
) -> int:
    """Follow the open jobs and show how they go, until none is left.

    Parameters
    ----------
    profile
        Profile to use from the profile file.
    store
        Where jobs are kept, see below.
    json
        Print a JSON line for each change.
    """
    from vismanet_async._cli import jobs  # noqa: PLC0415

    return jobs.watch(_company(profile, store, as_json=json, poll_share=poll_share))


@jobs_app.command
def result(
    id: str,  # noqa: A002 - as above
    /,
    *,
    to: Path | None = None,
    profile: str | None = None,
    store: str | None = None,
    json: Annotated[bool, Parameter(show=False)] = False,  # noqa: ARG001 - results are JSON in any case
) -> int:
    """Print the result of a job that has ended as JSON; where its call failed, the error, with its exit code.

    Parameters
    ----------
    id
        The job's id as `vismanet jobs submit` printed it, or the server's.
    to
        Where to save a result that is a file.
    profile
        The profile that names the company.
    store
        Where jobs are kept, see below.
    """
    from vismanet_async._cli import jobs  # noqa: PLC0415

    return jobs.result(_company(profile, store), id, to=to)


@jobs_app.command
def settle(
    id: str,  # noqa: A002 - as above
    /,
    *,
    outcome: Annotated[Literal["succeeded", "failed"] | None, Parameter(name="--as")] = None,
    job_id: str | None = None,
    why: Annotated[str, Parameter(name="--note")] = "",
    profile: str | None = None,
    store: str | None = None,
    json: bool = False,
) -> int:
    """Settle an uncertain job by what you found out: how it ended, or its id at the server.

    Parameters
    ----------
    id
        The job's id as `vismanet jobs submit` printed it.
    outcome
        How it ended, as you see in Visma Net.
    job_id
        If you know it instead: the server's id, by which the job is followed again.
    why
        With --as: why you think so; kept with the job.
    profile
        The profile that names the company.
    store
        Where jobs are kept, see below.
    json
        Print the job as JSON.
    """
    from vismanet_async._cli import jobs  # noqa: PLC0415

    return jobs.settle(_company(profile, store, as_json=json), id, outcome=outcome, job_id=job_id, note=why)


@jobs_app.command(name="run")
def work(
    *, poll_share: _PollShare = None, profile: str | None = None, store: str | None = None, json: bool = False
) -> int:
    """Follow all jobs of the company, those to come as well, until interrupted; several may share one PostgreSQL.

    Parameters
    ----------
    profile
        Profile to use from the profile file.
    store
        Where jobs are kept, see below.
    json
        Print a JSON line for each change.
    """
    from vismanet_async._cli import jobs  # noqa: PLC0415

    return jobs.work(_company(profile, store, as_json=json, poll_share=poll_share))


@jobs_app.command
def listen(
    *,
    key_env: str,
    header: str,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))],
    host: str = "127.0.0.1",
    path: str = "/",
    source: _Source = None,
    work: bool = False,
    poll_share: _PollShare = None,
    profile: str | None = None,
    store: str | None = None,
    json: bool = False,
) -> int:
    """Receive the webhooks of ended jobs until interrupted, so that they need no polling.

    Parameters
    ----------
    key_env
        The name of the environment variable that holds the subscription's signing key.
    header
        The name of the header that carries the signature. Visma does not publish it: look at one delivery.
    port
        The port to listen on; 0 takes a free one, which is printed.
    host
        The address to listen on. It speaks plain HTTP; put a proxy with TLS in front of it.
    path
        The path of the subscription's URL.
    work
        Follow the jobs here as well, as `vismanet jobs run` does.
    profile
        The profile that names the company.
    store
        Where jobs are kept, see below.
    json
        Print the address as JSON.
    """
    from vismanet_async._cli import jobs  # noqa: PLC0415

    return jobs.listen(
        _company(profile, store, as_json=json, poll_share=poll_share),
        host=host,
        port=port,
        path=path,
        key_env=key_env,
        header=header,
        sources=source or [],
        work=work,
    )


@jobs_app.command
def prune(*, older_than: str, profile: str | None = None, store: str | None = None, json: bool = False) -> int:
    """Delete jobs that ended long ago, with their results; open and uncertain ones stay.

    Parameters
    ----------
    older_than
        How long ago a job must have ended: a number of s, m, h, d or w, such as 12h or 90d.
    profile
        The profile that names the company.
    store
        Where jobs are kept, see below.
    json
        Print the count as JSON.
    """
    from vismanet_async._cli import jobs  # noqa: PLC0415

    return jobs.prune(_company(profile, store, as_json=json), older_than=older_than)
