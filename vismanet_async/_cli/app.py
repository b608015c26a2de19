"""The commands and their options. A command imports its code when it is called, so that `--help` is quick."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
import threading
import traceback
from contextlib import nullcontext
from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from cyclopts import App, CoercionError, CycloptsError, Parameter
from cyclopts.validators import Number

from vismanet_async._cli.bulk_app import LOAD_USAGE, RELEASE_USAGE, load, release
from vismanet_async._cli.exit_codes import DONE, FAULT, INTERRUPTED, MEANINGS, WRONG_USE, exit_code
from vismanet_async._cli.export_app import export_app
from vismanet_async._cli.help_texts import MORE, NEXT_STEPS, SIGN_IN, SIGNING_IN
from vismanet_async._cli.jobs_app import jobs_app
from vismanet_async._cli.logs import LOG_OPTIONS, ended, read_talk, talking
from vismanet_async._cli.partners import refuse_lonely_options
from vismanet_async._cli.streams import Notices, OutputFailed, standard_streams
from vismanet_async._version import __version__
from vismanet_async.errors import RequestRefused, VismaNetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from rich.console import Console

__all__ = ["app", "run"]


_Several = Annotated[list[str] | None, Parameter(consume_multiple=False)]
"""An option that is given once per value."""


_CallWhere = Annotated[
    list[str] | None,
    Parameter(
        consume_multiple=False,
        help="A parameter of the method: NAME=VALUE, or NAME>=VALUE (also <=, >, <) for dates and numbers. May be "
        "given several times. Each is an option of its own as well: --status Active, --last-modified-date-time "
        "'>=2025-05-25'.",
    ),
]
_Background = Annotated[
    bool,
    Parameter(
        help="Send it to the background queue, print the job's id on stderr, and wait for its end. A job goes on when "
        "this is stopped; `vismanet jobs` finds it again."
    ),
]
_Drift = Annotated[
    str | None,
    Parameter(
        name="--drift",
        help="Compare instead, without signing in: what this version knows of the API with the service's own OpenAPI 3 "
        "description, in JSON, at a URL or in a file. Prints what is new, gone and changed there; ends with 0 where "
        "nothing is, else with 1.",
    ),
]


_Parameter = Annotated[str, Parameter(show=False)]
"""A parameter of the called method as an option; the help of --where describes it."""


def _worth_showing(default: Any) -> Any:
    """Return the default to show in `--help`; None for flags that are off and empty texts."""
    return default or None


_LEAST_COLUMNS = 40
_TRACEBACK = "VISMANET_TRACEBACK"

_EXIT_CODES = "Exit codes:\n" + "\n".join(f"{code:5}  {meaning}" for code, meaning in MEANINGS.items())

app = App(
    name="vismanet",
    help="Export and update Visma Net ERP data, safely and completely.",
    help_epilogue=f"`vismanet COMMAND --help` shows what a command takes. {SIGN_IN}\n\n{LOG_OPTIONS}\n\n{_EXIT_CODES}",
    version=__version__,
    help_format="plaintext",
    default_parameter=Parameter(negative=(), show_default=_worth_showing),
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
app.command(jobs_app)
app.command(export_app)


@app.command(usage="Usage: vismanet diff BEFORE [AFTER] [OPTIONS]", help_epilogue=MORE)
def diff(
    before: str,
    after: str | None = None,
    /,
    *,
    before_runs: int | None = None,
    after_runs: int | None = None,
    resource: _Several = None,
    limit: Annotated[int, Parameter(validator=Number(gte=0))] = 20,
    html: Path | None = None,
    json: bool = False,
) -> int:
    """Show what was added, changed and removed between two exports, or two runs of one.

    For example:
      vismanet diff monday tuesday
      vismanet diff out                   # what the last run brought
      vismanet diff out --before-runs 1   # what all runs after the first brought

    Needs no sign-in, and sends nothing. Both are compared in their latest state,
    by key; numbers by their value.

    Parameters
    ----------
    before
        The directory or URL of an export.
    after
        The same of another. Without it BEFORE is compared with itself, before and after its last run.
    before_runs
        Take BEFORE as it was after so many of its runs; `vismanet export --status` lists them.
    after_runs
        Take AFTER as it was after so many of its runs.
    resource
        Only this list; may be given several times. Without it those that both have.
    limit
        How many differences of each list are shown, and written to the page; with --json only the latter.
    html
        Also write an HTML page to this file; it needs nothing but itself.
    json
        Print every difference as a line of JSON.
    """
    from vismanet_async._cli.diff import run_diff  # noqa: PLC0415

    return run_diff(
        before,
        after,
        before_runs=before_runs,
        after_runs=after_runs,
        resources=resource,
        limit=limit,
        html=html,
        as_json=json,
    )


@app.command(usage="Usage: vismanet call RESOURCE.METHOD [ID...] [OPTIONS]", help_epilogue=SIGNING_IN)
def call(
    name: str,
    /,
    *ids: str,
    where: _CallWhere = None,
    json: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    file: Path | None = None,
    if_match: str | None = None,
    to: Path | None = None,
    limit: int | None = None,
    page_size: int | None = None,
    preview: bool = False,
    background: _Background = False,
    profile: str | None = None,
    store: str | None = None,
    **parameters: _Parameter,
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
        The ids in the method's path, in order, such as 10000.
    json
        The body of what is sent: a JSON file, or - for stdin.
    file
        The file to attach.
    if_match
        Only if the record still has this version: the ETag or time stamp it was read with.
    to
        Where to save a file that is fetched: a path, or a directory.
    limit
        Of a list: print no more records than this, and ask for no more.
    page_size
        Of a list: records asked for in one request; without it as many as the server gives.
    preview
        Print the request that would be sent (of a list, the first), and send nothing. Needs no sign-in.
    profile
        Profile to use from the profile file.
    store
        With --background: where jobs are kept. See `vismanet jobs --help`.
    """
    from vismanet_async._cli.call import read_call, run_call  # noqa: PLC0415

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
    return run_call(chosen, to=to, preview=preview, background=background, profile=profile, store=store)


app.command(load, usage=LOAD_USAGE, help_epilogue=SIGNING_IN)
app.command(release, usage=RELEASE_USAGE, help_epilogue=SIGNING_IN)


@app.command(usage="Usage: vismanet resources [RESOURCE | RESOURCE.METHOD] [--json]", help_epilogue="")
def resources(name: str | None = None, /, *, json: bool = False) -> int:
    """List what there is, or the operations of one resource: path, parameters, fields, If-Match and background.

    Parameters
    ----------
    name
        A resource such as customer_invoice, or an operation such as customer_invoice.update; without it, all resources.
    json
        Print the operations as JSON.
    """
    from vismanet_async._cli.resources import run_resources  # noqa: PLC0415

    return run_resources(name, as_json=json)


@app.command(help_epilogue=SIGNING_IN)
def doctor(
    *,
    profile: str | None = None,
    json: bool = False,
    drift: _Drift = None,
) -> int:
    """Check settings, network, token, scopes, company, quota, clock and time zone, and suggest fixes.

    Asks for a token and reads one short list; changes nothing. Shows no secret.
    Ends with 0 where all is well, 1 where there are warnings, else with
    the exit code of the first thing that stops you.

    Parameters
    ----------
    profile
        Profile to use from the profile file.
    json
        Print the findings as JSON.
    """
    if drift is not None:
        from vismanet_async._cli.doctor_drift import run_drift  # noqa: PLC0415

        return run_drift(drift, profile=profile, as_json=json)
    from vismanet_async._cli.doctor import run_doctor  # noqa: PLC0415

    return run_doctor(profile=profile, as_json=json)


@app.command(help_epilogue="")
def demo(*, to: Path | None = None, seed: int = 7) -> int:
    """Export 53,000 records from a simulated company while others change them, and check that none was lost.

    Parameters
    ----------
    to
        Keep the files in this directory.
    seed
        A different seed generates different data.
    """
    from vismanet_async._cli.demo import run_demo  # noqa: PLC0415

    return run_demo(to=to, seed=seed)


@app.command(help_epilogue="")
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
        A different seed generates different data.
    rows
        How many records a resource has, RESOURCE=COUNT; may be given several times.
    churn
        Records added, removed and changed after every request, RESOURCE=COUNT; may be given several times.
    latency
        Seconds to wait before each answer, such as 0.1.
    quota
        Requests that a client may send in an hour, before it is answered with 429.
    behaviour
        How it behaves where the real one is awkward, NAME=VALUE; may be given several times.
    list_behaviours
        List what --behaviour takes, and stop.
    json
        Print its addresses and the sign-in as one line of JSON, instead of lines for your shell.
    """
    from vismanet_async._cli.simulate import run_simulate, show_behaviours  # noqa: PLC0415

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


@app.command(name="--install-completion", help_epilogue="")
def install_completion(*, shell: Literal["bash", "zsh", "fish"] | None = None, output: Path | None = None) -> int:
    """Install shell completion of commands, options, choices, and names of resources and methods.

    Writes a script, and has ~/.bashrc or ~/.zshrc load it (fish needs no line);
    says which files it wrote.

    Parameters
    ----------
    shell
        Which shell; without it the one that this was called from.
    output
        Write the script to this file only, and leave the shell's own files alone.
    """
    from vismanet_async._cli.completion import run_install_completion  # noqa: PLC0415

    return run_install_completion(app, shell=shell, output=output)


refuse_lonely_options(app)


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; an error is one line on stderr."""
    with standard_streams(), _terminate_like_interrupt():
        try:
            talk, words = read_talk(sys.argv[1:] if argv is None else argv)
        except RequestRefused as error:
            return _fail(str(error), WRONG_USE)
        with talking(talk):
            code = _run(words)
            ended(code)
            return code


def _run(argv: Sequence[str]) -> int:
    code = DONE
    try:
        if not argv:
            print(NEXT_STEPS)
            return DONE
        console = _wide_enough()
        result: Any = app(["--help"] if list(argv) == ["help"] else argv, console=console, error_console=console)
        code = result if isinstance(result, int) else DONE
        sys.stdout.flush()
    except CycloptsError as error:
        code = _fail(_wrong_use(error), WRONG_USE)
    except OutputFailed as error:
        if error.done or not error.left:  # a reader that has left wants no more
            code = _fail(str(error), code or exit_code(error))
    except VismaNetError as error:
        code = _fail(str(error), exit_code(error))
    except KeyboardInterrupt:
        code = _fail("interrupted. Start it again to go on.", INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the outermost handler: the user still needs a text
        code = _unexpected(error)
    return code


def _wide_enough() -> Console | None:
    """Return a console for a terminal that is too narrow for help pages, or says so, as `COLUMNS=0` does; else None.

    Below a few columns the tables of rich raise errors, or never end.
    """
    said = os.environ.get("COLUMNS", "")
    columns = int(said) if said.isascii() and said.isdigit() else shutil.get_terminal_size().columns
    if columns >= _LEAST_COLUMNS:
        return None
    from rich.console import Console  # noqa: PLC0415 - most command lines print no help

    return Console(width=_LEAST_COLUMNS)


def _unexpected(error: Exception) -> int:
    """Print an unexpected error; with its traceback only if the environment asks for it."""
    if os.environ.get(_TRACEBACK):
        print("".join(traceback.format_exception(error)), end="", file=sys.stderr)
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return _fail(
        f"an error in vismanet itself: {said.removesuffix('.')}. What was done before stands; after a write look at "
        f"the record before sending it again. Please report it, with what is shown if {_TRACEBACK}=1 is set.",
        FAULT,
    )


def _wrong_use(error: CycloptsError) -> str:
    """Return a plain text about a wrong command line, and which help page to read."""
    said = str(error)
    if isinstance(error, CoercionError) and error.token is not None and (words := _words(error.target_type)):
        said = f"{error.token.keyword}: {error.token.value!r} is not {words}."
    if re.search(r"(Choose from|Available commands): [^.]*\.$", said):
        return said
    return f"{said} `{' '.join(['vismanet', *(error.command_chain or ())])} --help` shows what there is."


def _words(kind: Any) -> str | None:
    """Return the values of an option as text: `a whole number or auto`."""
    known = {int: "a whole number", float: "a number"}
    if kind in known:
        return known[kind]
    words = [known.get(each) or " or ".join(map(str, get_args(each))) for each in get_args(kind)]
    return " or ".join(words) if words and all(words) else None


def _fail(message: str, code: int) -> int:
    text = " ".join(message.split())
    if isinstance(sys.stderr, Notices) and sys.stderr.say_instead is not None:
        sys.stderr.say(text, exit_code=code)
    else:
        print(f"vismanet: {text}", file=sys.stderr)
    return code


@contextlib.contextmanager
def _terminate_like_interrupt() -> Iterator[None]:
    """Treat SIGTERM like SIGINT, also where SIGINT is ignored.

    A shell ignores SIGINT in background jobs (`&`), so that Ctrl-C ends only the foreground. asyncio cancels its tasks
    from its own handler of SIGINT, which it does not install where SIGINT is ignored. So SIGINT is blocked instead of
    ignored, asyncio installs its handler, and SIGTERM calls that.
    """
    if threading.current_thread() is not threading.main_thread():  # other threads cannot set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _holding_back_interrupts() if signal.getsignal(signal.SIGINT) == signal.SIG_IGN else nullcontext():
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Call the current handler of SIGINT: asyncio's own while an event loop runs."""
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(signal.SIGINT, frame)


@contextlib.contextmanager
def _holding_back_interrupts() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):  # Windows, where other processes cannot send SIGTERM either
        yield
        return
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # also drops a pending one
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
