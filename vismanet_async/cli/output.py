"""Results as JSON on stdout: the server's own bytes wherever there are some."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import attrs
import msgspec

from vismanet_async.api.files import File
from vismanet_async.api.results import Created, Done, Updated
from vismanet_async.codec.encode import to_json
from vismanet_async.codec.model import Model
from vismanet_async.errors import RequestRefused, TargetNotWritable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["json_text", "print_json", "print_result", "save_file"]

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def print_result(value: Any, *, to: Path | None = None) -> None:
    """Print what a call gave; a file is saved at `to`, and its path printed.

    Raises:
        RequestRefused: a file without a place to save it.
        TargetNotWritable: the place cannot be written.
    """
    if isinstance(value, File):
        if to is None:
            raise RequestRefused("this gives a file: say where to save it with --to PATH.")
        value = {"path": str(save_file(value, to))}
    print_json(json_text(value))


def print_json(text: bytes) -> None:
    """Print JSON text: indented on a terminal, as it came elsewhere."""
    shown = msgspec.json.format(text, indent=2) if sys.stdout.isatty() else text
    sys.stdout.write(f"{shown.decode()}\n")


def json_text(value: Any) -> bytes:
    """Give the JSON of a result. A list is an array with one row on each line."""
    if isinstance(value, Model):
        return to_json(value)
    if isinstance(value, list):
        return b"[\n" + b",\n".join(map(json_text, value)) + b"\n]" if value else b"[]"
    if isinstance(value, Created | Updated | Done):
        facts = attrs.asdict(value, recurse=False, filter=attrs.filters.exclude("attempts"))
        if isinstance(value, Done):
            facts["result"] = msgspec.Raw(json_text(value.result))
        return _ENCODER.encode(facts)
    return _ENCODER.encode(value)


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
                os.link(part, place)  # fails where the name is taken
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise TargetNotWritable(f"{place} cannot be written: {error.strerror}. Nothing was left there.") from error
    return place
