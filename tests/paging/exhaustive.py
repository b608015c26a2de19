"""Every way in which some events can trouble the reading of a small list, and each state of it looked at once.

The rules are pure, and so is a world: after the same answers the rules ask the same, and a server in the same state
answers the same. So two worlds with the same answers until now and the same list from now on are one world: a row that
is touched before the second answer or before the third is the same trouble where neither of the two shows the row. What
was found for one of them is counted for both, so that all pairs of events take a fifth of the readings.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import attrs

from tests.paging.worlds import MOST_FALSE, World, events_at, is_false, paginator_for, seen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.paging.worlds import Config, Event
    from vismanet_async._paging.guarantee import Completeness
    from vismanet_async._paging.page_formats import PageAnswer
    from vismanet_async._paging.paginator import Paginator


@attrs.define(eq=False)
class Course:
    """Where the rules stand after some answers."""

    answers: tuple[PageAnswer, ...] = ()
    query: Mapping[str, str] | None = None
    """What they ask for next; None where nobody has been, and at the end."""
    after: dict[object, Course] = attrs.field(factory=dict)
    report: Completeness | None = None
    """What they claim in the end."""
    delivered: frozenset[int] = frozenset()
    is_too_dear: bool = False

    def then(self, answer: PageAnswer) -> Course:
        """Return where they stand after one more answer."""
        shown = seen(answer)
        if (following := self.after.get(shown)) is None:
            following = self.after[shown] = Course((*self.answers, answer))
        return following


class Exhaustive:
    """Reads one list in every world with so many events, and counts the verdicts.

    Args:
        config: the list, and how it is read.
        rules: what reads it; the package's own if not given.
        stride: of all that can happen before an answer, only every n-th thing does.
    """

    def __init__(self, config: Config, *, rules: type[Paginator] | None = None, stride: int = 1) -> None:
        self.config = config
        self.courses = 0
        """How many readings there were that differ."""
        self._rules = rules
        self._stride = stride
        self._passed_over = 0
        self._known: dict[object, Counter[str]] = {}
        self._start = Course()

    def verdicts(self, most_events: int) -> Counter[str]:
        """Return how many worlds with up to so many events end with which verdict.

        Raises:
            BrokenPromise: a row is lost in one of them, or it costs too much.
        """
        return self._explored(_State(self._start, World(self.config, ()), None, most_events))

    def _explored(self, state: _State) -> Counter[str]:
        course = state.course
        if course.query is None and course.report is None:
            self._read_on(course, state.world, state.false_answer)
        if course.query is None:
            return self._judged(state)
        name = state.name()
        if (known := self._known.get(name)) is None:
            answer = state.world.made(course.query, state.false_answer, course.answers)
            known = self._explored(attrs.evolve(state, course=course.then(answer), false_answer=None))
            known = Counter(known)
            for event in self._chosen(state):
                known.update(self._explored(state.after(event)))
            self._known[name] = known
        return known

    def _chosen(self, state: _State) -> Iterator[Event]:
        if not state.events_left:
            return
        for event in events_at(len(state.course.answers) + 1, self.config):
            if state.false + is_false(event) > MOST_FALSE:
                continue
            self._passed_over += 1
            if self._passed_over % self._stride == 0:
                yield event

    def _judged(self, state: _State) -> Counter[str]:
        report, course = state.course.report, state.course
        assert report is not None
        lost = state.world.stayed - course.delivered if report.verdict == "proven" else frozenset()
        if lost or course.is_too_dear:
            raise BrokenPromise(f"{self.config} {state.path}: lost {lost}, {len(course.answers)} requests: {report}")
        return Counter({report.verdict: 1})

    def _read_on(self, course: Course, world: World, false_answer: Event | None) -> None:
        """Read again what led to a course, then on to the end while nothing more happens, and note the way."""
        self.courses += 1
        paginator = paginator_for(self.config, self._rules)
        delivered: set[int] = set()
        before = course.answers
        number, is_too_dear = 0, False
        while not is_too_dear and (request := paginator.next_request()) is not None:
            if number < len(before):
                answer = before[number]
            else:
                course.query = request.query
                answer = world.made(request.query, false_answer, course.answers)
                false_answer = None
                course = course.then(answer)
            number += 1
            for delivery in paginator.receive_page(request, answer):
                delivered.update(int(name) for name, _ in delivery.rows)
            is_too_dear = number > paginator.cost_limit
        assert is_too_dear or paginator.done, f"the paginator waits for nothing: {paginator.report()}"
        course.report = paginator.report()
        course.delivered = frozenset(delivered)
        course.is_too_dear = is_too_dear


class BrokenPromise(AssertionError):
    """A row was lost, or a reading had no bound."""


@attrs.frozen
class _State:
    """A reading that is under way: what it knows, the world, and what can still happen."""

    course: Course
    world: World
    false_answer: Event | None
    events_left: int
    false: int = 0
    path: tuple[Event, ...] = ()

    def name(self) -> object:
        """Return all that what comes depends on."""
        return self.course, self.world.state(), self.false_answer, self.events_left, self.false

    def after(self, event: Event) -> _State:
        """Return the state in which an event has happened, too."""
        world = self.world.copy()
        return attrs.evolve(
            self,
            world=world,
            false_answer=world.happen(event) or self.false_answer,
            events_left=self.events_left - 1,
            false=self.false + is_false(event),
            path=(*self.path, event),
        )
