"""Which options mean something only together with others: one table, and the refusal where the others are missing.

An option that would be ignored is a mistake in the command line. `--preview` and `--dry-run` are not in the table: they
are put behind a whole command to see what it would do, whatever its other options are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from cyclopts import CycloptsError

from vismanet_async._cli.export_options import NO_FORMAT_FLAGS
from vismanet_async._export.formats.registry import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from cyclopts import App

    Given = Mapping[str, Any]
    """What was said on the command line, by the names of the command's parameters."""

__all__ = ["RULES", "Rule", "refuse_lonely_options"]

_FLAGS: Final = {"why": "--note", "outcome": "--as", "resources": "RESOURCE"}
"""Parameters whose option has another name."""


def _flag(parameter: str) -> str:
    return _FLAGS.get(parameter) or f"--{parameter.replace('_', '-')}"


@attrs.frozen
class Rule:
    """Options that are of use only under a condition."""

    options: tuple[str, ...]
    """By the names of the command's parameters."""
    met: Callable[[Given], bool]
    words: str
    """The condition, behind "is of use only"."""


def _with(options: str, *others: str, without: tuple[str, ...] = ()) -> Rule:
    """Return the rule that options need at least one of others, and none of some."""
    words = f"with {' or '.join(map(_flag, others))}"
    if without:
        words += f", and without {' and '.join(map(_flag, without))}"
    return Rule(tuple(options.split()), lambda given: _any(others, given) and not _any(without, given), words)


def _without(options: str, other: str, why: str, *, unless: str | None = None) -> Rule:
    """Return the rule that options do not go with another, unless there is a third."""
    return Rule(
        tuple(options.split()),
        lambda given: other not in given or (unless is not None and unless in given),
        f"without {_flag(other)}{f' (or with {_flag(unless)})' if unless else ''}: {why}",
    )


def _alone(option: str, *others: str) -> Callable[[Given], str | None]:
    """Return a check that an option has none of the command's others beside it but these."""

    def check(given: Given) -> str | None:
        extra = sorted(given.keys() - {option, *others}) if option in given else []
        return f"{_flag(option)} takes no {_flag(extra[0])}" if extra else None

    return check


def _any(names: Collection[str], given: Given) -> bool:
    return any(name in given for name in names)


def _to_url(given: Given) -> bool:
    return "://" in str(given.get("status") or given.get("to") or "")


def _from_csv(given: Given) -> bool:
    return str(given.get("format") or Path(given["file"]).suffix.lower()[1:]) == "csv"


def _looked_up(given: Given) -> bool:
    return _any(("find", "upsert"), given) or str(given["name"]).endswith(".update")


def _of_format(name: str) -> Rule:
    flags = " ".join(flag.name.removeprefix("--").replace("-", "_") for flag in FORMATS[name].flags)
    return Rule(tuple(flags.split()), lambda given: given.get("format") == name, f"with --format {name}")


RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    "export": (
        _with("verify", "status"),
        Rule(("spool",), _to_url, "where TO or PATH is a URL"),
        _with("overlap_hours deletions", "incremental"),
        _with("deletions_every deletions_requests", "deletions"),
        _with("at_once connections", "company", "companies", without=("dask",)),
        _without("concurrency", "company", "for many companies it is --connections", unless="dask"),
        _without("concurrency", "companies", "for many companies it is --connections", unless="dask"),
        *(_of_format(each.name) for each in FORMATS.values() if each.flags),
    ),
    "diff": (_without("limit", "json", "--json prints every difference", unless="html"),),
    "call": (_with("store", "background"),),
    "load": (
        _without("key", "upsert", "that names the field that tells records apart"),
        _without("retry_failed retry_unknown", "upsert", "an upsert compares every row with what is there"),
        Rule(("settle_seconds",), _looked_up, "where rows are looked up: with --find, --upsert, or RESOURCE.update"),
        Rule(("delimiter",), _from_csv, "for CSV: with --format csv, or a FILE.csv"),
    ),
    "jobs submit": (_with("timeout to", "wait"),),
    "jobs settle": (_with("why", "outcome"),),
    "jobs listen": (_with("poll_share", "work"),),
}
"""By command."""

_ALONE: Final = {
    "export": _alone("status", "verify", "spool", "json", "profile"),
    "simulate": _alone("list_behaviours"),
}
"""Options that make another command of it."""


def refuse_lonely_options(app: App) -> None:
    """Have each command of the table refuse options whose partners are missing, before it does anything."""
    for command in RULES.keys() | _ALONE.keys():
        node = app
        for word in command.split():
            node = node[word]
        node.validator = [_validator(command)]


def _validator(command: str) -> Callable[..., None]:
    def check(**given: Any) -> None:
        if (fault := _fault(command, given)) is not None:
            raise CycloptsError(msg=f"{fault}; nothing was sent.")

    return check


def _fault(command: str, given: dict[str, Any]) -> str | None:
    """Return what is wrong; None if nothing is."""
    flags = given.pop("format_flags", NO_FORMAT_FLAGS)
    default = attrs.asdict(NO_FORMAT_FLAGS)
    given |= {name: value for name, value in attrs.asdict(flags).items() if value != default[name]}
    # `--x=false` and the empty sequence of positional words are as good as nothing
    said = {name: value for name, value in given.items() if value is not False and value != ()}
    if command in _ALONE and (fault := _ALONE[command](said)) is not None:
        return fault
    for rule in RULES.get(command, ()):
        for option in rule.options:
            if option in said and not rule.met(said):
                return f"{_flag(option)} is of use only {rule.words}"
    return None
