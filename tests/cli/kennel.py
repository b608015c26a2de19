"""A program that runs command lines on real standard streams: `python -m tests.cli.kennel CASES ENDS`.

A new interpreter takes half a second to import the command line. This one imports it once, and forks a process for each
command line, which gets the streams of its case as descriptors 0, 1 and 2, opens them as an interpreter does at its
start, and flushes them as one does at its end (Python/pylifecycle.c, `create_stdio`, `flush_std_files`). That real
interpreters do so is shown in `test_streams`, with a few.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import pkgutil
import signal
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import attrs

import vismanet_async._cli as command_line_package

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Case", "main"]

USED_LATER = (
    "aiosqlite",
    "anyio._backends._asyncio",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "vismanet_async._api.resources.customer",
    "vismanet_async._client",
    "vismanet_async._export.compact",
    "vismanet_async._export.run",
    "vismanet_async._jobs.sql.store",
    "vismanet_async._simulator.simulator",
    *(f"vismanet_async._cli.{module.name}" for module in pkgutil.iter_modules(command_line_package.__path__)),
)
"""What a child would import on first use, each one again."""
WARMING = (["--help"], ["export", "--help"], ["resources", "customer"], ["call"], ["simulate", "--list-behaviours"])
"""Command lines that start no thread, and leave in memory what each child would make again."""
AT_ONCE = 2
_KILLED_AFTER_SECONDS = 240


@attrs.frozen(kw_only=True)
class Case:
    """A command line, and what its streams are: a path, `closed`, or `left` (a pipe whose other end is closed)."""

    argv: Sequence[str]
    """Half a surrogate pair stands for a byte that is no UTF-8."""
    folder: str
    environment: dict[str, str]
    stdin: str = os.devnull
    stdout: str
    stderr: str
    encoding: str = "utf-8"
    errors: str = "strict"
    """Of stdin and stdout."""


def main() -> None:
    """Run all cases of a file, and write how they ended."""
    cases = [Case(**each) for each in json.loads(Path(sys.argv[1]).read_text("utf-8"))]
    for name in USED_LATER:
        importlib.import_module(name)
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        for argv in WARMING:
            command_line_package.main(argv)
    gc.collect()
    gc.freeze()
    running: dict[int, int] = {}
    for place, case in enumerate(cases):
        if len(running) == AT_ONCE:
            _reap(running)
        pid = os.fork()
        if pid == 0:
            _be(case)
        running[pid] = place
    while running:
        _reap(running)


def _reap(running: dict[int, int]) -> None:
    """Write a line with the number of a case and its exit code, negative for a signal."""
    pid, status = os.waitpid(-1, 0)
    with Path(sys.argv[2]).open("a", encoding="utf-8") as ends:
        ends.write(f"[{running.pop(pid)}, {os.waitstatus_to_exitcode(status)}]\n")


def _be(case: Case) -> NoReturn:
    """Become a process that was started with this command line."""
    signal.alarm(_KILLED_AFTER_SECONDS)
    os.chdir(case.folder)
    os.environ.clear()
    os.environ.update(case.environment)
    given = (case.stdin, case.stdout, case.stderr)
    opened = [_open(each, reads=number == 0) for number, each in enumerate(given)]
    for number, there in enumerate(opened):
        if there is None:
            os.close(number)
        else:
            os.dup2(there, number)
    os.closerange(3, 1024)
    # the old objects must not close the new descriptors
    globals()["_before"] = (sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__)
    sys.stdin = sys.__stdin__ = _stdio(0, case.encoding, case.errors)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _stdio(1, case.encoding, case.errors)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _stdio(2, case.encoding, "backslashreplace")  # type: ignore[misc]
    sys.argv = ["vismanet", *case.argv]

    code = command_line_package.main()
    threading._shutdown()  # type: ignore[attr-defined] # as an interpreter does first
    for stream in (sys.stdout, sys.stderr):  # and then this, before anything is torn down
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except Exception as error:  # noqa: BLE001 - what an interpreter writes then
            os.write(2, f"Exception ignored in: {stream!r}: {error!r}\n".encode())
            code = 120
    os._exit(code)


def _open(given: str, *, reads: bool) -> int | None:
    if given == "closed":
        return None
    if given == "left":
        reader, writer = os.pipe()
        os.close(writer if reads else reader)
        return reader if reads else writer
    return os.open(given, os.O_RDONLY if reads else os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _stdio(number: int, encoding: str, errors: str) -> Any:
    try:
        os.fstat(number)
    except OSError:
        return None
    raw = open(number, "rb" if number == 0 else "wb", -1, closefd=False)  # noqa: SIM115 - as create_stdio does
    made = io.TextIOWrapper(raw, encoding, errors, newline=None if number == 0 else "\n", line_buffering=number == 2)
    made.mode = "r" if number == 0 else "w"  # type: ignore[misc] # as create_stdio does
    return made


if __name__ == "__main__":
    main()
