"""Output formats: what each is called, what it needs and what can be chosen about it.

A format is one module here and one line in `registry`. Its sink is in `_export.sinks`, and loaded when an export
opens it: the command line reads the formats for its help, and stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import attrs

from vismanet_async._extras import extra

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vismanet_async._columns.schema import Column
    from vismanet_async._export.sinks.parts import PartSink

__all__ = ["Flag", "FormatOptions", "OpenSink", "SinkFormat"]


@attrs.frozen(kw_only=True)
class FormatOptions:
    """How files of a format are written; each format with something to choose has a subclass."""

    @property
    def for_readers(self) -> dict[str, str]:
        """What a reader of the files has to know beside the format; it goes into the manifest."""
        return {}


@attrs.frozen(kw_only=True)
class Flag:
    """A command-line flag that sets one field of a format's options."""

    name: str
    """Such as `--csv-delimiter`."""
    field: str
    help: str
    inverted: bool = False
    """Whether the flag, which takes no value, sets the field to False."""
    words: Mapping[str, Any] = attrs.field(factory=dict)
    """Values by the words for them, where a value cannot be typed well."""


class OpenSink(Protocol):
    """Builds the sink of a format; opens no file yet."""

    def __call__(
        self,
        directory: Path,
        *,
        columns: Sequence[Column],
        operation_id: str,
        part_bytes: int,
        options: Any,
        identity: Sequence[str],
    ) -> PartSink[Any]:
        """Return the sink of one resource.

        Args:
            directory: where the parts go.
            columns: of the rows; empty where the format has none.
            operation_id: for errors.
            part_bytes: a part is closed by the page that brings it here.
            options: an object of the format's options class; None where it has none.
            identity: the fields that together are the key of a row.
        """
        ...


@attrs.frozen(kw_only=True)
class SinkFormat:
    """A format of the files that an export writes."""

    name: str
    """The extension of the files too."""
    open: OpenSink = attrs.field(repr=False)
    options: type[FormatOptions] | None = None
    flags: tuple[Flag, ...] = attrs.field(default=(), repr=False)
    """In the order of the help page."""
    needs: tuple[str, str] | None = None
    """The module that must be installed, and the extra that installs it."""
    has_columns: bool = True
    keeps_rows: bool = False
    """Whether a later run can read the rows back from the middle of a part. Other formats need a spool to resume."""

    def require(self) -> None:
        """Make sure that what the format needs is installed; call it before anything is opened or sent.

        Raises:
            RequestRefused: it is not installed; the error says what to type.
        """
        if self.needs is not None:
            extra(*self.needs)
