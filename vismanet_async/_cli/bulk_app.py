"""The options of `vismanet load` and `vismanet release`. What they do is imported when they are called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vismanet_async._cli.bulk_run import RunOptions

__all__ = ["LOAD_USAGE", "RELEASE_USAGE", "load", "release"]

LOAD_USAGE: Final = "Usage: vismanet load RESOURCE[.METHOD] FILE --key COLUMN | --upsert FIELD [OPTIONS]"
RELEASE_USAGE: Final = "Usage: vismanet release RESOURCE --where NAME=VALUE [OPTIONS]"

_Several = Annotated[list[str] | None, Parameter(consume_multiple=False)]
_Where = Annotated[
    list[str] | None,
    Parameter(
        consume_multiple=False,
        help="Which documents: NAME=VALUE, or NAME>=VALUE (also <=, >, <) for dates and numbers. Needed, may be "
        "given several times.",
    ),
]
_Find = Annotated[
    str | None,
    Parameter(
        help="FILTER=COLUMN: how a row is looked up whose answer got lost, by a filter of the resource's list that "
        "matches it alone. Updates are looked up by what they send. Without it such a row stays unknown."
    ),
]
_Upsert = Annotated[
    str | None,
    Parameter(
        help="FIELD that tells records apart, instead of --key: what is missing is created, what differs is updated, "
        "field by field, and all else is left alone. --dry-run shows what differs; it reads, so it needs a sign-in."
    ),
]
_Map = Annotated[
    Path | None,
    Parameter(
        help="A TOML file: [columns] names the fields of columns, [values] has values for all rows, ignore lists "
        "columns that are not sent; key and ids as the options."
    ),
]
_Journal = Annotated[
    Path | None,
    Parameter(help="Where to keep what became of each row; without it in a folder named after FILE or RESOURCE."),
]
_RetryFailed = Annotated[
    bool, Parameter(help="Send rows again that failed in an earlier run and have not changed since.")
]
_RetryUnknown = Annotated[
    bool,
    Parameter(help="Send unknown rows of earlier runs again without looking; each of them may be executed twice."),
]
_MaxFailures = Annotated[
    int | None,
    Parameter(
        validator=Number(gte=0),
        help="Stop when more rows than this have failed; without it when half of the last hundred have.",
    ),
]
_SettleSeconds = Annotated[
    float | None,
    Parameter(
        validator=Number(gte=0),
        help="How long after a lost answer a row that was looked up and not found counts as not executed; 240 if not "
        "given.",
    ),
]
_Via = Annotated[
    Literal["request", "background", "auto"],
    Parameter(
        help="How rows are sent: each as a request, as a job of the background queue, or as what suits it: actions, "
        "and what took a minute or more before, as jobs. Jobs are kept where `vismanet jobs` keeps them."
    ),
]
_Report = Annotated[Path | None, Parameter(help="Write what became of the rows into this HTML file.")]
_Concurrency = Annotated[int | Literal["auto"], Parameter(help="Requests in flight at most, or auto.")]
_Profile = Annotated[str | None, Parameter(help="Profile to use from the profile file.")]


def load(
    name: str,
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    key: str | None = None,
    id: _Several = None,  # noqa: A002 - what the option is called
    find: _Find = None,
    upsert: _Upsert = None,
    map: _Map = None,  # noqa: A002 - as above
    format: Literal["csv", "jsonl", "parquet"] | None = None,  # noqa: A002 - as above
    delimiter: str = ",",
    dry_run: bool = False,
    journal: _Journal = None,
    retry_failed: _RetryFailed = False,
    retry_unknown: _RetryUnknown = False,
    max_failures: _MaxFailures = None,
    settle_seconds: _SettleSeconds = None,
    via: _Via = "request",
    report: _Report = None,
    concurrency: _Concurrency = "auto",
    profile: _Profile = None,
) -> int:
    """Write the rows of a file, each once; after a crash the same command goes on where it stood.

    For example:
      vismanet load customer customers.csv --key crmId --dry-run
      vismanet load customer.update limits.csv --key number --id number
      vismanet load customer customers.csv --upsert corporateId --dry-run

    Columns have the names of fields, with dots: name, creditLimit,
    mainAddress.country.id, lines[0].quantity. An empty cell leaves its field out;
    null in JSON clears it. Amounts have a decimal point. A column that begins
    with _ is not sent.

    Beside the journal, such as a.sqlite, are a.results.jsonl, a line a row, and
    a.failed.csv (.jsonl, .parquet): the rows that are not done, to mend and load
    again.

    Parameters
    ----------
    name
        RESOURCE, which is created, or RESOURCE.METHOD such as customer.update.
    file
        CSV, JSON lines or Parquet; - is stdin.
    key
        The column that tells the rows apart, and is the same in every run.
    id
        The column with an id of the method's path, such as the number of what is updated. Once for each id.
    format
        What the file is; without it by the end of its name, and stdin is jsonl.
    delimiter
        With --format csv or a FILE.csv: what is between the cells, one character such as ';', or the word tab.
    dry_run
        Name the mistakes of all rows and count the requests; send nothing. Needs no sign-in.
    """
    from vismanet_async._cli.load import default_load_journal, read_load, run_load  # noqa: PLC0415

    chosen = read_load(
        name,
        file,
        file_format=format,
        delimiter=delimiter,
        map_file=map,
        key=key,
        ids=id or [],
        find=find,
        upsert=upsert,
    )
    options = _options(
        journal or default_load_journal(file),
        dry_run=dry_run,
        retry_failed=retry_failed,
        retry_unknown=retry_unknown,
        max_failures=max_failures,
        settle_seconds=settle_seconds,
        via=via,
        report=report,
        upserts=upsert is not None,
        inputs=[Path(file), *([] if map is None else [map])],
    )
    return run_load(chosen, options, profile=profile, concurrency=concurrency)


def release(
    name: str,
    /,
    *,
    where: _Where = None,
    dry_run: bool = False,
    journal: _Journal = None,
    retry_failed: _RetryFailed = False,
    retry_unknown: _RetryUnknown = False,
    max_failures: _MaxFailures = None,
    settle_seconds: _SettleSeconds = None,
    via: _Via = "request",
    report: _Report = None,
    concurrency: _Concurrency = "auto",
    profile: _Profile = None,
) -> int:
    """Release the documents of a list, each once; after a crash the same command goes on where it stood.

    For example:
      vismanet release customer_invoice --where status=Balanced

    Parameters
    ----------
    name
        What to release, such as customer_invoice.
    dry_run
        Read the list and count the requests; release nothing.
    """
    from vismanet_async._cli.release import default_journal, read_release, run_release  # noqa: PLC0415

    chosen = read_release(name, where or [])
    options = _options(
        journal or default_journal(chosen),
        dry_run=dry_run,
        retry_failed=retry_failed,
        retry_unknown=retry_unknown,
        max_failures=max_failures,
        settle_seconds=settle_seconds,
        via=via,
        report=report,
    )
    return run_release(chosen, options, profile=profile, concurrency=concurrency)


def _options(
    journal: Path,
    *,
    dry_run: bool,
    retry_failed: bool,
    retry_unknown: bool,
    max_failures: int | None,
    settle_seconds: float | None,
    via: Literal["request", "background", "auto"],
    report: Path | None,
    upserts: bool = False,
    inputs: Sequence[Path] = (),
) -> RunOptions:
    from vismanet_async._cli.bulk_run import RunOptions  # noqa: PLC0415

    return RunOptions(
        upserts=upserts,
        inputs=inputs,
        journal=journal,
        dry_run=dry_run,
        retry_failed=retry_failed,
        retry_unknown=retry_unknown,
        max_failures=max_failures,
        settle_seconds=settle_seconds,
        via=via,
        report=report,
    )
