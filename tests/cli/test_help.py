"""The help pages, as a newcomer sees them on a terminal of 80 columns."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vismanet_async._cli import exit_codes, main
from vismanet_async._cli.app import app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]


def commands(node: Any = app, *above: str) -> Iterator[tuple[str, ...]]:
    yield above
    for name in node:
        if name not in {"--help", "-h", "--version"}:
            yield from commands(node[name], *above, name)


@pytest.fixture(autouse=True)
def forget_consoles() -> Callable[[], None]:
    """A command keeps the console that it made first, and with it the width of that time's terminal."""

    def forget() -> None:
        for words in commands():
            node: Any = app
            for word in words:
                node = node[word]
            node._fallback_console = node._fallback_error_console = None

    forget()
    return forget


def page(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*words, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_page_fits_and_every_option_says_what_it_is(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page(capsys, monkeypatch, *words)
    assert text.startswith(f"Usage: vismanet {' '.join(words)}".rstrip())
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "KEYWORD" not in text
    node: Any = app
    for word in words:
        node = node[word]
    if node.default_command is None:
        return
    for argument in node.assemble_argument_collection(parse_docstring=True):
        if argument.show:
            told = argument.parameter.help or ""
            assert len(told) >= 15, argument.name
            assert "\n" not in told, f"{argument.name} would break off within a sentence"


@pytest.mark.parametrize("words", [words for words in commands() if words], ids=" ".join)
def test_what_sends_nothing_names_no_sign_in(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = " ".join(page(capsys, monkeypatch, *words).split())
    assert "Exit codes:" not in text  # the first page alone has them
    assert "Needs no sign-in, and sends nothing." not in text or "Signs in with" not in text


def test_the_exit_codes_are_all_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    codes = {value for value in vars(exit_codes).values() if isinstance(value, int)}
    assert exit_codes.MEANINGS.keys() == codes
    text = page(capsys, monkeypatch)
    told = dict(re.findall(r"^ +(\d+)  (.+?)$", text, re.MULTILINE))
    assert told == {str(code): meaning for code, meaning in exit_codes.MEANINGS.items()}
    readme = re.search(r"^Exit codes of .*?\.$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert readme
    assert {int(code) for code in re.findall(r"(?<![\w-])(\d+) (?=[a-z])", readme[0])} == codes


def test_sizes_say_their_unit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(page(capsys, monkeypatch, "export").replace("│", " ").split())
    assert "in bytes; 134217728 is 128 MiB" in text
    assert "33554432 is 32 MiB" in text
    assert "how many hours before" in text


@pytest.mark.parametrize("columns", ["0", "1", "4"])
@pytest.mark.parametrize("words", [(), ("export",)])
def test_a_terminal_without_columns_gets_a_page_of_forty(
    columns: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers and editors say `COLUMNS=0`; the tables of the library that draws them never ended."""
    monkeypatch.setenv("COLUMNS", columns)
    assert main([*words, "--help"]) == exit_codes.DONE
    told = capsys.readouterr().out
    assert "Usage: vismanet" in told
    assert max(map(len, told.splitlines()[3:])) > 20


def test_alone_it_says_three_next_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    told = capsys.readouterr()
    steps = [line.split("#")[0].split() for line in told.out.splitlines() if re.search(r"# \d\.", line)]
    assert len(steps) == 3
    for _, command, *_ in steps:  # each is a command that there is
        assert app[command].help
    assert max(map(len, told.out.splitlines())) <= 80
    assert not told.err


@pytest.mark.parametrize("columns", ["1", "20", "79"])
@pytest.mark.parametrize("words", [["export", "--help"], ["resources", "customer.list"]])
def test_narrow_terminals_get_all_of_it(
    columns: str,
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    forget_consoles: Callable[[], None],
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert main(words) == 0
    text = "".join(re.findall(r"\w", capsys.readouterr().out))
    monkeypatch.setenv("COLUMNS", "400")
    forget_consoles()
    assert main(words) == 0
    wide = "".join(re.findall(r"\w", capsys.readouterr().out))
    assert sorted(text) == sorted(wide)  # wrapped elsewhere, and nothing cut off


def test_no_color_is_heard() -> None:
    program = (
        "from vismanet_async._cli import main; [main(words) for words in (['export', '--help'], ['resources'], [])]"
    )
    coloured, plain = (
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color", **more},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for more in ({}, {"NO_COLOR": "1"})
    )
    colour = re.compile(r"\x1b\[[0-9;]*[34][0-7]m")  # bold may stay
    assert colour.search(coloured), "or the test says nothing"
    assert not colour.search(plain)


def test_help_is_a_word_too(capsys: pytest.CaptureFixture[str]) -> None:
    pages = []
    for words in (["help"], ["--help"]):
        assert main(words) == exit_codes.DONE
        pages.append(capsys.readouterr().out)
    assert pages[0] == pages[1]
