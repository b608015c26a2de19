"""For each check of the proof a world that it is there for: without the check, a row is lost there, or the bound is.

Some checks have another one behind them. Their worlds are read with that one broken as well: then this one alone still
notices, and without it nothing does. A few have no world; `UNSHOWN` says why, and why they are kept.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import attrs

from tests.paging.mutations import MUTATIONS, broken_rules
from tests.paging.worlds import BEHIND, MUTE, Config, Event, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.paging.mutations import Mutation

_BY_NAME: Final = {mutation.name: mutation for mutation in MUTATIONS}


@attrs.frozen
class Witness:
    """A world in which a check matters."""

    config: Config
    events: tuple[Event, ...]
    in_flight: int = 1
    seed: int = 0
    """Draws the order of the answers where several requests are in flight."""
    behind: tuple[str, ...] = ()
    """Other checks that notice, too, by the names of their mutations."""

    def is_right(self, mutations: Sequence[Mutation]) -> bool:
        """Return whether the rules lose nothing here, within their bound, with these checks broken."""
        order = Random(self.seed) if self.in_flight > 1 else None
        result = read(
            self.config,
            self.events,
            most_answers=1_000,
            in_flight=self.in_flight,
            order=order,
            paginator_type=broken_rules(mutations),
        )
        return not result.lost and not result.is_too_dear

    def shows(self, mutation: Mutation) -> bool:
        """Return whether the rules are right here, and wrong without this check and those behind it."""
        behind = [_BY_NAME[name] for name in self.behind]
        is_noticed = not behind or (self.is_right(behind) and self.is_right([mutation]))
        return self.is_right([]) and is_noticed and not self.is_right([mutation, *behind])


def _each(kind: str, answers: range, place: int = 0) -> tuple[Event, ...]:
    """Return the same event before each of these answers."""
    return tuple(Event(at, kind, place) for at in answers)


_OF_PAGE_1: Final = "rows of page 1 need not be delivered"
_A_LATER_LOOK: Final = "rows of a later look need not be in the window"
_THE_LAST_LOOK: Final = "the second look need not agree"
_TWO_PLACES: Final = "a row may stand at two places"

WITNESSES: Final = {
    # -- one answer, and its end
    "a blank is believed at once": Witness(Config(1, 1), (Event(1, "touch"), Event(1, "blank"))),
    "rows need not be as many as their total": Witness(
        Config(1, 1), (Event(4, "blank"), Event(5, "low for ever")), behind=(_OF_PAGE_1,)
    ),
    "an absent total is no complaint": Witness(
        Config(4, 1, ordered=False), (Event(6, "absent"), Event(7, "low for ever"))
    ),
    "a full page is an end": Witness(Config(1, 1), (Event(1, "insert"), Event(1, "total -1"))),
    "the end shows any last row": Witness(Config(4, 3), (Event(1, "total -1"), Event(2, "delete"))),
    "a changed row shows the end": Witness(
        Config(4, 3, by_stamp=True), (Event(1, "total -1"), Event(2, "delete"), Event(2, "touch", 1))
    ),
    "one blank behind a full page is enough": Witness(Config(2, 1), (Event(1, "low for ever"), Event(2, "blank"))),
    "no last look after the blank pages": Witness(Config(2, 1), (Event(1, "total -1"), Event(2, "delete"))),
    # -- the window
    "the end of a window is not looked for": Witness(Config(6, 1), (Event(9, "low for ever"), Event(9, "delete", 3))),
    "a window need not hold as many rows as its total": Witness(
        Config(5, 2, ordered=False),
        (Event(5, "delete"), Event(5, "total +1"), Event(6, "repeat", 1)),
        behind=(_TWO_PLACES,),
    ),
    _TWO_PLACES: Witness(
        Config(5, 2, ordered=False),
        (Event(5, "delete"), Event(5, "total +1"), Event(6, "repeat", 1)),
        behind=("a window need not hold as many rows as its total",),
    ),
    "the rows of another page are taken for this one's": Witness(
        Config(4, 1, ordered=False),
        (Event(6, "repeat", 4),),
        behind=(_TWO_PLACES, "a window need not hold as many rows as its total"),
    ),
    "what entered the window is not noticed": Witness(
        Config(6, 1, ordered=False), (Event(6, BEHIND, 3), Event(9, "delete", 4))
    ),
    "a fall keeps the whole chain": Witness(
        Config(6, 1),
        (Event(6, "delete", 1), Event(6, "total +1")),
        behind=("links need not be settled at the end",),
    ),
    "links need not be settled at the end": Witness(
        Config(6, 1), (Event(6, "delete", 1), Event(6, "total +1")), behind=("a fall keeps the whole chain",)
    ),
    "one witness settles a link": Witness(Config(6, 1), (Event(6, "delete", 1), Event(6, "total +1"))),
    "no anchor is needed": Witness(Config(10, 1), _each("delete", range(9, 10), 1) * 4),
    "totals need not be vouched for": Witness(
        Config(6, 3, fresh=1, strict=True),
        (Event(2, "total -1"), Event(3, "total -1"), Event(4, "delete")),
        behind=(_A_LATER_LOOK,),
    ),
    "after a fall one answer vouches": Witness(
        Config(6, 1),
        (Event(5, "total -1"), Event(6, "total -1"), Event(7, "delete")),
        behind=(_A_LATER_LOOK, "old rows need not be in the window"),
    ),
    "a blank page 1 of a window is believed at once": Witness(
        Config(2, 1, ordered=False, fresh=1),
        (Event(1, "total -1"), Event(3, "blank"), Event(9, "delete", 1)),
        behind=(_OF_PAGE_1,),
    ),
    # -- a window that is everything
    "the end of everything is where anything is": Witness(Config(6, 2, fresh=1), (Event(1, "total -1"),)),
    "one blank page is the end of everything": Witness(
        Config(3, 1, by_stamp=True, fresh=1), (Event(1, "total -1"), Event(3, "blank"))
    ),
    "no page waits for the end of everything": Witness(
        Config(3, 1, by_stamp=True, fresh=1),
        (Event(1, "total -1"), Event(4, "delete", 2), Event(6, "total +1")),
        in_flight=3,
        seed=16,
    ),
    "page 1 is not read alone": Witness(
        Config(7, 2), (Event(1, "total -1"), Event(2, "total -1"), Event(3, "delete", 2)), in_flight=2
    ),
    "a window that is everything need not look as before": Witness(
        Config(3, 1), (Event(1, "total -1"), Event(2, "total -1"), Event(3, "delete"))
    ),
    # -- the closing
    "the first total is not compared": Witness(
        Config(2, 1), (Event(1, "delete", 2), Event(1, "touch", 1), Event(4, "blank"))
    ),
    _THE_LAST_LOOK: Witness(Config(3, 2), (Event(2, "insert", 3), Event(2, "touch", 2), Event(4, "stale"))),
    "fresh rows need not be in the tail": Witness(
        Config(4, 3, fresh=1), (Event(1, "total -1"), Event(5, "blank")), behind=(_OF_PAGE_1, _THE_LAST_LOOK)
    ),
    _OF_PAGE_1: Witness(
        Config(2, 2), (Event(2, "insert"), Event(2, "touch", 2), Event(5, "stale")), behind=(_THE_LAST_LOOK,)
    ),
    "an end that nothing shows is plausible": Witness(
        Config(6, 3, ordered=False, by_stamp=True, fresh=2),
        (Event(1, "total -1"), Event(2, "total -1"), Event(4, "delete", 4)),
    ),
    "any tail is one answer": Witness(
        Config(3, 1, by_stamp=True, fresh=2), (Event(1, "total -1"),), behind=(_THE_LAST_LOOK,)
    ),
    # -- rounds
    "rounds do not count": Witness(
        Config(4, 3, by_stamp=True, fresh=1, strict=True), (Event(5, "blank"), Event(9, "blank"))
    ),
    "two tails are enough": Witness(
        Config(6, 2, ordered=False, by_stamp=True, fresh=1),
        (Event(4, "touch", 2), Event(6, "stale"), Event(7, "delete", 3), Event(9, "repeat", 5)),
    ),
    _A_LATER_LOOK: Witness(Config(6, 3, fresh=1), (Event(2, "total -1"), Event(3, "total -1"), Event(4, "delete"))),
    "old rows need not be in the window": Witness(
        Config(6, 1),
        (Event(5, "total -1"), Event(6, "total -1"), Event(7, "delete")),
        behind=("after a fall one answer vouches", _A_LATER_LOOK),
    ),
    # -- the passes
    "the passes need not have as many rows as the total": Witness(
        Config(5, 2, by_stamp=True, has_filter=False),
        (Event(3, "delete"), Event(3, "insert", 4), Event(5, "touch", 1)),
    ),
    "the passes take one direction for all": Witness(
        Config(5, 2, by_stamp=True, has_filter=False),
        (Event(3, "delete"), Event(3, "insert", 4), Event(5, "touch", 1)),
    ),
    "one pass after the turn is enough": Witness(
        Config(2, 1, has_filter=False), (Event(3, "delete"), Event(3, "insert", 1), Event(4, "repeat", 1))
    ),
    "the end of the passes is not looked for": Witness(Config(3, 1, has_filter=False), (Event(1, "low for ever"),)),
    # -- overlapping pages
    "overlap needs no anchor": Witness(Config(24, 8, has_filter=False), _each("delete", range(5, 6)) * 5),
    "an answer about a part is one about all": Witness(
        Config(43, 12, fresh=11),
        (Event(5, "delete", 1), Event(6, "delete"), Event(7, "delete", 3), Event(10, "repeat", 3)),
    ),
    "a changed row is an anchor": Witness(
        Config(17, 8, by_stamp=True, has_filter=False), tuple(Event(5, "touch", place) for place in range(9, 14))
    ),
    "one short answer ends a chain": Witness(Config(17, 8, has_filter=False), (Event(1, MUTE), Event(3, "repeat", 1))),
    "two short answers without totals end a chain": Witness(
        Config(17, 8, has_filter=False), (Event(1, MUTE), Event(3, "repeat", 1), Event(4, "repeat", 1))
    ),
    "nobody looks at the front again": Witness(Config(9, 8, newest_first=True, has_filter=False), (Event(2, "touch"),)),
    # -- the bound
    "a reading has no bound": Witness(Config(10, 3), _each("delete", range(2, 40))),
}

_HIDDEN_ROWS: Final = (
    "What a total hides that is too low shows at one of the two looks at the end, unless rows leave and come before "
    "each of them. Kept, as it costs nothing and needs no count of such rows."
)

UNSHOWN: Final = {
    "rows behind the end that no total tells are not there": _HIDDEN_ROWS,
    "a contradiction at the end is asked again": _HIDDEN_ROWS,
    "page 1 read twice need not agree": (
        "Rows that leave page 1 lower a total that is seen to fall, unless two totals are false; then both looks are "
        "the same. Kept, as it costs nothing and says what is taken for granted."
    ),
    "rounds do not count different rows": (
        "The window is whole by its chain, and one of three tails is true. Kept: it needs neither argument."
    ),
    "rounds do not compare tails": (
        "One of three tails is true, and what came is not lost by a later answer that lacks it; a row in no tail is "
        "counted. Kept, as rows that come and go are no list at rest."
    ),
    "the passes need not agree on the total": (
        "As many rows before and after the turn as its own total tells are all rows; where that is too low, the end is "
        "not shown. Kept: it needs neither argument."
    ),
    "a copied page goes unnoticed in the passes": (
        "A copy has no row of the page that was asked for, so that fewer rows than the total were seen in all passes. "
        "Kept, as two copies beside two writes are no small world."
    ),
}
"""Checks for which no world is known, and why."""
