"""Break each check of the proof once, and see whether its witness or a search notices: `make mutate-paging`.

A search reads small worlds by the rules of `mutations.py`: all pairs of events on the smallest lists first; then random
schedules of larger lists, triples of events, and, most of the time, worlds near to those in which the broken line ran,
or made a difference to what the sound rules ask; read by several requests at a time as well; until some list is called
proven with a row missing, or costs too much, or the time is up.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from tests.paging import worlds
from tests.paging.exhaustive import BrokenPromise, Exhaustive
from tests.paging.mutations import MUTATIONS, broken_rules
from tests.paging.witnesses import UNSHOWN, WITNESSES
from vismanet_async._paging.paginator import Paginator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType, FrameType

    from tests.paging.exhaustive import Course
    from tests.paging.mutations import Mutation

    TraceFunction: TypeAlias = Callable[[FrameType, str, object], "TraceFunction | None"]

World: TypeAlias = "tuple[worlds.Config, Sequence[worlds.Event], int, int]"
"""A list, its events, how many requests are in flight, and what draws the order of their answers."""

SECONDS: Final = float(os.environ.get("MUTATION_SECONDS", "300"))
_KEPT: Final = 400  # worlds to go on from
_MOST_EVENTS: Final = 4
_SHARE_OF_PAIRS: Final = 0.5  # of the time


DEARER: Final = "dearer only"
"""A broken check that costs more requests and loses nothing: another one stands behind it. That is not found."""


def found(mutation: Mutation, seconds: float) -> str | None:
    """Search until a row is lost or a reading has no bound; return what.

    When the time is up, return a world that is `DEARER`, or None.
    """
    rules = broken_rules([mutation])
    until = time.monotonic() + seconds
    if (what := _all_pairs(rules, time.monotonic() + seconds * _SHARE_OF_PAIRS)) is not None:
        return what
    random = Random(1)
    search = _Search(rules, _Watch(mutation))
    for what in _near(search, random):
        if what is not None:
            return what
        if time.monotonic() > until:
            break
    reached = f"the broken line ran in {search.ran:,}, made a difference in {search.differed:,}"
    print(f"{search.read:,} worlds; {reached}", file=sys.stderr)
    return search.dearer


def _all_pairs(rules: type[Paginator], until: float) -> str | None:
    """Read the lists in every world with two events, the smallest first, strict ones last."""
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
            _Timed(way, rules, until).verdicts(2)
    except BrokenPromise as error:
        return f"{error}"
    except _TimeIsUpError:
        pass
    return None


class _TimeIsUpError(Exception): ...


class _Timed(Exhaustive):
    """Stops when the time is up."""

    def __init__(self, config: worlds.Config, rules: type[Paginator], until: float) -> None:
        super().__init__(config, rules=rules)
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
                test_schedules.check(trouble.draw(seed, search.rules))
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
    """Tells whether the broken line ran."""

    def __init__(self, mutation: Mutation) -> None:
        text = mutation.path.read_text()
        begin = text.index(mutation.old) + len(mutation.old) - len(mutation.old.lstrip())
        self._file, self._line = f"_paging/{mutation.file}", text[:begin].count("\n") + 1
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

    rules: type[Paginator]
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
                result = _result(world, self.rules)
        except AssertionError as error:
            return f"{what}: {error}"
        if result.lost or result.is_too_dear:
            return f"{what}: lost {result.lost}, {result.answers} requests"
        right = _result(world, Paginator)
        if right.report.verdict == "proven" != result.report.verdict and result.answers >= 2 * right.answers:
            self.dearer = f"{DEARER}: {what}: proven in {right.answers}, now never"
        if (right.asked, right.report.verdict) != (result.asked, result.report.verdict):
            self.differed += 1
            _keep(self._near_differed, world)
        elif self.watch.ran:
            self.ran += 1
            _keep(self._near_ran, world)
        return None


def _result(world: World, rules: type[Paginator]) -> worlds.Result:
    config, events, in_flight, seed = world
    order = Random(seed) if in_flight > 1 else None
    return worlds.read(config, events, most_answers=1_000, in_flight=in_flight, order=order, paginator_type=rules)


def _keep(kept: list[World], world: World) -> None:
    kept.append(world)
    if len(kept) > 2 * _KEPT:
        del kept[1::2]  # of the old ones as well: those found first have the fewest events


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
    """Try each mutation, first with its witness; exit with 1 where no world shows it, nor a reason is given."""
    chosen = [one for one in MUTATIONS if not sys.argv[1:] or any(word in one.name for word in sys.argv[1:])]
    missed = 0
    for mutation in chosen:
        begun = time.monotonic()
        witness = WITNESSES.get(mutation.name)
        if witness is not None and witness.shows(mutation):
            verdict, what = "shown" if not witness.behind else "behind", f"{witness}"
        else:
            what = found(mutation, SECONDS) or ""
            verdict = "DEARER" if what.startswith(DEARER) else "found" if what else "MISSED"
            if verdict != "found" and mutation.name in UNSHOWN:
                verdict, what = "kept", UNSHOWN[mutation.name]
            missed += verdict in {"DEARER", "MISSED"}
        print(f"{verdict:7} {time.monotonic() - begun:5.0f} s  {mutation.name}: {what[:230]}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} mutations shown, or kept for a reason")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
