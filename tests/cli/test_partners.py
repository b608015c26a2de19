"""An option that would be ignored, because what it belongs to is missing, is refused."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
from cyclopts import CycloptsError

from tests.cli.test_help import commands
from vismanet_async._cli import main
from vismanet_async._cli.app import app
from vismanet_async._cli.exit_codes import WRONG_USE
from vismanet_async._cli.partners import RULES

WHOLE: Final = {
    "export": "customer --to out",
    "diff": "monday tuesday",
    "call": "customer.list",
    "load": "customer.create rows.jsonl",
    "jobs submit": "supplier_invoice.release 300004",
    "jobs settle": "4711",
    "jobs listen": "--key-env KEY --header X-Signature --port 0",
}
"""Command lines to which the option is added."""
PARTNERS: Final = {
    "verify": "--status out",
    "spool": "--to s3://bucket/out",
    "overlap_hours": "--incremental",
    "deletions": "--incremental",
    "deletions_every": "--incremental --deletions",
    "deletions_requests": "--incremental --deletions",
    "at_once": "--company 1",
    "connections": "--companies file.toml",
    "store": "--background",
    "delimiter": "--format csv",
    "settle_seconds": "--find name=name",
    "timeout": "--wait",
    "to": "--wait",
    "why": "--as failed",
    "poll_share": "--work",
    "limit": "--html page.html",
    "concurrency": "--dask tcp://localhost:8786",
}
"""What makes an option of use; those of a format have that format."""
AGAINST: Final = {
    "concurrency": ("--company 1", "--companies file.toml"),
    "limit": ("--json",),
    "key": ("--upsert name",),
    "retry_failed": ("--upsert name",),
    "retry_unknown": ("--upsert name",),
    "at_once": ("--company 1 --dask tcp://localhost:8786", ""),
}
"""What makes it useless, where that is not its absence alone."""
SAMPLES: Final = {"poll_share": "0.5", "csv_delimiter": ";", "parquet_compression": "snappy", "job_id": "12"}
NAMES: Final = {"why": "--note", "outcome": "--as"}


def flag(parameter: str) -> str:
    return NAMES.get(parameter, f"--{parameter.replace('_', '-')}")


def option(command: str, parameter: str) -> list[str]:
    node: Any = app
    for word in command.split():
        node = node[word]
    name = flag(parameter)
    (argument,) = [each for each in node.assemble_argument_collection() if name in each.names]
    return [name] if argument.hint is bool else [name, SAMPLES.get(parameter, "2")]


def line(command: str, *more: str) -> list[str]:
    first = WHOLE[command]
    if "--status out" in more:
        first = ""
    if "--to s3://bucket/out" in more:
        first = "customer"
    return [*command.split(), *first.split(), *(word for each in more for word in each.split())]


LONELY: Final = [
    (command, parameter, against)
    for command, rules in RULES.items()
    for parameter in dict.fromkeys(each for rule in rules for each in rule.options)
    for against in AGAINST.get(parameter, ("",))
]


@pytest.mark.parametrize(("command", "parameter", "against"), LONELY)
def test_an_option_without_its_partner_is_refused(
    command: str, parameter: str, against: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = option(command, parameter)
    assert main([*line(command, against), *given]) == WRONG_USE
    out, err = capsys.readouterr()
    assert not out
    assert re.match(rf"vismanet: {given[0]} is of use only (with|without|where|for) .*; nothing was sent\. ", err)
    assert err.count("\n") == 1


@pytest.mark.parametrize(("command", "parameter"), list(dict.fromkeys((each[0], each[1]) for each in LONELY)))
def test_with_its_partner_it_is_taken(command: str, parameter: str) -> None:
    partner = PARTNERS.get(parameter, "")
    if parameter.split("_", maxsplit=1)[0] in {"csv", "parquet"}:
        partner = f"--format {parameter.split('_', maxsplit=1)[0]}"
    against = AGAINST.get(parameter, ("",))[0] if parameter in {"concurrency", "limit"} else ""
    app.parse_args(
        [*line(command, against, partner), *option(command, parameter)], exit_on_error=False, print_error=False
    )


def test_the_table_has_them_all() -> None:
    assert PARTNERS.keys() | AGAINST.keys() <= {parameter for _, parameter, _ in LONELY}
    assert WHOLE.keys() == RULES.keys()


@pytest.mark.parametrize("words", [words for words in commands() if words], ids=" ".join)
def test_what_the_help_says_of_partners_is_in_the_table(words: tuple[str, ...]) -> None:
    node: Any = app
    for word in words:
        node = node[word]
    if node.default_command is None:
        return
    command = " ".join(words)
    known = {flag(each) for rule in RULES.get(command, ()) for each in rule.options}
    for argument in node.assemble_argument_collection(parse_docstring=True):
        help_text, group = argument.parameter.help or "", " ".join(str(each.name) for each in argument.parameter.group)
        if help_text.startswith("With --") or group.startswith("With --"):
            assert argument.name in known


@pytest.mark.parametrize(
    "words",
    [
        "export customer --status out",
        "export --status out --to there",
        "export --status out --at-once 2 --company 1",
        "export --status out --format csv --csv-bom",
        "simulate --list-behaviours --port 0",
        "simulate --list-behaviours --json",
    ],
)
def test_an_option_that_makes_another_command_of_it_stands_alone(words: str) -> None:
    with pytest.raises(CycloptsError, match=r"--(status|list-behaviours) takes no "):
        app.parse_args(words.split(), exit_on_error=False, print_error=False)


@pytest.mark.parametrize("words", ["export --status out --verify --json --profile x", "simulate --list-behaviours"])
def test_with_what_belongs_to_it_it_is_taken(words: str) -> None:
    app.parse_args(words.split(), exit_on_error=False, print_error=False)
