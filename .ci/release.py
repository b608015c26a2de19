"""What a release goes through: `release.py dist | check | lowest | api-check | changes`. See `docs/releasing.md`.

dist       build the source archive, build the wheel from it, look into both, and write the bill of materials
check      install that wheel in empty environments, with the lowest and the highest dependencies, on every Python that
           is there, and try it
lowest     run some tests, above all of paging and transport, on the lowest versions of what the wheel needs
api-check  type-check the tests of an earlier release against the package as it is now
changes    refuse files in .changes that would not reach the changelog
"""

from __future__ import annotations

import argparse
import email.parser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
KINDS = ("breaking", "added", "changed", "fixed", "security")
LOWEST, HIGHEST = RESOLUTIONS = ("lowest-direct", "highest")

LOWEST_TESTS = (
    *(f"tests/paging/test_{name}.py" for name in ("guarantee", "listing", "over_http", "page_formats", "paginator")),
    *(f"tests/transport/test_{name}.py" for name in ("auth", "pool", "rate_limit", "send")),
    "tests/cli/test_help.py",
)
"""What leans on the libraries most; half a minute."""

IN_WHEEL = (
    "vismanet_async/py.typed",
    "vismanet_async/_api/overrides.toml",
    "vismanet_async/_api/registry.json",
    *(
        f"vismanet_async/_api/catalog/{name}.json"
        for name in ("additions", "enums", "operations", "sales_order", "schemas")
    ),
)
IN_SDIST = (
    "LICENSE",
    "README.md",
    "CHANGELOG.md",
    "pyproject.toml",
    "Makefile",
    "requirements.lock",
    "tests/conftest.py",
    "docs/facts.md",
    *IN_WHEEL,
)
"""What people miss when it is not there; all modules are looked for besides."""

IMPORT_ALL = """
import importlib, pkgutil, sys, vismanet_async
names = [one.name for one in pkgutil.walk_packages(vismanet_async.__path__, "vismanet_async.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
for name in vismanet_async.__all__:
    getattr(vismanet_async, name)
assert "site-packages" in vismanet_async.__file__, vismanet_async.__file__
print(f"{len(names)} modules imported on Python {sys.version.split()[0]}")
"""


class ReleaseError(Exception):
    """The release is not as it must be; says what is wrong."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="release.py", description="What a release goes through.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("dist")
    check = commands.add_parser("check")
    check.add_argument("--python", action="append", help="only this version, such as 3.11; may be repeated")
    check.add_argument("--resolution", choices=RESOLUTIONS, help="only these dependencies")
    check.add_argument("--tests", default="", help="also run these tests, such as 'tests/codec tests/paging'")
    lowest = commands.add_parser("lowest")
    lowest.add_argument("--python", action="append", help="only this version, such as 3.11; may be repeated")
    commands.add_parser("changes")
    api = commands.add_parser("api-check")
    api.add_argument("--ref", help="a git ref instead of the last release's tag")
    given = parser.parse_args(argv)
    try:
        if given.command == "dist":
            make_dist()
        elif given.command == "check":
            check_wheel(given.python, [given.resolution] if given.resolution else RESOLUTIONS, given.tests.split())
        elif given.command == "lowest":
            check_lowest(given.python)
        elif given.command == "changes":
            check_changes()
        else:
            return check_api(given.ref)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"release: {' '.join(map(str, error.cmd[:6]))} ... ended with {error.returncode}", file=sys.stderr)
        return 1
    return 0


# --- dist ----------------------------------------------------------------------------------------------------------


def make_dist() -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    # without options the wheel is built from the unpacked source archive, not from this tree
    run(sys.executable, "-m", "build", "--outdir", DIST, ROOT)
    sdist, wheel = built("*.tar.gz"), built("*.whl")
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "vismanet_async").rglob("*.py")}
    problems = [*wheel_problems(wheel_names(wheel), modules), *sdist_problems(sdist_names(sdist), modules)]
    problems += metadata_problems(wheel_metadata(wheel), version())
    if problems:
        raise ReleaseError("\n  ".join([f"{len(problems)} things are wrong in dist/:", *problems]))
    print(f"{sdist.name} and {wheel.name} hold what they must, {len(modules)} modules.")
    run(sys.executable, ROOT / ".ci" / "bom.py", wheel)


def wheel_problems(names: Iterable[str], modules: Iterable[str]) -> list[str]:
    """Return what is missing in the wheel, and what does not belong there."""
    held = set(names)
    info = next((name.split("/")[0] for name in held if ".dist-info/" in name), "no.dist-info")
    wanted = {*IN_WHEEL, *modules, f"{info}/licenses/LICENSE", f"{info}/entry_points.txt"}
    strangers = {name for name in held if not name.startswith(("vismanet_async/", f"{info}/"))}
    litter = {name for name in held if "__pycache__" in name or PurePosixPath(name).name.startswith("test_")}
    return [
        *(f"the wheel lacks {name}" for name in sorted(wanted - held)),
        *(f"the wheel holds {name}" for name in sorted(strangers | litter)),
    ]


def sdist_problems(names: Iterable[str], modules: Iterable[str]) -> list[str]:
    """Return what is missing in the source archive."""
    held = {name.partition("/")[2] for name in names}
    return [f"the source archive lacks {name}" for name in sorted({*IN_SDIST, *modules} - held)]


def metadata_problems(text: str, expected: str) -> list[str]:
    """Return what is wrong in the wheel's metadata."""
    told = email.parser.Parser().parsestr(text)
    needed = told.get_all("Requires-Dist", [])
    problems = [] if told["Version"] == expected else [f"the wheel says version {told['Version']}, not {expected}"]
    missing = set(extras()) - set(told.get_all("Provides-Extra", []))
    problems += [f"the wheel offers no extra {name}" for name in sorted(missing)]
    problems += [f"a dependency without a lower bound: {one}" for one in unbounded(needed)]
    return problems


def requirements(wheel: Path, *, extras: bool) -> list[str]:
    """Return what the wheel needs, with or without its extras, as requirements of its user."""
    told = email.parser.Parser().parsestr(wheel_metadata(wheel)).get_all("Requires-Dist", [])
    return [one.partition(";")[0].strip() for one in told if extras or "extra ==" not in one]


def lower_bounds(needed: Iterable[str]) -> dict[str, str]:
    """Return the lowest version of each requirement by its name."""
    parsed = [Requirement(one) for one in needed]
    return {one.name: next(part.version for part in one.specifier if part.operator == ">=") for one in parsed}


def unbounded(requirements: Iterable[str]) -> list[str]:
    """Return the requirements without a lower bound: nobody knows with what they work."""
    return [one for one in requirements if ">=" not in one.partition(";")[0]]


def wheel_names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def wheel_metadata(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name).decode()


def sdist_names(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        return archive.getnames()


def extras() -> list[str]:
    """Return the names of all extras, from pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return sorted(project["optional-dependencies"])


def version() -> str:
    text = (ROOT / "vismanet_async" / "_version.py").read_text("utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if found is None:
        raise ReleaseError("vismanet_async/_version.py does not say __version__")
    return found[1]


def built(pattern: str) -> Path:
    found = [*DIST.glob(pattern)]
    if len(found) != 1:
        raise ReleaseError(f"dist/ holds {len(found)} files {pattern}: make dist")
    return found[0]


# --- check ---------------------------------------------------------------------------------------------------------


def check_wheel(versions: Sequence[str] | None, resolutions: Sequence[str], tests: Sequence[str]) -> None:
    wheel = built("*.whl")
    for python in pythons(versions):
        for resolution in resolutions:
            with tempfile.TemporaryDirectory(prefix="vismanet-release-") as folder:
                try_out(wheel, python, resolution, Path(folder), tests)


def check_lowest(versions: Sequence[str] | None) -> None:
    """Run a selection of tests on the installed wheel, with the lowest versions of what it needs and no extra."""
    wheel = built("*.whl")
    needed = requirements(wheel, extras=False)
    for python in pythons(versions):
        with tempfile.TemporaryDirectory(prefix="vismanet-release-") as name:
            folder = Path(name)
            print(f"==> {python} with {LOWEST} dependencies", flush=True)
            venv = environment(python, folder)
            run(*installing(venv, LOWEST), wheel, *needed)
            show_versions(venv, needed, LOWEST)
            run_tests(venv, folder, LOWEST_TESTS, LOWEST, group="test-core")


def pythons(versions: Sequence[str] | None) -> list[Path]:
    found = find_pythons(versions or PYTHONS)
    if not found:
        raise ReleaseError(f"no Python of {', '.join(versions or PYTHONS)} is there")
    print(f"Pythons: {', '.join(map(str, found.values()))}")
    return list(found.values())


def environment(python: Path, folder: Path) -> Path:
    run("uv", "venv", "--quiet", "--python", python, folder / "venv")
    return folder / "venv"


def installing(venv: Path, resolution: str) -> tuple[str | Path, ...]:
    # --only-binary: what has no wheel for this Python is no version that people install
    options = ("--quiet", "--python", venv, "--resolution", resolution, "--only-binary", ":all:")
    return ("uv", "pip", "install", *options)


def show_versions(venv: Path, needed: Iterable[str], resolution: str) -> None:
    frozen = run("uv", "pip", "freeze", "--python", venv, capture=True).splitlines()
    installed = dict(line.split("==") for line in frozen if "==" in line)
    bounds = lower_bounds(needed)
    print("    " + ", ".join(f"{name} {installed[name]}" for name in sorted(bounds)))
    at_bound = [name for name, bound in bounds.items() if Version(installed[name]) == Version(bound)]
    if resolution != HIGHEST and len(at_bound) < len(bounds) / 2:
        raise ReleaseError(f"of {len(bounds)} dependencies only {len(at_bound)} are at their lowest: nothing is shown")


def try_out(wheel: Path, python: Path, resolution: str, folder: Path, tests: Sequence[str]) -> None:
    print(f"==> {python} with {resolution} dependencies", flush=True)
    venv, home = environment(python, folder), folder / "home"
    home.mkdir()
    inside = {"VIRTUAL_ENV": str(venv), "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
    binary = venv / "bin"
    install = installing(venv, resolution)
    # "direct" is what stands here: the wheel alone would leave all its dependencies to the newest
    run(*install, wheel, *requirements(wheel, extras=False))
    told = run(binary / "vismanet", "--version", cwd=folder, env=inside, capture=True).strip()
    if told != version():
        raise ReleaseError(f"vismanet --version says {told!r}, not {version()!r}")
    run(binary / "python", "-m", "vismanet_async", "--version", cwd=folder, env=inside, capture=True)
    run(binary / "python", "-W", "error", "-c", "import vismanet_async._client", cwd=folder, env=inside)
    run(binary / "vismanet", "--install-completion", "--shell", "bash", "--output", folder / "bash", capture=True)
    demo = run(binary / "vismanet", "demo", cwd=folder, env=inside, capture=True)
    print("    " + next(line for line in demo.splitlines() if "existed throughout" in line).strip())
    # the simulator is a pytest plugin too
    run(*install, f"{wheel}[{','.join(extras())}]", *requirements(wheel, extras=True), "pytest>=8.3")
    print("    " + run(binary / "python", "-c", IMPORT_ALL, cwd=folder, env=inside, capture=True).strip())
    show_versions(venv, requirements(wheel, extras=True), resolution)
    if tests:
        run_tests(venv, folder, tests, resolution)


def run_tests(venv: Path, folder: Path, tests: Sequence[str], resolution: str, *, group: str = "test") -> None:
    """Run the source archive's tests against the installed wheel; the tools come as new as they are."""
    with tarfile.open(built("*.tar.gz")) as archive:
        archive.extractall(folder, filter="data")
    (tree,) = folder.glob("vismanet_async-*")
    shutil.rmtree(tree / "vismanet_async")  # the installed one is meant
    ours = lower_bounds(requirements(built("*.whl"), extras=True))
    frozen_lines = run("uv", "pip", "freeze", "--python", venv, capture=True).splitlines()
    pins = [line for line in frozen_lines if line.partition("==")[0] in ours]
    frozen = folder / "installed.txt"
    frozen.write_text("\n".join(pins), "utf-8")
    tools = f"{tree / 'pyproject.toml'}:{group}"
    run("uv", "pip", "install", "--quiet", "--python", venv, "--constraints", frozen, "--group", tools)
    print(f"    {' '.join(tests)} with {resolution} dependencies", flush=True)
    run(venv / "bin" / "python", "-m", "pytest", "-q", "-n", "2", *tests, cwd=tree, env={"PYTHONPATH": str(tree)})


def find_pythons(versions: Iterable[str]) -> dict[str, Path]:
    """Return the Pythons that are there by version: from PATH, else the newest of pyenv."""
    found: dict[str, Path] = {}
    for wanted in versions:
        name = f"python{wanted}"
        pyenv = sorted(Path.home().glob(f".pyenv/versions/{wanted}.*/bin/{name}"), key=_release)
        on_path = [Path(path) for path in [shutil.which(name)] if path and "shims" not in path]
        for python in [*on_path, *reversed(pyenv)]:
            found.setdefault(wanted, python)
    return found


def _release(python: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", python.parents[1].name)]


# --- api-check -----------------------------------------------------------------------------------------------------


def check_api(ref: str | None) -> int:
    """Type-check earlier tests against the present package: what they may no longer do, users may not either."""
    ref = ref or last_release()
    if ref is None:
        print("api-check: there is no release yet (no tag v*), so nothing can have been broken. Name a ref with --ref.")
        return 0
    with tempfile.TemporaryDirectory(prefix="vismanet-api-") as folder:
        archive = subprocess.run(["git", "archive", ref, "tests"], cwd=ROOT, capture_output=True, check=True)
        subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
        (Path(folder) / "vismanet_async").symlink_to(ROOT / "vismanet_async")
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", "--no-incremental",
             "--hide-error-context", "--no-error-summary", "--no-pretty", "tests"],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.stderr.strip():
        raise ReleaseError(f"mypy could not work: {done.stderr.strip()}")
    broken = breaks(done.stdout.splitlines())
    for line in broken:
        print(line)
    print(f"api-check: {len(broken)} places in the tests of {ref} do not fit the package any more.")
    return 1 if broken else 0


def breaks(lines: Iterable[str]) -> list[str]:
    """Keep what concerns users: not private names, not comments that silence mypy in vain."""
    private = re.compile(r'(has no attribute|does not explicitly export attribute) "_(?!_)|"_(?!_)\w+" of "')
    return [
        line
        for line in lines
        if ": error: " in line and not private.search(line) and not line.endswith(("[unused-ignore]", "[unreachable]"))
    ]


def last_release() -> str | None:
    done = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0", "--match", "v*"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or None if done.returncode == 0 else None


# --- changes -------------------------------------------------------------------------------------------------------


def check_changes() -> None:
    files = {path.name: path.read_text("utf-8") for path in sorted((ROOT / ".changes").iterdir())}
    if problems := change_problems(files):
        raise ReleaseError("\n  ".join([".changes is not as its README says:", *problems]))
    print(f"{len(files) - 1} changes since the last release.")


def change_problems(files: Mapping[str, str]) -> list[str]:
    """Return which files in .changes would be overlooked, or would read badly in the changelog."""
    problems = []
    for name, text in files.items():
        if name == "README.md":
            continue
        if not re.fullmatch(rf"\+[a-z0-9-]+\.({'|'.join(KINDS)})\.md", name):
            problems.append(f"{name}: call it +what-it-is.KIND.md, the kind one of {', '.join(KINDS)}")
        if not text.strip().endswith("."):
            problems.append(f"{name}: say it in sentences")
    return problems


# --- processes -----------------------------------------------------------------------------------------------------


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None, capture: bool = False) -> str:
    """Run a command of ours; what it printed, if that was captured."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VISMANET_", "PYTHON"))}
    # the tools of the environment that runs this come first, such as uv
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**kept, "PATH": path, **(env or {})},
        stdout=subprocess.PIPE if capture else None,
        stderr=subprocess.PIPE if capture else None,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stdout or "", done.stderr or "", sep="", file=sys.stderr)
        done.check_returncode()
    return done.stdout or ""


if __name__ == "__main__":
    sys.exit(main())
