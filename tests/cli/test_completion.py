"""Shell completion: installed where the shell finds it, and it completes."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from cyclopts.completion.detect import ShellDetectionError

from tests.support.hang import HANG_SECONDS
from vismanet_async._cli import completion, main
from vismanet_async._cli.completion_names import names_of

if TYPE_CHECKING:
    from pathlib import Path

BASH = shutil.which("bash")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("ZSH", raising=False)
    monkeypatch.delenv("ZSH_CUSTOM", raising=False)
    return home


def completed(script: Path, *words: str) -> set[str]:
    """Give what bash would offer for the last word."""
    assert BASH is not None
    line = " ".join(f"'{word}'" for word in ("vismanet", *words))
    code = f'. "{script}"; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _vismanet; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        [BASH, "--norc", "-c", code], capture_output=True, text=True, timeout=HANG_SECONDS, check=True
    )
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.skipif(BASH is None, reason="bash is not there")
def test_bash_completes_commands_options_and_choices(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--install-completion", "--shell", "bash"]) == 0
    script = home / ".local/share/bash-completion/completions/vismanet"
    assert str(script) in capsys.readouterr().out
    assert str(script) in (home / ".bashrc").read_text()
    assert {"export", "call", "doctor", "jobs"} <= completed(script, "")
    assert completed(script, "do") == {"doctor"}
    assert completed(script, "export", "--fo") == {"--format"}
    assert completed(script, "export", "--format", "jsonl.") == {"jsonl.gz", "jsonl.zst"}
    assert {"submit", "wait"} <= completed(script, "jobs", "")


@pytest.mark.skipif(BASH is None, reason="bash is not there")
def test_bash_completes_names_of_resources_and_methods(tmp_path: Path) -> None:
    script = tmp_path / "script"
    assert main(["--install-completion", "--shell", "bash", "--output", str(script)]) == 0
    assert {"customer", "customer_invoice"} <= completed(script, "export", "cus")
    assert completed(script, "export", "--incremental", "customer", "supplier_p") == {"supplier_payment"}
    assert completed(script, "export", "--to", "cus") == set(), "the value of an option"
    assert completed(script, "export", "compact", "cus") == set()
    assert completed(script, "export", "--log-f") == {"--log-format"}
    assert completed(script, "export", "--log-format", "j") == {"json"}
    assert completed(script, "export", "--log-format", "json", "supplier_p") == {"supplier_payment"}
    assert completed(script, "call", "customer.mod") == set()
    assert completed(script, "call", "customer.ge") >= {"customer.get"}
    assert completed(script, "call", "customer.get", "cus") == set(), "ids are not known"
    assert completed(script, "jobs", "submit", "supplier_invoice.release_by") == {
        "supplier_invoice.release_by_document_type"
    }
    assert {"customer", "customer.update"} <= completed(script, "load", "cus")
    assert "customer_invoice" in completed(script, "release", "")
    assert completed(script, "resources", "ledg") == {"ledger", "ledger.list"}


def test_the_file_that_is_edited_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for told in (f"{home / '.bashrc'} was edited", f"{home / '.bashrc'} was not edited"):
        assert main(["--install-completion", "--shell", "bash"]) == 0
        assert told in capsys.readouterr().out
    assert main(["--install-completion", "--shell", "zsh"]) == 0
    assert f"{home / '.zshrc'} was edited" in capsys.readouterr().out
    assert main(["--install-completion", "--shell", "fish"]) == 0
    assert " edited" not in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_their_script(shell: str, home: Path, tmp_path: Path) -> None:
    script = tmp_path / "script"
    assert main(["--install-completion", "--shell", shell, "--output", str(script)]) == 0
    text = script.read_text()
    assert "install-completion" in text
    for command, words in names_of().items():
        # the oldest cyclopts has no line for the arguments of `export`, which has a command below it
        assert " ".join(words) in text or (shell, command) == ("zsh", "export")
    assert list(home.iterdir()) == []


def test_the_running_shell_is_found_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(completion, "detect_shell", lambda: "fish")
    assert main(["--install-completion", "--output", str(tmp_path / "script")]) == 0
    assert "complete -c vismanet" in (tmp_path / "script").read_text()


def unknown() -> str:
    raise ShellDetectionError


@pytest.mark.parametrize("found", [lambda: "powershell", unknown])
def test_an_unknown_shell_is_told(
    found: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(completion, "detect_shell", found)
    assert main(["--install-completion"]) == 2
    assert "--shell bash, zsh or fish" in capsys.readouterr().err


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--install-completion", "--shell", "bash", "--output", str(tmp_path / "file" / "script")]) == 6
    assert "cannot be written" in capsys.readouterr().err
