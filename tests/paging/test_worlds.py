"""Small worlds, searched: every single event, pairs and triples; a list that is called proven holds every row.

`make test` takes all pairs of lists of one page, a sample of those of several, and draws triples; `make soak-paging`
takes all pairs.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, product
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.paging.exhaustive import Exhaustive
from tests.paging.mutations import MUTATIONS
from tests.paging.worlds import (
    LIES,
    MUTE,
    Config,
    Event,
    configs,
    events_at,
    is_false_too_often,
    read,
    triples,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Search = Callable[["Worlds"], Counter[str]]
    CountAll = Callable[..., Counter[str]]

STRIDE = int(os.environ.get("VISMANET_WORLDS_STRIDE", "97"))
CHUNKS = 8
SPARSE = 4 * STRIDE if STRIDE > 1 else 1
"""The stride where a world cannot share its beginning with others, and takes longer."""

SMALL = tuple(configs())
ONE_PAGE = tuple(config for config in SMALL if config.rows < config.page_size)
SEVERAL_PAGES = tuple(config for config in SMALL if config.rows >= config.page_size)
OVERLAP = tuple(
    Config(rows, 8, ordered, by_stamp, has_filter=False)
    for rows in (7, 8, 9, 12, 16, 17)
    for ordered in (True, False)
    for by_stamp in (False, True)
)
PASSED = tuple(
    Config(rows, size, ordered, by_stamp, fresh, has_filter=has_filter)
    for rows, size in product((2, 3, 4), (1, 2))
    for has_filter, fresh in ((False, 0), (True, 2), (True, 3))
    for ordered, by_stamp in product((True, False), repeat=2)
    if size < (fresh if has_filter else rows) <= rows
)
"""Lists without a filter, or with a tail of several pages."""

Worlds = Iterable[tuple[Config, Sequence[Event]]]


@pytest.fixture
def search(record_property: Callable[[str, object], None]) -> Callable[[Worlds], Counter[str]]:
    """Read each world; fail at the first that is called proven with a row missing, or that costs too much."""

    def search(worlds: Worlds) -> Counter[str]:
        verdicts = searched(worlds)
        record_property("worlds", dict(verdicts))
        return verdicts

    return search


def searched(worlds: Worlds) -> Counter[str]:
    verdicts: Counter[str] = Counter()
    for config, events in worlds:
        result = read(config, events)
        assert not result.lost, f"{config} {events}: proven, and {result.lost} lost: {result.report}"
        assert not result.is_too_dear, f"{config} {events}: {result.answers} requests: {result.report}"
        verdicts[result.report.verdict] += 1
    return verdicts


@pytest.fixture
def count_all(record_property: Callable[[str, object], None]) -> Callable[..., Counter[str]]:
    """Read each list in all worlds with up to so many events; fail as `search` does."""

    def count_all(lists: Iterable[Config], *, most_events: int, stride: int = 1) -> Counter[str]:
        verdicts: Counter[str] = Counter()
        courses = 0
        for config in lists:
            exhaustive = Exhaustive(config, stride=stride)
            verdicts += exhaustive.verdicts(most_events)
            courses += exhaustive.courses
        record_property("worlds", dict(verdicts))
        record_property("readings", courses)
        return verdicts

    return count_all


def singles(chosen: Sequence[Config]) -> Worlds:
    for config in chosen:
        yield config, ()
        answers = read(config, ()).answers
        for at in range(1, answers + 1):
            for event in events_at(at, config):
                yield config, (event,)


def entered(chosen: Sequence[Config]) -> Worlds:
    """Every single row that enters the window, against all that is taken for granted."""
    for config in chosen:
        for at in range(1, read(config, ()).answers + 1):
            for place in range(config.rows + 1):
                yield config, (Event(at, "behind", place),)


def exchanges(chosen: Sequence[Config]) -> Worlds:
    """One row leaves as another comes, so that no total shows it, and one of the answers after it is false."""
    for config in chosen:
        for at in range(2, read(config, ()).answers + 1):
            for gone, come in product(range(config.rows), repeat=2):
                writes = (Event(at, "delete", gone), Event(at, "insert", come))
                for false in range(at, at + 5):
                    yield config, (*writes, Event(false, "stale"))
                    for copied in range(false - 1):
                        yield config, (*writes, Event(false, "repeat", copied))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_single_event(count_all: CountAll, chunk: int) -> None:
    verdicts = count_all(SMALL[chunk::CHUNKS], most_events=1)
    assert verdicts["proven"] > 0.85 * verdicts.total()
    assert not verdicts["counted"]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_pair_of_events_on_a_list_of_one_page(count_all: CountAll, chunk: int) -> None:
    count_all(ONE_PAGE[chunk::CHUNKS], most_events=2)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_pairs_of_events(count_all: CountAll, chunk: int) -> None:
    count_all(SEVERAL_PAGES[chunk::CHUNKS], most_events=2, stride=STRIDE)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_one_row_for_another_and_a_false_answer(search: Search, chunk: int) -> None:
    search(islice(exchanges(PASSED), chunk, None, CHUNKS * SPARSE))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_triples_of_events(search: Search, chunk: int) -> None:
    search(islice(triples(SMALL, Random(chunk)), 80_000 // STRIDE // CHUNKS))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_overlapping_pages(search: Search, chunk: int) -> None:
    verdicts = search(singles(OVERLAP[chunk::CHUNKS]))
    assert verdicts["proven"] > 0.9 * verdicts.total()
    search(islice(triples(OVERLAP, Random(chunk), most=2), 12_000 // STRIDE // CHUNKS))


def mute(chosen: Sequence[Config]) -> Worlds:
    """No totals are told at all, and two answers close to one another are false."""
    for config in chosen:
        for at in range(1, read(config, (Event(1, MUTE),)).answers + 1):
            for first, later in product(events_at(at, config), range(1, 4)):
                for second in events_at(at + later, config):
                    if first.kind in LIES and second.kind in LIES:
                        yield config, (Event(1, MUTE), first, second)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_overlapping_pages_without_totals(search: Search, chunk: int) -> None:
    search(islice(mute(OVERLAP), chunk, None, CHUNKS * SPARSE))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_strict_readings(search: Search, chunk: int) -> None:
    strict = tuple(configs(strict=True))
    verdicts = search((config, ()) for config in strict[chunk::CHUNKS])
    assert set(verdicts) == {"proven"}
    search(islice(triples(strict, Random(chunk)), 12_000 // STRIDE // CHUNKS))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_answers_in_any_order(chunk: int) -> None:
    """An answer may be made when its request is sent or when it comes, and overtake others."""
    random = Random(chunk)
    for config, events in islice(triples(SMALL + OVERLAP, random), 40_000 // STRIDE // CHUNKS):
        in_flight, order = random.choice((2, 3, 4)), random.random()
        result = read(config, events, in_flight=in_flight, order=Random(order))
        what = f"{config} {events} {in_flight} in flight, order {order}: {result.report}"
        assert not result.lost, what
        assert not result.is_too_dear, what


@pytest.mark.parametrize("config", [Config(0, 2), Config(1, 3, fresh=1), Config(2, 3, ordered=False)])
def test_to_merge_states_is_to_read_each_world(config: Config) -> None:
    one_by_one = Counter(
        read(config, events).report.verdict
        for first in [(), *(events for _, events in singles([config]) if events)]
        for events in [first, *((*first, second) for second in seconds(config, first))]
    )
    assert Exhaustive(config).verdicts(2) == one_by_one


def seconds(config: Config, first: Sequence[Event]) -> Iterator[Event]:
    """What can happen after the first event: at the same answer as it, or before a later one."""
    if first:
        for at in range(first[0].at, read(config, first).answers + 1):
            yield from (event for event in events_at(at, config) if not is_false_too_often([*first, event]))


FOUND: Sequence[tuple[Config, Sequence[Event]]] = (
    # a row of the tail was made up for by one that left the window before the end was looked for
    (Config(4, 1, fresh=1), (Event(1, "total -1"), Event(5, "delete", 1))),
    # two totals too low hid that a row of page 1 left before page 2 was read, at the end of a full last page
    (Config(3, 1), (Event(1, "total -1"), Event(2, "total -1"), Event(3, "delete"))),
    (Config(5, 2, ordered=False), (Event(1, "total -1"), Event(2, "total -1"), Event(3, "delete"))),
    # a copy of page 1 with its false total hid the same
    (Config(4, 1), (Event(1, "total -1"), Event(2, "delete"), Event(2, "repeat"))),
    # a row of the tail was made up for by one that left the window while the tail came blank
    (Config(6, 2, fresh=1), (Event(1, "total -1"), Event(5, "delete", 5), Event(5, "blank"))),
    (Config(6, 2, ordered=False, fresh=1), (Event(1, "total -1"), Event(5, "delete", 5), Event(5, "blank"))),
    # two totals too low hid that a row left page 1, and the rows changed lately hid which one came there instead
    (Config(6, 3, fresh=1), (Event(2, "total -1"), Event(3, "total -1"), Event(4, "delete"))),
    # both tails were of a moment before a row went there, and one of theirs was deleted
    (
        Config(6, 2, ordered=False, by_stamp=True, fresh=1),
        (Event(4, "touch", 2), Event(6, "stale"), Event(7, "delete", 3), Event(9, "repeat", 5)),
    ),
    # the last row of a full page was changed, went behind the one that no answer had shown, and looked like the end
    (Config(4, 3, by_stamp=True), (Event(1, "total -1"), Event(2, "delete"), Event(2, "touch", 1))),
    (Config(3, 2, by_stamp=True), (Event(1, "total -1"), Event(2, "delete"), Event(2, "touch"))),
    (Config(2, 1, fresh=1), (Event(1, "low for ever"), Event(4, "delete"), Event(8, "insert", 2))),
    # a row left page 1 before the turn and one came to the end, which a copy of page 1 hid after the turn
    (Config(2, 1, has_filter=False), (Event(3, "delete"), Event(3, "insert", 1), Event(4, "repeat", 1))),
    (Config(3, 1, fresh=2), (Event(6, "delete", 1), Event(6, "insert", 2), Event(7, "repeat", 3))),
    # the same, where a total too low hid that a row had left
    (Config(12, 6, has_filter=False), (Event(2, "total -1"), Event(3, "delete", 5), Event(4, "repeat", 1))),
    # totals too low for ever hid a row that stood at the end whenever that was not looked at
    (Config(3, 1, has_filter=False), (Event(1, "low for ever"), Event(6, "delete"), Event(8, "insert"))),
    (Config(4, 1, has_filter=False), (Event(1, "low for ever"), Event(9, "delete"), Event(11, "insert"))),
)
"""Worlds that were called proven with a row missing, by rules that are mended."""


@pytest.mark.parametrize(("config", "events"), FOUND)
def test_what_a_search_found_stays_mended(config: Config, events: Sequence[Event]) -> None:
    searched([(config, events)])


def test_a_row_that_enters_the_window_is_noticed(search: Search) -> None:
    """Nothing is promised then; the totals show it all the same where nothing else happens."""
    search(entered(SMALL))


def test_what_is_not_promised_is_left_out() -> None:
    assert is_false_too_often([Event(1, "blank"), Event(2, "stale"), Event(3, "total 0")])
    assert not is_false_too_often([Event(1, "blank"), Event(2, "delete"), Event(3, "total 0")])


def test_each_check_that_is_broken_on_purpose_stands_where_it_is_looked_for() -> None:
    for mutation in MUTATIONS:
        text = mutation.path.read_text()
        assert text.count(mutation.old) == 1, f"{mutation.name}: not once in {mutation.file}"
