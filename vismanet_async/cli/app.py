"""The commands and their options. What they do is imported when they are called, so that `--help` is quick."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number

from vismanet_async.cli.exit_codes import DONE, INTERRUPTED, WRONG_USE, exit_code
from vismanet_async.cli.jobs_app import jobs_app
from vismanet_async.errors import VismaNetError
from vismanet_async.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["app", "run"]


_Several = Annotated[list[str] | None, Parameter(consume_multiple=False)]
"""An option that is repeated for each value."""


_Store = Annotated[str | None, Parameter(env_var="VISMANET_JOB_STORE")]
"""Where jobs are kept; the default file if not given."""


def _worth_showing(default: Any) -> Any:
    """Leave out of `--help` that a flag is off and a text is empty."""
    return default or None


app = App(
    name="vismanet",
    help="Complete lists, safe and fast, out of Visma Net ERP.",
    help_epilogue=(
        "Signs in with VISMANET_CLIENT_ID, VISMANET_CLIENT_SECRET and VISMANET_TENANT_ID, or with VISMANET_TOKEN, or "
        "with a profile; `vismanet doctor` tells what is amiss.\n\n"
        "Exit codes: 0 done, 2 wrong use, 3 not signed in or not allowed, 4 could not be shown "
        "complete, 5 the API failed, 6 could not be written, 7 it may have happened or goes on (look before sending it "
        "again), 8 some of many companies failed, 130 interrupted."
    ),
    version=__version__,
    help_format="plaintext",
    default_parameter=Parameter(negative=(), show_default=_worth_showing),
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
app.command(jobs_app)


@app.command
def export(
    *resources: str,
    to: str | None = None,
    spool: Path | None = None,
    format: Literal["jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet"] = "jsonl",  # noqa: A002 - what the option is called
    where: _Several = None,
    since: str | None = None,
    incremental: bool = False,
    overlap_hours: float = 24.0,
    company: _Several = None,
    companies: Path | None = None,
    at_once: int = 8,
    connections: int = 32,
    page_size: int | None = None,
    concurrency: int | Literal["auto"] = "auto",
    completeness: Literal["prove", "count", "none"] = "prove",
    allow_uncertain: bool = False,
    restart: bool = False,
    part_bytes: int = 134_217_728,
    csv_delimiter: str = ",",
    csv_decimal_comma: bool = False,
    csv_no_header: bool = False,
    csv_bom: bool = False,
    csv_keep_formulas: bool = False,
    parquet_compression: Literal["zstd", "snappy", "gzip", "lz4", "none"] = "zstd",
    parquet_row_group_bytes: int = 33_554_432,
    status: str | None = None,
    verify: bool = False,
    profile: str | None = None,
    report: Path | None = None,
    dask: str | None = None,
    json: bool = False,
) -> int:
    """Write lists to files, whole or not at all.

    The files are TO/RESOURCE/part-NNNNN.FORMAT. In jsonl each record is one line,
    with the very bytes that the server sent; csv and parquet have columns made
    from the description of the API, and exact amounts. TO/manifest.json is
    published last: where it stands, the files are whole.

    Parameters
    ----------
    resources
        What to export, such as customer customer_invoice; `vismanet resources` lists the names.
    to
        The directory to write to, made when absent; or a URL: s3://bucket/folder, abfs://..., gs://... (extras s3,
        azure, gcs; credentials as the store's own tools find them).
    spool
        For a URL: the local directory where files are put together first, and where a stopped run is gone on from.
    format
        The files' format. parquet and jsonl.zst need an extra each, vismanet-async[parquet] and [zstd].
    where
        A filter: NAME=VALUE, NAME>=VALUE, RESOURCE.NAME=VALUE for one resource alone; may be given several times.
    since
        Only what was modified at or after this moment, such as 2025-05-25 or 2025-05-25T13:30:00.
    incremental
        Add what was changed since the last run to what that published; the first run reads everything.
    overlap_hours
        How far an incremental run goes back from the last change that it knows; what comes twice is left out.
    company
        Export this company instead of the one signed in to, TENANT or NAME=TENANT, to a folder of its own below TO; may
        be given several times. One that fails does not stop the others.
    companies
        A TOML or CSV file of companies: name and tenant_id of each.
    at_once
        Of many companies: how many are read side by side.
    connections
        Of many companies: requests in flight at most, of all together.
    page_size
        Rows asked for at a time; without it as many as the server gives.
    concurrency
        Requests in flight at most; auto finds out. Many companies share --connections instead.
    completeness
        What to show about each list: prove that nothing was lost, count the rows against the server's total, or none.
    allow_uncertain
        Publish also what could not be shown complete; the manifest says so.
    restart
        Begin anew, although an earlier run of the same export was stopped and could be continued.
    part_bytes
        Of a file; what brings it there closes it.
    csv_delimiter
        Between the fields of CSV: one character, or tab. Spreadsheets set to a Nordic language expect ;
    csv_decimal_comma
        Write 1234,50 in CSV, as such spreadsheets read numbers.
    csv_no_header
        Begin CSV files without the names of the columns.
    csv_bom
        Begin CSV files with a byte order mark, which old versions of Excel need.
    csv_keep_formulas
        Write texts that a spreadsheet would run as a formula as they are, for readers that are no spreadsheet.
    parquet_compression
        Of Parquet files.
    parquet_row_group_bytes
        Of JSON in a row group of Parquet; more takes more memory.
    status
        Show what an export has published at this path or URL, its runs, and whether a stopped one can be gone on with.
    verify
        With --status: read every file and compare it with the manifest.
    profile
        Which profile of the profile file to sign in with.
    report
        Write an HTML page about the run to this file: verdicts, times, requests, quota, repairs, files.
    dask
        Spread it over a Dask cluster: the scheduler's address, such as tcp://10.0.0.1:8786. Its workers see TO under
        the same path, and sign in with their own environment.
    json
        Print the manifest as JSON.
    """
    if status is not None:
        from vismanet_async.cli.export_status import run_status  # noqa: PLC0415

        return run_status(status, spool=spool, verify=verify, as_json=json)
    from vismanet_async.cli.export import run_export  # noqa: PLC0415

    return run_export(
        resources,
        to=to,
        where=where or [],
        since=since,
        company=company or [],
        companies=companies,
        at_once=at_once,
        connections=connections,
        spool=spool,
        concurrency=concurrency,
        profile=profile,
        as_json=json,
        format=format,
        incremental=incremental,
        overlap=timedelta(hours=overlap_hours),
        page_size=page_size,
        completeness=completeness,
        allow_uncertain=allow_uncertain,
        resume=not restart,
        part_bytes=part_bytes,
        csv={
            "delimiter": "\t" if csv_delimiter == "tab" else csv_delimiter,
            "decimal_comma": csv_decimal_comma,
            "header": not csv_no_header,
            "byte_order_mark": csv_bom,
            "neutralise_formulas": not csv_keep_formulas,
        },
        parquet={"compression": parquet_compression, "row_group_bytes": parquet_row_group_bytes},
        report=report,
        dask=dask,
    )


@app.command
def call(
    name: str,
    /,
    *ids: str,
    where: _Several = None,
    json: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    file: Path | None = None,
    if_match: str | None = None,
    to: Path | None = None,
    limit: int | None = None,
    page_size: int | None = None,
    preview: bool = False,
    background: bool = False,
    profile: str | None = None,
    store: _Store = None,
    **parameters: str,
) -> int:
    """Call one method and print its result as JSON, records with the very bytes that the server sent.

    For example:
      vismanet call customer.get 10000
      vismanet call customer.list --where status=Active --limit 10
      vismanet call supplier.create --json supplier.json --preview

    Parameters
    ----------
    name
        RESOURCE.METHOD, such as customer.get; `vismanet resources customer` lists the methods.
    ids
        The ids in the method's path, in order.
    where
        A parameter of the method, NAME=VALUE, NAME>=VALUE and so on; may be given several times.
    json
        The body: a JSON file, or - for stdin.
    file
        The file to attach.
    if_match
        Only if the record still has this version: its ETag or time stamp.
    to
        Where to save a file that is fetched: a path, or a directory.
    limit
        Rows of a list at most.
    page_size
        Rows of a list asked for at a time.
    preview
        Print what would be sent, and send nothing; needs no sign-in. Of a list, the first request.
    background
        Send it to the background queue and wait for its end. It is written down, and outlives this process.
    profile
        Which profile of the profile file to sign in with.
    store
        Where background jobs are written down: a path or URL.
    parameters
        A parameter of the method, such as --status Active or --last-modified-date-time '>=2025-05-25'.
    """
    from vismanet_async.cli.call import read_call, run_call  # noqa: PLC0415

    chosen = read_call(
        name,
        ids,
        where=where or [],
        parameters=parameters,
        body=json,
        file=file,
        if_match=if_match,
        limit=limit,
        page_size=page_size,
        background=background,
    )
    return run_call(chosen, to=to, preview=preview, background=background, profile=profile, store=store or None)


@app.command
def resources(name: str | None = None, /, *, json: bool = False) -> int:
    """List what there is, or the operations of one resource: path, parameters, fields, If-Match and background.

    Parameters
    ----------
    name
        A resource, such as customer_invoice, or one operation, such as customer_invoice.update.
    json
        Print the operations as JSON.
    """
    from vismanet_async.cli.resources import run_resources  # noqa: PLC0415

    return run_resources(name, as_json=json)


@app.command
def doctor(*, profile: str | None = None, json: bool = False) -> int:
    """Look at settings, network, token, scopes, company, quota, clock and time zone, and say what to do.

    Asks for a token and reads one short list; changes nothing. Shows no secret.
    Ends with 0 where all is well, 1 where something is worth a look, else with
    the exit code of the first thing that stops you.

    Parameters
    ----------
    profile
        Which profile of the profile file to sign in with.
    json
        Print the findings as JSON.
    """
    from vismanet_async.cli.doctor import run_doctor  # noqa: PLC0415

    return run_doctor(profile=profile, as_json=json)


@app.command
def demo(*, to: Path | None = None, seed: int = 7) -> int:
    """Export 53,000 records from a simulated company while others change them, and check that none was lost.

    Parameters
    ----------
    to
        Keep the files in this directory.
    seed
        Decides the simulated data.
    """
    from vismanet_async.cli.demo import run_demo  # noqa: PLC0415

    return run_demo(to=to, seed=seed)


@app.command
def simulate(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 0,
    seed: int = 1,
    rows: _Several = None,
    churn: _Several = None,
    latency: Annotated[float, Parameter(validator=Number(gte=0))] = 0.0,
    quota: Annotated[int, Parameter(validator=Number(gte=1))] = 15_000,
    behaviour: _Several = None,
    list_behaviours: bool = False,
    json: bool = False,
) -> int:
    """Run a simulated company on this machine until it is interrupted.

    Parameters
    ----------
    port
        The port to listen on; 0 takes a free one.
    seed
        Decides all data.
    rows
        How many rows a resource has, RESOURCE=COUNT; may be given several times.
    churn
        Rows added, removed and changed after every request, RESOURCE=COUNT; may be given several times.
    latency
        Seconds before each answer.
    quota
        Requests an hour.
    behaviour
        A switch, NAME=VALUE; may be given several times.
    list_behaviours
        Show the switches and stop.
    json
        Print the addresses and the sign-in as one JSON line.
    """
    from vismanet_async.cli.simulate import run_simulate, show_behaviours  # noqa: PLC0415

    if list_behaviours:
        return show_behaviours()
    return run_simulate(
        port=port,
        seed=seed,
        rows=rows or [],
        churn=churn or [],
        latency=latency,
        quota=quota,
        behaviours=behaviour or [],
        as_json=json,
    )


@app.command(name="--install-completion")
def install_completion(*, shell: Literal["bash", "zsh", "fish"] | None = None, output: Path | None = None) -> int:
    """Teach the shell to complete commands, options and choices on Tab.

    Parameters
    ----------
    shell
        Which shell; without it the one that runs this.
    output
        Only write the script there, and leave the shell's own files alone.
    """
    from vismanet_async.cli.completion import run_install_completion  # noqa: PLC0415

    return run_install_completion(app, shell=shell, output=output)


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command line; errors become one line on stderr and an exit code."""
    with _terminate_like_interrupt():
        try:
            result: Any = app(sys.argv[1:] if argv is None else argv)
        except CycloptsError as error:
            return _fail(str(error), WRONG_USE)
        except VismaNetError as error:
            return _fail(str(error), exit_code(error))
        except KeyboardInterrupt:
            return _fail("interrupted. Start it again to go on.", INTERRUPTED)
        except BrokenPipeError:  # whoever read our output has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return DONE
    return result if isinstance(result, int) else DONE


def _fail(message: str, code: int) -> int:
    print(f"vismanet: {' '.join(message.split())}", file=sys.stderr)
    return code


@contextlib.contextmanager
def _terminate_like_interrupt() -> Iterator[None]:
    """Let a polite kill clean up as an interrupt does."""
    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
