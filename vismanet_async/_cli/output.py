"""Results as JSON on stdout: the server's own bytes wherever there are some."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import attrs
import msgspec

from vismanet_async._api.files import File
from vismanet_async._api.results import Created, Done, Updated
from vismanet_async._cli.streams import printable, told_on_stderr, write_bytes
from vismanet_async._codec.encode import to_json
from vismanet_async._codec.model import Model
from vismanet_async._export.files import lacks_links
from vismanet_async.errors import RequestRefused, TargetNotWritable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["counted", "json_text", "print_json", "print_result", "save_file"]

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_TOLD_CHARS: Final = 4000
"""As much of a write's answer as stderr gets where stdout fails; the id stands at its beginning."""


def counted(number: int, thing: str) -> str:
    """Return a number with the thing it counts, in the plural where there is not just one.

    Examples:
        >>> counted(1, "request"), counted(2_000, "jsonl file")
        ('1 request', '2,000 jsonl files')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def print_result(value: Any, *, to: Path | None = None, done: str = "") -> None:
    """Print what a call gave; a file is saved at `to`, and its path printed.

    Args:
        value: what it gave.
        to: where to save a file.
        done: what was done, of a write; stderr gets it with the result where stdout fails.

    Raises:
        RequestRefused: a file without a place to save it.
        TargetNotWritable: the place cannot be written.
        OutputFailed: stdout cannot be written.
    """
    if isinstance(value, File):
        if to is None:
            raise RequestRefused("this gives a file: say where to save it with --to PATH.")
        value = {"path": str(save_file(value, to))}
        done = done or f"The file is saved at {value['path']}"
    text = json_text(value)
    with told_on_stderr(f"{done}: {text.decode(errors='replace')[:_TOLD_CHARS]}") if done else nullcontext():
        print_json(text)


def print_json(text: bytes) -> None:
    """Print JSON text: indented on a terminal; elsewhere as it came, in UTF-8 whatever the locale."""
    write_bytes((msgspec.json.format(text, indent=2) if sys.stdout.isatty() else text) + b"\n")


def json_text(value: Any) -> bytes:
    """Return the JSON of a result. A list is an array with one row on each line."""
    if isinstance(value, Model):
        return to_json(value)
    if isinstance(value, list):
        return b"[\n" + b",\n".join(map(json_text, value)) + b"\n]" if value else b"[]"
    if isinstance(value, Created | Updated | Done):
        facts = attrs.asdict(value, recurse=False, filter=attrs.filters.exclude("attempts"))
        if isinstance(value, Done):
            facts["result"] = msgspec.Raw(json_text(value.result))
        return _plain_json(facts)
    return _plain_json(value)


def _plain_json(value: Any) -> bytes:
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:  # half a surrogate pair, such as a byte of a path or a header that is no UTF-8
        return _ENCODER.encode(_printable(value))


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {_printable(name): _printable(each) for name, each in value.items()}
    return [_printable(each) for each in value] if isinstance(value, list | tuple) else value


def _link(part: Path, place: Path) -> None:
    """Give a file a second name, which nobody may have; where there are no links, a copy."""
    try:
        os.link(part, place)
    except OSError as error:
        if not lacks_links(error):
            raise
        with place.open("xb") as copy:
            copy.write(part.read_bytes())


def save_file(file: File, to: Path) -> Path:
    """Write a file that was fetched: whole or not at all, and in a folder never over another.

    Raises:
        TargetNotWritable: it cannot be written; nothing was left there.
    """
    place = to / (file.name or "attachment") if to.is_dir() else to
    part = place.with_name(f".{uuid4().hex}.part")
    try:
        part.write_bytes(file.content)
        try:
            if place is to:
                part.replace(place)
            else:
                _link(part, place)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise TargetNotWritable(f"{place} cannot be written: {error.strerror}. Nothing was left there.") from error
    return place
