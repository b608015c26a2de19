"""Carries out the steps of a publication (`publishing`) in a local directory. All functions block."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import attrs

from vismanet_async._export.files import is_there, lacks_links, move, sync_directory, write_atomically, writing
from vismanet_async._export.target.manifest import MANIFEST_NAME, Manifest, part_fault
from vismanet_async._export.target.publishing import (
    Commit,
    Forget,
    Place,
    Publication,
    Record,
    Remove,
    Rename,
    carry_out,
    digest_of,
    left_behind,
    steps_of,
)
from vismanet_async.errors import TargetBusy, TargetNotWritable

if TYPE_CHECKING:
    from vismanet_async._export.target.publishing import Step

__all__ = ["DirectorySteps", "overtaken", "standing_in"]


class _NotLinked(Exception):
    """A file cannot get a second name."""


@attrs.frozen
class DirectorySteps:
    """One publication, from a staging directory into the directory that holds the manifest."""

    root: Path
    publication: Publication
    staging: Path

    def hindrance(self) -> str | None:
        """Return why the publication cannot be completed any more, or None.

        That depends on the manifest that stands here, and on whether the publication's files are there.
        """
        standing = standing_in(self.root)[1]
        if steps_of(self.publication, standing=standing) is None:
            return "another export stands there now, or none"
        if standing == self.publication.upon:
            for staged, name in self.publication.placed.items():
                if not (self.staging / staged).is_file() and not (self.root / name).is_file():
                    return f"{self.staging / staged} is gone"
        return None

    def carry_out(self) -> Manifest:
        """Carry out the remaining steps, and return the manifest as published.

        Raises:
            TargetNotWritable: a step failed; the error says what stands.
            TargetBusy: another manifest stands than the one that the publication replaces.
        """
        linked: list[str] = []

        def do(step: Step) -> None:
            with writing(self.root):
                self._do(step)
            if isinstance(step, Rename):
                linked.append(step.name)

        steps = steps_of(self.publication, standing=standing_in(self.root)[1])
        if steps is None:
            raise overtaken(self.root)
        try:
            carry_out(steps, do)
        except _NotLinked:
            rest = steps_of(self.publication, standing=self.publication.own[0], linked=linked)
            assert rest is not None
            carry_out(rest, do)
        published = standing_in(self.root)[0]
        assert published is not None
        return published

    def give_up(self) -> None:
        """Remove the placed files and the record; files that the published manifest names stay."""
        placed = {name: staged for staged, name in self.publication.placed.items()}
        for name in left_behind(self.publication, upon=None, standing=standing_in(self.root)[0]):
            self._copy_of(name).unlink(missing_ok=True)
            if not is_there(self.staging / placed[name]):  # else it was not moved, and what is there is not ours
                (self.root / name).unlink(missing_ok=True)
        (self.staging / MANIFEST_NAME).unlink(missing_ok=True)

    def _do(self, step: Step) -> None:
        match step:
            case Record():
                write_atomically(self.staging / MANIFEST_NAME, self.publication.to_json())
            case Place():
                self._place(step)
            case Commit():
                self._commit(step)
            case Rename():
                self._rename(step)
            case Remove():
                (self.root / step.file).unlink(missing_ok=True)
            case Forget():
                self._sync()
                (self.staging / MANIFEST_NAME).unlink(missing_ok=True)

    def _place(self, step: Place) -> None:
        source, target = self.staging / step.staged, self.root / step.part.file
        if not is_there(source):
            return  # moved by an earlier attempt
        if os.path.lexists(target):
            if target.is_file() and part_fault(self.root, step.part) is None:
                return  # copied by an earlier attempt
            raise TargetNotWritable(f"{target} was put there by somebody else meanwhile. Move it away.")
        target.parent.mkdir(exist_ok=True)
        move(source, target, temporary=self._copy_of(step.part.file).name)

    def _commit(self, step: Commit) -> None:
        content = step.manifest.to_json()
        standing = standing_in(self.root)[1]
        if standing == digest_of(content):
            return
        if standing != step.upon:
            raise overtaken(self.root)
        self._sync()
        sync_directory(self.root)  # directories that were made
        following = self.staging / f"{MANIFEST_NAME}.next"
        write_atomically(following, content)
        move(following, self.root / MANIFEST_NAME, temporary=self._copy_of(MANIFEST_NAME).name)
        sync_directory(self.root)

    def _rename(self, step: Rename) -> None:
        source, target, linked = self.root / step.file, self.root / step.name, self._copy_of(step.name)
        linked.unlink(missing_ok=True)
        if os.path.lexists(target):
            if target.samefile(source):
                return  # POSIX leaves both names where one is renamed to another of the same file
            if step.name not in self.publication.replaces:
                raise _NotLinked  # somebody else's
        try:
            os.link(source, linked)
        except OSError as error:
            if lacks_links(error):
                raise _NotLinked from error
            raise
        linked.replace(target)

    def _copy_of(self, file: str) -> Path:
        """Return the temporary path beside a file; nothing else has such names."""
        path = PurePosixPath(file)
        return self.root / path.with_name(f".{path.name}.{self.publication.run}.tmp")

    def _sync(self) -> None:
        files = {*self.publication.placed.values(), *self.publication.replaces}
        for directory in {(self.root / file).parent for file in files}:
            if directory.is_dir():
                sync_directory(directory)


def standing_in(root: Path) -> tuple[Manifest | None, str | None]:
    """Return the published manifest of a directory and its digest.

    Raises:
        TargetNotWritable: it cannot be read.
        ExportError: it is not a manifest of ours.
    """
    path = root / MANIFEST_NAME
    try:
        with writing(root, doing="read"):
            content = path.read_bytes()
    except FileNotFoundError:
        return None, None
    return Manifest.from_json(content, where=str(path)), digest_of(content)


def overtaken(root: object) -> TargetBusy:
    """Return the error for a run when another has published since it began."""
    return TargetBusy(
        f"another run has published at {root} since this one began. What it published stands, and this run's rows are "
        "older; start it again."
    )
