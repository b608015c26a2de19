"""The plan of publishing, in a world of its own: whatever fails, one whole export stands, and nothing read is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs
import pytest

from vismanet_async._export.incremental import first_run
from vismanet_async._export.target.manifest import Manifest, Part, ResourceEntry, Sweep
from vismanet_async._export.target.publishing import (
    NEW_STANDS,
    OLD_STANDS,
    Commit,
    Forget,
    Place,
    Publication,
    Record,
    Remove,
    Rename,
    carry_out,
    digest_of,
    files_of,
    is_below,
    left_behind,
    make_publication,
    names_beside,
    steps_of,
    under_names,
)
from vismanet_async.errors import TargetNotWritable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vismanet_async._export.target.publishing import Step

NOW = datetime(2026, 11, 22, 13, 30, tzinfo=UTC)


def manifest(files: dict[str, list[str]], *, generation: int) -> Manifest:
    """A manifest that names files, each with a content of its own."""
    entries = {
        name: ResourceEntry(
            rows=len(parts), unique=None, verdict="counted", reason="", total_first=1, total_last=1, requests=1,
            parts=tuple(Part(file=f"{name}/{one}", rows=1, bytes=generation, sha256=f"{generation}") for one in parts),
        )
        for name, parts in files.items()
    }  # fmt: skip
    return Manifest(resources=entries, tool="test", started_at=NOW, finished_at=NOW.replace(second=generation))


class Killed(Exception):
    """The process is gone, before or after the step."""


@attrs.define
class World:
    """What lies at a target and in staging: names, and of which export the content is."""

    files: dict[str, int]
    manifest: Manifest | None
    staged: dict[str, int] = attrs.field(factory=dict)
    record: Publication | None = None
    copies: bool = False
    """Placing leaves the staged file where it is, as an upload does."""
    links: bool = True
    """Whether a file can have two names."""
    steps: int = 0
    kill_at: tuple[int, ...] = ()

    @property
    def standing(self) -> str | None:
        return None if self.manifest is None else digest_of(self.manifest.to_json())

    def whole(self) -> bool:
        """Whether the manifest that stands names files that are there, with the content that it states."""
        if self.manifest is None:
            return True
        parts = [part for entry in self.manifest.resources.values() for part in entry.files]
        return all(self.files.get(part.file) == part.bytes for part in parts)

    def carry_out(self, publication: Publication) -> None:
        linked: list[str] = []
        steps = steps_of(publication, standing=self.standing)
        assert steps is not None
        for step in steps:
            if isinstance(step, Rename) and not self.links:
                rest = steps_of(publication, standing=publication.own[0], linked=linked)
                assert rest is not None
                for other in rest:
                    self.step(other, publication)
                return
            self.step(step, publication)
            if isinstance(step, Rename):
                linked.append(step.name)

    def step(self, step: Step, publication: Publication) -> None:
        self.count()  # killed before it
        self.do(step, publication)
        assert self.whole(), step
        self.count()  # killed after it, or it was done and its answer was lost

    def count(self) -> None:
        self.steps += 1
        if self.steps in self.kill_at:
            raise Killed

    def do(self, step: Step, publication: Publication) -> None:
        match step:
            case Record():
                self.record = publication
            case Place():
                if step.staged in self.staged:
                    assert self.files.get(step.part.file, step.part.bytes) == step.part.bytes, (
                        "replaced somebody's file"
                    )
                    self.files[step.part.file] = self.staged[step.staged]
                    if not self.copies:
                        del self.staged[step.staged]
                assert step.part.file in self.files, "read for nothing"
            case Commit():
                if self.standing != digest_of(step.manifest.to_json()):
                    assert self.standing == step.upon
                    self.manifest = step.manifest
            case Rename():
                self.files[step.name] = self.files[step.file]
            case Remove():
                self.files.pop(step.file, None)
            case Forget():
                self.record = None

    def recover(self) -> None:
        if self.record is not None:
            self.carry_out(self.record)


@attrs.frozen
class Case:
    old: dict[str, list[str]] | None
    new: dict[str, list[str]]
    carried: dict[str, list[str]] = attrs.field(factory=dict)
    strangers: tuple[str, ...] = ()


PARTS = ["part-00000.jsonl", "part-00001.jsonl", "part-00002.jsonl"]
CASES = {
    "the first export": Case(None, {"customer": PARTS, "supplier": PARTS[:1]}),
    "the same list again": Case({"customer": PARTS}, {"customer": PARTS}),
    "it has become smaller": Case({"customer": PARTS}, {"customer": PARTS[:1]}),
    "it has become larger": Case({"customer": PARTS[:1]}, {"customer": PARTS}),
    "another list beside it": Case({"customer": PARTS}, {"supplier": PARTS}, {"customer": PARTS}),
    "what was changed": Case(
        {"customer": PARTS[:2], "_overlap": ["customer-00000.bin"]},
        {"customer": ["part-00002.jsonl"], "_overlap": ["customer-00001.bin"]},
        {"customer": PARTS[:2]},
    ),
    "what was deleted": Case(
        {"customer": PARTS[:1], "_keys": ["customer-00000.jsonl.gz"]},
        {"customer": PARTS[1:2], "_keys": ["customer-00001.jsonl.gz"], "_deleted": ["customer-00001.jsonl"]},
        {"customer": PARTS[:1]},
    ),
    "compacted in its place": Case(
        {"customer": PARTS, "_keys": ["customer-00002.jsonl.gz"], "_deleted": ["customer-00002.jsonl"]},
        {"customer": PARTS[:1], "_keys": ["customer-00000.jsonl.gz"]},
    ),
    "another format": Case({"customer": PARTS}, {"customer": ["part-00000.csv", "part-00001.csv"]}),
    "a stranger's file": Case(None, {"customer": PARTS}, strangers=("customer/part-00001.jsonl", "customer/notes.txt")),
    "a stranger's file, and ours": Case(
        {"customer": PARTS[:1]}, {"customer": PARTS}, strangers=("customer/part-00002.jsonl",)
    ),
}
STRANGE = -1


def made(case: Case, *, remote: bool, links: bool = True) -> tuple[World, Publication, Manifest | None]:
    old = None if case.old is None else manifest(case.old, generation=1)
    whole = {name: [*case.carried.get(name, []), *case.new.get(name, [])] for name in {**case.carried, **case.new}}
    new = manifest(whole, generation=2)
    carried = {f"{name}/{part}" for name, parts in case.carried.items() for part in parts}
    entries = {
        name: attrs.evolve(
            entry,
            parts=tuple(attrs.evolve(one, bytes=1, sha256="1") if one.file in carried else one for one in entry.parts),
        )
        for name, entry in new.resources.items()
    }
    new = attrs.evolve(new, resources=entries)
    own = sorted(files_of(new) - carried)
    world = World(
        files=dict.fromkeys(files_of(old), 1) | dict.fromkeys(case.strangers, STRANGE),
        manifest=old,
        staged=dict.fromkeys(own, 2),
        copies=remote,
        links=links,
    )
    taken = set(world.files)
    publication = make_publication(
        new,
        run="now",
        upon=world.standing,
        before=old,
        staged={file: file for file in own},
        names={file: file.replace("/", "/now/") for file in own} if remote else names_beside(own, taken),
        taken=None if remote else taken,
    )
    return world, publication, old


def killed(world: World, publication: Publication, at: Iterable[int]) -> None:
    """Publish, and start again as often as it is killed."""
    world.kill_at = tuple(at)
    for attempt in range(len(world.kill_at) + 1):
        try:
            world.recover() if attempt else world.carry_out(publication)
        except Killed:
            assert world.whole()
            assert world.record is not None or world.steps == 1 or is_made(world, publication)
        else:
            return


def is_made(world: World, publication: Publication) -> bool:
    return world.standing in publication.own


def copied(world: World) -> World:
    return attrs.evolve(world, files=dict(world.files), staged=dict(world.staged))


def moments(world: World, publication: Publication) -> int:
    world.carry_out(publication)
    return world.steps


@pytest.mark.parametrize(
    ("remote", "links"), [(False, True), (False, False), (True, False)], ids=["local", "local without links", "remote"]
)
def test_killed_at_any_moment_alone_and_in_pairs(remote: bool, links: bool) -> None:
    """Before and after every step of publishing, and of every recovery after it."""
    count = 0
    for case in CASES.values():
        fresh, publication, old = made(case, remote=remote, links=links)
        last = moments(copied(fresh), publication)
        for at in [*((first,) for first in range(1, last + 1)), *pairs(last)]:
            world = copied(fresh)
            killed(world, publication, at)
            count += 1
            if world.record is None and not is_made(world, publication):
                # nothing was on record: the earlier export stands, untouched, and all that was read is in staging
                assert (world.manifest, len(world.staged)) == (old, len(publication.placed))
                continue
            assert is_made(world, publication)
            assert world.record is None
            # nothing is left but what the manifest names and what is somebody else's
            assert set(world.files) == files_of(world.manifest) | set(case.strangers)
            assert all(world.files[name] == STRANGE for name in case.strangers)
    assert count > 1_500
    print(f"{count:,} ways to be killed, alone and in pairs")  # noqa: T201 - the figure, with pytest -rP


def pairs(last: int) -> Iterator[tuple[int, int]]:
    return ((first, second) for first in range(1, last + 1) for second in range(first + 1, first + last + 1))


def test_tombstones_and_keys_are_files_like_all_others() -> None:
    part = Part(file="customer/part-00000.jsonl", rows=1, bytes=1, sha256="1")
    gone, keys = (attrs.evolve(part, file=file) for file in ("_deleted/customer-00000.jsonl", "_keys/c-00000.jsonl.gz"))
    sweep = Sweep(verdict="proven", reason="", requests=1, deleted=1, tombstones=gone.file)
    entry = first_run(
        attrs.evolve(
            manifest({"customer": ["part-00000.jsonl"]}, generation=1).resources["customer"],
            tombstones=(gone,), keys=keys,
        ),
        sweep=sweep,
    )  # fmt: skip
    whole = Manifest(resources={"customer": entry}, tool="test", started_at=NOW, finished_at=NOW)
    assert files_of(whole) == {part.file, gone.file, keys.file}
    placed = under_names(whole, {file: f"{file}.now" for file in files_of(whole)})
    assert files_of(placed) == {f"{file}.now" for file in files_of(whole)}
    (run,) = placed.resources["customer"].runs
    assert run.sweep == attrs.evolve(sweep, tombstones=f"{gone.file}.now")
    assert Manifest.from_json(placed.to_json()) == placed


@pytest.mark.parametrize("name", CASES)
def test_files_have_their_own_names_in_the_end(name: str) -> None:
    case = CASES[name]
    world, publication, _ = made(case, remote=False)
    world.carry_out(publication)
    own = {f"{folder}/{part}" for files in (case.new, case.carried) for folder, all_ in files.items() for part in all_}
    assert (files_of(world.manifest) == own) == (not any("part" in file for file in case.strangers))


def test_what_stands_decides_about_what_was_begun() -> None:
    _, publication, old = made(CASES["the same list again"], remote=False)
    assert old is not None
    placed, renamed = publication.manifest, publication.renamed
    assert renamed is not None

    def left(standing: Manifest | None) -> list[type[Step]] | None:
        digest = None if standing is None else digest_of(standing.to_json())
        steps = steps_of(publication, standing=digest)
        return None if steps is None else [type(step) for step in steps]

    assert left(old) == [Record, *[Place] * 3, Commit, *[Rename] * 3, Commit, *[Remove] * 3, Forget]
    assert left(placed) == [*[Rename] * 3, Commit, *[Remove] * 3, Forget]
    assert left(renamed) == [*[Remove] * 3, Forget]
    assert left(None) is None
    assert left(attrs.evolve(old, tool="somebody else")) is None


def test_what_is_given_up_takes_nothing_with_it_that_stands() -> None:
    _, publication, old = made(CASES["what was changed"], remote=True)
    ours = ["_overlap/now/customer-00001.bin", "customer/now/part-00002.jsonl"]
    assert left_behind(publication, upon=None, standing=old) == ours
    # another run went on from what it had published, and kept its part
    kept = manifest({"customer": ["now/part-00002.jsonl"]}, generation=3)
    assert left_behind(publication, upon=None, standing=kept) == ours[:1]
    # it was published and died before it had removed what it replaced
    assert left_behind(publication, upon=publication.own[0], standing=kept) == [
        "_overlap/customer-00000.bin",
        ours[0],
    ]


def test_an_error_says_what_stands() -> None:
    world, publication, _ = made(CASES["the same list again"], remote=False)
    steps = steps_of(publication, standing=world.standing)
    assert steps is not None
    said = []
    for at in range(len(steps)):

        def do(step: Step, at: int = at) -> None:
            if step is steps[at]:
                raise TargetNotWritable("the disk is full.")

        with pytest.raises(
            TargetNotWritable, match=r"the disk is full\. .*stands|the disk is full\. .*published"
        ) as told:
            carry_out(steps, do)
        said.append(str(told.value).removeprefix("the disk is full. "))
    assert said[0] == said[1] == OLD_STANDS
    assert said[-1] == said[-2] == NEW_STANDS


def test_names_of_manifests_stay_below_their_directory() -> None:
    assert is_below("customer/part-00000.jsonl")
    for file in ("../part", "/etc/passwd", "a/../../b", "C:/windows", "..\\x"):
        assert not is_below(file)
    hostile = manifest({"..": ["precious"]}, generation=1)
    publication = make_publication(
        manifest({"customer": PARTS}, generation=2), run="", upon="", before=hostile, staged={}, names={}
    )
    assert publication.replaces == ()


def test_a_record_reads_back_as_it_was_written() -> None:
    _, publication, old = made(CASES["the same list again"], remote=False)
    assert Publication.from_json(publication.to_json()) == publication
    assert old is not None
    earlier = Publication.from_json(old.to_json())  # what earlier versions kept
    assert earlier is not None
    assert (earlier.upon, earlier.manifest) == (None, old)
    assert Publication.from_json(b"{}") is None
