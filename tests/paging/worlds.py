"""Small worlds: every list of a few rows, and every way in which a server or its users can trouble a reading of it.

A world is a list at the start, a page size, an order, and a few events, each before the answer to one request. Some
events change the list, as users may; others make one answer false, or all from then on. The world knows which rows were
there in every state that an answer was computed from, and in all states between.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import attrs

from vismanet_async._paging.keys import PageKeys, RowKeys, stamp_of, stamp_text
from vismanet_async._paging.page_formats import PAGE_NUMBER, PageAnswer
from vismanet_async._paging.paginator import Paginator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from random import Random

    from vismanet_async._paging.guarantee import Completeness
    from vismanet_async._paging.request_log import PageRequest

BOUNDARY: Final = "2025-01-02T00:00:00"
EDGE: Final = stamp_of(BOUNDARY)
NOW: Final = EDGE + 13 * 3600 * 1_000_000
OLD: Final = EDGE - 86_400 * 1_000_000
AHEAD: Final = NOW + 86_400 * 1_000_000
LATE: Final = EDGE + 60 * 1_000_000  # becomes visible long after the moment it is stamped with
KEYS: Final = RowKeys(identity=("number",))
CALM: Final = 10_000
MOST_FALSE: Final = 2
"""So many answers of one reading may be false."""

WRITES: Final = ("delete", "insert", "touch", "ahead", "late")
BEHIND: Final = "behind"
"""An insertion stamped long ago, against all that is taken for granted: it is noticed only where it comes alone."""
MUTE: Final = "mute"
"""From one answer on no totals are told, and no page size."""
LIES: Final = ("blank", "repeat", "stale", "total -1", "total -p", "total 0", "total +1", "total +p", "absent")
HABITS: Final = ("low for ever", "low a page for ever", "cap")
"""From one answer on, all are so."""


@attrs.frozen
class Event:
    """Something that happens before an answer."""

    at: int
    """The number of the answer, from 1."""
    kind: str
    place: int = 0
    """Which row, or between which; which answer is repeated."""


@attrs.frozen
class Config:
    """A list at the start, and how it is read."""

    rows: int
    page_size: int
    ordered: bool = True
    by_stamp: bool = False
    """The server's order: by last change, else by key."""
    fresh: int = 0
    """So many of the rows were changed lately: in the middle of the list, where it is ordered by key."""
    has_filter: bool = True
    strict: bool = False
    newest_first: bool = False
    """By last change, the other way round: a changed row goes in front."""


@cache
def _text(stamp: int) -> str:
    return stamp_text(stamp)


class _Reader:
    """Reads rows that are pairs of a name and a stamp."""

    @staticmethod
    def digest(row: tuple[bytes, int]) -> bytes:
        return b"%b %d" % row

    def read(self, rows: Sequence[tuple[bytes, int]], *, versions: bool = True) -> PageKeys:
        stamps = [stamp for _, stamp in rows]
        keys = PageKeys([name for name, _ in rows], _text(max(stamps)) if stamps else None, versions)
        keys._stamps = stamps
        return keys


_READER: Any = _Reader()


class World:
    """A server with one list, and events."""

    def __init__(self, config: Config, events: Sequence[Event]) -> None:
        self.config = config
        self.page_size = config.page_size
        fresh = range(config.rows // 2, config.rows // 2 + config.fresh)
        self.rows = {
            (index + 1) * CALM: EDGE + 1 + index if index in fresh else OLD + index for index in range(config.rows)
        }
        self.moment = NOW
        self.answers: list[PageAnswer] = []
        self.answered = 0
        self.before: dict[int, int] = dict(self.rows)
        self.stayed = set(self.rows)
        self.shift = 0
        self.is_mute = False
        self.events = sorted(events, key=lambda event: event.at)
        self.next_event = 0

    def answer(self, query: Mapping[str, str]) -> PageAnswer:
        self.answered += 1
        lie: Event | None = None
        while self.next_event < len(self.events) and self.events[self.next_event].at <= self.answered:
            event = self.events[self.next_event]
            self.next_event += 1
            lie = self.happen(event) or lie
        answer = self.made(query, lie, self.answers)
        self.answers.append(answer)
        return answer

    def copy(self) -> World:
        """Return a world in the same state, to which other things can happen."""
        other = World.__new__(World)
        other.__dict__.update(self.__dict__, rows=dict(self.rows), stayed=set(self.stayed))
        return other

    def state(self) -> object:
        """Return all that the answers, and what is lost, will depend on."""
        rows = tuple(self.rows.items())
        before = rows if self.before == self.rows else tuple(self.before.items())
        return rows, before, frozenset(self.stayed), self.moment, self.page_size, self.shift, self.is_mute

    def happen(self, event: Event) -> Event | None:
        """Let an event happen; return it where it makes the next answer false."""
        if event.kind in WRITES or event.kind == BEHIND:
            self.write(event)
        elif event.kind == MUTE:
            self.is_mute = True
        elif event.kind in HABITS:
            self.take_habit(event.kind)
        else:
            return event
        return None

    def write(self, event: Event) -> None:
        self.before = dict(self.rows)
        self.moment += 1_000_000
        numbers = sorted(self.rows)
        if event.kind in {"insert", BEHIND}:
            low = numbers[event.place - 1] if 0 < event.place <= len(numbers) else 0
            high = numbers[event.place] if event.place < len(numbers) else low + 2 * CALM
            self.rows[(low + high) // 2] = self.moment if event.kind == "insert" else OLD - 1
        elif event.kind == "late":
            self.rows[(max(numbers, default=0)) + CALM if event.place else 1] = LATE
        elif event.place < len(numbers):
            number = numbers[event.place]
            if event.kind == "delete":
                del self.rows[number]
                self.stayed.discard(number)
            else:
                self.rows[number] = AHEAD if event.kind == "ahead" else self.moment

    def take_habit(self, kind: str) -> None:
        if kind == "cap":
            self.page_size = max(1, self.page_size - 1)
        else:
            self.shift = -1 if kind == "low for ever" else -self.config.page_size

    def made(self, query: Mapping[str, str], false: Event | None, answers: Sequence[PageAnswer]) -> PageAnswer:
        """Return the answer to a request: the true one, or a false one; `answers` are those before."""
        lie = false.kind if false is not None else ""
        if lie == "blank":
            return PageAnswer([], None, None, None, b"")
        if false is not None and lie == "repeat":
            return answers[false.place] if false.place < len(answers) else self.made(query, None, answers)
        rows = self.before if lie == "stale" else self.rows
        condition, stamp = query.get("lastModifiedDateTimeCondition"), stamp_of(query.get("lastModifiedDateTime"))
        chosen = [
            (number, at)
            for number, at in rows.items()
            if condition is None or (at < stamp if condition == "<" else at >= stamp)
        ]
        is_by_stamp = self.config.by_stamp or self.config.newest_first
        chosen.sort(key=(lambda row: (row[1], row[0])) if is_by_stamp else None, reverse=self.config.newest_first)
        size = min(int(query["pageSize"]), self.page_size)
        start = (int(query["pageNumber"]) - 1) * size
        page: list[Any] = [(b"%d" % number, at) for number, at in chosen[start : start + size]]
        if not page:
            return PageAnswer([], None, None, None, b"")
        total: int | None = max(0, len(chosen) + self.shift)
        shifts = {"total -1": -1, "total -p": -size, "total +1": 1, "total +p": size}
        if lie in shifts:
            total = max(0, (total or 0) + shifts[lie])
        elif lie == "total 0":
            total = 0
        elif lie == "absent" or self.is_mute:
            total = None
        return PageAnswer(page, total, self.page_size if total is not None else None, None, b"")


@attrs.frozen
class Result:
    """What came of a world."""

    report: Completeness
    lost: set[int]
    answers: int
    is_too_dear: bool
    asked: tuple[str, ...]
    """What each request asked for."""


def paginator_for(config: Config, rules: type[Paginator] | None = None) -> Paginator:
    """Return what reads a list, by the rules of the package or by others."""
    return (rules or Paginator)(
        style=PAGE_NUMBER,
        completeness="prove",
        page_size=config.page_size,
        keys=KEYS,
        boundary=BOUNDARY,
        divides=config.has_filter,
        ordered=config.ordered,
        strict=config.strict,
        key_reader=_READER,
    )


def read(
    config: Config,
    events: Sequence[Event],
    *,
    most_answers: int = 10_000,
    in_flight: int = 1,
    order: Random | None = None,
    paginator_type: type[Paginator] = Paginator,
) -> Result:
    """Read the list of a world, one request after the other; or several at once, whose answers come in any order.

    Args:
        config: the list, and how it is read.
        events: what happens meanwhile.
        most_answers: a reading that takes more is too dear.
        in_flight: how many requests at once.
        order: draws the order of their answers.
        paginator_type: the rules.
    """
    world = World(config, events)
    paginator = paginator_for(config, paginator_type)
    delivered: set[int] = set()
    dear = 0
    flying: list[tuple[PageRequest, PageAnswer | None]] = []
    asked: list[str] = []
    while True:
        while len(flying) < in_flight and (request := paginator.next_request()) is not None:
            asked.append(" ".join(request.query.values()))
            is_answered_late = order is not None and order.random() < 0.5
            flying.append((request, None if is_answered_late else world.answer(request.query)))
        if not flying:
            break
        request, early = flying.pop(order.randrange(len(flying)) if order is not None else 0)
        answer = early or world.answer(request.query)
        for delivery in paginator.receive_page(request, answer):
            rows: Sequence[Any] = delivery.rows
            delivered.update(int(name) for name, _ in rows)
        dear = max(dear, world.answered - paginator.cost_limit)
        if world.answered > most_answers:
            dear = world.answered
            break
    if not paginator.done and dear <= 0:
        raise AssertionError(f"the paginator waits for nothing: {paginator.report()}")
    report = paginator.report()
    lost = world.stayed - delivered if report.verdict == "proven" else set()
    return Result(report, lost, world.answered, dear > 0, tuple(asked))


def seen(answer: PageAnswer) -> object:
    """Return what the rules see of an answer."""
    return tuple(answer.rows), answer.total, answer.max_page_size


def events_at(at: int, config: Config) -> Iterator[Event]:
    """Every single event before one answer."""
    for place in range(config.rows):
        for kind in ("delete", "touch", "ahead"):
            yield Event(at, kind, place)
    for place in range(config.rows + 1):
        yield Event(at, "insert", place)
    for place in (0, 1):
        yield Event(at, "late", place)
    for kind in LIES:
        if kind == "repeat":
            for place in range(max(0, at - 1)):
                yield Event(at, kind, place)
        else:
            yield Event(at, kind)
    for kind in HABITS:
        yield Event(at, kind)


def configs(rows: Sequence[int] = range(6), page_sizes: Sequence[int] = (1, 2, 3), **fixed: Any) -> Iterator[Config]:
    """Every list and way of reading."""
    for number in rows:
        for size in page_sizes:
            for ordered in (True, False):
                for by_stamp in (False, True):
                    for fresh in (0, 1):
                        if fresh <= number:
                            yield Config(number, size, ordered, by_stamp, fresh, **fixed)


def triples(chosen: Sequence[Config], random: Random, *, most: int = 3) -> Iterator[tuple[Config, tuple[Event, ...]]]:
    """Events drawn at random, each kind as often as the others; without end."""
    while True:
        config = random.choice(chosen)
        last = 3 + read(config, ()).answers
        events = [draw_event(random.randint(1, last), config, random) for _ in range(random.randint(2, most))]
        if not is_false_too_often(events):
            yield config, tuple(sorted(events, key=lambda event: event.at))


def draw_event(at: int, config: Config, random: Random) -> Event:
    """Draw an event, each kind as often as the others."""
    by_kind: dict[str, list[Event]] = {}
    for event in events_at(at, config):
        by_kind.setdefault(event.kind, []).append(event)
    return random.choice(by_kind[random.choice(list(by_kind))])


def is_false_too_often(events: Sequence[Event]) -> bool:
    """Whether more than two answers would be false, or two beside a total that is too low for ever."""
    return sum(is_false(event) for event in events) > MOST_FALSE


def is_false(event: Event) -> bool:
    """Whether an event makes an answer false, or all from then on."""
    return event.kind in LIES or event.kind.startswith("low")
