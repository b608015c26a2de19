"""Random schedules with everything that a server and its other users may do, each drawn from one seed.

Users insert anywhere, delete and touch, with stamps that are ahead of the clock or become visible late. Beside that, at
most two answers of a reading are false, or all are odd in one way from some answer on. `worlds.py` has small worlds;
these here are larger, and read with several requests in flight.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from tests.paging.virtual import (
    BOUNDARY,
    BOUNDARY_SECONDS,
    KEYS,
    ORDERS,
    Outcome,
    Server,
    raw,
    run,
    text,
)
from vismanet_async._paging.overlap import LEAST_PAGE_SIZE
from vismanet_async._paging.page_formats import PAGE_NUMBER, PageAnswer
from vismanet_async._paging.paginator import Paginator
from vismanet_async._paging.scope_filters import ModifiedFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vismanet_async._paging.guarantee import Mode

LIES: Final = ("blank", "repeated", "stale", "total -1", "total -p", "total 0", "total +1", "total +p", "absent")
"""What one answer may be."""
HABITS: Final = ("low for ever", "low a page for ever", "cap", "two servers")
"""What all answers may be from some moment on."""
OF_ANOTHER_PART: Final = "of another part"
"""A lie: a cache overlooked the filter."""
MUTE: Final = "mute"
"""A habit: no totals are told, and no page size."""
_CONDITION: Final = "lastModifiedDateTimeCondition"
SPACING: Final = 1_000
"""Between the numbers of the rows at the start, so that rows can be inserted anywhere."""
DAY_SECONDS: Final = 86_400


def everything_matches(stamp: int) -> bool:
    return True


@attrs.define
class TroubledServer(Server):
    """A server with lies and habits."""

    lies: Mapping[int, str] = attrs.field(factory=dict)
    """By the number of the answer, from 1."""
    habit: str = ""
    habit_from: int = 0
    ahead_share: float = 0.0
    """Of the writes: stamped ahead of the clock."""
    late_share: float = 0.0
    """Of the writes: stamped with an earlier moment, though none before the edge."""
    matches: Callable[[int], bool] = everything_matches
    """Whether a row of this stamp belongs to the list that the caller asked for."""
    versions: dict[int, set[int]] = attrs.field(factory=dict)
    """Every stamp that a row had while it was read."""
    states: list[dict[int, int]] = attrs.field(factory=list)
    given: list[PageAnswer] = attrs.field(factory=list)
    given_for: list[str] = attrs.field(factory=list)
    """The condition of the filter that each was given for."""
    other_limit: int = 1
    is_in_doubt: bool = False
    """Whether the newest version cannot be told: by its stamp, or because an answer was false."""
    most_rows: int = 0
    tail_pages: int = 0
    """The last page of the tail that was asked for."""

    @property
    def moment(self) -> int:
        """The stamp of a write now."""
        kind = self.random.random()
        if kind < self.ahead_share:
            self.is_in_doubt = True
            return self.now + self.random.randrange(1, 20 * DAY_SECONDS)
        if kind < self.ahead_share + self.late_share:
            self.is_in_doubt = True
            return self.random.randrange(BOUNDARY_SECONDS, self.now)
        return self.now

    def fill_spaced(self, rows: int, recent: int) -> None:
        """Add rows, with room for others between them."""
        self.fill(rows - recent, recent)
        self.rows = {number * SPACING: stamp for number, stamp in self.rows.items()}

    def start(self) -> None:
        super().start()
        self.stayed = {number for number, stamp in self.rows.items() if self.matches(stamp)}
        self.versions = {number: {stamp} for number, stamp in self.rows.items()}
        self.most_rows = len(self.rows)

    def insert(self) -> None:
        number = self.random.randrange(1, (len(self.versions) + 2) * SPACING)
        if number not in self.versions:
            self.write(number)

    def touch(self, number: int) -> None:
        self.write(number)
        if not self.matches(self.rows[number]):
            self.stayed.discard(number)

    def write(self, number: int) -> None:
        self.rows[number] = self.moment
        self.versions.setdefault(number, set()).add(self.rows[number])
        self.most_rows = max(self.most_rows, len(self.rows))

    def answer(self, query: Mapping[str, str]) -> PageAnswer:
        if "stale" in self.lies.values():
            self.states.append(dict(self.rows))
        self.change()
        self.answers += 1
        lie = self.lies.get(self.answers, "")
        self.is_in_doubt = self.is_in_doubt or bool(lie)
        answer = self.made(query, lie)
        self.given.append(answer)
        self.given_for.append(query.get(_CONDITION, ""))
        return answer

    def made(self, query: Mapping[str, str], lie: str) -> PageAnswer:
        if lie == "blank":
            return blank()
        if lie == "repeated" and self.given:
            return self.random.choice(self.given)
        if lie == OF_ANOTHER_PART and (others := self.for_another_part(query)):
            return self.random.choice(others)
        limit = self.limit_now()
        size = min(int(query.get("pageSize", limit)), limit)
        start = (int(query["pageNumber"]) - 1) * size
        rows = self.older(query) if lie == "stale" else self.matching(query)
        page = [raw(*row, self.suffix) for row in rows[start : start + size]]
        if query.get(_CONDITION) in {">=", ">"}:
            self.at_tail = dict(self.rows)
            self.tail_pages = max(self.tail_pages, int(query["pageNumber"]))
        if not page:
            return blank()
        shifts = {"total -1": -1, "total -p": -size, "total +1": 1, "total +p": size, "total 0": -len(rows)}
        total = max(0, len(rows) + shifts.get(lie, 0) + self.shift_now())
        is_mute = self.habit == MUTE and self.answers >= self.habit_from
        return blank(page) if lie == "absent" or is_mute else PageAnswer(page, total, limit, None, b"")

    def for_another_part(self, query: Mapping[str, str]) -> list[PageAnswer]:
        size, condition = int(query.get("pageSize", 0)), query.get(_CONDITION, "")
        pairs = zip(self.given, self.given_for, strict=True)
        return [answer for answer, part in pairs if part != condition and 0 < len(answer.rows) <= size]

    def older(self, query: Mapping[str, str]) -> list[tuple[int, int]]:
        rows, self.rows, self.cached_at = self.rows, self.random.choice(self.states[-8:]), -1
        try:
            return self.matching(query)
        finally:
            self.rows, self.cached_at = rows, -1

    def limit_now(self) -> int:
        has_habit = self.answers >= self.habit_from
        if has_habit and self.habit == "two servers":
            return self.random.choice((self.page_limit, self.other_limit))
        return self.other_limit if has_habit and self.habit == "cap" else self.page_limit

    def shift_now(self) -> int:
        if self.answers < self.habit_from:
            return 0
        return {"low for ever": -1, "low a page for ever": -self.page_limit}.get(self.habit, 0)


def blank(page: list[Any] | None = None) -> PageAnswer:
    return PageAnswer(page or [], None, None, None, b"")


@attrs.frozen
class Schedule:
    """What was drawn, and what came of it."""

    seed: int
    mode: Mode
    server: TroubledServer
    paginator: Paginator
    outcome: Outcome

    @property
    def least_requests(self) -> int:
        """How many pages the rows fill that came."""
        size = self.outcome.report.page_size or 1
        return max(1, -(-len(self.outcome.rows) // size))

    def __str__(self) -> str:
        server = self.server
        return (
            f"seed {self.seed}: {self.mode}, lies {dict(server.lies)}, habit {server.habit} from {server.habit_from}, "
            f"order {server.order}, pages of {server.page_limit}, {server.changes} changes: {self.outcome.report}"
        )


def draw_lies(random: Random, pages: int) -> dict[int, str]:
    """Draw at most two, rather among the first and the last answers, where most depends on one."""
    places = (random.randint(1, 3), random.randint(1, pages + 8), random.randint(pages, pages + 6))
    return {random.choice(places): random.choice(LIES) for _ in range(random.choice((0, 0, 1, 1, 2, 2)))}


def draw_server(random: Random) -> TroubledServer:
    limit = random.choice((random.randint(1, 6), random.randint(7, 20), random.randint(20, 60)))
    rows = min(random.randint(0, limit * random.choice((1, 3, 8, 14))) + random.choice((0, 0, 1)), 500)
    if random.random() < 0.2:
        rows -= rows % limit  # a full last page
    pages = -(-rows // limit)
    has_habit = random.random() < 0.25
    is_odd = random.random() < 0.3
    server = TroubledServer(
        random=random,
        page_limit=limit,
        change_rate=random.choice((0.0, 0.0, 0.03, 0.1, 0.2, 0.4, 0.7)),
        weights=random.choice(((1, 1, 1), (1, 2, 1), (1, 1, 0), (0, 1, 1), (1, 0, 4), (0, 1, 0), (1, 0, 0))),
        order=random.choice(tuple(ORDERS)),
        suffix=random.choice((b"", b"-some-record")),
        lies={} if has_habit else draw_lies(random, pages),
        habit=random.choice(HABITS) if has_habit else "",
        habit_from=random.choice((1, random.randint(1, pages + 6))),
        other_limit=random.randint(max(1, limit // 3), limit),
        ahead_share=random.choice((0.1, 0.5)) if is_odd else 0.0,
        late_share=random.choice((0.0, 0.1, 0.5)) if is_odd else 0.0,
    )
    recent = random.choice((0, 0, 1, random.randint(0, min(rows, limit)), random.randint(0, rows)))
    smallest = min(limit, server.other_limit)
    server.change_rate = min(server.change_rate, smallest / (smallest + 8))  # a list that grows faster never ends
    server.fill_spaced(rows, min(recent, rows))
    if is_odd and server.rows:
        server.rows[random.choice(list(server.rows))] = server.now + random.randrange(DAY_SECONDS)
    return server


CONDITIONS: Final[dict[str, Callable[[int], Callable[[int], bool]]]] = {
    ">=": lambda bound: lambda stamp: stamp >= bound,
    ">": lambda bound: lambda stamp: stamp > bound,
    "<": lambda bound: lambda stamp: stamp < bound,
    "<=": lambda bound: lambda stamp: stamp <= bound,
}


def draw_filter(random: Random, server: TroubledServer) -> ModifiedFilter | None:
    """Draw the caller's own filter: rows since a moment, or up to one that has passed."""
    if random.random() < 0.85:
        return None
    condition: Literal[">=", ">", "<", "<="] = random.choice((">=", ">", "<", "<="))
    bound = random.randrange(server.now if condition in {">=", ">"} else BOUNDARY_SECONDS)
    server.matches = CONDITIONS[condition](bound)
    return ModifiedFilter(condition, text(bound))


MODES: Final[tuple[Mode, ...]] = ("prove", "prove", "prove", "prove", "prove", "best", "best", "count", "none")


def draw_paginator(random: Random, server: TroubledServer, mode: Mode, rules: type[Paginator] = Paginator) -> Paginator:
    """Draw a way to read the list."""
    limit = server.page_limit
    return rules(
        style=PAGE_NUMBER,
        completeness=mode,
        page_size=random.choice((limit, limit, limit, limit + 3, None)),
        keys=KEYS,
        boundary=BOUNDARY,
        divides=random.random() >= 0.25,
        modified=draw_filter(random, server),
        ordered=random.random() < 0.5,
        reorder_pages=random.randint(1, 16),
        expected_rows=random.choice((None, None, len(server.rows))),
        strict=random.random() < 0.15,
    )


def draw(seed: int, rules: type[Paginator] = Paginator) -> Schedule:
    """Draw a list, its troubles, and a way to read it; read it."""
    random = Random(seed)
    server = draw_server(random)
    mode = random.choice(MODES)
    paginator = draw_paginator(random, server, mode, rules)
    outcome = run(
        paginator,
        server,
        concurrency=random.choice((1, 2, random.randint(3, 8))),
        failures=random.choice((0.0, 0.0, 0.03)),
    )
    paginator.close()
    return Schedule(seed, mode, server, paginator, outcome)


_AIMED_LIES: Final = (*LIES, "repeated", "stale", OF_ANOTHER_PART)
_AIMED_RATES: Final = (0.0, 0.05, 0.15, 0.25, 0.35, 0.45)
_AIMED_WEIGHTS: Final = ((1, 1, 0), (0, 1, 0), (1, 2, 1), (0, 1, 1), (0, 3, 1), (1, 1, 1), (1, 0, 0), (0, 0, 1))


def draw_aimed(seed: int) -> Schedule:
    """Draw what harms a reading most: two false answers close together, long tails, no totals, many rows that leave."""
    random = Random(seed)
    is_busy = random.random() < 0.4  # so that the window is given up, and pages overlap instead
    limit = random.randint(8, 40) if is_busy else random.choice((random.randint(1, 7), random.randint(8, 24)))
    rows = limit * random.randint(3 if is_busy else 0, 8) + random.choice((0, 0, 1, random.randint(0, limit)))
    has_filter = is_busy or random.random() < 0.5
    pages = -(-rows // limit)
    last = (3 if is_busy else 2 if has_filter else 1) * pages + 6
    first = random.randint(pages if is_busy else 1, last)
    habit = (
        "" if is_busy else random.choice((MUTE, "cap", "two servers", "low for ever", "low a page for ever", "", ""))
    )
    lies = {first: OF_ANOTHER_PART if is_busy else random.choice(_AIMED_LIES)}
    if not habit.startswith("low"):  # that is a false answer, too
        lies[first + random.randint(0, 4)] = random.choice(_AIMED_LIES)
    is_odd = random.random() < 0.25
    smallest = random.randint(max(1, limit // 3), limit) if habit in {"cap", "two servers"} else limit
    server = TroubledServer(
        random=random,
        page_limit=limit,
        change_rate=min(random.choice(_AIMED_RATES[is_busy:]), smallest / (smallest + 8)),
        weights=random.choice(_AIMED_WEIGHTS[: 5 if is_busy else None]),
        order=random.choice(tuple(ORDERS)),
        lies=lies,
        habit=habit,
        habit_from=random.choice((1, random.randint(1, last))),
        other_limit=smallest,
        ahead_share=random.choice((0.1, 0.5)) if is_odd else 0.0,
        late_share=random.choice((0.0, 0.1, 0.5)) if is_odd else 0.0,
    )
    recent = random.randint(0, rows // 3)
    server.fill_spaced(rows, recent if is_busy else random.choice((0, recent, random.randint(0, rows))))
    # pages of fewer than eight rows are taken for what was asked for, where nothing tells their size
    sizes = (limit,) if limit < LEAST_PAGE_SIZE else (limit, limit, limit + 3, None)
    paginator = Paginator(
        style=PAGE_NUMBER,
        completeness="prove",
        page_size=random.choice(sizes),
        keys=KEYS,
        boundary=BOUNDARY,
        divides=has_filter,
        modified=draw_filter(random, server),
        ordered=random.random() < 0.8,
        reorder_pages=random.randint(1, 16),
        strict=random.random() < 0.15,
    )
    outcome = run(paginator, server, concurrency=random.choice((1, 1, 2, 4, 8)), failures=random.choice((0.0, 0.03)))
    paginator.close()
    return Schedule(seed, "prove", server, paginator, outcome)
