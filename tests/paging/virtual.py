"""A list server in memory and virtual time, that changes between any two answers; and readers that face it.

Everything is drawn from one seed. The server knows the truth: which records were there from the first request to the
last answer, and in which version.
"""

from __future__ import annotations

import operator
from datetime import datetime, timedelta
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from vismanet_async._paging.keys import RowKeys
from vismanet_async._paging.page_formats import PAGE_NUMBER, Metadata, PageAnswer
from vismanet_async._paging.paginator import Paginator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vismanet_async._paging.delivery import Delivery
    from vismanet_async._paging.guarantee import Completeness, Mode
    from vismanet_async._paging.request_log import PageRequest

DAY = datetime(2025, 1, 1)
BOUNDARY_SECONDS = 86_400
BOUNDARY = "2025-01-02T00:00:00"
NOW_SECONDS = BOUNDARY_SECONDS + 43_200
KEYS = RowKeys(identity=("number",))


@lru_cache(maxsize=100_000)
def text(seconds: int) -> str:
    return (DAY + timedelta(seconds=seconds)).isoformat()


@lru_cache(maxsize=100_000)
def seconds(value: str) -> int:
    return int((datetime.fromisoformat(value) - DAY).total_seconds())


@lru_cache(maxsize=100_000)
def raw(number: int, stamp: int, suffix: bytes = b"") -> msgspec.Raw:
    return msgspec.Raw(b'{"number":"%06d%s","lastModifiedDateTime":"%s"}' % (number, suffix, text(stamp).encode()))


@lru_cache(maxsize=100_000)
def unraw(row: bytes) -> tuple[int, int]:
    value = msgspec.json.decode(row)
    return int(value["number"].partition("-")[0]), seconds(value["lastModifiedDateTime"])


ORDERS: dict[str, Callable[[tuple[int, int]], Any]] = {
    "number": lambda row: row[0],
    "number, newest first": lambda row: -row[0],
    "last modified": lambda row: (row[1], row[0]),
    "last modified, newest first": lambda row: (-row[1], row[0]),
    "scattered": lambda row: (row[0] * 2_654_435_761) % 1_000_003,
}


COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "": lambda stamp, bound: True,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@attrs.define
class Server:
    """Answers pages of a list that `change` alters at random."""

    random: Random
    page_limit: int
    change_rate: float
    weights: tuple[int, int, int] = (1, 1, 1)
    order: str = "number"
    suffix: bytes = b""  # of the record's number: numbers and other names are kept in different ways
    rows: dict[int, int] = attrs.field(factory=dict)
    now: int = NOW_SECONDS
    next_number: int = 1
    answers: int = 0
    changes: int = 0
    stayed: set[int] = attrs.field(factory=set)
    first_rows: dict[int, int] = attrs.field(factory=dict)
    at_tail: dict[int, int] = attrs.field(factory=dict)
    cached: dict[tuple[str, str], list[tuple[int, int]]] = attrs.field(factory=dict)
    cached_at: int = -1

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
        self.first_rows = dict(self.rows)

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
                    self.touch(number)

    def touch(self, number: int) -> None:
        self.rows[number] = self.now

    def insert(self) -> None:
        self.rows[self.next_number] = self.now
        self.next_number += 1

    def delete(self, number: int) -> None:
        del self.rows[number]
        self.stayed.discard(number)

    def matching(self, query: Mapping[str, str]) -> list[tuple[int, int]]:
        condition = query.get("lastModifiedDateTimeCondition", "")
        key = (condition, query.get("lastModifiedDateTime", ""))
        if self.cached_at != self.changes:
            self.cached_at = self.changes
            self.cached = {}
        if key not in self.cached:
            bound = seconds(key[1]) if condition else 0
            chosen = COMPARISONS[condition]
            rows = [row for row in self.rows.items() if chosen(row[1], bound)]
            self.cached[key] = sorted(rows, key=ORDERS[self.order])
        return self.cached[key]

    def answer(self, query: Mapping[str, str]) -> PageAnswer:
        self.change()
        self.answers += 1
        rows = self.matching(query)
        size = min(int(query.get("pageSize", self.page_limit)), self.page_limit)
        start = (int(query["pageNumber"]) - 1) * size
        page = [raw(*row, self.suffix) for row in rows[start : start + size]]
        if query.get("lastModifiedDateTimeCondition") in {">=", ">"} and query.get("pageSize") != "1":  # no count
            self.at_tail = dict(self.rows)
        return PageAnswer(page, len(rows) if page else None, self.page_limit if page else None, None, b"")


@attrs.define
class Outcome:
    """What a consumer holds in the end."""

    rows: dict[int, int]
    report: Completeness
    twice: list[int]
    deliveries: list[Delivery]


def run(paginator: Paginator, server: Server, *, concurrency: int, failures: float = 0.0) -> Outcome:
    """Drive a paginator: answers are made and handed back in any order among the requests in flight."""
    random = server.random
    waiting: list[PageRequest] = []
    ready: list[tuple[PageRequest, PageAnswer]] = []
    deliveries: list[Delivery] = []
    server.start()
    steps = 0
    while not paginator.done:
        steps += 1
        if steps > 20_000:
            raise AssertionError(f"the traversal does not end: {paginator.report()}")
        while len(waiting) + len(ready) < concurrency and (request := paginator.next_request()) is not None:
            waiting.append(request)
        if not waiting and not ready and not paginator.report().reason.startswith("the list was not read to its end"):
            break  # asking for a request may end it
        if not waiting and not ready:
            raise AssertionError(f"the paginator waits for nothing: {paginator.report()}")
        if waiting and (not ready or random.random() < 0.5):
            request = waiting.pop(random.randrange(len(waiting)))
            if failures and random.random() < failures:
                if not paginator.receive_error(request, TimeoutError()):
                    break
            else:
                answer = server.answer(request.query)
                ready.append((request, answer))
                if server.answers % 2:  # requests that follow may leave before its rows are read
                    paginator.peek_metadata(request, Metadata(answer.total, answer.max_page_size))
        else:
            deliveries += paginator.receive_page(*ready.pop(random.randrange(len(ready))))
    return collect(paginator, deliveries)


def collect(paginator: Paginator, deliveries: list[Delivery]) -> Outcome:
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
    return Outcome(rows, paginator.report(), twice, deliveries)


def schedule(seed: int, *, change_rate: float | None = None) -> tuple[Server, int, Random]:
    """Draw a list and the way it changes."""
    random = Random(seed)
    server = Server(
        random=random,
        page_limit=random.randint(1, 5),
        change_rate=random.choice((0.0, 0.05, 0.1, 0.2, 0.4)) if change_rate is None else change_rate,
        weights=random.choice(((1, 1, 1), (1, 2, 1), (1, 1, 0), (0, 1, 1), (1, 0, 4), (0, 1, 0))),
        order=random.choice(tuple(ORDERS)),
        suffix=random.choice((b"", b"-some-record", b"-some-record", b"-some-record")),
    )
    total = random.randint(0, 30)
    recent = random.choice((0, 0, random.randint(0, total)))
    server.fill(total - recent, recent)
    return server, random.randint(1, 6), random


def draw_paginator(random: Random, server: Server, completeness: Mode, **options: Any) -> Paginator:
    return Paginator(
        style=PAGE_NUMBER,
        completeness=completeness,
        page_size=max(2, random.choice((server.page_limit, server.page_limit + 3))),
        keys=KEYS,
        boundary=BOUNDARY,
        ordered=random.random() < 0.4,
        reorder_pages=random.randint(1, 6),
        expected_rows=random.choice((None, None, len(server.rows))),
        **options,
    )


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
