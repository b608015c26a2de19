"""What can be shown of Windows and macOS on any machine; the forge's workflow runs the suite there.

Shown by standing in for the system: modules that are not there, names that are devices, signals that cannot be had,
disks without hard links, open files that cannot be replaced, consoles in old code pages.
"""

from __future__ import annotations

import ast
import asyncio
import errno
import io
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import vismanet_async
from vismanet_async._api.files import File, safe_name
from vismanet_async._cli import main
from vismanet_async._cli.output import save_file
from vismanet_async._export.companies import Company
from vismanet_async._simulator.program import serve
from vismanet_async.errors import RequestRefused, TargetNotWritable

ROOT = Path(__file__).parents[1]
PACKAGE = Path(vismanet_async.__file__).parent
SOURCES = [path for path in PACKAGE.rglob("*.py") if not {"models", "resources"} & set(path.parts)]
DEVICES = ("CON", "con", "nul.txt", "AUX.tar.gz", "Prn", "COM1", "com9.pdf", "LPT1.csv")
TEXTUAL = {"read_text", "write_text"}


# --- modules -------------------------------------------------------------------------------------------------------

_AS_ON_WINDOWS = """
import importlib, pkgutil, re, sys, types
import aiohttp, anyio, anyio.from_thread, anyio._backends._asyncio, cyclopts, msgspec, rich.console, rich.progress
import sqlalchemy.ext.asyncio, multiprocessing, pytest, aioresponses, platformdirs, zoneinfo
GONE = ("fcntl", "pwd", "grp", "resource", "termios", "tty", "pty", "syslog", "posix")
locked = []
for name in GONE:
    sys.modules[name] = None
sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, locking=lambda *args: locked.append(args))
sys.platform = "win32"
import vismanet_async
count = 0
for module in pkgutil.walk_packages(vismanet_async.__path__, "vismanet_async."):
    if re.search(r"_api[.](models|resources)[.]|contrib|dask|__main__$", module.name):
        continue
    importlib.import_module(module.name)
    count += 1
from pathlib import Path
from vismanet_async._file_lock import FileLock
lock = FileLock(Path(sys.argv[1]))
assert lock.acquire()
lock.release()
assert locked and locked[0][1:] == (2, 1), locked
print(count)
"""


def test_every_module_loads_without_those_of_posix(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", _AS_ON_WINDOWS, str(tmp_path / "lock")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 250


def test_no_module_of_posix_is_imported_where_windows_would() -> None:
    guarded = re.compile(r"if sys\.platform == \"win32\":.*?\nelse:\n    import fcntl", re.DOTALL)
    for path in SOURCES:
        text = path.read_text("utf-8")
        for module in ("pwd", "grp", "resource", "termios", "tty", "pty"):
            assert not re.search(rf"^\s*(import {module}\b|from {module} )", text, re.MULTILINE), path
        assert "import fcntl" not in text or guarded.search(text), path


def test_windows_gets_time_zones() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert any(re.fullmatch(r"tzdata.*; sys_platform == 'win32'", each) for each in project["dependencies"])


# --- texts ---------------------------------------------------------------------------------------------------------


def test_text_files_are_utf_8_on_every_system() -> None:
    """Nothing is read or written in the encoding of the machine, which is cp1252 on most Windows."""
    for path in SOURCES:
        text = path.read_text("utf-8")
        if not re.search(r"open\(|_text\(", text):
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call):
                continue
            named = {keyword.arg for keyword in node.keywords}
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in TEXTUAL:
                assert "encoding" in named or len(node.args) >= (2 if name == "write_text" else 1), (path, node.lineno)
            if name == "fdopen" or (name == "open" and isinstance(node.func, ast.Name)):
                modes = [each.value for each in node.args if isinstance(each, ast.Constant)]
                assert "encoding" in named or any("b" in str(mode) for mode in modes), (path, node.lineno)


@pytest.mark.parametrize("encoding", ["cp1252", "cp850", "cp437", "ascii", "utf-16-le"])
def test_consoles_in_old_code_pages(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for words, code in ([], 0), (["resources"], 0), (["export", "--help"], 0), (["call", "Zażółć.get"], 2):
        streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
        monkeypatch.setattr(sys, "stdout", streams[0])
        monkeypatch.setattr(sys, "stderr", streams[1])
        assert main(words) == code
        for stream in streams:
            stream.flush()
        assert any(stream.buffer.getvalue() for stream in streams)


# --- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*DEVICES, "a.", "a ", " a", ".", "..", "a:b", "a?b", "a\b", "a/b", "a|b", "a\x1fb"])
def test_names_that_windows_cannot_have(name: str) -> None:
    made = safe_name(name)
    assert made.split(".")[0].lower() not in {"con", "prn", "aux", "nul", "com1", "com9", "lpt1"}
    assert made
    assert made[-1] not in ". "
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f]', made)
    with pytest.raises(RequestRefused, match="cannot be the name of a company's folder"):
        Company(name=name, tenant_id="1")


def test_names_that_only_look_like_devices() -> None:
    for name in ("console", "Nulland", "com", "computer", "lpt10x", "auxiliary.txt"):
        assert safe_name(name) == name
        assert Company(name=name, tenant_id="1").name == name


@pytest.mark.parametrize("error", [OSError(errno.EPERM, "no links"), OSError(errno.ENOTSUP, "no links"), "winerror"])
def test_a_disk_without_hard_links(error: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if error == "winerror":
        error = OSError(errno.EINVAL, "Incorrect function")
        error.winerror = 1

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "link", refuse)
    file = File(name="a.pdf", content=b"%PDF", content_type="application/pdf")
    assert save_file(file, tmp_path).read_bytes() == b"%PDF"
    with pytest.raises(TargetNotWritable):
        save_file(file, tmp_path)  # never over another
    assert [path.name for path in tmp_path.iterdir()] == ["a.pdf"]


def test_a_file_that_somebody_has_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows replaces no file that is open elsewhere: it is told, and nothing is left half done."""
    (tmp_path / "a.pdf").write_bytes(b"before")

    def refuse(self: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, "The process cannot access the file")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(TargetNotWritable, match="Nothing was left there"):
        save_file(File(name="a.pdf", content=b"after", content_type="x/y"), tmp_path / "a.pdf")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.pdf", b"before")]


# --- signals -------------------------------------------------------------------------------------------------------


def test_commands_run_where_signals_cannot_be_held_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(signal, "pthread_sigmask", raising=False)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert main(["resources", "branch"]) == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert "branch.list" in capsys.readouterr().out


async def test_a_simulator_runs_on_a_loop_without_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError  # the loop of Windows

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "add_signal_handler", refuse)
    ready = asyncio.Event()
    task = loop.create_task(serve(port=0, on_ready=lambda _: ready.set()))
    await ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# --- the forge -----------------------------------------------------------------------------------------------------


def test_the_workflow_runs_there() -> None:
    workflow = ROOT / ".github" / "workflows" / "ci.yaml"
    if not workflow.exists():
        pytest.skip("a source tree without .github")
    text = workflow.read_text("utf-8")
    for system in ("ubuntu-", "macos-", "windows-"):
        assert re.search(rf"(runs-on|os): .*{system}", text), system
