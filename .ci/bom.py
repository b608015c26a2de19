"""Write a CycloneDX bill of materials beside a wheel: what it needs, at the versions of requirements.lock.

    python .ci/bom.py dist/NAME.whl

What only an extra needs has the scope "optional". Versions that the lock does not have are the newest.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name, parse_wheel_filename

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[1]
BESIDE = str(Path(sys.executable).parent)


def main(wheel: Path) -> int:
    name, version, _, _ = parse_wheel_filename(wheel.name)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    with tempfile.TemporaryDirectory(prefix="vismanet-bom-") as folder:
        venv, pins = Path(folder) / "venv", Path(folder) / "pins.txt"
        lock = (ROOT / "requirements.lock").read_text("utf-8")
        pins.write_text("\n".join(re.findall(r"^(\S+==.*?) *\\$", lock, re.MULTILINE)), "utf-8")
        _run("uv", "venv", "--quiet", venv)
        install = ("uv", "pip", "install", "--quiet", "--python", venv, "--constraints", pins)
        _run(*install, wheel)
        needed = _run("uv", "pip", "freeze", "--python", venv)
        _run(*install, f"{wheel}[{','.join(extras)}]")
        made = _run(
            "cyclonedx-py", "environment", "--output-reproducible", "--pyproject", ROOT / "pyproject.toml", venv
        )
    bill = finished(json.loads(made), version=str(version), needed=[line.partition("==")[0] for line in needed.split()])
    target = wheel.parent / f"{name.replace('-', '_')}-{version}.cdx.json"
    target.write_text(json.dumps(bill, indent=2) + "\n", "utf-8")
    optional = sum(one.get("scope") == "optional" for one in bill["components"])
    print(f"{target.name}: {len(bill['components']) - optional} packages, and {optional} for extras.")
    return 0


def finished(bill: dict[str, Any], *, version: str, needed: Iterable[str]) -> dict[str, Any]:
    """Complete what cyclonedx-py made of an environment.

    Raises:
        ValueError: it names a file of this machine.
    """
    always = {canonicalize_name(name) for name in needed}
    bill["metadata"]["component"] |= {"version": version, "type": "library"}
    for component in bill["components"]:
        component["scope"] = "required" if canonicalize_name(component["name"]) in always else "optional"
    if "file://" in (text := json.dumps(bill)):
        raise ValueError(f"the bill of materials names a file of this machine: {text[text.index('file://') :][:80]}")
    return bill


def _run(*command: str | Path) -> str:
    path = os.pathsep.join([BESIDE, os.environ.get("PATH", "")])
    done = subprocess.run(command, env={**os.environ, "PATH": path}, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
