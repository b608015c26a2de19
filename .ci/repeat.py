"""Run the suite again and again, also where it is disturbed: `repeat.py plain=8 load=4 stops=4`.

plain  as `make test` runs it
load   beside a busy process for each core
stops  its processes are stopped at random (SIGSTOP) for up to some seconds and then go on; needs /proc
n0     in one process (-n 0)
n4     in four (-n 4)
zone   three and a half hours behind UTC, with the locale C
late   its event loops hear of sockets late, and in any order (late_events.py)

It works on a fresh clone with an environment of its own, or with --here on this folder and its .venv. What follows `--`
goes to pytest. With --each N the tests that are named there run N times each, in the same processes. Every run's output
is kept; the last lines tell of each run what came of it and how long it took. The exit code is 1 if any run failed.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT: Final = Path(__file__).resolve().parents[1]
MODES: Final = ("plain", "load", "stops", "n0", "n4", "zone", "late")
RUNS: Final = ("plain=8", "load=4", "stops=4", "n0=2", "n4=2", "zone=1", "late=3")
OWN_ARGUMENTS: Final = {"n0": ("-n", "0"), "n4": ("-n", "4"), "late": ("-p", "late_events")}
"""What pytest gets beside what `make test` gives it."""
OWN_ENVIRONMENT: Final = {"zone": {"TZ": "America/St_Johns", "LC_ALL": "C"}}
BETWEEN_STOPS_SECONDS: Final = (0.05, 0.5)
STOPPED_SECONDS: Final = (0.01, 3.0)
SUMMARY: Final = re.compile(r"^=* ?((?:\d+ [a-z]+,? ?)+) in ([\d.]+)s", re.MULTILINE)


class Run(NamedTuple):
    """One run and what came of it."""

    mode: str
    passed: bool
    seconds: float
    told: str
    stops: int
    log: Path

    def __str__(self) -> str:
        stopped = f", {self.stops} stops" if self.mode == "stops" else ""
        return f"{self.mode:6}{'passed' if self.passed else 'FAILED':8}{self.seconds:7.0f} s  {self.told}{stopped}"


def main() -> int:
    options = arguments()
    plan = [mode for part in options.runs for mode in planned(part)]
    chance = random.Random(options.seed)  # noqa: S311 - decides what is stopped or late
    print(f"seed {options.seed}; logs in {options.logs}", flush=True)
    options.logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        tree = ROOT if options.here else cloned(stack, options.python)
        runs = []
        for number, mode in enumerate(plan, 1):
            done = one(mode, tree, options, chance, options.logs / f"{number:02}-{mode}.log")
            runs.append(done)
            print(f"{number:3}/{len(plan)}  {done}", flush=True)
            for line in failures(done.log):
                print(f"         {line}", flush=True)
    print(told(runs))
    return 0 if all(run.passed for run in runs) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", default=RUNS, help=f"MODE=TIMES, by default {' '.join(RUNS)}")
    parser.add_argument("--here", action="store_true", help="no clone: this folder and its .venv")
    parser.add_argument("--each", type=int, default=0, metavar="N", help="run each test N times")
    parser.add_argument("--python", default=sys.executable, help="makes the clone's environment")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of what is disturbed")
    parser.add_argument("--logs", type=Path, default=ROOT / "build" / "repeat")
    given = sys.argv[1:]
    cut = given.index("--") if "--" in given else len(given)
    options = parser.parse_args(given[:cut])
    options.pytest = given[cut + 1 :]
    return options


def planned(part: str) -> list[str]:
    mode, _, times = part.partition("=")
    if mode not in MODES or not times.isdecimal():
        raise SystemExit(f"{part}: say MODE=TIMES, the mode one of {', '.join(MODES)}")
    if mode == "stops" and not Path("/proc/self/stat").exists():
        raise SystemExit("stops: whose processes are whose is read from /proc, which this system does not have")
    return [mode] * int(times)


def cloned(stack: ExitStack, python: str) -> Path:
    tree = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vismanet-repeat-"))) / "clone"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, tree], check=True)
    subprocess.run(["make", "--no-print-directory", "setup", f"PYTHON={python}"], cwd=tree, check=True)
    return tree


def one(mode: str, tree: Path, options: argparse.Namespace, chance: random.Random, log: Path) -> Run:
    more = [*OWN_ARGUMENTS.get(mode, ()), *options.pytest]
    if options.each:
        more += ["-p", "each_again"]
    command = ["make", "--no-print-directory", "test", f"PYTEST_ARGS={shlex.join(more)}"]
    paths = [str(tree), str(tree / ".ci")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "VISMANET_EACH": str(options.each or 1)}
    env |= {"VISMANET_LATE": str(chance.randrange(10**6))} | OWN_ENVIRONMENT.get(mode, {})
    began = time.monotonic()
    with ExitStack() as stack:
        out = stack.enter_context(log.open("wb"))
        if mode == "load":
            stack.enter_context(load())
        suite = subprocess.Popen(command, cwd=tree, env=env, stdout=out, stderr=subprocess.STDOUT)
        stopper = Stopper(suite.pid, chance) if mode == "stops" else None
        if stopper is not None:
            stack.enter_context(stopper.at_work())
        code = suite.wait()
    text = log.read_text("utf-8", "replace")
    found = SUMMARY.findall(text)
    return Run(
        mode,
        code == 0,
        time.monotonic() - began,
        found[-1][0] if found else f"exit code {code}",
        0 if stopper is None else stopper.stops,
        log,
    )


@contextmanager
def load() -> Iterator[None]:
    """Keep every core busy."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 2)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


class Stopper:
    """Stops processes below one, a single one at a time, and lets them go on."""

    def __init__(self, above: int, chance: random.Random) -> None:
        self.stops = 0
        self._above = above
        self._chance = chance
        self._over = threading.Event()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Stop processes for as long as the block takes."""
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _work(self) -> None:
        while not self._over.wait(self._chance.uniform(*BETWEEN_STOPS_SECONDS)):
            below = descendants(self._above)
            if not below:
                continue
            pid = self._chance.choice(below)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                self.stops += 1
                try:
                    # most are short, some are long
                    self._over.wait(STOPPED_SECONDS[0] + STOPPED_SECONDS[1] * self._chance.random() ** 3)
                finally:
                    os.kill(pid, signal.SIGCONT)


def descendants(above: int) -> list[int]:
    """Return the ids of all processes below one, in no order that matters."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # the name of a program may hold blanks and brackets; its parent stands behind the last one
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found, new = [], children.get(above, [])
    while new:
        found += new
        new = [child for pid in new for child in children.get(pid, [])]
    return sorted(found)


def failures(log: Path) -> list[str]:
    lines = log.read_text("utf-8", "replace").splitlines()
    return [line for line in lines if line.startswith(("FAILED ", "ERROR "))]


def told(runs: Sequence[Run]) -> str:
    lines = []
    for mode in dict.fromkeys(run.mode for run in runs):
        these = [run for run in runs if run.mode == mode]
        seconds = sorted(run.seconds for run in these)
        passed = sum(run.passed for run in these)
        times = f"{seconds[0]:.0f} to {seconds[-1]:.0f} s, median {seconds[len(seconds) // 2]:.0f} s"
        lines.append(f"{mode:6}{passed} of {len(these)} passed, {times}")
    lines.append(f"{sum(run.passed for run in runs)} of {len(runs)} runs passed")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
