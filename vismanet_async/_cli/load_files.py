"""Where the files of a load are put: named after its journal, and never over a file that no load of it wrote."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from vismanet_async._bulk.journal_rows import JournalBusy
from vismanet_async._file_lock import FileLock

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LoadFiles"]


class LoadFiles:
    """The files of one journal. A note beside it says of each what it held when it was written.

    A file that is not as the note says, because somebody mended it or made it, is kept; the next free name is used.
    So is the file that is being loaded. Enter it for the length of a load: one load at a time has them.

    Raises:
        JournalBusy: another load has them.
        OSError: the disk refuses.
    """

    def __init__(self, journal: Path, *, source: str | None = None) -> None:
        """Name them.

        Args:
            journal: `a.sqlite`, of files such as `a.results.jsonl`.
            source: the file that is loaded, which is never replaced; `-` is stdin.
        """
        self._journal = journal
        self._stem = journal.name.removesuffix(".sqlite") or journal.name
        self._note = journal.with_name(f".{journal.name}.files.json")
        self._lock = FileLock(journal.with_name(f".{journal.name}.files.lock"))
        self._source = None if source in {None, "-"} else journal.__class__(source or "").resolve()
        self._parts: list[Path] = []
        self.input = None if source == "-" else str(self._source or "")
        """What says that two loads are of one input; None: nothing does."""

    def __enter__(self) -> Self:
        self._journal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._lock.acquire():
            raise JournalBusy(f"another load with the journal {self._journal} goes on; nothing was sent. Wait for it.")
        return self

    def __exit__(self, *_: object) -> None:
        for part in self._parts:
            part.unlink(missing_ok=True)
        self._lock.release()

    def begin(self, kind: str) -> tuple[Path, BinaryIO]:
        """Return a new file, under a name of its own until it is published, for the owner alone."""
        part = self._journal.with_name(f".{self._journal.name}.{kind}.part")
        part.unlink(missing_ok=True)
        self._parts.append(part)
        # rows and errors hold what the records hold
        return part, os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")

    def publish(self, part: Path, kind: str, *, input: str | None = "") -> Path:  # noqa: A002 - what it is
        """Give a file its name, `a.KIND` or `a.KIND-2`; return it.

        Args:
            part: the closed file.
            kind: such as `failed.csv`.
            input: of what input it is, if it replaces only what was written for the same.
        """
        note, digest = self._read(), _digest(part)
        path = next(iter(self._own(kind, input, note)), None) or self._free(kind, digest)
        if path.exists() and _digest(path) == digest:  # it says the same, whosever it is
            return path
        note[path.name] = {"digest": digest, "input": input}
        part.replace(path)
        self._write(note)
        return path

    def withdraw(self, kind: str, *, input: str | None) -> None:  # noqa: A002 - as above
        """Remove what was written for an input and holds nothing any more that is still to be done."""
        note = self._read()
        for path in self._own(kind, input, note):
            path.unlink()
            del note[path.name]
            self._write(note)

    def _own(self, kind: str, input: str | None, note: dict[str, Any]) -> list[Path]:  # noqa: A002 - as above
        """Return the files that may be replaced: as they were written, for this input, and not being read."""
        if input is None:
            return []
        stem, _, suffix = kind.partition(".")
        found = []
        for name, written in note.items():
            path = self._journal.with_name(name)
            ours = name.startswith(f"{self._stem}.{stem}") and name.endswith(suffix) and written.get("input") == input
            if ours and path.is_file() and not self._is_read(path) and _digest(path) == written.get("digest"):
                found.append(path)
        return found

    def _free(self, kind: str, digest: str) -> Path:
        stem, _, suffix = kind.partition(".")
        path, number = self._journal.with_name(f"{self._stem}.{kind}"), 1
        while os.path.lexists(path) and not (path.is_file() and _digest(path) == digest):
            number += 1
            path = self._journal.with_name(f"{self._stem}.{stem}-{number}.{suffix}")
        return path

    def _is_read(self, path: Path) -> bool:
        return self._source is not None and self._source.exists() and path.samefile(self._source)

    def _read(self) -> dict[str, Any]:
        try:
            note = json.loads(self._note.read_text("utf-8"))
        except (FileNotFoundError, ValueError):  # then no file is known, and none is replaced
            return {}
        return note if isinstance(note, dict) else {}

    def _write(self, note: dict[str, Any]) -> None:
        part, file = self.begin("files")
        with file:
            file.write(json.dumps(note, indent=1).encode())
        part.replace(self._note)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
