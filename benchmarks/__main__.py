"""`python -m benchmarks [NAMES...] [--rounds N] [--quick] [--json FILE]`."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cattrs
import msgspec
from rich.console import Console

from benchmarks.groups import GROUPS, quick
from benchmarks.measure import Server, run_group
from benchmarks.report import Run, describe_run, show, write_page

if TYPE_CHECKING:
    from benchmarks.groups import Case


_LOG_WIDTH = 120


def _arguments(argv: list[str]) -> argparse.Namespace:
    names = [group.name for group in GROUPS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the SDK against its peers. Writes docs/benchmarks.md, unless --quick.",
        epilog="Names: " + ", ".join(names) + ". A name's beginning names all that begin so.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure; everything if left out")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each comparison (else its own number)")
    parser.add_argument("--clients", metavar="NAME,NAME", help="only these clients, such as bytes,sdk-jsonl")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    arguments = parser.parse_args(argv)
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds must be 1 or more")
    unknown = [name for name in arguments.names if not any(known.startswith(name) for known in names)]
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(names)}")
    return arguments


def main(argv: list[str]) -> int:
    """Measure; the exit code is 1 when a client failed or a bar was missed."""
    arguments = _arguments(argv)
    console = Console(width=None if sys.stdout.isatty() else _LOG_WIDTH)
    groups = [
        group for group in GROUPS if not arguments.names or any(group.name.startswith(name) for name in arguments.names)
    ]
    if arguments.quick:
        groups = [quick(group) for group in groups]
    if arguments.clients:
        groups = [group.only(arguments.clients.split(",")) for group in groups]

    def tell(where: str, case: Case, figures: dict[str, float] | None) -> None:
        told = "failed" if figures is None else f"{figures['seconds']:.2f} s, peak {figures['peak_mb']:.0f} MB"
        console.print(f"{where}  {case.name:32} {told}", highlight=False)

    runs: list[Run] = []
    with Server() as server:
        for group in groups:
            result = run_group(group, server, rounds=arguments.rounds, tell=tell)
            show(group, result, console)
            flags = f" --rounds {arguments.rounds}" if arguments.rounds else ""
            command = f"make bench BENCH_ARGS={shlex.quote(group.name + flags)}"
            runs.append(describe_run(result, command=command))
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.encode(cattrs.unstructure(runs)))
    if not arguments.quick and not arguments.clients:
        console.print(f"written: {write_page(runs).relative_to(Path.cwd())}")
    failed = any(case.failure for run in runs for case in run.result.cases)
    missed = any(target.verdict == "missed" for run in runs for target in run.result.targets)
    return 1 if failed or missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
