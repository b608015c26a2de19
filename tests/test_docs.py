"""The documentation says what the code does: its code runs, its tables and the tests that it names are there."""

from __future__ import annotations

import ast
import html
import inspect
import json
import re
import tomllib
from typing import TYPE_CHECKING, get_args

import attrs
import pytest

from tests.docs import typed
from tests.docs.blocks import MODES, ROOT, Block, Page, pages
from tests.docs.running import check_commands, run_page
from vismanet_async import errors
from vismanet_async._cli import exit_codes
from vismanet_async._export.plan import ExportPlan
from vismanet_async._http.auth.credentials import AuthorizationCode, ClientCredentials, StaticToken
from vismanet_async._http.retry import TABLE
from vismanet_async._settings import SETTINGS_IN_FILES, Settings
from vismanet_async._simulator.faults import FaultKind
from vismanet_async.simulator import list_behaviours

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
PAGES = pages()
BLOCKS = [block for page in PAGES for block in page.blocks]


@pytest.mark.parametrize("page", [page for page in PAGES if page.blocks], ids=lambda page: page.name)
def test_every_block_has_a_mode_that_its_language_knows(page: Page) -> None:
    for block in page.blocks:
        known = MODES.get(block.language, {"shown"})
        assert block.mode in known, f"{block.name}: say how it is tested, {' or '.join(sorted(known))} (tests/docs)"


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(one.mode in {"run", "page"} for one in page.blocks)],
    ids=lambda page: page.name,
)
def test_code_runs(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_page(page, tmp_path, monkeypatch) > 0


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "console"], ids=lambda one: one.name)
def test_commands_exist(block: Block) -> None:
    check_commands(block)


def test_what_is_only_looked_at_is_well_formed() -> None:
    for block in BLOCKS:
        if block.language == "json":
            json.loads(block.code)
        elif block.language == "toml":
            tomllib.loads(block.code)
        elif block.language == "python":
            block.compiled(flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_output_belongs_to_a_block_that_runs() -> None:
    for page in PAGES:
        for before, after in zip([None, *page.blocks], page.blocks, strict=False):
            if (after.language, after.mode) == ("text", "output"):
                assert before is not None, after.name
                assert before.language == "python", after.name
                assert before.mode in {"run", "page"}, after.name


def test_python_for_the_type_checker_stands_on_its_own_lines(tmp_path: Path) -> None:
    typed.main(tmp_path)
    assert len(list(tmp_path.glob("*.py"))) > 20
    for page in PAGES:
        lines = page.text.splitlines()
        for code in typed.programs(page).values():
            for number, line in enumerate(code.splitlines()[2:], start=2):
                assert not line.strip() or line.strip() == lines[number].strip(), f"{page.name}:{number + 1}"
            compile(code, page.name, "exec", dont_inherit=True)


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


@pytest.mark.parametrize(
    ("name", "at_least"),
    [("security.md", 20), ("guarantees.md", 60), ("architecture.md", 12), ("decisions/leases-with-fencing.md", 1)],
)
def test_the_tests_that_are_named_are_there(name: str, at_least: int) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (DOCS / name).read_text("utf-8"))
    assert len(named) >= at_least
    for path, test in named:
        assert re.search(rf"^(async )?def {test}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE), f"{path}::{test}"


def test_each_guarantee_names_what_holds_it() -> None:
    rows = [line for line in (DOCS / "guarantees.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    for row in rows:
        assert "`tests/" in row or row == "| guarantee | held by |", row


def test_the_retry_table_is_the_codes() -> None:
    text = (DOCS / "explanation/retries.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)`.*? \| ([a-z, ]+) \| (\d) \| (.*) \|$", text, re.MULTILINE)
    told = [(fault, kinds, int(tries), wait == "backoff") for fault, kinds, tries, wait in rows]
    assert told == [(rule.fault.name, ", ".join(rule.kinds), rule.attempts, rule.backoff) for rule in TABLE]


@pytest.mark.parametrize("name", ["README.md", "docs/reference/settings.md"])
def test_every_setting_is_named(name: str) -> None:
    told = set(re.findall(r"`VISMANET_(\w+)`", (ROOT / name).read_text("utf-8")))
    fields = {field.name.upper() for field in attrs.fields(Settings)}
    in_files = {name.upper() for name in SETTINGS_IN_FILES}
    assert told == fields | in_files | {"PROFILE", "PROFILE_FILE"}


@pytest.mark.parametrize("built", [Settings, ClientCredentials, StaticToken, AuthorizationCode, ExportPlan])
def test_what_users_build_tells_every_argument(built: type[attrs.AttrsInstance]) -> None:
    arguments = (inspect.getdoc(built) or "").partition("Args:\n")[2].partition("\n\n")[0]
    told = re.findall(r"^    (\w+): \S", arguments, re.MULTILINE)
    assert told == [field.alias for field in attrs.fields(built) if field.init]


def test_the_exit_codes_are_the_codes() -> None:
    text = (DOCS / "reference/exit-codes.md").read_text("utf-8")
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert told == {value for value in vars(exit_codes).values() if isinstance(value, int)}
    for names, code in re.findall(r"^\| (`.*) \| (\d+) \|$", text, re.MULTILINE):
        for name in re.findall(r"`(\w+)`", names):
            kind = getattr(errors, name)
            assert exit_codes.exit_code(kind.__new__(kind)) == int(code), name


def test_the_architecture_is_that_of_the_tree() -> None:
    text = (DOCS / "architecture.md").read_text("utf-8")
    paths = set(re.findall(r"`(vismanet_async/[\w/.]+)`", text))
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"][0][
        "layers"
    ]
    told = re.findall(r"^\| (`vismanet_async\.[\w.`, ]+) \|", text, re.MULTILINE)
    assert [re.findall(r"`([\w.]+)`", row) for row in told] == [layer.split(" | ") for layer in layers]
    drawn = (DOCS / "images/layers.svg").read_text("utf-8")
    for layer in layers:
        for module in layer.split(" | "):
            assert module.split(".")[1] in drawn


def test_the_tree_shows_every_module_that_is_written_by_hand() -> None:
    text = (DOCS / "architecture.md").read_text("utf-8").partition("## The tree")[2].partition("\n## ")[0]
    shown: set[str] = set()
    folder = ""
    for word in text.partition("```text shown")[2].partition("```")[0].split():
        if word.endswith("/"):
            folder = word
        else:
            shown.add(f"{folder}{word}.py")
    package = ROOT / "vismanet_async"
    made = ("vismanet_async/_api/models/", "vismanet_async/_api/resources/")
    there = {path.relative_to(ROOT).as_posix() for path in package.rglob("*.py") if path.name != "__init__.py"}
    assert shown == {path for path in there if not path.startswith(made)}


def test_drawings_have_titles_and_no_colours_of_their_own() -> None:
    drawings = sorted((DOCS / "images").glob("*.svg"))
    assert drawings
    for path in drawings:
        text = path.read_text("utf-8")
        assert re.search(r"<title>.{20,}</title>", text), path.name
        assert 'class="drawing" role="img"' in text, path.name
        assert re.search(r'(fill|stroke)="#', text) is None, f"{path.name}: colours are named, for light and dark"


def test_the_picture_of_the_terminal_is_of_today_and_loads_nothing() -> None:
    picture = (DOCS / "images" / "terminal" / "export.svg").read_text("utf-8")
    assert set(re.findall(r"\w+://[^\s\"']+", picture)) == {"http://www.w3.org/2000/svg"}
    told = html.unescape(re.sub(r"<[^>]*>", "", picture)).replace("\xa0", " ")
    assert "$ vismanet export customer customer_invoice supplier --to out" in told
    assert re.search(r"3,000 of|\d of [\d,]+ rows", told)
    assert re.search(r"customer +4,000 rows  proven", told)
    assert "published out/manifest.json" in told
    assert "docs/images/terminal/export.svg" in (ROOT / "README.md").read_text("utf-8")


def test_pages_load_nothing_from_elsewhere() -> None:
    # links may lead anywhere; what a page shows is its own
    for page in PAGES:
        assert re.search(r"!\[[^]]*\]\(\w+:|<(img|script|link|iframe)\b", page.text) is None, page.name
