"""Command lines with standard streams that are full, closed, left, or of another encoding: never a traceback."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import attrs
import pytest
from anyio.from_thread import start_blocking_portal

from tests.cli.conftest import Shell
from tests.support.hang import HANG_SECONDS
from vismanet_async._cli import exit_codes, main
from vismanet_async._cli.streams import Output, OutputFailed
from vismanet_async._export.target.manifest import validate
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="has no /dev/full")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    simulator = Simulator(seed=3, rows={"customer": 60, "supplier": 5})
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(simulator):
        yield Shell(simulator, portal, tmp_path_factory.mktemp("home"))


# --- the streams -----------------------------------------------------------------------------------------------------


@attrs.frozen
class Streams:
    """What the three standard streams are; None is a closed one."""

    out: Any
    err: Any
    stdin: Any = attrs.field(factory=lambda: io.TextIOWrapper(io.BytesIO(b'{"name": {"value": "Zaz"}}')))

    @property
    def said(self) -> str:
        return self.err.getvalue() if isinstance(self.err, io.StringIO) else ""


def full() -> Any:
    return Path("/dev/full").open("w", encoding="utf-8")


def left() -> Any:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", encoding="utf-8")


def shut() -> Any:
    stream = io.StringIO()
    stream.close()
    return stream


def of(encoding: str, errors: str = "strict") -> Any:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors, newline="\n")


STREAMS: dict[str, Callable[[], Streams]] = {
    "as usual": lambda: Streams(io.StringIO(), io.StringIO()),
    "stdout full": lambda: Streams(full(), io.StringIO()),
    "stdout closed": lambda: Streams(None, io.StringIO()),
    "stdout shut": lambda: Streams(shut(), io.StringIO()),
    "stdout left": lambda: Streams(left(), io.StringIO()),
    "stderr full": lambda: Streams(io.StringIO(), full()),
    "stderr closed": lambda: Streams(io.StringIO(), None),
    "stderr left": lambda: Streams(io.StringIO(), left()),
    "both full": lambda: Streams(full(), full()),
    "both closed": lambda: Streams(None, None),
    "all closed": lambda: Streams(None, None, None),
    "ascii": lambda: Streams(of("ascii"), of("ascii")),
    "C locale": lambda: Streams(of("ascii", "surrogateescape"), of("ascii", "backslashreplace")),
    "cp1252": lambda: Streams(of("cp1252"), of("cp1252")),
    "utf-16": lambda: Streams(of("utf-16"), of("utf-16")),
}

# --- the command lines -----------------------------------------------------------------------------------------------


@attrs.frozen
class Line:
    """A command line, and what its ending is."""

    argv: tuple[str, ...]
    kind: str
    """`result` on stdout; `summary` of an export; `write` whose answer stands on stdout; `refused`."""
    code: int = 0
    stdin: bool = False
    """Whether it reads stdin."""


def lines(*texts: str, kind: str, code: int = 0, **more: Any) -> list[Line]:
    return [Line(tuple(text.split()), kind, code, **more) for text in texts]


LINES = [
    *lines(
        "--help",
        "--version",
        "export --help",
        "jobs --help",
        "resources",
        "resources customer",
        "resources customer.update --json",
        "doctor",
        "doctor --json",
        "simulate --list-behaviours",
        "call customer.get NUMBER",
        "call customer.list --limit 3",
        "call customer.get NUMBER --preview",
        "call customer.list --preview",
        "jobs list --store STORE",
        "jobs list --store STORE --json",
        "export --status OUT",
        "export --status OUT --json",
        "export customer --to OUT --json",
        kind="result",
    ),
    *lines("export customer --to OUT", "export customer --to MANY --company north=TENANT", kind="summary"),
    *lines(
        "call customer.create --json FILE",
        "call customer.update NUMBER --json FILE",
        "jobs submit customer.get NUMBER",
        kind="write",
    ),
    *lines("call customer.create --json - --preview", kind="result", stdin=True),
    *lines(
        "exprot",
        "export custmer --to OUT",
        "export customer",
        "call customer.get",
        "call customer.get \udc80",
        "call customer.list --where name=\udc80",
        "call customer.get NUMBER --where \udce5",
        "call customer.update NUMBER --json FILE --if-match \udc80",
        "call customer.create --json SURROGATE --preview",
        "call customer.create --json ENDLESS",
        "call customer.create --json .",
        "export customer --to OUT --report .",
        "export customer --to OUT --report FIFO",
        "export customer --to OUT --companies HUGE",
        "export customer --to OUT --companies ENDLESS",
        "export customer --to OUT --company \udc80=1",
        "jobs prune --older-than 999999w",
        "export customer --to OUT --incremental --overlap-hours 1e300",
        "export customer --to OUT --incremental --overlap-hours nan",
        "simulate --rows custmer=1",
        kind="refused",
        code=2,
    ),
    *lines("call customer.get nobody", kind="refused", code=5),
    *lines("export customer --to FILE", "jobs list --store FOLDER", kind="refused", code=6),
]


def expected(line: Line, streams: str) -> int:
    """Say the exit code: that of the page on exit codes."""
    if line.stdin and streams == "all closed":
        return exit_codes.WRONG_USE
    if line.kind == "refused" or not streams.startswith(("stdout", "both", "all")):
        return line.code
    if streams == "stdout left":
        return exit_codes.NOT_WRITTEN if line.kind == "write" else line.code
    wanted = line.kind != "summary" or "closed" not in streams
    return exit_codes.NOT_WRITTEN if wanted else line.code


@pytest.fixture(scope="module")
def files(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("files")
    body, surrogate, huge, fifo = (folder / name for name in ("c.json", "s.json", "h.csv", "fifo"))
    body.write_text('{"name": "Zażółć"}', "utf-8")
    surrogate.write_text('{"name": "x\\ud83d"}', "utf-8")
    huge.write_text(f"name,tenant_id\n{'x' * 200_000},1\n", "utf-8")
    os.mkfifo(fifo)
    number = str(min(shell.do(shell.simulator.truth, "customer").keys))
    out = folder / "published"
    assert shell.inside("export", "customer", "--to", str(out)).returncode == 0
    store = folder / "kept.sqlite"
    assert shell.inside("jobs", "submit", "customer.get", number, "--store", str(store)).returncode == 0
    words = {
        "STORE": store,
        "FILE": body,
        "SURROGATE": surrogate,
        "HUGE": huge,
        "FIFO": fifo,
        "FOLDER": folder,
        "OUT": out,
        "MANY": folder / "many",
    }
    return {
        **{name: str(path) for name, path in words.items()},
        "ENDLESS": "/dev/zero",
        "NUMBER": number,
        "TENANT": shell.simulator.tenant_id,
    }


def run(shell: Shell, argv: list[str], streams: Streams, folder: Path) -> int:
    environment = shell.environment(VISMANET_JOB_STORE=str(folder / "jobs.sqlite"))
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch.object(sys, "stdout", streams.out),
        mock.patch.object(sys, "stderr", streams.err),
        mock.patch.object(sys, "stdin", streams.stdin),
        mock.patch("vismanet_async._cli.call._MOST_BODY_BYTES", 1_000_000),
        contextlib.chdir(folder),
    ):
        code = main(argv)
    for stream in (streams.out, streams.err):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):  # what it could not write
                stream.flush() if isinstance(stream.buffer, io.BytesIO) else stream.close()
    return code


def text_of(stream: Any) -> str:
    if isinstance(stream, io.StringIO):
        return "" if stream.closed else stream.getvalue()
    if isinstance(stream, io.TextIOWrapper) and not stream.closed and isinstance(stream.buffer, io.BytesIO):
        return stream.buffer.getvalue().decode("utf-8", "backslashreplace")
    return ""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("streams", STREAMS)
def test_no_stream_brings_a_traceback(streams: str, shell: Shell, files: dict[str, str], tmp_path: Path) -> None:
    """Of every command line: the documented exit code, a sentence where there is room, and after a write its id."""
    wrong = []
    for line in LINES:
        given = STREAMS[streams]()
        argv = [re.sub("|".join(files), lambda match: files[match[0]], word) for word in line.argv]
        before = {*shell.do(shell.simulator.truth, "customer").keys}
        code = run(shell, argv, given, tmp_path)
        out, err = text_of(given.out), text_of(given.err)
        about = f"{' '.join(line.argv)!a}: {code}, {err[-300:]!a}"
        if code != expected(line, streams):
            wrong.append(f"expected {expected(line, streams)} of {about}")
        if "Traceback" in out + err or "error in vismanet itself" in err or "simulator-secret" in out + err:
            wrong.append(about)
        if code and isinstance(given.err, io.StringIO) and not err.splitlines()[-1].startswith("vismanet: "):
            wrong.append(f"no sentence: {about}")
        if line.kind == "write" and isinstance(given.err, io.StringIO):
            made = {*shell.do(shell.simulator.truth, "customer").keys} - before
            if not all(number in out + err for number in made):
                wrong.append(f"no id of {made}: {about}")
    assert not wrong, "\n".join(wrong)


def test_the_table_is_of_more_than_200_cases() -> None:
    assert len(LINES) * len(STREAMS) > 200


# --- what is written -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-16"])
def test_json_is_the_bytes_of_the_server_in_any_locale(encoding: str, shell: Shell, tmp_path: Path) -> None:
    usual = shell.inside("call", "customer.list").stdout
    assert not usual.isascii()
    streams = Streams(of(encoding), io.StringIO())
    assert run(shell, ["call", "customer.list"], streams, tmp_path) == 0
    assert streams.out.buffer.getvalue().decode("utf-8") == usual


def test_a_letter_that_the_locale_lacks_becomes_its_escape(shell: Shell, tmp_path: Path) -> None:
    streams = Streams(of("ascii"), of("ascii"))
    folder = tmp_path / "zażółć"
    assert run(shell, ["export", "customer", "--to", str(folder)], streams, tmp_path) == 0
    assert rb"za\u017c\xf3\u0142\u0107" in streams.out.buffer.getvalue()
    assert validate(folder).rows >= 60


def test_a_published_export_whose_summary_cannot_be_printed_says_where_it_is(shell: Shell, tmp_path: Path) -> None:
    for options in ([], ["--json"]):
        streams = Streams(full(), io.StringIO())
        out = tmp_path / f"out{len(options)}"
        assert run(shell, ["export", "customer", "--to", str(out), *options], streams, tmp_path) == 6
        (last,) = [line for line in streams.said.splitlines() if line.startswith("vismanet: ")]
        assert last == (
            "vismanet: stdout cannot be written: No space left on device. "
            f"The export is published: {out / 'manifest.json'}"
        )
        assert validate(out).rows >= 60


def test_some_of_many_failed_is_told_where_stdout_is_full(shell: Shell, tmp_path: Path) -> None:
    companies = ["--company", f"north={shell.simulator.tenant_id}", "--company", "south=99999999-2222-4333-8444-5"]
    for options in ([], ["--json"]):
        streams = Streams(full(), io.StringIO())
        argv = ["export", "customer", "--to", str(tmp_path / "out"), *companies, *options]
        assert run(shell, argv, streams, tmp_path) == 8
        assert re.search(r"stdout cannot be written: .* north .* south +FAILED", streams.said.splitlines()[-1])


def test_what_a_write_answered_is_on_stderr_where_stdout_fails(
    shell: Shell, files: dict[str, str], tmp_path: Path
) -> None:
    streams = Streams(left(), io.StringIO())
    assert run(shell, ["call", "customer.create", "--json", files["FILE"]], streams, tmp_path) == 6
    told = json.loads(streams.said.partition("was carried out, and answered: ")[2])
    assert told["id"] in shell.do(shell.simulator.truth, "customer").keys


def test_half_characters_of_an_answer_can_be_printed() -> None:
    from vismanet_async._api.results import Created
    from vismanet_async._cli.output import json_text

    shown = json.loads(json_text(Created(id="a\udc80", key=("a\udc80", "b"), etag=None)))
    assert (shown["id"], shown["key"]) == ("a\\udc80", ["a\\udc80", "b"])


def test_once_stdout_has_failed_it_stays_so() -> None:
    out = Output(full())
    out.write("x")
    for act in (out.flush, out.flush, lambda: out.write("y"), lambda: out.write_bytes(b"z")):
        with pytest.raises(OutputFailed, match="No space left"):
            act()
    with contextlib.suppress(OSError):
        out.close()


# --- processes -------------------------------------------------------------------------------------------------------


def in_a_shell(shell: Shell, command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of `sh`, in which `$V` is the program."""
    environment = {**shell.environment(), "V": f"{sys.executable} -m vismanet_async", **env}
    return subprocess.run(
        ["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )


@pytest.mark.parametrize(
    ("redirection", "export", "help_page"),
    [(">/dev/full", 6, 6), (">&-", 0, 6), ("2>&-", 0, 0), ("<&- >&- 2>&-", 0, 6), ("2>/dev/full", 0, 0)],
)
def test_real_streams(redirection: str, export: int, help_page: int, shell: Shell, tmp_path: Path) -> None:
    """The interpreter adds nothing of its own at its end, and no file of the export takes a stream's place."""
    out = tmp_path / "out"
    commands = (f"$V export customer --to {out} {redirection}", f"$V --help {redirection}")
    done = in_a_shell(shell, "; ".join(f"{command}; echo ended $?" for command in commands))
    assert re.findall(r"^ended (\d+)$", done.stdout, re.MULTILINE) == [str(export), str(help_page)]
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert validate(out).rows >= 60


def test_a_reader_who_has_read_enough(shell: Shell) -> None:
    done = in_a_shell(shell, "($V call customer.list; echo $? >&2) | head -n 1")
    assert (done.stdout, done.stderr) == ("[\n", "0\n")


def test_another_encoding_of_the_process(shell: Shell) -> None:
    done = in_a_shell(shell, "$V call customer.list", LC_ALL="C", PYTHONIOENCODING="ascii")
    assert not done.stdout.isascii()
    assert (done.stdout, done.stderr) == (shell.inside("call", "customer.list").stdout, "")


# --- stopped ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["export", "jobs run"])
def test_a_polite_kill_ends_what_was_started_in_the_background(command: str, shell: Shell, tmp_path: Path) -> None:
    """A shell has what it starts with `&` ignore SIGINT. SIGTERM ends it in order, and SIGINT is still ignored."""
    store, out = tmp_path / "jobs.sqlite", tmp_path / "out"
    argv = [*command.split(), *(["customer", "--to", str(out)] if command == "export" else ["--store", str(store)])]
    seen = shell.simulator.requests.total
    shell.simulator.latency = 60.0
    process = subprocess.Popen(
        ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable, "-m", "vismanet_async", *argv],
        env=shell.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with process:
            while process.poll() is None and not (
                shell.simulator.requests.total > seen if command == "export" else _is_set_up(store)
            ):
                time.sleep(0.01)
            assert _does_without(process.pid, signal.SIGINT)
            process.send_signal(signal.SIGINT)
            process.terminate()
            _, err = process.communicate(timeout=HANG_SECONDS)
    finally:
        shell.simulator.latency = 0.0
        process.kill()
    assert "Traceback" not in err
    assert process.returncode == (exit_codes.INTERRUPTED if command == "export" else exit_codes.DONE), err
    assert not out.exists(), "it put away what it had begun"


def _does_without(pid: int, number: signal.Signals) -> bool:
    """Tell whether a process ignores a signal, or holds it back."""
    masks = re.findall(r"^Sig(?:Blk|Ign):\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text("ascii"), re.MULTILINE)
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


def _is_set_up(store: Path) -> bool:
    """Tell whether a process works on the store: it begins with its tables."""
    return store.exists() and store.stat().st_size > 0


def test_a_kill_while_python_computes_is_an_interrupt(shell: Shell) -> None:
    """Outside an event loop as well: here while the command line is read."""

    def stop(*_: Any, **__: Any) -> None:
        signal.raise_signal(signal.SIGTERM)

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    for ignored in (False, True):
        with mock.patch("vismanet_async._cli.resources.run_resources", stop), contextlib.ExitStack() as stack:
            if ignored:
                old = signal.signal(signal.SIGINT, signal.SIG_IGN)
                stack.callback(signal.signal, signal.SIGINT, old)
            done = shell.inside("resources")
        assert (done.returncode, done.stderr) == (130, "vismanet: interrupted. Start it again to go on.\n")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_what_nobody_has_foreseen_is_told_in_words(shell: Shell) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by nothing")

    with mock.patch("vismanet_async._cli.resources.run_resources", fail):
        done = shell.inside("resources")
        assert done.returncode == exit_codes.FAULT
        assert done.stderr.startswith("vismanet: an error in vismanet itself: ZeroDivisionError: by nothing. What was")
        assert done.stderr.count("\n") == 1
        told = shell.inside("resources", env={"VISMANET_TRACEBACK": "1"}).stderr
        assert "Traceback" in told
        assert told.endswith(done.stderr)
