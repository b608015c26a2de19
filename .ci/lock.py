"""Hold requirements.lock to pyproject.toml, without network: what is asked for is locked, with hashes, no addresses."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    problems = lock_problems((ROOT / "requirements.lock").read_text("utf-8"), asked(project))
    for problem in problems:
        print(f"requirements.lock: {problem}", file=sys.stderr)
    if problems:
        print("requirements.lock does not fit pyproject.toml: make lock", file=sys.stderr)
        return 1
    return 0


def asked(project: Mapping[str, Any], group: str = "dev") -> list[Requirement]:
    """Return what the package and the group ask for."""
    return [Requirement(one) for one in [*project["project"]["dependencies"], *_grouped(project, group)]]


def _grouped(project: Mapping[str, Any], name: str) -> Iterator[str]:
    for one in project["dependency-groups"][name]:
        if isinstance(one, str):
            yield one
        else:
            yield from _grouped(project, one["include-group"])


def lock_problems(text: str, wanted: list[Requirement]) -> list[str]:
    """Return what is wrong with a lock file."""
    entries = [one for one in re.sub(r"\\\n", " ", text).splitlines() if one and not one.startswith("#")]
    pins: dict[str, list[str]] = {}
    problems = [f"{line!r} names a place, which not every machine has" for line in entries if "://" in line]
    for entry in entries:
        pinned, *hashes = entry.split("--hash=sha256:")
        try:
            requirement = Requirement(pinned.strip())
            (version,) = requirement.specifier
        except ValueError:
            problems.append(f"{pinned.strip()!r} is not one package at one version")
            continue
        pins.setdefault(canonicalize_name(requirement.name), []).append(version.version)
        if version.operator != "==" or not hashes:
            problems.append(f"{requirement.name} is not one version with its hashes")
    for one in wanted:
        locked = pins.get(canonicalize_name(one.name), [])
        unfit = [version for version in locked if not one.specifier.contains(version, prereleases=True)]
        problems += [f"{one.name} {version} does not fit {one}" for version in unfit]
        if not locked:
            problems.append(f"{one} is not in it")
    return problems


if __name__ == "__main__":
    sys.exit(main())
