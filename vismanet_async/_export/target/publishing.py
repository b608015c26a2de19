"""The steps by which an export replaces the published one, as a plan without IO.

Before the first step a *publication* is recorded: the new manifest, the manifest that it replaces, and the name of each
file. Then, in this order:

==========  ============================================================  ==========================================
step        what it does                                                  if it fails, or the process dies there
==========  ============================================================  ==========================================
`Record`    keep the publication where the next run finds it              the earlier export stands
`Place`     write a new file under a name that is free                    the earlier export stands
`Commit`    replace the manifest, if the expected one still stands        one of the two stands, and both are whole
`Rename`    rename a new file to its own name, an earlier file's          the new export stands, named as it was placed
`Commit`    replace the manifest by one with those names                  the new export stands, under either names
`Remove`    remove a file that only the earlier manifest names            the new export stands
`Forget`    remove the publication                                        the new export stands
==========  ============================================================  ==========================================

The next run that opens the target compares the manifest that stands there (`steps_of`). If it is the one that the
publication replaces, all steps are left; if it is one of the publication's own, the steps after it are left; if it is
any other, the publication must not be made. Every step can be repeated. No step touches a file that no manifest of ours
names.

Both targets follow this. In an object store, names are unique to a run, and `Rename` never occurs.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import attrs
import msgspec

from vismanet_async._export.target.manifest import Manifest, Part, ResourceEntry, Run
from vismanet_async.errors import ExportError, TargetNotWritable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Set as AbstractSet

__all__ = [
    "EITHER_STANDS",
    "NEW_STANDS",
    "OLD_STANDS",
    "Commit",
    "Forget",
    "Place",
    "Publication",
    "Record",
    "Remove",
    "Rename",
    "Step",
    "carry_out",
    "digest_of",
    "files_of",
    "is_below",
    "left_behind",
    "make_publication",
    "names_beside",
    "steps_of",
    "under_names",
]

OLD_STANDS: Final = "What stood published still stands, and what was read is kept: start it again to go on."
EITHER_STANDS: Final = (
    "Either the earlier export stands or the new one, whole, and what was read is kept: start it again to go on."
)
NEW_STANDS: Final = "The new export is published, whole; what is left of the earlier one, the next run removes."
_NUMBERED: Final = re.compile(r"(?P<stem>.*)-(?P<number>\d+)(?P<rest>\..*)")


@attrs.frozen
class Record:
    """Keep the publication where the next run finds it."""

    leaves: str = OLD_STANDS
    """What stands if this fails."""


@attrs.frozen
class Place:
    """Write a file to the target, under a name that is free there."""

    staged: str
    """Its path in staging."""
    part: Part
    leaves: str = OLD_STANDS


@attrs.frozen
class Commit:
    """Replace the manifest."""

    manifest: Manifest
    upon: str | None
    """Digest of the manifest that must stand; None: there must be none."""
    leaves: str = EITHER_STANDS


@attrs.frozen
class Rename:
    """Rename a placed file to its own name, which an earlier file may have."""

    file: str
    name: str
    leaves: str = NEW_STANDS


@attrs.frozen
class Remove:
    """Remove a file, if it is there."""

    file: str
    leaves: str = NEW_STANDS


@attrs.frozen
class Forget:
    """Remove the publication that was kept."""

    leaves: str = NEW_STANDS


Step = Record | Place | Commit | Rename | Remove | Forget


@attrs.frozen(kw_only=True)
class Publication:
    """What one run publishes, and which manifest it replaces; kept until it is done or discarded."""

    run: str
    """Unique to the publication."""
    upon: str | None
    """Digest of the manifest that stood when the run began; None: none did."""
    manifest: Manifest
    """With the names under which the files are placed."""
    placed: dict[str, str]
    """The path in staging of each new file, and its name at the target; both below the manifest's directory."""
    replaces: tuple[str, ...]
    """Files that the earlier manifest names and this one does not."""
    back: dict[str, str] = attrs.field(factory=dict)
    """Files that were placed under other names than their own, which earlier files have; with their own names."""

    @property
    def renamed(self) -> Manifest | None:
        """The manifest with the files' own names; None if they are placed under those."""
        return under_names(self.manifest, self.back) if self.back else None

    @property
    def own(self) -> tuple[str, ...]:
        """Digests of the manifests that show it as published."""
        return tuple(digest_of(one.to_json()) for one in (self.manifest, self.renamed) if one is not None)

    def to_json(self) -> bytes:
        """Return the publication as it is stored."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, content: bytes) -> Publication | None:
        """Return a stored publication, or None. A manifest alone, as earlier versions stored it, replaces nothing."""
        try:
            return msgspec.json.decode(content, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
        try:
            manifest = Manifest.from_json(content)
        except ExportError:
            return None
        names = {name: name for name in files_of(manifest)}
        return cls(run="", upon=None, manifest=manifest, placed=names, replaces=())


def digest_of(content: bytes) -> str:
    """Return the digest that identifies a manifest."""
    return hashlib.sha256(content).hexdigest()


def files_of(manifest: Manifest | None) -> set[str]:
    """Return all files that a manifest names."""
    return set() if manifest is None else {part.file for entry in manifest.resources.values() for part in entry.files}


def is_below(file: str) -> bool:
    """Return whether a file of a manifest is within the manifest's directory."""
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in file and ":" not in path.parts[0]


def names_beside(own: Iterable[str], taken: AbstractSet[str]) -> dict[str, str]:
    """Return a free name for each new file, in the same order: its own name, or one with a higher number.

    Examples:
        >>> names_beside(["customer/part-00000.csv", "customer/part-00001.csv"], {"customer/part-00001.csv"})
        {'customer/part-00000.csv': 'customer/part-00002.csv', 'customer/part-00001.csv': 'customer/part-00003.csv'}
    """
    own = sorted(own)
    families = {name: _family(name) for name in (*own, *taken)}
    numbers: dict[tuple[str, str], list[int]] = {}
    for kind, number in families.values():
        numbers.setdefault(kind, []).append(number)
    crowded = {families[name][0] for name in own if name in taken}
    found = {}
    for name in own:
        kind, number = families[name]
        first = min(families[other][1] for other in own if families[other][0] == kind)
        found[name] = _numbered(kind, number - first + max(numbers[kind]) + 1) if kind in crowded else name
    return found


def _family(name: str) -> tuple[tuple[str, str], int]:
    numbered = _NUMBERED.fullmatch(name)
    return (("", name), 0) if numbered is None else ((numbered["stem"], numbered["rest"]), int(numbered["number"]))


def _numbered(kind: tuple[str, str], number: int) -> str:
    return f"{kind[0]}-{number:05}{kind[1]}"


def under_names(manifest: Manifest, names: Mapping[str, str]) -> Manifest:
    """Return the manifest with other names of files."""
    return attrs.evolve(manifest, resources={name: _entry(one, names) for name, one in manifest.resources.items()})


def _entry(entry: ResourceEntry, names: Mapping[str, str]) -> ResourceEntry:
    def named(part: Part) -> Part:
        return attrs.evolve(part, file=names.get(part.file, part.file))

    def run_named(run: Run) -> Run:
        sweep = run.sweep
        if sweep is not None and sweep.tombstones is not None:
            sweep = attrs.evolve(sweep, tombstones=names.get(sweep.tombstones, sweep.tombstones))
        return attrs.evolve(run, parts=tuple(names.get(file, file) for file in run.parts), sweep=sweep)

    return attrs.evolve(
        entry,
        parts=tuple(map(named, entry.parts)),
        overlap=None if entry.overlap is None else named(entry.overlap),
        tombstones=tuple(map(named, entry.tombstones)),
        keys=None if entry.keys is None else named(entry.keys),
        runs=tuple(map(run_named, entry.runs)),
    )


def make_publication(
    manifest: Manifest,
    *,
    run: str,
    upon: str | None,
    before: Manifest | None,
    staged: Mapping[str, str],
    names: Mapping[str, str],
    taken: AbstractSet[str] | None = None,
) -> Publication:
    """Return the publication of a manifest.

    Args:
        manifest: with the files' own names; files kept from earlier runs are not in staging.
        run: unique to the publication.
        upon: digest of the manifest that stands.
        before: that manifest.
        staged: the path in staging of each new file, by its own name.
        names: the name under which each new file is placed, by its own name.
        taken: all names in the directories of the new files. Then new files are renamed to their own names in the
            end, unless files that `before` does not name have those. None: they keep the names they are placed under.
    """
    placed = under_names(manifest, names)
    old, new = files_of(before), files_of(placed)
    kept = ((taken or frozenset()) - old) | new
    crowded = {_family(own)[0] for own, name in names.items() if own != name and own in kept}
    back = {name: own for own, name in names.items() if own != name and _family(own)[0] not in crowded}
    return Publication(
        run=run,
        upon=upon,
        manifest=placed,
        placed={staged[own]: name for own, name in names.items()},
        replaces=tuple(sorted(file for file in old - new if is_below(file))),
        back=back if taken is not None else {},
    )


def steps_of(
    publication: Publication, *, standing: str | None, linked: Iterable[str] | None = None
) -> list[Step] | None:
    """Return the remaining steps; None if the publication must not be made.

    Args:
        publication: what is to be published.
        standing: digest of the manifest that stands now; None: none does.
        linked: keep the placed names, because the file system has no hard links; these files were renamed before that
            was found.
    """
    placed, renamed, own = publication.manifest, publication.renamed, publication.own
    final, steps = placed, list[Step]()
    if standing == publication.upon and standing not in own:
        steps = [Record(), *_places(publication), Commit(placed, publication.upon)]
    elif standing not in own:
        return None
    if renamed is not None and linked is None:
        final = renamed
        if standing != digest_of(renamed.to_json()):
            steps += [Rename(name, own) for name, own in sorted(publication.back.items())]
            steps.append(Commit(renamed, digest_of(placed.to_json()), NEW_STANDS))
    spare = {*publication.replaces, *(publication.placed.values() if final is renamed else linked or ())}
    return [*steps, *map(Remove, sorted(spare - files_of(final))), Forget()]


def _places(publication: Publication) -> list[Step]:
    parts = {part.file: part for entry in publication.manifest.resources.values() for part in entry.files}
    return [Place(staged, parts[name]) for staged, name in publication.placed.items()]


def left_behind(publication: Publication, *, upon: str | None, standing: Manifest | None) -> list[str]:
    """Return the files that an incomplete publication left, which must not be made any more.

    Args:
        publication: of any run.
        upon: digest of the manifest that the standing one replaced.
        standing: that one.
    """
    files = set(publication.placed.values())
    if upon in publication.own:  # it was published, but what it replaced was not removed
        files |= {*publication.replaces, *publication.back.values()}
    return sorted(file for file in files - files_of(standing) if is_below(file))


def carry_out(steps: Iterable[Step], do: Callable[[Step], None]) -> None:
    """Carry out the steps in order; an error says what stands after it.

    Raises:
        TargetNotWritable: as `do` raised it, with what stands.
    """
    for step in steps:
        try:
            do(step)
        except TargetNotWritable as error:
            raise TargetNotWritable(f"{error} {step.leaves}") from error
