"""The checks that a release goes through find what they are there for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.release.scripts import script
from tests.support.hang import HANG_SECONDS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="a source tree without .ci")


@pytest.fixture(scope="module")
def release() -> Any:
    return script("release")


def test_the_version_is_said_once_and_pyproject_reads_it(release: Any) -> None:
    from vismanet_async import __version__

    assert release.version() == __version__
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text("utf-8")


def whole_wheel(release: Any, modules: set[str]) -> set[str]:
    info = "vismanet_async-1.0.dist-info"
    return {*release.IN_WHEEL, *modules, f"{info}/METADATA", f"{info}/licenses/LICENSE", f"{info}/entry_points.txt"}


def test_a_wheel_is_looked_into(release: Any) -> None:
    modules = {"vismanet_async/__init__.py", "vismanet_async/_client.py"}
    names = whole_wheel(release, modules)
    assert release.wheel_problems(names, modules) == []
    broken = names - {"vismanet_async/py.typed", "vismanet_async/_client.py"}
    broken |= {"tests/conftest.py", "vismanet_async/__pycache__/client.cpython-311.pyc"}
    assert release.wheel_problems(broken, modules) == [
        "the wheel lacks vismanet_async/_client.py",
        "the wheel lacks vismanet_async/py.typed",
        "the wheel holds tests/conftest.py",
        "the wheel holds vismanet_async/__pycache__/client.cpython-311.pyc",
    ]


def test_a_source_archive_is_looked_into(release: Any) -> None:
    names = {f"vismanet_async-1.0/{name}" for name in release.IN_SDIST}
    assert release.sdist_problems(names, []) == []
    names.discard("vismanet_async-1.0/docs/facts.md")
    assert release.sdist_problems(names, []) == ["the source archive lacks docs/facts.md"]


def test_metadata_is_looked_into(release: Any) -> None:
    lines = ["Version: 1.0", "Requires-Dist: aiohttp>=3.12", "Requires-Dist: rich>=13.9; extra == 'x'"]
    lines += [f"Provides-Extra: {name}" for name in release.extras()]
    assert release.metadata_problems("\n".join(lines), "1.0") == []
    lines += ["Requires-Dist: attrs", "Requires-Dist: anyio<5; python_version>='3.12'"]
    assert release.metadata_problems("\n".join(lines[:-1]), "1.1") == [
        "the wheel says version 1.0, not 1.1",
        "a dependency without a lower bound: attrs",
    ]
    assert "anyio" in release.metadata_problems("\n".join(lines), "1.0")[1]


def test_what_concerns_users_is_kept_of_what_mypy_says(release: Any) -> None:
    lines = [
        'tests/a.py:1: error: "VismaNet" has no attribute "customer"  [attr-defined]',
        'tests/a.py:2: error: "VismaNet" has no attribute "_pool"  [attr-defined]',
        'tests/a.py:3: error: Module "vismanet_async.x" does not explicitly export attribute "_y"  [attr-defined]',
        'tests/a.py:4: error: Unexpected keyword argument "_z" for "_f" of "C"  [call-arg]',
        'tests/a.py:5: error: Unused "type: ignore" comment  [unused-ignore]',
        'tests/a.py:6: note: "get" of "Resource" defined here',
        'tests/a.py:7: error: Unexpected keyword argument "limit" for "list" of "CustomerResource"  [call-arg]',
    ]
    assert release.breaks(lines) == [lines[0], lines[6]]


def test_without_a_release_nothing_can_be_broken(
    release: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(release, "last_release", lambda: None)
    assert release.main(["api-check"]) == 0
    assert "no release yet" in capsys.readouterr().out


def test_change_fragments_are_in_order(release: Any) -> None:
    assert release.main(["changes"]) == 0
    assert release.change_problems({"README.md": "", "+a-fix.fixed.md": "It works.\n"}) == []
    problems = release.change_problems({"a.fixed.md": "It works.", "+b.repaired.md": "It works.", "+c.added.md": "new"})
    assert [problem.partition(":")[0] for problem in problems] == ["a.fixed.md", "+b.repaired.md", "+c.added.md"]


def test_kinds_are_those_of_the_changelog(release: Any) -> None:
    import tomllib

    told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["towncrier"]["type"]
    assert tuple(kind["directory"] for kind in told) == release.KINDS


def test_a_failure_is_one_line_and_exit_code_1(
    release: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(release, "DIST", tmp_path)
    assert release.main(["check"]) == 1
    assert "make dist" in capsys.readouterr().err


def test_pythons_are_found(release: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for version in ("3.12.9", "3.12.10"):
        binary = tmp_path / ".pyenv" / "versions" / version / "bin" / "python3.12"
        binary.parent.mkdir(parents=True)
        binary.write_text("")
    on_path = tmp_path / "bin" / "python3.11"
    on_path.parent.mkdir()
    on_path.write_text("")
    on_path.chmod(0o755)
    monkeypatch.setenv("PATH", str(on_path.parent))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    found = release.find_pythons(["3.11", "3.12", "3.13"])
    assert {name: path.relative_to(tmp_path).as_posix() for name, path in found.items()} == {
        "3.11": "bin/python3.11",
        "3.12": ".pyenv/versions/3.12.10/bin/python3.12",
    }


@pytest.mark.timeout(300)
def test_every_module_can_be_imported_by_itself_from_anywhere(tmp_path: Path) -> None:
    """What `release-check` does with the wheel, on this tree: one fresh process, warnings are errors."""
    code = """
import importlib, pkgutil, vismanet_async
for one in pkgutil.walk_packages(vismanet_async.__path__, "vismanet_async."):
    if not one.name.endswith("__main__") and ".api.models." not in one.name and ".api.resources." not in one.name:
        importlib.import_module(one.name)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=HANG_SECONDS, check=False,
    )  # fmt: skip
    assert done.stderr == ""


def test_the_tests_for_the_lowest_dependencies_are_there(release: Any) -> None:
    assert [name for name in release.LOWEST_TESTS if not (ROOT / name).is_file()] == []


def test_the_bill_of_materials_tells_what_is_always_needed() -> None:
    def made(url: str) -> dict[str, Any]:
        components = [{"name": "Typing_Extensions", "externalReferences": [{"url": url}]}, {"name": "pyarrow"}]
        return {"metadata": {"component": {"name": "vismanet-async", "type": "application"}}, "components": components}

    bom = script("bom")
    bill = bom.finished(made("https://docs.example"), version="1.0", needed=["vismanet-async", "typing-extensions"])
    assert bill["metadata"]["component"] == {"name": "vismanet-async", "type": "library", "version": "1.0"}
    assert [one["scope"] for one in bill["components"]] == ["required", "optional"]
    with pytest.raises(ValueError, match="file of this machine"):
        bom.finished(made("file:///home/me/typing_extensions.whl"), version="1.0", needed=[])
