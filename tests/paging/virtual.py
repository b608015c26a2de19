"""A list server in memory and virtual time, that changes between any two answers; and readers that face it.

Everything is drawn from one seed. The server knows the truth: which records were there from the first request to the
last answer, and in which version.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from vismanet_async.paging.keys import RowKeys
from vismanet_async.paging.styles import PAGE_NUMBER, PageAnswer
from vismanet_async.paging.walk import Delivery, PageRequest, Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from vismanet_async.paging.completeness import Completeness

DAY = datetime(2025, 1, 1)
BOUNDARY_SECONDS = 86_400
BOUNDARY = "2025-01-02T00:00:00"
NOW_SECONDS = BOUNDARY_SECONDS + 43_200
KEYS = RowKeys(identity=("number",))


@cache
def text(seconds: int) -> str:
    return (DAY + timedelta(seconds=seconds)).isoformat()


@cache
def seconds(value: str) -> int:
    return int((datetime.fromisoformat(value) - DAY).total_seconds())


@cache
def raw(number: int, stamp: int) -> msgspec.Raw:
    return msgspec.Raw(b'{"number":"%06d","lastModifiedDateTime":"%s"}' % (number, text(stamp).encode()))


@cache
def unraw(row: bytes) -> tuple[int, int]:
    value = msgspec.json.decode(row)
    return int(value["number"]), seconds(value["lastModifiedDateTime"])


ORDERS: dict[str, Callable[[tuple[int, int]], Any]] = {
    "number": lambda row: row[0],
    "number, newest first": lambda row: -row[0],
    "last modified": lambda row: (row[1], row[0]),
    "last modified, newest first": lambda row: (-row[1], row[0]),
    "scattered": lambda row: (row[0] * 2_654_435_761) % 1_000_003,
}


@attrs.define
class Server:
    """Answers pages of a list that `change` alters at random."""

    random: Random
    page_limit: int
    change_rate: float
    weights: tuple[int, int, int] = (1, 1, 1)
    order: str = "number"
    rows: dict[int, int] = attrs.field(factory=dict)
    now: int = NOW_SECONDS
    next_number: int = 1
    answers: int = 0
    changes: int = 0
    stayed: set[int] = attrs.field(factory=set)
    at_tail: dict[int, int] = attrs.field(factory=dict)

    def fill(self, old: int, recent: int) -> None:
        for _ in range(old + recent):
            at = self.random.randrange(BOUNDARY_SECONDS) if len(self.rows) < old else None
            self.rows[self.next_number] = self.random.randrange(BOUNDARY_SECONDS, self.now) if at is None else at
            self.next_number += 1
        numbers = list(self.rows)
        stamps = list(self.rows.values())
        self.random.shuffle(stamps)
        self.rows = dict(zip(numbers, stamps, strict=True))

    def start(self) -> None:
        self.stayed = set(self.rows)

    def change(self) -> None:
        while self.random.random() < self.change_rate:
            self.changes += 1
            self.now += self.random.randrange(2)  # equal stamps happen
            (kind,) = self.random.choices(("insert", "delete", "touch"), self.weights)
            if kind == "insert":
                self.insert()
            elif self.rows:
                number = self.random.choice(list(self.rows))
                if kind == "delete":
                    self.delete(number)
                else:
                    self.rows[number] = self.now

    def insert(self) -> None:
        self.rows[self.next_number] = self.now
        self.next_number += 1

    def delete(self, number: int) -> None:
        del self.rows[number]
        self.stayed.discard(number)

    def matching(self, query: Mapping[str, str]) -> list[tuple[int, int]]:
        rows = sorted(self.rows.items(), key=ORDERS[self.order])
        condition = query.get("lastModifiedDateTimeCondition")
        if condition is None:
            return rows
        bound = seconds(query["lastModifiedDateTime"])
        if condition == "<":
            return [row for row in rows if row[1] < bound]
        if condition == "<=":
            return [row for row in rows if row[1] <= bound]
        if condition == ">":
            return [row for row in rows if row[1] > bound]
        return [row for row in rows if row[1] >= bound]

    def answer(self, query: Mapping[str, str]) -> PageAnswer:
        self.change()
        self.answers += 1
        rows = self.matching(query)
        size = min(int(query.get("pageSize", self.page_limit)), self.page_limit)
        start = (int(query["pageNumber"]) - 1) * size
        page = [raw(*row) for row in rows[start : start + size]]
        if query.get("lastModifiedDateTimeCondition") in {">=", ">"}:
            self.at_tail = dict(self.rows)
        return PageAnswer(page, len(rows) if page else None, self.page_limit if page else None, None, b"")


@attrs.define
class Outcome:
    """What a consumer holds in the end."""

    rows: dict[int, int]
    report: Completeness
    twice: list[int]
    deliveries: list[Delivery]


def run(walk: Walk, server: Server, *, concurrency: int, failures: float = 0.0) -> Outcome:
    """Drive a walk: answers are made and handed back in any order among the requests in flight."""
    random = server.random
    waiting: list[PageRequest] = []
    ready: list[tuple[PageRequest, PageAnswer]] = []
    deliveries: list[Delivery] = []
    server.start()
    steps = 0
    while not walk.done:
        steps += 1
        if steps > 20_000:
            raise AssertionError(f"the walk does not end: {walk.report()}")
        while len(waiting) + len(ready) < concurrency and (request := walk.next_request()) is not None:
            waiting.append(request)
        if not waiting and not ready:
            raise AssertionError(f"the walk waits for nothing: {walk.report()}")
        if waiting and (not ready or random.random() < 0.5):
            request = waiting.pop(random.randrange(len(waiting)))
            if failures and random.random() < failures:
                if not walk.failed(request, TimeoutError()):
                    break
            else:
                ready.append((request, server.answer(request.query)))
        else:
            deliveries += walk.answered(*ready.pop(random.randrange(len(ready))))
    return collect(walk, deliveries)


def collect(walk: Walk, deliveries: list[Delivery]) -> Outcome:
    replaced = {(old.delivery, old.row) for delivery in deliveries for old in delivery.supersedes}
    rows: dict[int, int] = {}
    twice = []
    for place, delivery in enumerate(deliveries):
        if delivery.number != place:
            raise AssertionError("deliveries are not numbered in order")
        for index, row in enumerate(delivery.rows):
            if (delivery.number, index) in replaced:
                continue
            number, stamp = unraw(bytes(row))
            if number in rows:
                twice.append(number)
            rows[number] = stamp
    return Outcome(rows, walk.report(), twice, deliveries)


def schedule(seed: int, *, change_rate: float | None = None) -> tuple[Server, int, Random]:
    """Draw a list and the way it changes."""
    random = Random(seed)
    server = Server(
        random=random,
        page_limit=random.randint(1, 5),
        change_rate=random.choice((0.0, 0.05, 0.1, 0.2, 0.4)) if change_rate is None else change_rate,
        weights=random.choice(((1, 1, 1), (1, 2, 1), (1, 1, 0), (0, 1, 1), (1, 0, 4), (0, 1, 0))),
        order=random.choice(tuple(ORDERS)),
    )
    total = random.randint(0, 30)
    recent = random.choice((0, 0, random.randint(0, total)))
    server.fill(total - recent, recent)
    return server, random.randint(1, 6), random


def prove(seed: int, **options: Any) -> tuple[Server, Outcome]:
    server, concurrency, random = schedule(seed)
    walk = Walk(
        style=PAGE_NUMBER,
        completeness="prove",
        page_size=random.choice((server.page_limit, server.page_limit + 3)),
        keys=KEYS,
        boundary=BOUNDARY,
        ordered=random.random() < 0.4,
        reorder_pages=random.randint(1, 6),
        settle_seconds=0,
        **options,
    )
    return server, run(walk, server, concurrency=concurrency, failures=random.choice((0.0, 0.0, 0.1)))


def naive(server: Server) -> set[int]:
    """Read page after page up to the first total, one after the other, as most clients do."""
    server.start()
    seen: set[int] = set()
    page = 1
    total = None
    while total is None or (page - 1) * server.page_limit < total:
        answer = server.answer({"pageNumber": str(page), "pageSize": str(server.page_limit)})
        seen |= {unraw(bytes(row))[0] for row in answer.rows}
        total = total if total is not None else answer.total or 0
        page += 1
    return seen
