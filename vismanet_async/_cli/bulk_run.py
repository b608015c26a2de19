"""What `vismanet load` and `vismanet release` share: a run with progress, files and signals, and how it ended."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path  # noqa: TC003 - attrs reads the annotations
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio
import attrs

from vismanet_async._arguments import is_url
from vismanet_async._cli.exit_codes import DONE, INTERRUPTED, NOT_KNOWN, SOME_FAILED, exit_code
from vismanet_async._cli.load_progress import load_progress_shown
from vismanet_async._cli.load_results import ResultFiles, shown_result
from vismanet_async._cli.streams import tell
from vismanet_async._deferred import mark_used
from vismanet_async._tasks import unwrap_group
from vismanet_async.errors import RequestRefused, VismaNetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from vismanet_async._cli.load_results import LoadedRows
    from vismanet_async._client import VismaNet
    from vismanet_async.bulk import BulkRun, BulkSummary, Rehearsal

__all__ = ["RunOptions", "run_rows", "told_rehearsal"]

_INTERRUPTED: Final = "it was interrupted"
_SHOWN: Final = 10


@attrs.frozen(kw_only=True)
class RunOptions:
    """What both commands take."""

    journal: Path
    """Its folder has the other files."""
    dry_run: bool = False
    retry_failed: bool = False
    retry_unknown: bool = False
    max_failures: int | None = None
    settle_seconds: float | None = None
    via: Literal["request", "background", "auto"] = "request"
    report: Path | None = None
    upserts: bool = False
    """Whether rows are compared with what is there, so that failed ones are sent again in any case."""
    inputs: Sequence[Path] = ()
    """Files that are read, and not to be written."""

    def __attrs_post_init__(self) -> None:
        if is_url(self.journal):
            raise RequestRefused(
                "--journal takes a file, no URL (a load in PostgreSQL is run from Python); nothing was sent."
            )
        if self.journal.is_dir():
            raise RequestRefused(f"--journal {self.journal} is a folder: name a file; nothing was sent.")
        taken = {"--journal": self.journal, "--report": self.report}
        for option, path in taken.items():
            others = [*self.inputs, *(each for name, each in taken.items() if name != option)]
            if path is not None and any(each is not None and _is_one(path, each) for each in others):
                raise RequestRefused(
                    f"{option} {path} would be written over another file of this load; nothing was sent."
                )

    def for_run(self) -> dict[str, Any]:
        """Return the options of `visma.bulk.run`."""
        options: dict[str, Any] = {
            "retry_failed": self.retry_failed,
            "retry_unknown": self.retry_unknown,
        }
        return {**options, **self.for_upsert()}

    def for_upsert(self) -> dict[str, Any]:
        """Return the options of `visma.bulk.upsert`."""
        options: dict[str, Any] = {"max_failures": self.max_failures, "via": self.via}
        return options if self.settle_seconds is None else {**options, "settle_seconds": self.settle_seconds}


def _is_one(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve() or (path.exists() and other.exists() and path.samefile(other))


async def run_rows(visma: VismaNet, run: BulkRun, options: RunOptions, rows: LoadedRows | None = None) -> int:
    """Run it; print a summary, and return the exit code.

    Args:
        visma: the client.
        run: the run.
        options: of the command.
        rows: of a load: its input. What is not done is written as a file to mend.
    """
    mark_used(run)  # where it does not come to it, that is told
    with ResultFiles(options.journal, rows) as files:
        report = None
        if options.report is not None:
            from vismanet_async.bulk import BulkReport  # noqa: PLC0415 - only if a report is wanted

            report = BulkReport(title=options.report.stem.replace("-", " ").capitalize())
            report.write(options.report)  # a path that cannot be written is found before anything is sent
        try:
            async with (
                _stopped_by_signals(run),
                load_progress_shown(run, visma.quota, sys.stderr),
                aclosing(aiter(run)) as results,
            ):
                async for result in results:
                    files.add(result)
                    if report is not None:
                        report.add(shown_result(result))
        except Exception:
            if files.begun:  # what was sent is told; why the run ended is told in any case
                with suppress(VismaNetError):
                    await files.write(whole=False, broken=True)
            raise
        summary = run.summary
        assert summary is not None
        await files.write(whole=summary.stopped is None, interrupted=summary.stopped == _INTERRUPTED)
    if report is not None and options.report is not None:
        report.write(options.report, summary)
    code = _code(summary)
    tell(_text(summary, files, options), done=f"{summary}.", code=code)
    return code


def _code(summary: BulkSummary) -> int:
    if summary.stopped == _INTERRUPTED:
        return INTERRUPTED
    if summary.unknown:
        return NOT_KNOWN
    if summary.stop_error is not None:
        return exit_code(summary.stop_error)
    return DONE if summary.complete else SOME_FAILED


def _text(summary: BulkSummary, files: ResultFiles, options: RunOptions) -> str:
    lines = [f"{summary}{f' ({summary.earlier:,} known from before)' if summary.earlier else ''}"]
    shown = [shown_result(each) for each in summary.problems[:_SHOWN]]
    lines += [f"  {each.key}: {each.outcome.replace('_', ' ')}: {each.error}" for each in shown]
    if len(summary.problems) > _SHOWN:
        lines.append("  ...")
    lines.append(f"results: {files.results}")
    if files.failed is not None:
        lines.append(f"not done, to mend and load again: {files.failed}")
    if summary.failed and not options.upserts:
        lines.append("failed rows that need no mending are sent again with --retry-failed")
    if summary.unknown:
        lines.append("unknown rows may have been executed: look them up before you send them again")
    if not summary.complete:
        lines.append(f"the same command goes on where this one stood: {options.journal}")
    return "\n".join(lines)


@asynccontextmanager
async def _stopped_by_signals(run: BulkRun) -> AsyncIterator[None]:
    """End the run in order at the first Ctrl-C or SIGTERM; a second one interrupts it."""

    async def listen() -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                print("vismanet: finishing what is under way; again to stop at once", file=sys.stderr, flush=True)
                run.stop(_INTERRUPTED)
                break  # the next one interrupts

    with unwrap_group():
        async with anyio.create_task_group() as tasks:
            # where signals cannot be listened to, Ctrl-C interrupts at once, and the journal has what was sent
            if sys.platform != "win32" and threading.current_thread() is threading.main_thread():
                tasks.start_soon(listen)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()


def told_rehearsal(rehearsal: Rehearsal, place: Callable[[int], str], *, report: Path | None = None) -> int:
    """Print what a rehearsal found, each mistake and each difference with its place, and return the exit code.

    Args:
        rehearsal: the rehearsal.
        place: file and row of a position.
        report: the page that was asked for, which only a run writes.
    """
    for mistake in rehearsal.mistakes:
        for line in mistake.text.split("\n"):
            print(f"{place(mistake.position)}: {line}")
    for change in rehearsal.changes:
        print(f"{place(change.position)}: {change}")
    more = rehearsal.mistakes_found - len(rehearsal.mistakes)
    if more > 0:
        print(f"... and {more:,} more")
    if (more := rehearsal.created + rehearsal.updated - len(rehearsal.changes)) > 0:
        print(f"... and {more:,} more that differ")
    unwritten = "" if report is None else f", and {report} not written: a run writes it"
    print(f"{rehearsal} Nothing was sent{unwritten}.")
    return SOME_FAILED if rehearsal.mistakes_found else DONE
