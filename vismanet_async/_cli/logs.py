"""What a command says on stderr: nothing but errors, progress for people, or a dated line for each thing that happens.

`-q`, `-v`, `--log-format` and `--log-level` stand anywhere on a command line, before a `--`. They are read before
the command's own options, so that every command has them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import attrs

from vismanet_async._cli.streams import Notices, is_quiet
from vismanet_async.errors import DoubtfulWrite, RequestRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["LOG_FLAGS", "LOG_OPTIONS", "Talk", "ended", "read_talk", "talking", "tell_warning"]

_PACKAGE: Final = "vismanet_async"
_OWN: Final = f"{_PACKAGE}.cli"
_LEVELS: Final = {name: getattr(logging, name.upper()) for name in ("debug", "info", "warning", "error")}
_NO_FIELDS: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_LOGGERS: Final = frozenset({"accel", "cli", "export", "files", "http", "jobs", "webhooks"})
"""Ours, which need no prefix on the command line."""
_FORMATS: Final = ("text", "json")

LOG_FLAGS: Final = ("--quiet", "--verbose", "--log-format", "--log-level")
LOG_OPTIONS: Final = (
    "Every command also takes:\n"
    "  -q, --quiet          No progress and no summary: errors and results alone.\n"
    "  -v, --verbose        Dated lines of what happens; -vv of each request, too.\n"
    "  --log-format FORMAT  text or json: dated lines on stderr, with run and counts.\n"
    "  --log-level LEVEL    debug, info, warning or error; of one: http=debug."
)
"""For the help page."""


@attrs.frozen(kw_only=True)
class Talk:
    """What a command says beside its results."""

    quiet: bool = False
    format: str | None = None
    """None: plain lines."""
    levels: tuple[tuple[str, int], ...] = ()
    """Loggers and their levels; the later ones count."""


def read_talk(argv: Sequence[str]) -> tuple[Talk, list[str]]:
    """Return what is to be said, and the other arguments.

    Examples:
        >>> talk, others = read_talk(["export", "customer", "-v", "--to", "out"])
        >>> talk.format, others
        ('text', ['export', 'customer', '--to', 'out'])

    Raises:
        RequestRefused: an unknown format or level.
    """
    others: list[str] = []
    quiet, loud, form, levels = False, 0, None, []
    left = iter(argv)
    for word in left:
        name, equals, value = word.partition("=")
        if word == "--":
            others += [word, *left]
        elif word in {"-q", "--quiet"}:
            quiet = True
        elif word in {"-v", "-vv", "--verbose"}:
            loud += word.count("v") if word != "--verbose" else 1
        elif name in {"--log-format", "--log-level"}:
            given = value if equals else next(left, "")
            if name == "--log-format":
                form = _one_of(given, _FORMATS, name)
            else:
                levels.append(_level(given))
        else:
            others.append(word)
    if loud:
        levels.insert(0, (_PACKAGE, logging.DEBUG if loud > 1 else logging.INFO))
    return Talk(quiet=quiet, format=form or ("text" if levels else None), levels=tuple(levels)), others


def _one_of(given: str, known: Sequence[str], name: str) -> str:
    if given not in known:
        raise RequestRefused(f"{name} {given!r}: it is one of {', '.join(known)}; nothing was sent.")
    return given


def _level(given: str) -> tuple[str, int]:
    logger, _, level = given.rpartition("=")
    whole = f"{_PACKAGE}.{logger}" if logger in _LOGGERS else logger or _PACKAGE
    return whole, _LEVELS[_one_of(level, tuple(_LEVELS), "--log-level")]


@contextlib.contextmanager
def talking(talk: Talk) -> Iterator[None]:
    """Have stderr and the loggers talk that way."""
    notices = sys.stderr
    if not isinstance(notices, Notices):
        raise TypeError("stderr is not wrapped")
    notices.quiet = talk.quiet
    with warnings.catch_warnings():
        warnings.simplefilter("always", DoubtfulWrite)
        warnings.showwarning = _show_warning
        with _dated(notices, talk):
            yield


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Say a warning as one line of ours: where in a library it was raised tells a user of the command line nothing."""
    tell_warning(str(message))


def tell_warning(text: str) -> None:
    """Say that something is doubtful: a line on stderr, or a record of level warning where lines are dated."""
    if not isinstance(sys.stderr, Notices) or sys.stderr.say_instead is None:
        if not is_quiet(sys.stderr):
            print(f"vismanet: warning: {text}", file=sys.stderr, flush=True)
    else:
        logging.getLogger(_OWN).warning("%s", text)


@contextlib.contextmanager
def _dated(notices: Notices, talk: Talk) -> Iterator[None]:
    if talk.format is None:
        yield
        return
    handler = _Lines(notices, as_json=talk.format == "json")
    before = {name: logging.getLogger(name).level for name, _ in talk.levels}
    for name, level in talk.levels:
        logging.getLogger(name).setLevel(level)
    logging.getLogger().addHandler(handler)
    notices.say_instead = handler.said
    try:
        yield
    finally:
        notices.flush()
        notices.say_instead = None
        logging.getLogger().removeHandler(handler)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def ended(code: int) -> None:
    """Say that the command has ended, where lines are dated."""
    if isinstance(sys.stderr, Notices) and sys.stderr.say_instead is not None and not sys.stderr.quiet:
        sys.stderr.say("ended", exit_code=code)


class _Lines(logging.Handler):
    """Writes a line for each record of a logger, and for each text that would go to stderr."""

    def __init__(self, out: Notices, *, as_json: bool) -> None:
        super().__init__()
        self._out = out
        self._as_json = as_json
        self._run = uuid4().hex[:12]
        self._began = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record with its fields; with a traceback if it has one."""
        fields = {name: value for name, value in vars(record).items() if name not in _NO_FIELDS}
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        self._write(record.created, record.levelname, record.name, record.getMessage(), fields)

    def said(self, text: str, fields: dict[str, Any]) -> None:
        """Write a line of the command line's own."""
        level = "ERROR" if fields.get("exit_code") else "INFO"
        if "exit_code" in fields:
            fields["seconds"] = round(time.monotonic() - self._began, 3)
        self._write(time.time(), level, _OWN, text, fields)

    def _write(self, at: float, level: str, logger: str, text: str, fields: dict[str, Any]) -> None:
        moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._as_json:
            head = {"time": moment, "level": level.lower(), "logger": logger, "run": self._run, "message": text}
            line = json.dumps({**head, **{name: fields[name] for name in sorted(fields.keys() - head)}}, default=str)
        else:
            told = "".join(f" {name}={value}" for name, value in fields.items() if value is not None)
            line = f"{moment} {level} {logger} run={self._run} {' '.join(text.split())}{told}"
        self._out.write_line(line)
