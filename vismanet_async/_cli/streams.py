"""Standard streams that may be full, closed, or of an encoding that lacks a letter.

While a command runs, `sys.stdout` is an `Output` and `sys.stderr` a `Notices`. What stdout does not take is an
`OutputFailed`, which has an exit code; what stderr does not take is lost, because nobody is left to be told.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from vismanet_async.errors import VismaNetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "Notices",
    "Output",
    "OutputFailed",
    "is_quiet",
    "printable",
    "reader_may_leave",
    "say",
    "standard_streams",
    "tell",
    "told_on_stderr",
    "write_bytes",
]

_STREAMS: Final = 3


class OutputFailed(VismaNetError):
    """stdout takes no more: its disk is full, it was closed, or its reader has left.

    Attributes:
        closed: it was closed from the start.
        left: it is a pipe whose reader has left, as `head` does when it has read enough.
        done: what the command has done all the same, which the message says; empty for one that only reads.
        code: the exit code that the command would have had, where that says more.
    """

    def __init__(
        self, reason: str, *, closed: bool = False, left: bool = False, done: str = "", code: int | None = None
    ) -> None:
        self.reason = reason
        self.closed = closed
        self.left = left
        self.done = done
        self.code = code or None  # that it went well says less than that nothing could be printed
        super().__init__(f"stdout cannot be written: {reason}.{f' {done}' if done else ''}")

    def after(self, done: str, *, code: int | None = None) -> OutputFailed:
        """Return the same failure of a command that has done something."""
        return OutputFailed(self.reason, closed=self.closed, left=self.left, done=done, code=code)


class _Stream:
    """A text stream in front of another one, or of none."""

    def __init__(self, target: TextIO | None) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    @property
    def encoding(self) -> str:
        """That of the stream behind it."""
        return getattr(self._target, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return self._target is not None and not self._target.closed and self._target.isatty()

    def write(self, text: str) -> int:
        """Write text; a letter that the encoding lacks becomes its escape."""
        self._do(lambda target: self._write(target, text))
        return len(text)

    def _write(self, target: TextIO, text: str) -> None:
        try:
            target.write(text)
        except UnicodeEncodeError:
            target.write(printable(text, self.encoding))

    def write_bytes(self, data: bytes) -> None:
        """Write bytes past the encoding."""
        self._do(lambda target: _write_bytes(target, data))

    def flush(self) -> None:
        """Hand on what was written."""
        self._do(lambda target: target.flush())

    def _do(self, act: Callable[[TextIO], object]) -> None:
        raise NotImplementedError

    def _give_up(self) -> None:
        """Leave nothing behind that the interpreter would stumble over when it flushes at its end."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            number = cast("TextIO", self._target).fileno()
            if number < _STREAMS:  # a stream of a test has none, or another
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, number)
                os.close(nowhere)


class Output(_Stream):
    """What stdout is while a command runs.

    Raises:
        OutputFailed: from whatever writes: the stream does not take it.
    """

    def __init__(self, target: TextIO | None) -> None:
        super().__init__(target)
        self._failed: OutputFailed | None = None

    def _do(self, act: Callable[[TextIO], object]) -> None:
        if self._failed is not None:
            raise self._failed
        if self._target is None:
            raise OutputFailed("it is closed", closed=True)
        try:
            act(self._target)
        except (OSError, ValueError) as error:  # ValueError: it was closed in the meantime
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            self._failed = OutputFailed(reason, left=isinstance(error, BrokenPipeError))
            self._give_up()
            raise self._failed from None

    def flush(self) -> None:
        """Hand on what was written; nothing was written to a closed stream."""
        if self._target is not None:
            super().flush()


class Notices(_Stream):
    """What stderr is while a command runs: what it does not take is dropped, and the command goes on."""

    def __init__(self, target: TextIO | None) -> None:
        super().__init__(target)
        self.quiet = False
        """Whether progress and summaries are left out."""
        self.say_instead: Callable[[str, dict[str, Any]], None] | None = None
        """Gets each line with its fields, instead of the stream."""
        self._begun = ""

    def isatty(self) -> bool:
        """Whether a person reads it, and not dated lines."""
        return self.say_instead is None and super().isatty()

    def write(self, text: str) -> int:
        """Write text."""
        if self.say_instead is None:
            return super().write(text)
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self.say(line.removeprefix("vismanet: "))
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, a line without an end too."""
        if self.say_instead is not None and self._begun:
            self.write("\n")
        super().flush()

    def say(self, line: str, **fields: Any) -> None:
        """Write a line; its fields only where lines have some."""
        if self.say_instead is None:
            print(line, file=cast("TextIO", self), flush=True)
        elif line:
            self.say_instead(line, fields)

    def write_line(self, line: str) -> None:
        """Write a line as it is."""
        super().write(f"{line}\n")
        super().flush()

    def _do(self, act: Callable[[TextIO], object]) -> None:
        if self._target is None:
            return
        try:
            act(self._target)
        except (OSError, ValueError):
            self._give_up()
            self._target = None


def say(out: TextIO, line: str, **fields: Any) -> None:
    """Write a line to a stream; where lines are dated, with its fields."""
    if isinstance(out, Notices):
        out.say(line, **fields)
    else:
        print(line, file=out, flush=True)


def is_quiet(out: TextIO) -> bool:
    """Return whether progress and summaries are left out."""
    return isinstance(out, Notices) and out.quiet


def _write_bytes(target: TextIO, data: bytes) -> None:
    binary = getattr(target, "buffer", None)
    if binary is None:  # text alone, such as a StringIO
        target.write(data.decode("utf-8", "backslashreplace"))
    else:
        target.flush()  # what was written as text comes first
        binary.write(data)
    target.flush()


def write_bytes(data: bytes) -> None:
    """Write bytes to stdout, as they are, whatever its encoding.

    Raises:
        OutputFailed: stdout does not take them.
    """
    out: Any = sys.stdout
    if isinstance(out, Output):
        out.write_bytes(data)
    else:  # called without the command line around it
        _write_bytes(out, data)


def printable(text: str, encoding: str = "utf-8") -> str:
    r"""Return a text that an encoding can hold: a letter that it lacks, and half a surrogate pair, as an escape.

    Examples:
        >>> printable("Zażółć", "cp1252"), printable("\udc80")
        ('Za\\u017có\\u0142\\u0107', '\\udc80')
    """
    return text.encode(encoding, "backslashreplace").decode(encoding)


@contextlib.contextmanager
def told_on_stderr(done: str, *, code: int | None = None) -> Iterator[None]:
    """Add to a failure of stdout what was done, so that it is not lost with it.

    Args:
        done: such as the id of what was created.
        code: the exit code that the command would have had, where that says more than that nothing could be printed.
    """
    try:
        yield
        sys.stdout.flush()
    except OutputFailed as error:
        raise error.after(done, code=code) from None


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """Go on where the reader of stdout has read enough, such as `head`: the exit code says the rest."""
    try:
        yield
        sys.stdout.flush()
    except OutputFailed as error:
        if not error.left:
            raise


def tell(what: str | bytes, *, done: str, code: int | None = None) -> None:
    """Print what came of work whose results are elsewhere, such as files.

    With `--quiet` a summary is left out. A reader who has left does without it. Who has closed stdout does without a
    summary, but not without JSON that was asked for.

    Args:
        what: a summary as text, or JSON as bytes.
        done: as `told_on_stderr` takes it.
        code: as `told_on_stderr` takes it.

    Raises:
        OutputFailed: it cannot be printed, with `done`.
    """
    if isinstance(what, str) and is_quiet(sys.stderr):
        return
    try:
        with told_on_stderr(done, code=code):
            if isinstance(what, bytes):
                write_bytes(what)
            else:
                print(what)
    except OutputFailed as error:
        if not error.left and not (error.closed and isinstance(what, str)):
            raise


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Wrap the standard streams in an `Output` and a `Notices`."""
    _fill_descriptors()
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast("TextIO", Output(out)), cast("TextIO", Notices(err))
    try:
        yield
    finally:
        with contextlib.suppress(OutputFailed):  # whoever wrote has been told
            sys.stdout.flush()
        sys.stdout, sys.stderr = out, err


def _fill_descriptors() -> None:
    """Open the null device where a standard descriptor is closed.

    Otherwise the next file to be opened, such as a database or a part of an export, would get its number, and
    whatever writes to stdout or stderr would write into it.
    """
    for number in range(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
