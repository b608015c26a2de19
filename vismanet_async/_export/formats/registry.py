"""All output formats by name. A new one needs a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from vismanet_async._export.formats.csv import CSV
from vismanet_async._export.formats.jsonl import JSONL, JSONL_GZ, JSONL_ZST
from vismanet_async._export.formats.parquet import PARQUET
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vismanet_async._export.formats import FormatOptions, SinkFormat

__all__ = ["FORMATS", "find_format", "fingerprint_parts"]

FORMATS: Final[Mapping[str, SinkFormat]] = {each.name: each for each in (JSONL, JSONL_GZ, JSONL_ZST, CSV, PARQUET)}
_IN_EVERY_FINGERPRINT: Final = (CSV, PARQUET)
"""Their options are in the fingerprints of all plans, with defaults where another format was chosen; checkpoints and
key files of earlier versions are found by these. Options of a newer format are in the fingerprints of its own plans."""


def find_format(name: str) -> SinkFormat:
    """Return a format by its name.

    Raises:
        RequestRefused: there is no such format.
    """
    if name not in FORMATS:
        raise RequestRefused(f"there is no format {name!r}, only {', '.join(FORMATS)}; nothing was sent.")
    return FORMATS[name]


def fingerprint_parts(name: str, options: FormatOptions | None) -> list[tuple[Any, ...]]:
    """Return what the fingerprint of a plan says about the options of its format."""
    always = {each.name: each.options() for each in _IN_EVERY_FINGERPRINT if each.options is not None}
    chosen = {} if options is None else {name: options}
    return [attrs.astuple(each) for each in (always | chosen).values()]
