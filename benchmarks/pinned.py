"""The package as it was at a commit, to be measured beside the working tree's in the same run."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Final

__all__ = ["PINNED", "ROOT", "changed_since", "commit_of", "folder_of"]

ROOT: Final = Path(__file__).parent.parent

PINNED: Final = "4d3432b"
"""What `docs/benchmarks.md` compares with: the last commit before the work on speed."""


def commit_of(name: str) -> str:
    """Return the short hash of a commit.

    Raises:
        ValueError: the clone has no such commit. A shallow one lacks those before its own.
    """
    done = _git("rev-parse", "--verify", "--quiet", "--short", f"{name}^{{commit}}")
    if done.returncode:
        raise ValueError(f"this clone has no commit {name!r}: fetch it (git fetch --unshallow), or name another one")
    return done.stdout.decode().strip()


def folder_of(commit: str) -> Path:
    """Return a folder with the package of a commit and the benchmarks of the working tree, for Python to be run in."""
    folder = ROOT / ".bench" / "pinned" / commit
    if not (folder / "benchmarks").exists():
        archive = _git("archive", "--format=tar", commit, "vismanet_async")
        if archive.returncode:
            raise ValueError(archive.stderr.decode())
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        (folder / "tests").symlink_to(ROOT / "tests")  # clocks and servers of the tests are played against
        (folder / "benchmarks").symlink_to(ROOT / "benchmarks")
    return folder


def changed_since(commit: str) -> list[str]:
    """Return the files of the package that differ from a commit, committed or not."""
    tracked = _git("diff", "--name-only", commit, "--", "vismanet_async")
    new = _git("ls-files", "--others", "--exclude-standard", "--", "vismanet_async")
    return sorted({*tracked.stdout.decode().splitlines(), *new.stdout.decode().splitlines()})


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
