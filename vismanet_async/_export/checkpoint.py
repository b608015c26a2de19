"""What a run leaves on disk so that the next one can resume it.

Beside its parts a run keeps a journal: which bytes of which part answer which request. A later run of the same plan
sends the same requests; those in the journal are answered from the earlier run's files, not by the server (`replay`).
Paging, verdict and sink work as if the server had answered, so the run writes the same bytes and claims no more.

Paging may rely on an answer being younger than those received before it. So every answer is journaled, also one whose
rows are not written (its body is then kept beside the parts); and after the first request that is not in the journal,
all further ones go to the server. For the same reason answers of several runs are never mixed.

::

    .export/1/plan.json                the plan of the first run, and when it began
    .export/1/<resource>/pages.jsonl   its journal
    .export/1/<resource>/answers.json  bodies whose rows are not all in its parts
    .export/1/<resource>/part-...      its parts
    .export/2/...                      the run that resumes it; it journals replayed answers again

An answer is used only if its file, from the first byte up to the answer's last, has the hash that the journal states.
What earlier runs left is kept until a run that replaces it has received an answer (`Checkpoint.remove_superseded`): a
run that is refused, or stops before it reads anything, removes nothing.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import attrs
import msgspec

from vismanet_async._export.files import folders_in, is_there, one_below, write_all, write_atomically, writing
from vismanet_async._export.target.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vismanet_async._export.sinks import Written

__all__ = [
    "Answers",
    "Checkpoint",
    "Journal",
    "NoJournal",
    "RequestKey",
    "Unfinished",
    "inspect",
    "is_old",
]

_PLAN: Final = "plan.json"
_JOURNAL: Final = "pages.jsonl"
_BODIES: Final = "answers.json"
_PAGE: Final = "pageNumber"
_MOST_WAITING: Final = 32
"""More than a listing has between its answers and our sink; what waits longer will not be written."""
_LONGEST_PAUSE: Final = timedelta(hours=24)
"""An older checkpoint is not resumed: unchanged rows would be right, but nobody expects yesterday's."""
_CLOCKS_DIFFER: Final = timedelta(minutes=30)
_CHUNK_BYTES: Final = 1 << 20
_RUN: Final = re.compile(r"[0-9]{1,9}")
_FILE: Final = re.compile(r"\w[\w.-]*", re.ASCII)


class RequestKey(msgspec.Struct, frozen=True, array_like=True):
    """One request of a listing: its text, and how often the same was sent before."""

    text: str
    occurrence: int = 0


class _Entry(msgspec.Struct, frozen=True):
    key: RequestKey = msgspec.field(name="question")  # journals of earlier versions call it that
    file: str
    start: int
    end: int
    sha256: str
    """Of the file up to `end`."""


class _Plan(msgspec.Struct, frozen=True):
    fingerprint: str
    begun_at: datetime


class Journal:
    """The journal of one resource. Lines are written unbuffered, so that a killed process loses none.

    All methods block; they may be called from several threads.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
            self._lines = (directory / _JOURNAL).open("ab", buffering=0)
            try:
                self._bodies = (directory / _BODIES).open("ab", buffering=0)
            except BaseException:
                self._lines.close()
                raise
        self._digest = hashlib.sha256()
        self._bodies_end = 0
        self._lock = threading.Lock()
        self.entries = 0

    def note(self, key: RequestKey, at: Written) -> None:
        """Record where all rows of an answer were written."""
        with self._lock:
            self._append(_Entry(key, at.file, at.start, at.end, at.sha256))

    def keep(self, key: RequestKey, body: bytes | bytearray) -> None:
        """Store an answer as it is."""
        with self._lock:
            with writing(self._directory):
                write_all(self._bodies, body)
            self._digest.update(body)
            start, self._bodies_end = self._bodies_end, self._bodies_end + len(body)
            self._append(_Entry(key, _BODIES, start, self._bodies_end, self._digest.copy().hexdigest()))

    def close(self) -> None:
        """Close the files; they stay."""
        self._lines.close()
        self._bodies.close()

    def _append(self, entry: _Entry) -> None:
        with writing(self._directory):
            write_all(self._lines, msgspec.json.encode(entry) + b"\n")
        self.entries += 1


class NoJournal:
    """A journal that stores nothing, for a run that cannot be resumed."""

    entries = 0

    def note(self, key: RequestKey, at: Written) -> None:
        """Do nothing."""

    def keep(self, key: RequestKey, body: bytes | bytearray) -> None:
        """Do nothing."""


@attrs.frozen
class _Slice:
    path: Path
    start: int
    end: int

    def body(self) -> bytes:
        """Return the body of the answer."""
        with writing(self.path, doing="read again"), self.path.open("rb") as file:
            file.seek(self.start)
            content = file.read(self.end - self.start)
        if self.path.name == _BODIES:
            return content
        return b"[%b]" % content[:-1].replace(b"\n", b",")


Answers = dict[RequestKey, _Slice]


@attrs.define(kw_only=True)
class Checkpoint:
    """The directory that a run writes to, and the answers that earlier runs left."""

    staging: Path
    started_at: datetime
    """When the first of the runs began; what "now" means to a listing that is resumed."""
    answers: Mapping[str, Answers]
    """By resource; empty for a run that starts anew."""
    known: bool
    """Whether a later run can recognise the plan."""
    superseded: tuple[Path, ...] = ()
    """Directories of earlier runs that this one does not resume."""
    _journals: list[Journal] = attrs.field(factory=list, init=False)

    @classmethod
    def open(cls, work: Path, *, fingerprint: str | None, now: datetime) -> Checkpoint:
        """Return the checkpoint of a new run, with the answers in `work` if they are of the same plan. Blocks.

        Args:
            work: the staging area of the target.
            fingerprint: of the plan, and of the manifest that it replaces; None starts anew.
            now: UTC.
        """
        work.mkdir(parents=True, exist_ok=True)
        runs = _runs(work)
        best, started_at, answers = None, now, dict[str, Answers]()
        for run in runs:
            plan = _read_plan(run)
            if plan is None or fingerprint is None or plan.fingerprint != fingerprint or is_old(plan.begun_at, now):
                continue
            found = {journal.parent.name: _load_journal(journal) for journal in one_below(run, _JOURNAL)}
            if sum(map(len, found.values())) > sum(map(len, answers.values())):
                best, started_at, answers = run, plan.begun_at, found
        staging = work / str(1 + max((int(run.name) for run in runs), default=0))
        try:
            staging.mkdir()
            write_atomically(staging / _PLAN, msgspec.json.encode(_Plan(fingerprint or "", started_at)))
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        return cls(
            staging=staging,
            started_at=started_at,
            answers=answers,
            known=fingerprint is not None,
            superseded=tuple(run for run in runs if run != best),
        )

    @property
    def resumable(self) -> bool:
        """Whether a later run would find an answer of this run."""
        return self.known and any(journal.entries for journal in self._journals)

    def remove_superseded(self) -> None:
        """Remove what this run replaces, once the server has answered it. Blocks."""
        superseded, self.superseded = self.superseded, ()
        for run in superseded:
            shutil.rmtree(run, ignore_errors=True)

    def journal(self, resource: str) -> Journal | NoJournal:
        """Return the open journal of a resource; `close` closes it."""
        if not self.known:
            return NoJournal()
        journal = Journal(self.staging / resource)
        self._journals.append(journal)
        return journal

    def close(self) -> None:
        """Close the journals, and remove the staging directory if no later run can use it. Blocks."""
        for journal in self._journals:
            journal.close()
        if not self.resumable and not is_there(self.staging / MANIFEST_NAME):
            shutil.rmtree(self.staging, ignore_errors=True)


@attrs.frozen(kw_only=True)
class Unfinished:
    """What a run that did not end has left."""

    begun_at: datetime
    until: datetime
    """From then on it is too old to be resumed."""
    answers: dict[str, int]
    """Answers of the server that are kept, by resource."""


def inspect(work: Path, *, now: datetime) -> Unfinished | None:
    """Return what a later run of the same plan would find in `work`, unverified; None for nothing. Blocks."""
    best: Unfinished | None = None
    for run in _runs(work):
        plan = _read_plan(run)
        if plan is None or not plan.fingerprint or is_old(plan.begun_at, now):
            continue
        answers = {path.parent.name: path.read_bytes().count(b"\n") for path in one_below(run, _JOURNAL)}
        if sum(answers.values()) > (0 if best is None else sum(best.answers.values())):
            best = Unfinished(begun_at=plan.begun_at, until=plan.begun_at + _LONGEST_PAUSE, answers=answers)
    return best


def _runs(work: Path) -> list[Path]:
    """Return the staging directories of all runs, oldest first."""
    found = (path for path in folders_in(work) if _RUN.fullmatch(path.name))
    return sorted(found, key=lambda path: int(path.name))


def is_old(begun_at: datetime, now: datetime) -> bool:
    """Return whether a run is of no use any more: it is too long ago, or its clock was wrong, and with it its edge.

    Examples:
        >>> from datetime import UTC
        >>> now = datetime(2026, 11, 29, tzinfo=UTC)
        >>> [is_old(now + timedelta(hours=hours), now) for hours in (-25, -23, 0, 1)]
        [True, False, False, True]
    """
    return not -_CLOCKS_DIFFER <= now - begun_at < _LONGEST_PAUSE


def _read_plan(run: Path) -> _Plan | None:
    try:
        plan = msgspec.json.decode((run / _PLAN).read_bytes(), type=_Plan)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return plan if plan.begun_at.tzinfo is not None else None


def _load_journal(journal: Path) -> Answers:
    by_file: dict[str, list[_Entry]] = {}
    for line in journal.read_bytes().split(b"\n")[:-1]:
        try:
            entry = msgspec.json.decode(line, type=_Entry)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            break  # torn by a power cut: what follows cannot be placed
        if not _FILE.fullmatch(entry.file) or not 0 <= entry.start <= entry.end:
            break  # nothing that a run wrote; a name with a slash would lead elsewhere
        by_file.setdefault(entry.file, []).append(entry)
    answers: Answers = {}
    for name, entries in by_file.items():
        path = journal.parent / name
        if not is_there(path):
            path = path.with_name(f"{name}.tmp")
        if is_there(path):
            answers.update(_verified(path, entries))
    return answers


def _verified(path: Path, entries: list[_Entry]) -> Answers:
    """Return the answers up to the first whose bytes do not match the journal's hash."""
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
            answers[entry.key] = _Slice(path, entry.start, entry.end)
    return answers
