"""The steps by which an export replaces the one that stands, as a plan: no file is touched here.

Before the first step a *publication* is written down: the new manifest, the one that it was made upon, and where each
file goes. Then, in this order:

==========  ============================================================  ==========================================
step        what it does                                                  if it fails, or the process dies there
==========  ============================================================  ==========================================
`Record`    keep the publication where the next run finds it              the earlier export stands
`Place`     put a new file under a name that nothing has                  the earlier export stands
`Commit`    replace the manifest, if the one it was made upon stands      one of the two stands, and both are whole
`Rename`    put a new file under its own name, an earlier file's          the new export stands, named as it was placed
`Commit`    replace the manifest by one with those names                  the new export stands, under either names
`Remove`    remove a file that only the earlier manifest names            the new export stands
`Forget`    remove the publication                                        the new export stands
==========  ============================================================  ==========================================

Whoever opens the target next looks at what stands there (`steps_of`): the manifest that the publication was made upon,
so that all steps are to be done; one of its own, so that it is published and the rest is to be done; or another one, so
that it must not be. Every step can be repeated. No step touches a file that no manifest of ours names.

Both targets follow this. In an object store, names are unique to a run, and `Rename` never occurs.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import attrs
import msgspec

from vismanet_async._export.target.manifest import Manifest, Part, ResourceEntry
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
    """Put a file at the target, under a name that nothing has there."""

    staged: str
    """Where it lies in staging."""
    part: Part
    leaves: str = OLD_STANDS


@attrs.frozen
class Commit:
    """Replace the manifest."""

    manifest: Manifest
    upon: str | None
    """Digest of the one that must stand; None: none may."""
    leaves: str = EITHER_STANDS


@attrs.frozen
class Rename:
    """Put a placed file under a second name, which an earlier file may have."""

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
    """What one run is about to publish, and upon what; kept until it is done or refused."""

    run: str
    """Tells it from all others."""
    upon: str | None
    """Digest of the manifest that stood when the run began; None: none did."""
    manifest: Manifest
    """Under the names that the files are placed under."""
    placed: dict[str, str]
    """Where each new file lies in staging, and its name at the target; both below the manifest's directory."""
    replaces: tuple[str, ...]
    """Files that the earlier manifest names and this one does not."""
    back: dict[str, str] = attrs.field(factory=dict)
    """Files that were placed under other names than their own, which earlier files have, and those names."""

    @property
    def renamed(self) -> Manifest | None:
        """The manifest with the files' own names; None where they have those from the beginning."""
        return under_names(self.manifest, self.back) if self.back else None

    @property
    def own(self) -> tuple[str, ...]:
        """Digests of the manifests that say that it is published."""
        return tuple(digest_of(one.to_json()) for one in (self.manifest, self.renamed) if one is not None)

    def to_json(self) -> bytes:
        """Give it as it is kept."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, content: bytes) -> Publication | None:
        """Read it; a manifest alone, as earlier versions kept it, was made upon nothing. None: it is neither."""
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
    """Give the digest by which a manifest is known."""
    return hashlib.sha256(content).hexdigest()


def files_of(manifest: Manifest | None) -> set[str]:
    """Give all files that a manifest names."""
    return set() if manifest is None else {part.file for entry in manifest.resources.values() for part in entry.files}


def is_below(file: str) -> bool:
    """Whether a name of a manifest stays within the manifest's directory."""
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in file and ":" not in path.parts[0]


def names_beside(own: Iterable[str], taken: AbstractSet[str]) -> dict[str, str]:
    """Give each new file a name that nothing has, in the same order: its own, or one with a higher number.

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
    """Give a manifest in which files have other names."""
    return attrs.evolve(manifest, resources={name: _entry(one, names) for name, one in manifest.resources.items()})


def _entry(entry: ResourceEntry, names: Mapping[str, str]) -> ResourceEntry:
    def named(part: Part) -> Part:
        return attrs.evolve(part, file=names.get(part.file, part.file))

    return attrs.evolve(
        entry,
        parts=tuple(map(named, entry.parts)),
        overlap=None if entry.overlap is None else named(entry.overlap),
        runs=tuple(attrs.evolve(run, parts=tuple(names.get(file, file) for file in run.parts)) for run in entry.runs),
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
    """Plan how a manifest gets published.

    Args:
        manifest: under the files' own names; what it carries over is not in staging.
        run: tells the publication from all others.
        upon: digest of the manifest that stands.
        before: that manifest.
        staged: where each new file lies in staging, by its own name.
        names: the name that each new file is placed under, by its own name.
        taken: all names that there are in the directories of the new files. With them, new files have their own names
            in the end, unless files that `before` does not name have those. None: they stay as they are placed.
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
    """Give the steps that are left to do; None where the publication must not be made.

    Args:
        publication: what is to be published.
        standing: digest of the manifest that stands now; None: none does.
        linked: leave the placed names as they are, because the system cannot give a file a second one; these own names
            were given before that was found.
    """
    placed, renamed = publication.manifest, publication.renamed
    final, steps = placed, list[Step]()
    if standing == publication.upon and standing not in publication.own:
        steps = [Record(), *_places(publication), Commit(placed, publication.upon)]
    elif standing not in publication.own:
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
    """Give the files that a publication left which did not come to its end, now that it cannot be made any more.

    Args:
        publication: of any run.
        upon: digest of the manifest that the one which stands was made upon.
        standing: that one.
    """
    files = set(publication.placed.values())
    if upon in publication.own:  # it was published; it died before it had removed what it replaced
        files |= {*publication.replaces, *publication.back.values()}
    return sorted(file for file in files - files_of(standing) if is_below(file))


def carry_out(steps: Iterable[Step], do: Callable[[Step], None]) -> None:
    """Do one step after the other; an error says what stands where it happened.

    Raises:
        TargetNotWritable: as `do` raised it, with what stands.
    """
    for step in steps:
        try:
            do(step)
        except TargetNotWritable as error:
            raise TargetNotWritable(f"{error} {step.leaves}") from error
