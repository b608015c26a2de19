"""The pytest plugin in other people's test runs: found by installing, harmless where it is not used."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.hang import HANG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PLUGIN = "vismanet_async.simulator.pytest_plugin"

# plugins that have no part in this, and take time to load
_NOT_NEEDED = "cacheprovider randomly schemathesis hypothesispytest xdist xdist.looponfail pytest_cov"
_WITHOUT = [f"-pno:{name}" for name in _NOT_NEEDED.split()]
# pytest-asyncio's, where its settings are not made
_EXPECTED = "ignore:The configuration option:pytest.PytestDeprecationWarning"

USER = """
import aiohttp
import pytest

async def count(sim):
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {sim.issue_token()}"}) as session:
        async with session.get(f"{sim.base_url}/v1/customer") as answer:
            return len(await answer.json())

MARK
async def test_default(visma_simulator):
    assert await count(visma_simulator) == 50
    visma_simulator.remove("customer", count=2)

MARK
async def test_fresh(visma_simulator):
    assert await count(visma_simulator) == 50

MARK
@pytest.mark.visma_simulator(rows={"customer": 3}, quota=9)
async def test_marked(visma_simulator):
    assert await count(visma_simulator) == 3

MARK
@pytest.mark.visma_simulator(rows={"customer": 7})
async def test_client(visma_simulator, visma):
    visma_simulator.faults.add("status", status=429, retry_after=200, times=1)
    assert len(await visma.customer.list()) == 7
    job = await visma.jobs.submit(visma.customer.update("10000", {"name": "Ny"}))
    await job
    assert visma_simulator.truth("customer").total == 7
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory to run pytest in, where the package is installed as its own project file says."""
    facts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    info = tmp_path / "site" / "vismanet_async-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vismanet-async\nVersion: 0\n", "utf-8")
    points = facts["entry-points"]["pytest11"]
    (info / "entry_points.txt").write_text(
        "[pytest11]\n" + "".join(f"{name} = {value}\n" for name, value in points.items()), "utf-8"
    )
    made = tmp_path / "project"
    made.mkdir()
    return made


@pytest.fixture
def run(project: Path) -> Callable[..., str]:
    def pytest_run(*arguments: str, code: str | None = None, **environment: str) -> str:
        if code is not None:
            (project / "test_user.py").write_text(code, "utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *_WITHOUT, "-q", "--strict-markers", "-W", "error", "-W", _EXPECTED,
             f"--basetemp={project.parent / 'tmp'}", *arguments],
            cwd=project, env={"PYTHONPATH": f"{project.parent / 'site'}:{ROOT}", "PATH": "/usr/bin:/bin",
                              "HOME": str(project), **environment},
            capture_output=True, text=True, check=False, timeout=HANG_SECONDS,
        )  # fmt: skip
        return done.stdout + done.stderr

    return pytest_run


@pytest.mark.parametrize(
    ("mark", "arguments"),
    [
        ("", ["-o", "asyncio_mode=auto", "-p", PLUGIN]),
        ("@pytest.mark.asyncio", ["-o", "asyncio_mode=strict"]),
        ("@pytest.mark.anyio", ["-o", "asyncio_mode=strict"]),
    ],
    ids=["auto, and named", "strict", "anyio beside asyncio"],
)
def test_each_test_gets_a_company_and_a_client(run: Callable[..., str], mark: str, arguments: list[str]) -> None:
    backend = "\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n" if "anyio" in mark else ""
    out = run(*arguments, code=USER.replace("MARK", mark) + backend)
    assert "4 passed" in out, out


def test_it_can_be_named_in_a_conftest_too(run: Callable[..., str], project: Path) -> None:
    (project / "conftest.py").write_text(f"pytest_plugins = [{PLUGIN!r}]\n", "utf-8")
    out = run("-o", "asyncio_mode=auto", "-k", "default", code=USER.replace("MARK", ""))
    assert "1 passed" in out, out


def test_without_a_plugin_for_asynchronous_tests_it_says_what_is_missing(run: Callable[..., str]) -> None:
    out = run("-p", "no:asyncio", "-p", "no:anyio", code="def test_one(visma_simulator):\n    pass\n")
    assert "install pytest-asyncio" in out, out


def test_a_run_that_does_not_use_it_loads_nothing_of_it(run: Callable[..., str]) -> None:
    """Nor does it bring in pytest-asyncio, aiohttp or anything else that takes time."""
    # without what else is installed here: other plugins load a lot
    out = run("-p", PLUGIN, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", code=f"""
import sys

def test_one():
    ours = sorted(name for name in sys.modules if name.startswith("vismanet_async"))
    assert ours == ["vismanet_async", "vismanet_async._lazy", "vismanet_async.simulator", "{PLUGIN}"]
    assert not {{"aiohttp", "attrs", "pytest_asyncio", "anyio"}} & sys.modules.keys()
""")  # fmt: skip
    assert "1 passed" in out, out


def test_the_example_project_passes_its_own_tests(run: Callable[..., str], project: Path) -> None:
    shutil.copytree(ROOT / "docs" / "example_project", project, dirs_exist_ok=True)
    out = run()
    assert "6 passed" in out, out
