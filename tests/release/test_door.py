"""What a contributor meets first holds: the lock, the quick tests, the list of private parts, the change fragments."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.release.scripts import script

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="a source tree without .ci")

IO = {
    *("aiohttp", "aioresponses", "anyio", "asyncio", "asyncpg", "concurrent", "http", "httpx", "moto"),
    *("multiprocessing", "playwright", "requests", "selectors", "socket", "sqlalchemy", "sqlite3", "ssl", "subprocess"),
    *(
        "time",
        "urllib",
        "uvloop",
        "vismanet_async._client",
        "vismanet_async.simulator",
        "vismanet_async._simulator",
        "vismanet_async._http.pool",
    ),
}
"""What tests of pure rules have no use for."""


# --- requirements.lock ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lock() -> Any:
    return script("lock")


def test_the_lock_fits_the_project(lock: Any) -> None:
    assert lock.main() == 0


def test_what_a_lock_lacks_is_told(lock: Any) -> None:
    project = {
        "project": {"dependencies": ["Typing_Extensions>=4", "attrs>=24,<27"]},
        "dependency-groups": {"dev": ["trustme", {"include-group": "check"}], "check": ["ruff>=0.11"]},
    }
    wanted = lock.asked(project)
    hashed = " \\\n    --hash=sha256:" + "0" * 64
    good = [f"{one}{hashed}" for one in ("typing-extensions==4.1", "attrs==26.1", "trustme==1.2", "ruff==0.12")]
    assert lock.lock_problems("# made by hand\n" + "\n".join(good), wanted) == []
    two = [*good, f"attrs==25.1 ; python_full_version < '3.12'{hashed}"]
    assert lock.lock_problems("\n".join(two), wanted) == [], "a marker may choose between versions, all of which fit"

    def told(index: int, line: str) -> list[str]:
        found: list[str] = lock.lock_problems("\n".join([*good[:index], line, *good[index + 1 :]]), wanted)
        return found

    assert told(1, f"attrs==27.1{hashed}") == ["attrs 27.1 does not fit attrs<27,>=24"]
    assert told(3, "") == ["ruff>=0.11 is not in it"]
    assert told(2, "trustme==1.2") == ["trustme is not one version with its hashes"]
    assert told(2, f"trustme>=1.2{hashed}") == ["trustme is not one version with its hashes"]
    assert "names a place" in told(2, f"trustme @ file:///here/trustme.whl{hashed}")[0]
    assert (
        "names a place"
        in lock.lock_problems("\n".join(["--index-url https://mirror.example/simple", *good]), wanted)[0]
    )


def test_no_dependency_is_without_a_lower_bound(lock: Any) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    optional = project["project"]["optional-dependencies"].values()
    for one in [*lock.asked(project), *map(lock.Requirement, chain.from_iterable(optional))]:
        assert {part.operator for part in one.specifier} & {">=", "=="}, one


# --- ceilings, and private parts -----------------------------------------------------------------------------------


def test_ceilings_stand_where_private_parts_are_used_and_nowhere_else(lock: Any) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    every = map(lock.Requirement, chain(project["dependencies"], *project["optional-dependencies"].values()))
    capped = {one.name for one in every if any(part.operator != ">=" for part in one.specifier)}
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8").partition("## Private parts of libraries")[2]
    assert capped == set(re.findall(r"^\| (\w+) \| ", text, re.MULTILINE)) - {"of", "CPython"}


def private_names(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Name the private attributes that code asks of anything but itself, and whether it surely is somebody else's."""
    foreign = {
        name.asname or name.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and "vismanet" not in (node.module or ""))
        for name in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.match(r"_[^_]", node.attr):
            asked = node.value.id if isinstance(node.value, ast.Name) else ""
            if asked not in {"self", "cls"}:
                yield node.attr, asked in foreign
        elif isinstance(node, ast.ImportFrom) and node.module and "vismanet" not in node.module:
            parts = [*node.module.split("."), *(name.name for name in node.names)]
            yield from ((part, True) for part in parts if re.match(r"_[^_]", part))


def defined_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield from (node.attr for one in [node.value] if isinstance(one, ast.Name) and one.id == "self")


def test_whatever_is_private_to_a_library_is_in_the_list() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8").partition("## Private parts of libraries")[2]
    trees = [
        ast.parse(path.read_bytes()) for path in (ROOT / "vismanet_async").rglob("*.py") if path.parent.name != "models"
    ]
    ours = set(chain.from_iterable(map(defined_names, trees)))
    asked = chain.from_iterable(map(private_names, trees))
    used = {name for name, foreign in asked if foreign or name not in ours}
    assert "_retry_connection" in used
    assert [name for name in sorted(used) if name not in text] == []
    for name in ("getrefcount", "set_protocol", "set_response_params", "__annotations__", "cell_contents"):
        assert f"`{name}" in text or f".{name}" in text, name


# --- make quick ----------------------------------------------------------------------------------------------------


def quick() -> list[Path]:
    lines = (ROOT / "tests" / "quick.txt").read_text("utf-8").splitlines()
    return [ROOT / line for line in lines if not line.startswith("--deselect=")]


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def impure(path: Path) -> list[str]:
    """Tell what a test file does, itself or by what it imports of the tests, that a pure rule does not need."""
    tree = ast.parse(path.read_bytes())
    coroutines = [node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]
    found = [name for name in coroutines if name.startswith("test_")]
    for name in imports(tree):
        found += [name for one in IO if f"{name}.".startswith(f"{one}.")]
        helper = ROOT / Path(*name.split(".")[:3]).with_suffix(".py")
        if name.startswith("tests.") and helper.is_file():
            found += impure(helper)
    return found


@pytest.mark.parametrize("path", quick(), ids=lambda path: path.stem)
def test_quick_tests_are_of_pure_rules(path: Path) -> None:
    assert impure(path) == []


def test_impure_tests_are_noticed() -> None:
    assert "test_nobody_overtakes_who_waits" in impure(ROOT / "tests" / "transport" / "test_limiter.py")
    assert "subprocess" in impure(ROOT / "tests" / "release" / "test_release.py")


def test_the_rules_of_the_architecture_are_tested_quickly() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8").partition("## Pure core, thin shell")[2]
    rules = re.findall(r"^\| [^|]+ \| `vismanet_async/(\w+)/(\w+)\.py` \|", text.partition("\n## ")[0], re.MULTILINE)
    assert len(rules) > 5
    rooms = {"_http": "transport"}
    tests = [ROOT / "tests" / rooms.get(room, room.lstrip("_")) / f"test_{rule}.py" for room, rule in rules]
    assert [path for path in tests if path not in quick() and not impure(path)] == []


def test_what_is_left_out_of_the_quick_tests_is_there() -> None:
    for line in (ROOT / "tests" / "quick.txt").read_text("utf-8").splitlines():
        path, _, name = line.removeprefix("--deselect=").partition("::")
        assert (ROOT / path).is_file(), line
        assert name in (ROOT / path).read_text("utf-8"), line


# --- findings, and what else stands at the top ---------------------------------------------------------------------


def test_every_finding_is_listed_and_stands_alone() -> None:
    told = re.findall(r"^\| `([\w-]+\.sh)`", (ROOT / "findings" / "README.md").read_text("utf-8"), re.MULTILINE)
    there = sorted(path.name for path in (ROOT / "findings").iterdir() if path.name != "README.md")
    assert told == there
    for name in there:
        path = ROOT / "findings" / name
        text = path.read_text("utf-8")
        assert os.access(path, os.X_OK), name
        assert text.startswith("#!/usr/bin/env bash\n# "), name
        assert "set -euo pipefail" in text, name
        assert "mktemp -d" in text, name
        assert re.search(r"pip install .*==", text), f"{name}: pin what is installed"
        assert "vismanet" not in text, name
        subprocess.run(["bash", "-n", path], check=True)


def test_nothing_strays_into_the_top_folder() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if files.returncode:
        pytest.skip("not a clone")
    top = {name.split("/")[0] for name in files.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} == {
        *("benchmarks", "docs", "findings", "tests", "vismanet_async"),
        *("CHANGELOG.md", "LICENSE", "Makefile", "README.md", "pyproject.toml", "requirements.lock"),
    }
    included = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["sdist"]
    assert top - set(included["include"]) == {".gitignore", "pyproject.toml"}, "what the source archive lacks"


def test_what_turns_the_suite_red_is_what_contributors_are_told() -> None:
    red = script("red")
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text("utf-8")
    rows = re.findall(r"^\| (.*) \| (.*) \|$", text.partition("| break | red |\n|---|---|\n")[2], re.MULTILINE)
    assert rows == [(each.told, each.red) for each in red.BREAKS]
    for each in red.BREAKS:
        whole = (ROOT / each.file).read_text("utf-8")
        assert red.broken(each, whole) != whole
        with pytest.raises(ValueError, match="0 times, not once"):
            red.broken(each, "")


def test_make_knows_what_ci_and_contributors_call() -> None:
    if (make := shutil.which("make")) is None:
        pytest.skip("make is not there")
    told = (ROOT / ".ci" / "run").read_text("utf-8") + (ROOT / ".github" / "CONTRIBUTING.md").read_text("utf-8")
    targets = set(re.findall(r"(?:^|`|\$ )make (\w[\w-]+)", told, re.MULTILINE))
    assert {"quick", "test", "check", "docs", "setup", "lock", "browser"} <= targets
    for target in sorted(targets):
        done = subprocess.run([make, "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_chromium_is_installed_only_where_that_is_asked_for() -> None:
    if (make := shutil.which("make")) is None:
        pytest.skip("make is not there")
    for target in ("setup", "test", "quick", "check", "docs", "demo"):
        done = subprocess.run([make, "-n", "-B", target], cwd=ROOT, capture_output=True, text=True, check=True)
        assert "apt-get" not in done.stdout.replace("make browser", ""), target


def test_the_python_versions_are_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    told = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    workflow = (ROOT / ".github" / "workflows" / "ci.yaml").read_text("utf-8")
    assert re.findall(r'"(3\.\d+)"', workflow) == told
    assert f">={told[0]}" == project["requires-python"]
    assert f"--python-version {told[0]} " in (ROOT / "Makefile").read_text("utf-8")
    assert sys.version_info >= tuple(map(int, told[0].split(".")))
