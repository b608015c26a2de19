"""`python -m benchmarks.against [COMMIT]`: the working tree beside a commit, in what its changes can touch."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

import attrs
from rich.console import Console

from benchmarks.groups import Case, Group, Target
from benchmarks.job import Job
from benchmarks.measure import Server, run_group
from benchmarks.pinned import changed_since, commit_of
from benchmarks.report import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.groups import Figure

LEAST: Final = 0.97
"""No figure may fall below this share of the other commit's."""


@attrs.frozen
class Subject:
    """One figure, and what in the package can touch it."""

    name: str
    client: str
    job: Job
    folders: tuple[str, ...]
    """Beginnings of paths in the package; `""` is everything."""
    figure: Figure = "cpu_seconds"
    """Of processor time, where nothing is waited for: neighbours disturb it less."""


_LISTS = ("_paging", "_http", "_codec/", "_api/models", "_client")
_EXPORTS = ("_export", "_columns", *_LISTS)
SUBJECTS: Final = (
    Subject("JSON lines", "sdk-jsonl", Job(rows=50_000), _EXPORTS),
    Subject("JSON lines, 100 ms", "sdk-jsonl", Job(rows=50_000, wait_ms=100), _EXPORTS, "seconds"),
    Subject("typed stream", "sdk-typed", Job(rows=30_000), _LISTS),
    Subject("all()", "sdk-all", Job(rows=30_000), _LISTS),
    Subject("Parquet", "sdk-parquet", Job(rows=20_000), _EXPORTS),
    Subject("CSV", "sdk-csv", Job(rows=10_000), _EXPORTS),
    Subject("one record", "sdk-get", Job(rows=1000, connections=1), ("_http", "_codec/", "_operation", "_client")),
    Subject("import", "import-sdk", Job(rows=1), ("",), "import_ms"),
)


def touched(paths: Sequence[str]) -> list[Subject]:
    """Return what a change of these files can touch; everything where no file is known.

    Examples:
        >>> [each.name for each in touched(["vismanet_async/_export/sinks/csv.py"])]
        ['JSON lines', 'JSON lines, 100 ms', 'Parquet', 'CSV', 'import']
    """
    inner = [path.removeprefix("vismanet_async/") for path in paths]
    return [each for each in SUBJECTS if not inner or any(path.startswith(each.folders) for path in inner)]


def paired(subjects: Sequence[Subject], commit: str) -> Group:
    """Return the group that compares each subject with a commit."""
    cases = [
        (Case(each.name, each.client, each.job), Case(f"{each.name}, {commit}", each.client, each.job, pinned=commit))
        for each in subjects
    ]
    return Group(
        name="against",
        title=f"The working tree against {commit}",
        about="",
        cases=tuple(case for pair in cases for case in pair),
        targets=tuple(
            Target(text=f"{each.name}: {each.figure} of {commit} over the tree's", case=mine.name, figure=each.figure,
                   how="speedup", other=theirs.name, at_least=LEAST)
            for each, (mine, theirs) in zip(subjects, cases, strict=True)
        ),
        rounds=5,
    )  # fmt: skip


def main(argv: list[str]) -> int:
    """Measure; the exit code is 1 when a figure fell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=__doc__)
    parser.add_argument("commit", nargs="?", default="HEAD", help="what to compare with (HEAD)")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds (5)")
    parser.add_argument("--everything", action="store_true", help="all figures, whatever the changes can touch")
    arguments = parser.parse_args(argv)
    try:
        commit = commit_of(arguments.commit)
    except ValueError as error:
        parser.error(str(error))
    subjects = list(SUBJECTS) if arguments.everything else touched(changed_since(commit))
    console = Console(width=None if sys.stdout.isatty() else 120)

    def tell(where: str, case: Case, figures: dict[str, float] | None) -> None:
        told = "failed" if figures is None else f"{figures['seconds']:.2f} s"
        console.print(f"{where}  {case.name:32} {told}", highlight=False)

    group = paired(subjects, commit)
    with Server() as server:
        result = run_group(group, server, rounds=arguments.rounds, tell=tell)
    show(group, result, console)
    failed = any(case.failure for case in result.cases)
    return 1 if failed or any(target.verdict == "missed" for target in result.targets) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
