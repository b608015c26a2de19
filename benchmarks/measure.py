"""Runs groups: a page server, one process a measurement, rounds interleaved; gives figures and verdicts."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import attrs

from benchmarks.job import Task
from benchmarks.pinned import ROOT, folder_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.groups import Case, Group, Target

_MEASUREMENT_SECONDS_MAX = 900
_FAILURE_LINES = 8


class MeasurementError(Exception):
    """A client failed, or did not do what it was asked; its figures do not exist."""


@attrs.frozen
class Spread:
    """A figure over the rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Summarise the values of all rounds."""
        return cls(statistics.median(values), min(values), max(values))


@attrs.frozen(kw_only=True)
class TargetResult:
    """What a claim came to."""

    text: str
    value: Spread
    bar: str
    verdict: Literal["reached", "aim reached", "missed"]


@attrs.frozen(kw_only=True)
class CaseResult:
    """All figures of a case, or why there are none."""

    name: str
    client: str
    figures: dict[str, Spread]
    rounds: int
    failure: str | None = None


@attrs.frozen(kw_only=True)
class GroupResult:
    """A group's figures."""

    name: str
    cases: list[CaseResult]
    targets: list[TargetResult]


class Server:
    """The page server in its own process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._process.stdout is None or self._process.stdin is None:
            raise MeasurementError("the page server has no pipes")
        self._stdin = self._process.stdin
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stdin.close()
        self._process.wait(timeout=10)

    def ask(self, path: str) -> dict[str, Any]:
        """Call one of the server's own paths."""
        with urllib.request.urlopen(self.url + path, timeout=120) as answer:
            plain: dict[str, Any] = json.load(answer)
        return plain


def measure(server: Server, case: Case) -> dict[str, float]:
    """Run one measurement in a fresh process.

    Raises:
        MeasurementError: the client failed or read something else than the list.
    """
    work = ROOT / ".bench"
    work.mkdir(exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix=f"{case.client}-", dir=work))
    try:
        out = room / "out"
        out.mkdir()
        task = Task(job=case.job, client=case.client, server=server.url, out=out)
        server.ask(f"/prepare{case.job.settings_path}/v1/{case.job.resource}")
        server.ask("/reset")
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.child", json.dumps(task.to_plain()), str(room / "result.json")],
            cwd=folder_of(case.pinned) if case.pinned else ROOT,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=_MEASUREMENT_SECONDS_MAX,
            check=False,
        )
        if done.returncode:
            last = "\n".join(done.stderr.strip().splitlines()[-_FAILURE_LINES:])
            raise MeasurementError(f"{case.client} failed with exit code {done.returncode}:\n{last}")
        figures: dict[str, float] = json.loads((room / "result.json").read_text(encoding="utf-8"))
        counts = server.ask("/counts")
        figures["requests"] = sum(counts["requests"].values())
        figures["server_cpu_seconds"] = counts["cpu_seconds"]
        return figures
    finally:
        shutil.rmtree(room)


def _environment() -> dict[str, str]:
    """Let measured processes keep their byte code: compiling it again each time is not what is measured."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run_group(
    group: Group, server: Server, *, rounds: int | None, tell: Callable[[str, Case, dict[str, float] | None], None]
) -> GroupResult:
    """Run all rounds of a group, each starting with another case; a case that fails once is not run again.

    Every second round goes the other way, so that no case always has the same neighbour: with one order, a tree was at
    0.91 of itself in nine rounds.
    """
    count = rounds or group.rounds
    measured: dict[str, list[dict[str, float]]] = {case.name: [] for case in group.cases}
    failures: dict[str, str] = {}
    for number in range(count):
        turn = number % len(group.cases)
        cases = (*group.cases[turn:], *group.cases[:turn])
        for case in cases if number % 2 == 0 else reversed(cases):
            if case.name in failures or number >= (case.rounds_max or count):
                continue
            try:
                figures = measure(server, case)
            except (MeasurementError, subprocess.TimeoutExpired) as error:
                failures[case.name] = str(error)
                tell(f"{group.name} {number + 1}/{count}", case, None)
            else:
                measured[case.name].append(figures)
                tell(f"{group.name} {number + 1}/{count}", case, figures)
    results = [
        CaseResult(
            name=case.name,
            client=case.client,
            rounds=len(measured[case.name]),
            figures=_spreads(measured[case.name]) if case.name not in failures else {},
            failure=failures.get(case.name),
        )
        for case in group.cases
    ]
    judged = [judge(target, measured) for target in group.targets if not target.names & failures.keys()]
    return GroupResult(name=group.name, cases=results, targets=judged)


def _spreads(rounds: list[dict[str, float]]) -> dict[str, Spread]:
    return {name: Spread.of([figures[name] for figures in rounds]) for name in rounds[0]}


def judge(target: Target, measured: dict[str, list[dict[str, float]]]) -> TargetResult:
    """Compare two cases round by round; the median of the rounds' values decides."""
    own = [figures[target.figure] for figures in measured[target.case]]
    if target.how == "alone":
        values = own
    else:
        rounds = zip(*[[figures[target.figure] for figures in measured[peer]] for peer in target.peers], strict=False)
        pairs = list(zip(own, map(min, rounds), strict=False))
        values = [
            {"ratio": mine / theirs, "speedup": theirs / mine, "difference": mine - theirs}[target.how]
            for mine, theirs in pairs
        ]
    value = Spread.of(values)
    if target.at_least is not None:
        bar = f">= {target.at_least:g}" + (f" (aim {target.aim:g})" if target.aim else "")
        reached = value.median >= target.at_least
        aimed = target.aim is not None and value.median >= target.aim
    else:
        bar = f"<= {target.at_most:g}" + (f" (aim {target.aim:g})" if target.aim else "")
        reached = target.at_most is not None and value.median <= target.at_most
        aimed = target.aim is not None and value.median <= target.aim
    verdict: Literal["reached", "aim reached", "missed"] = (
        "missed" if not reached else "aim reached" if aimed else "reached"
    )
    return TargetResult(text=target.text, value=value, bar=bar, verdict=verdict)
