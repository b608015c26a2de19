"""The documentation says what the code does: its programs run, its tables and the tests that it names are there."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import attrs
import pytest
from anyio.from_thread import start_blocking_portal

from vismanet_async.simulator import Simulator, list_behaviours
from vismanet_async.simulator.faults import FaultKind

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
_BLOCK = re.compile(r"^```python([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class Block:
    page: Path
    line: int
    runnable: bool
    code: str = attrs.field(repr=False)

    def compiled(self, *, flags: int = 0) -> Any:
        padded = "\n" * self.line + self.code  # a failure names the line of the page
        return compile(padded, str(self.page), "exec", flags=flags, dont_inherit=True)


def blocks() -> list[Block]:
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, "run" in found[1].split(), found[2])
        for page in PAGES
        for text in [page.read_text("utf-8")]
        for found in _BLOCK.finditer(text)
    ]


def name_of(block: Block) -> str:
    return f"{block.page.name}:{block.line}"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A company to talk to, in the variables from which `VismaNet.from_env()` reads."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Simulator(rows={"customer": 30, "customer_invoice": 50})) as simulator,
    ):
        for name, value in simulator.environment().items():
            monkeypatch.setenv(name, value)
        yield


@pytest.mark.parametrize("block", [block for block in blocks() if block.runnable], ids=name_of)
@pytest.mark.usefixtures("environment")
def test_programs_run(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    exec(block.compiled(), {"__name__": "__main__"})
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("block", blocks(), ids=name_of)
def test_programs_compile(block: Block) -> None:
    block.compiled(flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_there_are_programs() -> None:
    assert {block.page.name for block in blocks() if block.runnable} >= {"README.md", "simulator.md"}


def behaviour_rows() -> list[str]:
    return [
        f"| `{one.name}` | `{json.dumps(one.default)}` | {one.choices} | {one.text} | {one.source} |"
        for one in list_behaviours()
    ]


def test_the_table_of_behaviours_is_the_codes() -> None:
    text = (DOCS / "simulator.md").read_text("utf-8")
    table = text.partition("|---|---|---|---|---|\n")[2].strip().splitlines()
    assert table == behaviour_rows()


def test_the_kinds_of_faults_are_the_codes() -> None:
    kinds = re.search(r"^Kinds: (.*?)\.$", (DOCS / "simulator.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert kinds
    assert re.findall(r"`(\w+)`", kinds[1]) == list(get_args(FaultKind))


def test_the_tests_that_hold_the_security_are_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (DOCS / "security.md").read_text("utf-8"))
    assert len(named) > 20
    for path, name in named:
        assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE), f"{path}::{name}"
