"""What a run leaves behind so that the next one goes on where it was.

Beside its parts a run keeps a journal: which question to the API was answered with which bytes of which part. A
later run of the same plan asks the same questions; those that the journal knows are answered from the earlier run's
parts instead of the server. Everything behind that (walk, verdict, sink) works as if the server had answered, so it
writes the same bytes and claims no more than it may: an old answer is an answer given a while ago.

::

    .export/plan.json                 which plan this is, and when it was begun
    .export/1/<resource>/pages.jsonl  the journal of the first run
    .export/1/<resource>/part-...     its parts
    .export/2/...                     the run that goes on, and so forth

An answer is believed only where its part, from the first byte up to the answer's last, has the hash that the journal
states. Answers that are not a plain JSON array, or whose rows were not all written, are asked for again.
"""

from __future__ import annotations

import hashlib
import shutil
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec
from anyio import to_thread

from vismanet_async.export.files import write_atomically, writing
from vismanet_async.transport.message import Response, no_headers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    import anyio

    from vismanet_async.clock import Clock
    from vismanet_async.export.sinks import Written
    from vismanet_async.transport.message import Request, Sender, StreamedResponse

__all__ = ["Answers", "BegunAt", "Checkpoint", "Journal", "KnowingSender"]

_PLAN: Final = "plan.json"
_JOURNAL: Final = "pages.jsonl"
_LONGEST_PAUSE: Final = timedelta(hours=24)
"""An older checkpoint is thrown away: rows that nobody changed would be right, but nobody expects yesterday's."""
_CHUNK_BYTES: Final = 1 << 20


class Question(msgspec.Struct, frozen=True, array_like=True):
    """One request of a listing: what was asked, and the how manieth time."""

    text: str
    time: int


class _Entry(msgspec.Struct, frozen=True):
    question: Question
    file: str
    start: int
    end: int
    sha256: str
    """Of the file up to `end`."""


class _Plan(msgspec.Struct, frozen=True):
    fingerprint: str
    begun_at: datetime


class Journal:
    """Appends to one resource's journal. Lines reach the system at once, so that a killed process has lost none."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._file = (directory / _JOURNAL).open("ab", buffering=0)
        self.entries = 0

    def note(self, question: Question, at: Written) -> None:
        """Note that a question's answer was written there."""
        entry = _Entry(question, at.file, at.start, at.end, at.sha256)
        with writing(self._directory):
            self._file.write(msgspec.json.encode(entry) + b"\n")
        self.entries += 1

    def close(self) -> None:
        """Close the file; it stays."""
        self._file.close()


@attrs.frozen
class _Slice:
    path: Path
    start: int
    end: int

    def body(self) -> bytes:
        """Give the page again whose rows these lines are."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            lines = file.read(self.end - self.start)
        return b"[%b]" % lines[:-1].replace(b"\n", b",")


Answers = dict[Question, _Slice]


@attrs.define(kw_only=True)
class Checkpoint:
    """Where a run writes, and what the runs before it left."""

    staging: Path
    begun_at: datetime
    """When the first of the runs began; what "now" means to a walk that goes on."""
    answers: Mapping[str, Answers]
    """By resource; empty for a run that starts afresh."""
    known: bool
    """Whether a later run can tell that it is of the same plan."""
    _journals: list[Journal] = attrs.field(factory=list, init=False)

    @classmethod
    def open(cls, work: Path, *, fingerprint: str | None, now: datetime) -> Checkpoint:
        """Take up what lies in `work` if it belongs to the same plan, else make it empty. Blocks; reads all parts.

        Args:
            work: the staging area of the target.
            fingerprint: of the plan; None starts afresh.
            now: UTC.
        """
        plan = _read_plan(work)
        runs: dict[Path, dict[str, Answers]] = {}
        if plan is not None and plan.fingerprint == fingerprint and now - plan.begun_at < _LONGEST_PAUSE:
            runs = _useful({path: _load(path) for path in sorted(work.glob("[0-9]*"), key=_number)})
        elif work.exists():
            shutil.rmtree(work)
        begun_at = plan.begun_at if plan is not None and runs else now
        staging = work / str(max(map(_number, runs), default=0) + 1)
        staging.mkdir(parents=True)
        write_atomically(work / _PLAN, msgspec.json.encode(_Plan(fingerprint or "", begun_at)))
        merged: dict[str, Answers] = {}
        for run in runs.values():
            for name, answers in run.items():
                merged.setdefault(name, {}).update(answers)
        return cls(staging=staging, begun_at=begun_at, answers=merged, known=fingerprint is not None)

    @property
    def resumable(self) -> bool:
        """Whether a later run would find an answer here."""
        return self.known and (bool(self.answers) or any(journal.entries for journal in self._journals))

    def journal(self, resource: str) -> Journal:
        """Open the journal of a resource; `close` closes it."""
        journal = Journal(self.staging / resource)
        self._journals.append(journal)
        return journal

    def close(self) -> None:
        """Close the journals."""
        for journal in self._journals:
            journal.close()


def _number(run: Path) -> int:
    return int(run.name)


def _read_plan(work: Path) -> _Plan | None:
    try:
        return msgspec.json.decode((work / _PLAN).read_bytes(), type=_Plan)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _useful(runs: dict[Path, dict[str, Answers]]) -> dict[Path, dict[str, Answers]]:
    """Throw away the runs of which another one knows every answer: a run that went on soon knows all of the first."""
    known = {
        path: {(name, question) for name, answers in run.items() for question in answers} for path, run in runs.items()
    }
    useful = dict(runs)
    for path in runs:
        if any(known[path] <= known[other] for other in useful if other != path):
            shutil.rmtree(path)
            del useful[path]
    return useful


def _load(run: Path) -> dict[str, Answers]:
    return {journal.parent.name: _load_journal(journal) for journal in run.glob(f"*/{_JOURNAL}")}


def _load_journal(journal: Path) -> Answers:
    by_file: dict[str, list[_Entry]] = {}
    for line in journal.read_bytes().split(b"\n")[:-1]:
        try:
            entry = msgspec.json.decode(line, type=_Entry)
        except msgspec.MsgspecError:  # torn by a power cut: what follows cannot be placed
            break
        by_file.setdefault(entry.file, []).append(entry)
    answers: Answers = {}
    for name, entries in by_file.items():
        path = journal.parent / name
        if not path.exists():
            path = path.with_name(f"{name}.tmp")
        if path.exists():
            answers.update(_believed(path, entries))
    return answers


def _believed(path: Path, entries: list[_Entry]) -> Answers:
    """Give the answers up to the first that its part does not bear out."""
    answers: Answers = {}
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for entry in entries:
            while (missing := entry.end - file.tell()) > 0:
                chunk = file.read(min(missing, _CHUNK_BYTES))
                if not chunk:
                    return answers
                digest.update(chunk)
            if missing < 0 or digest.hexdigest() != entry.sha256:
                return answers
            answers[entry.question] = _Slice(path, entry.start, entry.end)
    return answers


class KnowingSender:
    """A sender for one listing that answers what an earlier run was told from its parts."""

    def __init__(self, answers: Answers, *, threads: anyio.CapacityLimiter) -> None:
        self._sender: Sender
        self._answers = answers
        self._threads = threads
        self._times: dict[str, int] = {}
        self._questions: dict[int, Question] = {}

    def around(self, sender: Sender) -> KnowingSender:
        """Take the sender that asks the server."""
        self._sender = sender
        return self

    @property
    def slots(self) -> Any:
        """How many requests may be in flight: the listing asks its sender."""
        return getattr(self._sender, "slots", None)

    async def send(self, request: Request) -> Response:
        """Answer from what is known, else ask the server."""
        text = f"{request.method} {request.path} {sorted(request.query)}"
        question = Question(text, self._times.get(text, 0))
        self._times[text] = question.time + 1
        known = self._answers.get(question)
        if known is None:
            response = await self._sender.send(request)
        else:
            body = await to_thread.run_sync(known.body, limiter=self._threads)
            response = Response(status=200, headers=no_headers(), body=body)
        # a body that is still alive is the last one that got this id
        self._questions[id(response.body)] = question
        return response

    def stream(self, request: Request) -> AbstractAsyncContextManager[StreamedResponse]:
        """Ask the server; streams are not kept."""
        return self._sender.stream(request)

    def question(self, body: bytes | None) -> Question | None:
        """Tell which question an answer's body belongs to; None for one that cannot be given again from its rows."""
        if body is None or not body.startswith(b"["):
            return None
        return self._questions.pop(id(body), None)


@attrs.frozen
class BegunAt:
    """A clock whose wall stands at the moment when the first run began, so that the same windows are asked for."""

    clock: Clock
    begun_at: datetime

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        return self.clock.monotonic()

    def utc_now(self) -> datetime:
        """The moment when the first run began."""
        return self.begun_at

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self.clock.sleep(seconds)
