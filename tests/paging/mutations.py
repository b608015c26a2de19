"""Break each check of the proof once, and see whether the search of small worlds notices: `make mutate-paging`.

Each mutation is a change of the text of one file, made in a copy of the package. The search then runs in a process of
its own: all pairs of events on the smallest lists first; then random schedules of larger lists, triples of events, and,
most of the time, worlds near to those in which the broken line ran, or made a difference to what the sound package asks;
read by several requests at a time as well; until some list is called proven with a row missing, or costs too much, or
the time is up.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from tests.paging import worlds
from tests.paging.exhaustive import BrokenPromise, Exhaustive
from vismanet_async._paging.paginator import Paginator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType, FrameType

    from tests.paging.exhaustive import Course

    TraceFunction: TypeAlias = Callable[[FrameType, str, object], "TraceFunction | None"]

World: TypeAlias = "tuple[worlds.Config, Sequence[worlds.Event], int, int]"
"""A list, its events, how many requests are in flight, and what draws the order of their answers."""

ROOT: Final = Path(__file__).parents[2]
SECONDS: Final = float(os.environ.get("MUTATION_SECONDS", "300"))
_KEPT: Final = 400  # worlds to go on from
_MOST_EVENTS: Final = 4
_SHARE_OF_PAIRS: Final = 0.5  # of the time


@attrs.frozen
class Mutation:
    """One check, broken."""

    name: str
    file: str
    old: str
    new: str


MUTATIONS: Final = (
    Mutation("a blank is believed at once", "protocol.py", "if may_be_blank or blanks >= TRIES:", "if True:"),
    Mutation("rows need not be as many as their total", "asks.py", "    if reply.rows != due:", "    if False:"),
    Mutation(
        "an absent total is no complaint",
        "asks.py",
        'return "rows came without a total" if reply.rows else None',
        "return None",
    ),
    Mutation(
        "a full page is an end",
        "proof.py",
        "        if first.rows < first.size:\n            return True",
        "        if True:\n            return True",
    ),
    Mutation(
        "the end of a window is not looked for",
        "proof.py",
        "if last is None or not rows or not window.end_is_open:",
        "if True:",
    ),
    Mutation(
        "the end shows any last row",
        "protocol.py",
        "reply.rows == rows % size and _same_end(reply, last)",
        "reply.rows == rows % size",
    ),
    Mutation("one blank behind a full page is enough", "protocol.py", "for _ in range(2):", "for _ in range(1):"),
    Mutation(
        "no last look after the blank pages",
        "protocol.py",
        "return reply.total == rows and bool(reply.rows) and _same_end(reply, last)",
        "return True",
    ),
    Mutation(
        "a window need not hold as many rows as its total",
        "proof.py",
        "if len(count) < (window.total or 0) or (not window.fell and len(count) != window.total):",
        "if False:",
    ),
    Mutation(
        "what entered the window is not noticed",
        "window_chain.py",
        'return ReadAnew("rows entered the part of the list that can only shrink")',
        "pass",
    ),
    Mutation(
        "a fall keeps the whole chain",
        "window_chain.py",
        "        settled = self._settle()\n",
        "        settled = len(self._links)\n",
    ),
    Mutation("one witness settles a link", "window_chain.py", "_WITNESSES: Final = 2", "_WITNESSES: Final = 0"),
    Mutation("no anchor is needed", "window_chain.py", "if page > 1 and known.isdisjoint(reply.names):", "if False:"),
    Mutation(
        "the rows of another page are taken for this one's",
        "window_chain.py",
        "if page != reply.ask.page and total == reply.total:",
        "if False:",
    ),
    Mutation(
        "links need not be settled at the end",
        "proof.py",
        "            if window.is_settled:\n                return",
        "            return",
    ),
    Mutation(
        "the first total is not compared",
        "proof.py",
        "if is_quiet and first.total == len(count) and (",
        "if is_quiet and (",
    ),
    Mutation(
        "the second look need not agree", "proof.py", "return before is not None and _same(look, before)", "return True"
    ),
    Mutation(
        "page 1 read twice need not agree",
        "proof.py",
        "            return _same(after, before)",
        "            return True",
    ),
    Mutation("fresh rows need not be in the tail", "proof.py", " and self._fresh <= tail", ""),
    Mutation(
        "an end that nothing shows is plausible",
        "proof.py",
        "if len(tail) < size or self._asker.other_size(len(tail)) is None:",
        "if False:",
    ),
    Mutation(
        "rounds do not count",
        "proof.py",
        "if tail <= newer and (everything.total or 0) <= min(len(count), (below.total or 0) + len(newer)):",
        "if tail <= newer:",
    ),
    Mutation(
        "rounds do not count different rows",
        "proof.py",
        "<= min(len(count), (below.total or 0) + len(newer))",
        "<= (below.total or 0) + len(newer)",
    ),
    Mutation(
        "totals need not be vouched for",
        "window_chain.py",
        "return all(reply.sent >= self._vouched_since for reply in replies)",
        "return True",
    ),
    Mutation(
        "after a fall one answer vouches",
        "window_chain.py",
        "self._vouched_since, self._witnesses = _NEVER, _WITNESSES",
        "self._vouched_since, self._witnesses = _NEVER, 1",
    ),
    Mutation(
        "a blank page 1 of a window is believed at once",
        "window_chain.py",
        "if self._blanks[page] < _TRIES:",
        "if False:",
    ),
    Mutation(
        "rounds do not compare tails",
        "proof.py",
        "if tail <= newer and (everything.total or 0)",
        "if (everything.total or 0)",
    ),
    Mutation(
        "old rows need not be in the window",
        "proof.py",
        "_expect_counted([name for name in everything.names if name not in fresh], count)",
        "pass",
    ),
    Mutation(
        "any tail is one answer",
        "proof.py",
        "if reply.total == reply.rows and (yield from self._is_all(reply)):",
        "if True:",
    ),
    Mutation("two passes need not agree on the total", "two_passes.py", "seen.totals != {rows} or ", ""),
    Mutation("two passes need not have as many rows as the total", "two_passes.py", "len(both) != rows", "False"),
    Mutation(
        "two passes take one direction for both",
        "two_passes.py",
        "both = upwards & seen.names",
        "both = upwards | seen.names",
    ),
    Mutation("a copied page goes unnoticed in two passes", "two_passes.py", " or seen.is_repeated", ""),
    Mutation(
        "the end of two passes is not looked for",
        "two_passes.py",
        "if turn.rows == asker.size and not",
        "if False and not",
    ),
    Mutation(
        "overlap needs no anchor",
        "overlap.py",
        "elif page.start == 0 or self._anchors(reply):",
        "elif self._anchors(reply) or True:",
    ),
    Mutation("a changed row is an anchor", "overlap.py", "if known.mark(offset) == reply.mark(place)", "if True"),
    Mutation("one short answer ends a chain", "overlap.py", "_ENDS: Final = 2", "_ENDS: Final = 1"),
    Mutation(
        "nobody looks at the front again",
        "overlap.py",
        "                self._front = True",
        "                self.is_complete = True",
    ),
    Mutation(
        "a changed row shows the end",
        "protocol.py",
        "return one.names[-1] == other.names[-1] and one.mark(one.rows - 1) == other.mark(other.rows - 1)",
        "return one.names[-1] == other.names[-1]",
    ),
    Mutation(
        "the end of everything is where anything is",
        "window_chain.py",
        "reply.size == reply.ask.size and reply.rows == due and reply.total in totals",
        "True",
    ),
    Mutation("one blank page is the end of everything", "protocol.py", "self.size),) * 2", "self.size),)"),
    Mutation(
        "no page waits for the end of everything",
        "window_chain.py",
        "if page is None or (is_probing and next(wanted, None) is None):",
        "if page is None:",
    ),
    Mutation(
        "page 1 is not read alone",
        "window_chain.py",
        "            return (1,)  # alone",
        "            return (1, 2, 3)  # alone",
    ),
    Mutation(
        "a window that is everything need not look as before",
        "proof.py",
        "_same(look, first) and _same(look, window.first_page)",
        "True",
    ),
    Mutation(
        "two tails are enough",
        "proof.py",
        "                if newer:\n",
        "                if False:\n",
    ),
    Mutation(
        "rows of a later look need not be in the window", "proof.py", "    _expect_counted(look.names, count)\n", ""
    ),
    Mutation("a reading has no bound", "paginator.py", "if self._requests.count >= self.cost_limit:", "if False:"),
)


DEARER: Final = "dearer only"
"""A broken check that costs more requests and loses nothing: another one stands behind it. That is not found."""


def found(seconds: float, file: str, line: int) -> str | None:
    """Search until a row is lost or a reading has no bound; return what.

    When the time is up, return a world that is `DEARER`, or None. The line is the broken one, in the file.
    """
    until = time.monotonic() + seconds
    if (what := _all_pairs(time.monotonic() + seconds * _SHARE_OF_PAIRS)) is not None:
        return what
    random = Random(1)
    search = _Search(_sound_paginator(), _Watch(file, line))
    for what in _near(search, random):
        if what is not None:
            return what
        if time.monotonic() > until:
            break
    reached = f"the broken line ran in {search.ran:,}, made a difference in {search.differed:,}"
    print(f"{search.read:,} worlds; {reached}", file=sys.stderr)
    return search.dearer


def _all_pairs(until: float) -> str | None:
    """Read the lists in every world with two events, the smallest first: with and without a filter, strict ones last."""
    from tests.paging import test_worlds

    ways = [
        *worlds.configs(range(1, 5)),
        *worlds.configs(range(1, 5), has_filter=False),
        *test_worlds.OVERLAP,
        *worlds.configs(range(1, 4), strict=True),
    ]
    ways.sort(key=lambda way: (-(-way.rows // way.page_size) + way.rows, way.page_size, way.strict))
    try:
        for way in ways:
            _Timed(way, until).verdicts(2)
    except BrokenPromise as error:
        return f"{error}"
    except _TimeIsUpError:
        pass
    return None


class _TimeIsUpError(Exception): ...


class _Timed(Exhaustive):
    """Stops when the time is up."""

    def __init__(self, config: worlds.Config, until: float) -> None:
        super().__init__(config)
        self._until = until

    def _read_on(self, course: Course, world: worlds.World, false_answer: worlds.Event | None) -> None:
        if time.monotonic() > self._until:
            raise _TimeIsUpError
        super()._read_on(course, world, false_answer)


def _near(search: _Search, random: Random) -> Iterator[str | None]:
    """Read worlds near to those found so far; now and then a larger list, or a world from anywhere."""
    from tests.paging import test_schedules, test_worlds, trouble

    ways = [*_small(random), *test_worlds.OVERLAP, *worlds.configs(strict=True)]
    drawn = worlds.triples([way for way in ways if way.rows], random)
    for seed in count():
        near = search.near(random)
        if seed % 200 == 0:
            try:
                test_schedules.check(trouble.draw(seed))
            except AssertionError as error:
                yield f"schedule {seed}: {error}"
        if near is not None and random.random() < 0.8:
            yield search.wrong_in(_varied(near, random))
        else:
            yield search.wrong_in((*next(drawn), random.choice((1, 1, 2, 3)), seed))


def _small(random: Random) -> list[worlds.Config]:
    from tests.paging import test_worlds

    small = list(test_worlds.SMALL)
    random.shuffle(small)
    return sorted(small, key=lambda config: config.rows)


class _Watch:
    """Tells whether one line ran."""

    def __init__(self, file: str, line: int) -> None:
        self._file, self._line = f"_paging/{file}", line
        self._codes: dict[CodeType, bool] = {}
        self.ran = False

    def __enter__(self) -> None:
        self.ran = False
        sys.settrace(self._called)

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        code = frame.f_code
        if code not in self._codes:
            lines = {line for *_, line in code.co_lines()} if code.co_filename.endswith(self._file) else ()
            self._codes[code] = self._line in lines
        return self._stepped if self._codes[code] else None

    def _stepped(self, frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        self.ran = self.ran or frame.f_lineno == self._line
        return None if self.ran else self._stepped


@attrs.define
class _Search:
    """Reads worlds by the broken rules and by the sound ones."""

    sound: type[Paginator]
    watch: _Watch
    read: int = 0
    ran: int = 0
    differed: int = 0
    dearer: str | None = None
    _near_ran: list[World] = attrs.field(factory=list)
    _near_differed: list[World] = attrs.field(factory=list)

    def near(self, random: Random) -> World | None:
        """Return a world to go on from: one in which the two asked for different pages, or the broken line ran."""
        differed, ran = self._near_differed, self._near_ran
        chosen = differed if differed and (not ran or random.random() < 0.6) else ran
        return random.choice(chosen) if chosen else None

    def wrong_in(self, world: World) -> str | None:
        """Read a world, and compare it with the sound reading; return what is wrong with it."""
        what = "{} {}, {} in flight".format(*world)
        self.read += 1
        try:
            with self.watch:
                result = self._result(world, Paginator)
        except AssertionError as error:
            return f"{what}: {error}"
        if result.lost or result.is_too_dear:
            return f"{what}: lost {result.lost}, {result.answers} requests"
        right = self._result(world, self.sound)
        if right.report.verdict == "proven" != result.report.verdict and result.answers >= 2 * right.answers:
            self.dearer = f"{DEARER}: {what}: proven in {right.answers}, now never"
        if (right.asked, right.report.verdict) != (result.asked, result.report.verdict):
            self.differed += 1
            _keep(self._near_differed, world)
        elif self.watch.ran:
            self.ran += 1
            _keep(self._near_ran, world)
        return None

    @staticmethod
    def _result(world: World, paginator_type: type[Paginator]) -> worlds.Result:
        config, events, in_flight, seed = world
        order = Random(seed) if in_flight > 1 else None
        return worlds.read(
            config, events, most_answers=1_000, in_flight=in_flight, order=order, paginator_type=paginator_type
        )


def _keep(kept: list[World], world: World) -> None:
    kept.append(world)
    if len(kept) > 2 * _KEPT:
        del kept[1::2]  # of the old ones as well: those found first have the fewest events


def _sound_paginator() -> type[Paginator]:
    """Import the package as it is beside the mutated one."""
    mutated = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "vismanet_async"}
    sys.path.insert(0, os.environ["SOUND_ROOT"])
    try:
        return importlib.import_module("vismanet_async._paging.paginator").Paginator  # type: ignore[no-any-return]  # by its name
    finally:
        sys.path.pop(0)
        sys.modules.update(mutated)


def _varied(world: World, random: Random) -> World:
    """Return a world near to this one: an event more, or another one, rather close to those that are there."""
    config, events, in_flight, seed = world
    chosen = list(events)
    last = 3 + worlds.read(config, events, most_answers=100).answers
    if chosen and (len(chosen) >= _MOST_EVENTS or random.random() < 0.4):
        chosen.pop(random.randrange(len(chosen)))
    at = random.choice(chosen).at + random.randint(-2, 3) if chosen and random.random() < 0.7 else 0
    chosen.append(worlds.draw_event(at if at > 0 else random.randint(1, last), config, random))
    chosen.sort(key=lambda event: event.at)
    if worlds.is_false_too_often(chosen):
        return world
    return config, tuple(chosen), in_flight, seed


def main() -> int:
    """Try each mutation; exit with 1 where the search missed one."""
    if len(sys.argv) > 1 and sys.argv[1] == "search":
        what = found(float(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
        print(what or "nothing")
        return 0 if what else 1
    missed = []
    chosen = [
        mutation for mutation in MUTATIONS if not sys.argv[1:] or any(word in mutation.name for word in sys.argv[1:])
    ]
    for mutation in chosen:
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(directory)
            for name in ("vismanet_async", "tests"):
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            file = copy / "vismanet_async" / "_paging" / mutation.file
            text = file.read_text()
            if text.count(mutation.old) != 1:
                print(f"STALE   {mutation.name}: its text stands {text.count(mutation.old)} times in {mutation.file}")
                missed.append(mutation.name)
                continue
            file.write_text(text.replace(mutation.old, mutation.new))
            begin = text.index(mutation.old) + len(mutation.old) - len(mutation.old.lstrip())
            place = (mutation.file, str(text[:begin].count("\n") + 1))
            begun = time.monotonic()
            run = subprocess.run(
                [sys.executable, "-m", "tests.paging.mutations", "search", str(SECONDS), *place],
                cwd=copy,
                env={**os.environ, "PYTHONPATH": str(copy), "SOUND_ROOT": str(ROOT)},
                capture_output=True,
                text=True,
                check=False,
            )
            seconds = time.monotonic() - begun
            what = run.stdout.strip() if run.returncode == 0 else ""
            verdict = "DEARER" if what.startswith(DEARER) else "found" if what else "MISSED"
            shown = (what or run.stderr.strip().rsplit("\n", 1)[-1])[:230]
            print(f"{verdict:7} {seconds:5.0f} s  {mutation.name}: {shown}", flush=True)
            if verdict != "found":
                missed.append(mutation.name)
    print(f"{len(chosen) - len(missed)} of {len(chosen)} mutations found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
