"""Runs a page's blocks in order, against a simulator of its own."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import re
import shlex
import tomllib
from typing import TYPE_CHECKING, Any, Final, Self

import attrs
import pytest
from anyio.from_thread import start_blocking_portal

from tests.docs.blocks import ROOT
from vismanet_async import VismaNet
from vismanet_async._cli import main
from vismanet_async._cli.app import app
from vismanet_async._cli.logs import read_talk
from vismanet_async._jobs.schedule import Rules, Schedule
from vismanet_async._settings import Settings
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.docs.blocks import Block, Page

__all__ = ["Session", "check_commands", "open_session", "run_page"]

ROWS: Final = {"customer": 40, "customer_invoice": 60, "supplier": 40, "supplier_invoice": 40}
_OWN: Final = frozenset({"run", "page"})
_RULES: Final = Rules(
    window_seconds=6.0, first_gaps_seconds=(0.3, 0.5, 0.8, 1.2, 1.6, 1.6), steady_gap_seconds=1.2, share=5.0
)
"""Polls ten times as dense, so that jobs are not waited for; the clock and its limits are real."""
_LEASE_SECONDS: Final = 600.0
"""Longer than a page's commands take on any machine, since no lease is renewed meanwhile. The commands' own client
would take a lease of much more for one of a clock that is ahead."""


@contextlib.contextmanager
def company() -> Iterator[Simulator]:
    """Give a simulator in a thread of its own, so that blocking code can talk to it too."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Simulator(seed=7, rows=ROWS)) as simulator,
    ):
        simulator.background.delay_seconds = simulator.background.run_seconds = 0.05
        yield simulator


def run_page(page: Page, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run what can be run, in a folder of its own; gives how many blocks that were."""
    blocks = [block for block in page.blocks if block.mode in {*_OWN, "output"} and block.language != "text"]
    shown = {id(before): after for before, after in zip(page.blocks, page.blocks[1:], strict=False)}
    if not blocks:
        return 0
    with open_session(folder, monkeypatch) as session:
        for block in blocks:
            printed = session.run(block)
            after = shown.get(id(block))
            if after is not None and (after.language, after.mode) == ("text", "output"):
                _compare(printed, after.code, after.name)
    return len(blocks)


@contextlib.contextmanager
def open_session(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Give what a reader has before him: a company of his own, its settings in the environment, and a folder."""
    monkeypatch.chdir(folder)
    with company() as simulator:
        for name, value in simulator.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("VISMANET_JOB_STORE", str(folder / "jobs.sqlite"))
        with Session(simulator, folder) as session:
            yield session


@attrs.define
class Session:
    """The namespace that code shares, and the event loop that it runs in."""

    simulator: Simulator
    folder: Path
    names: dict[str, Any] = attrs.field(factory=dict)
    _runner: asyncio.Runner = attrs.field(factory=asyncio.Runner)
    _visma: VismaNet = attrs.field(init=False)

    def __enter__(self) -> Self:
        self._runner.__enter__()
        self._visma = visma = VismaNet.from_env(job_store=self.folder / "jobs.sqlite")
        visma.jobs._jobs.schedule = Schedule(rules=_RULES)
        visma.jobs._jobs.lease_seconds = _LEASE_SECONDS
        self.names.update(__name__="page", visma=visma, sim=self.simulator)
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._visma.aclose())
        self._runner.close()

    def execute(self, code: Any) -> None:
        """Run code that was compiled with top-level `await` allowed."""
        result = eval(code, self.names)
        if inspect.iscoroutine(result):
            self._runner.run(result)

    def run(self, block: Block) -> str:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            if block.language == "console":
                self._commands(block)
                return ""
            if block.mode == "run":
                exec(block.compiled(), {"__name__": "__main__"})
            else:
                self.execute(block.compiled(flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))
        assert err.getvalue() == "", f"{block.name} wrote to stderr:\n{err.getvalue()}"
        return out.getvalue()

    @staticmethod
    def _commands(block: Block) -> None:
        for line, command, shown in _commands(block):
            words = shlex.split(command, comments=True)
            if words[0] != "vismanet":
                continue  # checked like those that are not run
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = _status(words[1:])
            where = f"{block.page.name}:{line}"
            assert status == 0 or f"exit code {status}" in command, f"{where}: {command}: {status}\n{err.getvalue()}"
            if shown:
                _compare(out.getvalue() + err.getvalue(), shown, where)


def _status(words: list[str]) -> int:
    try:
        return int(main(words) or 0)
    except SystemExit as ended:
        return int(ended.code or 0)


def _compare(printed: str, shown: str, where: str) -> None:
    plain = "\n".join(line.rstrip() for line in printed.splitlines()) + "\n"
    if not doctest.OutputChecker().check_output(shown, plain, doctest.ELLIPSIS):
        pytest.fail(f"{where} shows\n{shown}\nand the code prints\n{plain}", pytrace=False)


# --- commands --------------------------------------------------------------------------------------------------------


def _commands(block: Block) -> Iterator[tuple[int, str, str]]:
    """Give each command with its line and what is shown below it."""
    joined = re.sub(r"\\\n\s*", " ", block.code)
    parts = re.split(r"^\$ ", joined, flags=re.MULTILINE)
    assert not parts[0].strip(), f"{block.name}: the first line is no command; commands begin with '$ '"
    for part in parts[1:]:
        command, _, shown = part.partition("\n")
        line = block.line + 1 + block.code[: block.code.find(command.split("  ")[0])].count("\n")
        yield line, command, shown


def check_commands(block: Block) -> None:
    """See that what the commands name exists."""
    for line, command, _ in _commands(block):
        where = f"{block.page.name}:{line}: {command}"
        for single in re.split(r"\s(?:&&|\|)\s", command):
            words = shlex.split(single, comments=True)
            while words and re.fullmatch(r"VISMANET_\w+=.*", words[0]):
                _setting(words.pop(0), where)
            check = _CHECKS.get(words[0].rpartition("/")[2])
            assert check, f"{where}: {words[0]!r} is not a command that the documentation knows"
            check(words, where)


def _vismanet(words: list[str], where: str) -> None:
    try:
        _, arguments = read_talk(words[1:])
        app.parse_args(arguments, print_error=False, exit_on_error=False)
    except Exception as error:  # noqa: BLE001 - whatever it is, the page is wrong
        pytest.fail(f"{where}: {error}", pytrace=False)


def _make(words: list[str], where: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {word for word in words[1:] if "=" not in word} <= targets, where


def _pip(words: list[str], where: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for extras in re.findall(r"vismanet-async\[([^]]*)\]", " ".join(words)):
        assert set(extras.split(",")) <= set(project["optional-dependencies"]), where


def _export(words: list[str], where: str) -> None:
    for word in words[1:]:
        _setting(word, where)


def _setting(word: str, where: str) -> None:
    name = word.partition("=")[0].removeprefix("VISMANET_").lower()
    known = {field.name for field in attrs.fields(Settings)} | {"profile", "profile_file", "webhook_key"}
    assert name in known, f"{where}: there is no setting VISMANET_{name.upper()}"


def _python(words: list[str], where: str) -> None:
    if words[1:3] == ["-m", "pip"]:
        _pip(words, where)
    if words[1:2] == ["-m"] and words[2].startswith("vismanet_async"):
        module = ROOT / words[2].replace(".", "/")
        assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file(), where


def _nothing(words: list[str], where: str) -> None:
    """Other people's programs."""


_CHECKS: Final = {
    "vismanet": _vismanet, "make": _make, "pip": _pip, "export": _export, "python": _python,
    **dict.fromkeys(["cat", "cd", "chmod", "git", "head", "jq", "ls", "pytest", "uvicorn"], _nothing),
}  # fmt: skip
