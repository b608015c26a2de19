"""Run the whole suite on each Python that is promised, each in a new clone and in an environment of its own.

A Python is looked for on PATH and among pyenv's. One that is not there can be had from Debian's unstable: with
--debian FOLDER it is installed below FOLDER by debootstrap and runs in a chroot, which needs root, and what has been
installed there is used again. What cannot be had is said, a line each, and the exit code is 3 unless --may-lack names
it. The exit code is 1 if tests failed, or if what they need could not be installed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import define
from release import PYTHONS, ROOT, find_pythons
from repeat import SUMMARY, failures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

WORK: Final = ROOT / "build" / "test-all"
SUITE: Final = "unstable"
IN_CHROOT: Final = Path("/suite")
PASSED, FAILED, LACKING = 0, 1, 3
NEEDED: Final = ("ca-certificates", "git", "libatomic1", "make", "procps", "tzdata")
"""Debian packages, besides Python, that tests lean on."""


@define
class Place:
    """Where one version's suite runs: this system, or a folder that is its root."""

    python: Path
    folder: Path
    """As seen from outside. `tree` in it is the clone, `venv` the environment, which is used again."""
    root: Path | None = None

    def run(self, *command: str | Path, log: Path) -> int:
        """Run a command in the clone; its output goes into the log."""
        argv = [str(part) for part in command]
        cwd = self.folder / "tree"
        if self.root is not None:
            # env -C: chroot alone would run it in the root
            argv = ["chroot", str(self.root), "env", "-C", str(self.inside(cwd)), *argv]
            cwd = self.root
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("VISMANET_", "PYTHON"))}
        kept.pop("VIRTUAL_ENV", None)
        with log.open("ab") as out:
            return subprocess.run(argv, cwd=cwd, env=kept, stdout=out, stderr=out, check=False).returncode

    def inside(self, path: Path) -> Path:
        """Return a path as the place's own processes see it."""
        return path if self.root is None else Path("/") / path.relative_to(self.root)


def main() -> int:
    options = arguments()
    WORK.mkdir(parents=True, exist_ok=True)
    found = find_pythons(options.python)
    lines, codes = [], []
    for version in options.python:
        code, told = FAILED, ""
        try:
            with ExitStack() as stack:
                place = prepared(stack, version, found, options.debian)
                code, told = suite(version, place, options.pytest)
        except NotHadError as error:
            code, told = LACKING, str(error)
        word = {PASSED: "passed", FAILED: "FAILED", LACKING: "NOT RUN"}[code]
        lines.append(f"Python {version}: {word}: {told}")
        print(lines[-1], flush=True)
        if not (code == LACKING and version in options.may_lack):
            codes.append(code)
    print("\n".join(["", *lines]))
    return next((code for code in (FAILED, LACKING) if code in codes), PASSED)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=PYTHONS, metavar="VERSION", help=f"default: {' '.join(PYTHONS)}")
    parser.add_argument("--debian", type=Path, metavar="FOLDER", help="install what is not there below this folder")
    parser.add_argument("--may-lack", nargs="+", default=(), metavar="VERSION", help="no failure if it cannot be had")
    given = sys.argv[1:]
    cut = given.index("--") if "--" in given else len(given)
    options = parser.parse_args(given[:cut])
    options.pytest = given[cut + 1 :]
    return options


class NotHadError(Exception):
    """A Python cannot be had on this machine; says why."""


# --- places ----------------------------------------------------------------------------------------------------------


def prepared(stack: ExitStack, version: str, found: Mapping[str, Path], debian: Path | None) -> Place:
    if version in found:
        place = Place(found[version], WORK / version)
    elif debian is None:
        raise NotHadError("not on PATH and not among pyenv's; --debian FOLDER would install it, as root")
    else:
        root = debian_root(version, debian.resolve())
        stack.enter_context(mounted(root))
        place = Place(Path("/usr/bin") / f"python{version}", root / IN_CHROOT.relative_to("/"), root)
    shutil.rmtree(place.folder / "tree", ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, place.folder / "tree"], check=True)
    return place


def debian_root(version: str, folder: Path) -> Path:
    """Return a root with that Python from Debian's unstable; what is there already is used again."""
    root = folder / f"python{version}"
    if (root / "usr" / "bin" / f"python{version}").exists():
        return root
    for tool, why in (("debootstrap", "debootstrap is not installed"), ("apt-get", "this is no Debian")):
        if shutil.which(tool) is None:
            raise NotHadError(f"not here, and {why}")
    if os.geteuid() != 0:
        raise NotHadError("not here, and only root can install it with debootstrap")
    print(f"==> installing Python {version} from Debian {SUITE} into {root}", flush=True)
    packages = ",".join((f"python{version}", f"python{version}-venv", *NEEDED))
    folder.mkdir(parents=True, exist_ok=True)
    log = WORK / f"debootstrap-{version}.log"
    with log.open("wb") as out:
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={packages}", SUITE, root, debian_mirror()],
            stdout=out, stderr=out, check=False,
        )  # fmt: skip
    if done.returncode:
        shutil.rmtree(root, ignore_errors=True)
        raise NotHadError(f"debootstrap failed: {log.read_text('utf-8', 'replace').strip().splitlines()[-1]}")
    take_over_settings(root)
    return root


def debian_mirror() -> str:
    """Return where this machine's apt gets its packages."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    for uri in told.stdout.split():
        if uri.rstrip("/").endswith("/debian"):
            return uri
    raise NotHadError("not here, and apt knows no mirror of Debian")


def take_over_settings(root: Path) -> None:
    """Let names be looked up and packages be found as they are outside."""
    asked = subprocess.run([sys.executable, "-m", "pip", "config", "debug"], capture_output=True, text=True, check=True)
    # its files, and those that they name
    settings = re.findall(r"(/[^\s,']+)", asked.stdout)
    for name in ("/etc/resolv.conf", "/etc/hosts", *settings):
        source, target = Path(name), root / name.lstrip("/")
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copyfile(source, target)


@contextmanager
def mounted(root: Path) -> Iterator[None]:
    """Mount what processes expect of a system."""
    done: list[Path] = []
    try:
        for kind, name in (("proc", "proc"), ("tmpfs", "tmp"), ("tmpfs", "dev/shm")):
            (root / name).mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "-t", kind, kind, root / name], check=True)
            done.append(root / name)
        yield
    finally:
        for path in reversed(done):
            subprocess.run(["umount", "--lazy", path], check=False)


# --- the suite -------------------------------------------------------------------------------------------------------


def suite(version: str, place: Place, more: Sequence[str]) -> tuple[int, str]:
    """Install and run it; the outcome in one line."""
    log = WORK / f"{version}.log"
    log.write_bytes(b"")
    print(f"==> Python {version}: {place.python} ({log})", flush=True)
    venv = place.inside(place.folder / "venv")
    binary = venv / "bin" / "python"
    pip = (binary, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    began = time.monotonic()
    commands: list[tuple[str | Path, ...]] = [(place.python, "-VV")]
    wanted = (place.folder / "tree" / "pyproject.toml").read_bytes()
    installed = place.folder / "installed.toml"
    if not installed.exists() or installed.read_bytes() != wanted:
        installed.unlink(missing_ok=True)
        commands += [
            (place.python, "-m", "venv", "--clear", venv),
            (*pip, "--upgrade", "pip>=25.1"),
            (*pip, "--editable", ".", "--group", "dev"),
        ]
    for command in commands:
        if place.run(*command, log=log):
            last = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
            return FAILED, f"could not be prepared: {' '.join(last)}"
    installed.write_bytes(wanted)
    ready = time.monotonic()
    code = place.run(binary, "-m", "pytest", "-n", "2", "--dist", "worksteal", *more, log=log)
    text = log.read_text("utf-8", "replace")
    summary = SUMMARY.findall(text)
    told = summary[-1][0].strip() if summary else f"exit code {code}"
    seconds = f"{time.monotonic() - ready:.0f} s, prepared in {ready - began:.0f} s"
    print("\n".join(f"    {line}" for line in [*failures(log), *skipped(text)]), flush=True)
    return (FAILED if code else PASSED), f"{told} in {seconds}"


def skipped(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("SKIPPED ")]


if __name__ == "__main__":
    sys.exit(main())
