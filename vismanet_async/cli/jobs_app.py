"""The options of `vismanet jobs`. What the commands do is imported when they are called."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from vismanet_async.cli.jobs import Company

__all__ = ["jobs_app"]

_Several = Annotated[list[str] | None, Parameter(consume_multiple=False)]
_Seconds = Annotated[float | None, Parameter(validator=Number(gt=0))]
_Store = Annotated[str | None, Parameter(env_var="VISMANET_JOB_STORE")]
_State = Literal["intent", "submitted", "running", "succeeded", "failed", "expired", "uncertain"]

jobs_app = App(
    name="jobs",
    help="Submit background jobs and follow them; they are written down, and survive crashes.",
    help_epilogue=(
        "Jobs are kept in --store (or VISMANET_JOB_STORE): the path of a SQLite file, or a URL, sqlite:///... or "
        "postgresql://...; a file under the user's state directory if not given."
    ),
)


def _company(profile: str | None, store: str | None, *, as_json: bool = False) -> Company:
    from vismanet_async.cli.jobs import Company  # noqa: PLC0415

    return Company(profile=profile, store=store or None, as_json=as_json)


@jobs_app.command
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
    store: _Store = None,
    **parameters: str,
) -> int:
    """Send a call to the background queue and print the job's id; with --wait its result.

    vismanet jobs submit supplier_invoice.release 000357 --reference nightly

    Parameters
    ----------
    name
        RESOURCE.METHOD, such as supplier_invoice.release.
    ids
        The ids in the method's path, in order.
    where
        A parameter of the method, NAME=VALUE; may be given several times.
    json
        The body: a JSON file, or - for stdin.
    if_match
        Only if the record still has this version when the job runs.
    reference
        Your own text for it, to find it again; without comma and equals.
    notify
        subscription: the server sends a webhook at the end, to what `vismanet jobs listen` serves.
    wait
        Wait for the end and print the result.
    timeout
        Seconds to wait at most.
    to
        Where to save a result that is a file.
    profile
        Which profile of the profile file to sign in with.
    store
        Where jobs are written down.
    parameters
        A parameter of the method.
    """
    from vismanet_async.cli import jobs  # noqa: PLC0415
    from vismanet_async.cli.call import read_call  # noqa: PLC0415

    call = read_call(name, ids, where=where or [], parameters=parameters, body=json, if_match=if_match, background=True)
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
    store: _Store = None,
    json: bool = False,
) -> int:
    """List jobs as they are written down, newest first; asks the store, never the server.

    Parameters
    ----------
    state
        Only jobs in this state; may be given several times.
    reference
        Only jobs with this reference.
    limit
        So many at most.
    profile
        The profile that names the company.
    store
        Where jobs are written down.
    json
        Print them as JSON.
    """
    from vismanet_async.cli import jobs  # noqa: PLC0415

    return jobs.list_jobs(_company(profile, store, as_json=json), states=state or [], reference=reference, limit=limit)


@jobs_app.command
def show(id: str, /, *, profile: str | None = None, store: _Store = None, json: bool = False) -> int:  # noqa: A002 - what it is called
    """Show all that is written down about one job.

    Parameters
    ----------
    id
        Our id of the job, or the server's.
    profile
        The profile that names the company.
    store
        Where jobs are written down.
    json
        Print it as JSON.
    """
    from vismanet_async.cli import jobs  # noqa: PLC0415

    return jobs.show(_company(profile, store, as_json=json), id)


@jobs_app.command
def wait(
    id: str,  # noqa: A002 - as above
    /,
    *,
    timeout: _Seconds = None,
    profile: str | None = None,
    store: _Store = None,
    json: bool = False,
) -> int:
    """Wait for a job's end; the exit code is that of its call.

    Parameters
    ----------
    id
        Our id of the job, or the server's.
    timeout
        Seconds to wait at most; the job goes on, and the exit code is 7.
    profile
        Which profile of the profile file to sign in with.
    store
        Where jobs are written down.
    json
        Print the job as JSON.
    """
    from vismanet_async.cli import jobs  # noqa: PLC0415

    return jobs.wait(_company(profile, store, as_json=json), id, timeout=timeout)


@jobs_app.command
def watch(*, profile: str | None = None, store: _Store = None, json: bool = False) -> int:
    """Follow the open jobs and show how they go, until none is left.

    Parameters
    ----------
    profile
        Which profile of the profile file to sign in with.
    store
        Where jobs are written down.
    json
        Print a JSON line for each change.
    """
    from vismanet_async.cli import jobs  # noqa: PLC0415

    return jobs.watch(_company(profile, store, as_json=json))


@jobs_app.command
def result(
    id: str,  # noqa: A002 - as above
    /,
    *,
    to: Path | None = None,
    profile: str | None = None,
    store: _Store = None,
    json: bool = False,  # noqa: ARG001 - results are JSON in any case
) -> int:
    """Print the result of a settled job as JSON; an error and its exit code where the call failed.

    Parameters
    ----------
    id
        Our id of the job, or the server's.
    to
        Where to save a result that is a file.
    profile
        The profile that names the company.
    store
        Where jobs are written down.
    json
        Results are JSON in any case.
    """
    from vismanet_async.cli import jobs  # noqa: PLC0415

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
    store: _Store = None,
    json: bool = False,
) -> int:
    """Say what you found out about an uncertain job: how it ended, or its id at the server.

    Parameters
    ----------
    id
        Our id of the job.
    outcome
        How it ended, as you saw it in the ERP.
    job_id
        Instead of that: the server's id, to follow the job again.
    why
        The reason; kept with the job.
    profile
        The profile that names the company.
    store
        Where jobs are written down.
    json
        Print the job as JSON.
    """
    from vismanet_async.cli import jobs  # noqa: PLC0415

    return jobs.settle(_company(profile, store, as_json=json), id, outcome=outcome, job_id=job_id, note=why)


@jobs_app.command(name="run")
def work(*, profile: str | None = None, store: _Store = None, json: bool = False) -> int:
    """Follow all jobs of the company, now and later, until interrupted; several may run on one PostgreSQL.

    Parameters
    ----------
    profile
        Which profile of the profile file to sign in with.
    store
        Where jobs are written down.
    json
        Print a JSON line for each change.
    """
    from vismanet_async.cli import jobs  # noqa: PLC0415

    return jobs.work(_company(profile, store, as_json=json))


@jobs_app.command
def listen(
    *,
    key_env: str,
    header: str,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))],
    host: str = "127.0.0.1",
    path: str = "/",
    source: _Several = None,
    work: bool = False,
    profile: str | None = None,
    store: _Store = None,
    json: bool = False,
) -> int:
    """Take in the webhooks of ended jobs until interrupted, so that they need no polling.

    Parameters
    ----------
    key_env
        The environment variable that holds the subscription's signing key.
    header
        The name of the header with the signature; Visma does not publish it, look at one delivery.
    port
        The port to listen on; 0 takes a free one.
    host
        The address to listen on; TLS is for a proxy in front of it.
    path
        The path that the subscription names.
    source
        An address or network that may send; may be given several times. Not behind a proxy.
    work
        Follow the jobs here as well, as `vismanet jobs run` does.
    profile
        The profile that names the company.
    store
        Where jobs are written down.
    json
        Print the address as JSON.
    """
    from vismanet_async.cli import jobs  # noqa: PLC0415

    return jobs.listen(
        _company(profile, store, as_json=json),
        host=host,
        port=port,
        path=path,
        key_env=key_env,
        header=header,
        sources=source or [],
        work=work,
    )


@jobs_app.command
def prune(*, older_than: str, profile: str | None = None, store: _Store = None, json: bool = False) -> int:
    """Delete jobs that were settled so long ago, with their results; open and uncertain ones stay.

    Parameters
    ----------
    older_than
        Such as 90d, 12h or 2w.
    profile
        The profile that names the company.
    store
        Where jobs are written down.
    json
        Print the count as JSON.
    """
    from vismanet_async.cli import jobs  # noqa: PLC0415

    return jobs.prune(_company(profile, store, as_json=json), older_than=older_than)
