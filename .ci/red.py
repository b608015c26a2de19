"""Break the code in the ways that CONTRIBUTING names, one after the other, and see that what should turn red does.

It works on a clone of the last commit, with the Python that runs it. The exit code is 1 if anything stays green, or is
red before it is broken.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
_PYTEST: Final = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider")
_NOT_RUN: Final = 2
"""The exit codes of pytest from here on say that it ran no test to its end."""


class Break(NamedTuple):
    """One way to break the code."""

    told: str
    """As CONTRIBUTING tells it."""
    red: str
    """What has to turn red, in its words."""
    file: str
    old: str
    """What stands there once."""
    new: str
    run: tuple[str, ...]
    """Arguments for Python."""


def _tests(*files: str) -> tuple[str, ...]:
    return (*_PYTEST, *files)


BREAKS: Final = (
    Break(
        "in `vismanet_async/_http/retry.py`, let `Fault.NO_RESPONSE` repeat writes",
        "`tests/transport/test_retry.py`",
        "vismanet_async/_http/retry.py",
        'Rule(Fault.NO_RESPONSE,  ("read", "conditional"),         ',
        'Rule(Fault.NO_RESPONSE,  ("read", "conditional", "write"),',
        _tests("tests/transport/test_retry.py"),
    ),
    Break(
        "in `vismanet_async/_paging/paginator.py`, let `report` say *proven* always",
        "`tests/paging/test_paginator.py`",
        "vismanet_async/_paging/paginator.py",
        "verdict=claim.verdict,",
        'verdict="proven",',
        _tests("tests/paging/test_paginator.py"),
    ),
    Break(
        'in `vismanet_async/_codec/struct_decoder.py`, `"Decimal": float`',
        "`tests/codec/test_fast.py`",
        "vismanet_async/_codec/struct_decoder.py",
        '    "Decimal": Decimal,\n',
        '    "Decimal": float,\n',
        _tests("tests/codec/test_fast.py"),
    ),
    Break(
        "in `vismanet_async/_http/direct_read.py`, drop `handler.set_response_params()`",
        "`tests/transport/test_direct_read.py`",
        "vismanet_async/_http/direct_read.py",
        "            handler.set_response_params()",
        "            pass",
        _tests("tests/transport/test_direct_read.py"),
    ),
    Break(
        "a parameter less in `vismanet_async/_api/catalog/operations.json`",
        "`make check`: generated code is stale",
        "vismanet_async/_api/catalog/operations.json",
        '{"name":"expandDirectDebit","type":"boolean"},',
        "",
        ("-m", "vismanet_async._api.generate", "--check"),
    ),
    Break(
        "a lower bound above the locked version in `pyproject.toml`",
        "`make check`: requirements.lock",
        "pyproject.toml",
        '"anyio>=',
        '"anyio>=99.',
        (".ci/lock.py",),
    ),
    Break(
        "`asyncio.sleep` in a file of `tests/quick.txt`",
        "`tests/release/test_door.py`",
        "tests/api/test_query.py",
        "from __future__ import annotations\n",
        "from __future__ import annotations\n\nimport asyncio\n\nasyncio.sleep  # noqa: B018\n",
        _tests("tests/release/test_door.py", "-k", "quick_tests_are_of_pure_rules"),
    ),
)


def main() -> int:
    wrong = []
    with tempfile.TemporaryDirectory(prefix="vismanet-red-") as folder:
        tree = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, tree], check=True)
        for each in BREAKS:
            whole = _exit_code(each, tree)
            file = tree / each.file
            text = file.read_text("utf-8")
            file.write_text(broken(each, text), "utf-8")
            code = _exit_code(each, tree)
            file.write_text(text, "utf-8")
            is_red = whole == 0 and 0 < code < _NOT_RUN
            print(f"{'red' if is_red else 'NOT RED':8}{each.told}", flush=True)
            wrong += [] if is_red else [f"{each.told}: exit code {code}, before it {whole}"]
    print("\n".join(wrong) or f"{len(BREAKS)} of {len(BREAKS)} turn red")
    return 1 if wrong else 0


def broken(each: Break, text: str) -> str:
    """Return a file's text with the break in it.

    Raises:
        ValueError: what it breaks does not stand there once.
    """
    if text.count(each.old) != 1:
        raise ValueError(f"{each.file} has {each.old!r} {text.count(each.old)} times, not once")
    return text.replace(each.old, each.new)


def _exit_code(each: Break, tree: Path) -> int:
    env = {name: value for name, value in os.environ.items() if not name.startswith("VISMANET_")}
    env["PYTHONPATH"] = str(tree)
    told = subprocess.run([sys.executable, *each.run], cwd=tree, env=env, capture_output=True, check=False)
    return told.returncode


if __name__ == "__main__":
    sys.exit(main())
