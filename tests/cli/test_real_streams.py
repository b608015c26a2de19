"""Every command on real descriptors that are full, closed, left, or of another encoding: the documented exit code.

What `test_streams` tries with objects, this tries with processes: what the interpreter adds at its end, and what takes
the number of a closed descriptor. `make test` runs a part of the pairs, `VISMANET_STREAMS=all` all of them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
from anyio.from_thread import start_blocking_portal

from tests.cli.conftest import Shell
from tests.cli.kennel import Case
from tests.cli.test_streams import Line, lines
from tests.support.hang import HANG_SECONDS
from vismanet_async._cli import exit_codes
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="has no /dev/full")

ALL: Final = os.environ.get("VISMANET_STREAMS") == "all"
STATES: Final[dict[str, dict[str, str]]] = {
    "as usual": {},
    "stdout full": {"stdout": "/dev/full"},
    "stdout closed": {"stdout": "closed"},
    "stdout left": {"stdout": "left"},
    "stderr full": {"stderr": "/dev/full"},
    "stderr closed": {"stderr": "closed"},
    "stderr left": {"stderr": "left"},
    "stdin closed": {"stdin": "closed"},
    "stdin left": {"stdin": "left"},
    "both full": {"stdout": "/dev/full", "stderr": "/dev/full"},
    "both left": {"stdout": "left", "stderr": "left"},
    "all closed": {"stdin": "closed", "stdout": "closed", "stderr": "closed"},
    "ascii": {"encoding": "ascii"},
    "cp1252": {"encoding": "cp1252"},
    "utf-16": {"encoding": "utf-16"},
    "C locale": {"encoding": "ascii", "errors": "surrogateescape"},
}
LINES: Final = [
    *lines(
        "--help", "--version", "help", "jobs", "resources", "resources customer", "resources customer.update --json",
        *(f"{command} --help" for command in (
            "call", "demo", "diff", "doctor", "export", "export compact", "jobs", "jobs list", "jobs listen",
            "jobs prune", "jobs result", "jobs run", "jobs settle", "jobs show", "jobs submit", "jobs wait",
            "jobs watch", "load", "release", "resources", "simulate", "--install-completion",
        )),
        "doctor", "doctor --json", "simulate --list-behaviours",
        "call customer.get NUMBER", "call customer.list --limit 3", "call customer.list",
        "call customer.list --preview",
        "call customer.get NUMBER --background --store OWN",
        "jobs list --store STORE", "jobs list --store STORE --json", "jobs show JOB --store STORE",
        "jobs show JOB --store STORE --json", "jobs wait JOB --store STORE", "jobs result JOB --store STORE",

        "export customer --to NEW --json", "export --status OUT", "export --status OUT --json",
        "export compact OUT --to NEW --json", "diff OUT NEXT", "diff OUT NEXT --json",
        "load customer ROWS --key name --dry-run", "release customer_invoice --where status=Balanced --dry-run",
        kind="result",
    ),
    *lines("doctor --drift OTHER", "doctor --drift OTHER --json", kind="result", code=1),
    *lines(
        "export customer --to NEW", "export customer --to NEW --format csv", "export compact OUT --to NEW",
        "export customer --to NEW --company north=TENANT", "load customer ROWS --key name --journal NEW",
        "jobs prune --older-than 9w --store STORE",
        "--install-completion --shell bash --output NEW",
        kind="summary",
    ),
    *lines(
        "jobs prune --older-than 9w --store STORE --json", "call customer.create --json FILE",
        "call customer.update NUMBER --json FILE",
        "jobs submit customer.get NUMBER --store OWN", "jobs submit customer.get NUMBER --store OWN --wait",
        kind="write",
    ),
    *lines(
        "call customer.create --json - --preview", "load customer - --key name --journal NEW --dry-run",
        kind="result", stdin=True,
    ),
    *lines(
        "exprot", "export", "export custmer --to OUT", "export customer", "export compact", "call", "call customer.get",
        "call customer.get \udc80", "call customer.create --json .", "call customer.create --json NOTHING",
        "jobs listen --port 0 --store STORE",
        "jobs submit", "jobs show",
        "jobs wait nobody --store STORE", "jobs result nobody --store STORE",
        "jobs settle nobody --as failed --store STORE", "jobs prune --older-than 999999w", "jobs listen --port x",
        "load", "load customer NOTHING --key name", "load customer ROWS --key nothing", "release", "release country",
        "diff", "resources custmer", "simulate --rows custmer=1", "demo --seed x", "doctor --drift NOTHING",
        "--install-completion --shell tcsh",
        kind="refused", code=2,
    ),
    *lines("jobs watch --store STORE", "jobs watch --store STORE --json", kind="refused"),  # nothing to be told
    *lines("call customer.get nobody", kind="refused", code=5),
    *lines("jobs list --store FOLDER", "export customer --to FILE", kind="refused", code=6),
]  # fmt: skip


ENDLESS: Final = lines("simulate", kind="result")
"""Ends by itself only where nobody can read what it prints."""
LONG: Final = lines("demo --to NEW", kind="result")
_STRIDE: Final = 6
UNREADABLE: Final = ("stdout full", "stdout closed", "stdout left")


def expected(line: Line, state: str) -> int:
    """Say the exit code: that of docs/reference/exit-codes.md."""
    if (
        line.stdin
        and state in {"stdin closed", "stdin left", "all closed"}
        and (state != "stdin left" or line.argv[0] == "call")
    ):
        return exit_codes.WRONG_USE
    if line.kind == "refused" or not state.startswith(("stdout", "both", "all")):
        return line.code
    if state.endswith("left"):  # a reader that has read enough is no failure, but after a write
        return exit_codes.NOT_WRITTEN if line.kind == "write" else line.code
    closed_summary = line.kind == "summary" and state.endswith("closed")
    return line.code if closed_summary else exit_codes.NOT_WRITTEN


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    simulator = Simulator(seed=3, rows={"customer": 60, "supplier": 5, "customer_invoice": 6})
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(simulator):
        yield Shell(simulator, portal, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def words(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the words in capitals of the command lines stand for."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "c.json").write_text('{"name": "Zażółć"}', "utf-8")
    (folder / "rows.jsonl").write_text('{"name": "Zażółć"}\n{"name": "gęślą"}\n', "utf-8")
    (folder / "other.json").write_text('{"openapi": "3.0.1", "paths": {}, "components": {"schemas": {}}}', "utf-8")
    number = str(min(shell.do(shell.simulator.truth, "customer").keys))
    for name in ("out", "next"):
        assert shell.inside("export", "customer", "--to", str(folder / name)).returncode == 0
        shell.do(shell.simulator.touch, "customer")
    store = folder / "kept.sqlite"
    submitted = shell.inside("jobs", "submit", "customer.get", number, "--store", str(store), "--wait")
    assert submitted.returncode == 0, submitted.stderr
    return {
        "STORE": str(store),
        "JOB": submitted.stderr.split()[0],
        "FILE": str(folder / "c.json"),
        "ROWS": str(folder / "rows.jsonl"),
        "OTHER": str(folder / "other.json"),
        "NOTHING": str(folder / "nothing"),
        "FOLDER": str(folder),
        "OUT": str(folder / "out"),
        "NEXT": str(folder / "next"),
        "NUMBER": number,
        "TENANT": shell.simulator.tenant_id,
    }


def case_of(line: Line, state: str, words: dict[str, str], shell: Shell, folder: Path) -> Case:
    folder.mkdir()
    own = {**words, "NEW": str(folder / "new"), "OWN": str(folder / "own.sqlite")}
    given: dict[str, Any] = {"stdout": str(folder / "stdout"), "stderr": str(folder / "stderr"), **STATES[state]}
    if line.stdin and "stdin" not in given:
        given["stdin"] = words["ROWS" if line.argv[0] == "load" else "FILE"]
    return Case(
        argv=[
            re.sub("|".join(rf"\b{word}\b" for word in own), lambda found: own[found[0]], part) for part in line.argv
        ],
        folder=str(folder),
        environment=shell.environment(VISMANET_JOB_STORE=str(folder / "jobs.sqlite"), SHELL="/bin/bash"),
        **given,
    )


def chosen() -> list[tuple[Line, str]]:
    """Every state with some lines; or all pairs."""
    states, few = list(STATES), list(product(ENDLESS, UNREADABLE))
    if ALL:
        return [*product(LINES, states), *few, *product(LONG, ("as usual", "utf-16", *UNREADABLE))]
    once_wrong = [
        (line, state) for line, state in product(LINES, states)
        if (line.argv[:2], state) in {(("load", "customer"), "stdout full"), (("doctor", "--drift"), "stdout left")}
        and line.kind != "refused"
    ]  # fmt: skip
    return [*few[::2], *once_wrong, *((line, states[n % len(states)]) for n, line in enumerate(LINES[::_STRIDE]))]


@pytest.mark.timeout(0 if ALL else 600)
def test_no_descriptor_brings_a_traceback(shell: Shell, words: dict[str, str], tmp_path: Path) -> None:
    pairs = chosen()
    cases = [case_of(*pair, words, shell, tmp_path / str(place)) for place, pair in enumerate(pairs)]
    told, ends = tmp_path / "cases.json", tmp_path / "ends.json"
    told.write_text(json.dumps([attrs.asdict(case) for case in cases]), "utf-8")
    subprocess.run(
        [sys.executable, "-m", "tests.cli.kennel", told, ends], check=True, timeout=None if ALL else HANG_SECONDS
    )
    codes = dict(json.loads(line) for line in ends.read_text("utf-8").splitlines())
    wrong = []
    for place, ((line, state), case) in enumerate(zip(pairs, cases, strict=True)):
        code = codes[place]
        out, err = ((Path(case.folder) / name) for name in ("stdout", "stderr"))
        texts = [text_of(file, case.encoding) for file in (out, err) if file.exists()]
        said = text_of(err, case.encoding) if err.exists() else ""
        about = f"{' '.join(line.argv)!a}, {state}: {code} for {expected(line, state)}, {said[-400:]!a}"
        traced = any(word in text for text in texts for word in ("Traceback", "Exception ignored"))
        if code != expected(line, state) or traced:
            wrong.append(about)
        elif code > 1 and err.exists() and not (said.splitlines() or [""])[-1].startswith("vismanet: "):
            wrong.append(f"no sentence: {about}")
    print(f"{len(pairs):,} command lines and states of streams")  # noqa: T201 - with pytest -rP
    assert not wrong, "\n".join(wrong)


def text_of(file: Path, encoding: str) -> str:
    """Read what a stream got: text in its encoding, or JSON in UTF-8."""
    content = file.read_bytes()
    return content.decode(encoding if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8", "backslashreplace")


def test_the_table_is_of_more_than_200_pairs_and_the_part_shows_each_state() -> None:
    assert len({line.argv for line in LINES}) == len(LINES)
    assert len(LINES) * len(STATES) > 200
    assert {state for _, state in chosen()} == set(STATES)
