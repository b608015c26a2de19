"""Each check of the proof, broken once: what of its text is changed, and rules that are loaded with the change.

`witnesses.py` has a world for each in which the broken rules are wrong; `mutation_search.py` looks for others.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType

    from vismanet_async._paging.paginator import Paginator

ROOT: Final = Path(__file__).parents[2]
_PACKAGE: Final = "vismanet_async._paging"
_RULES: Final = (
    "asks",
    "overlap",
    "protocol",
    "passes",
    "window_totals",
    "window_chain",
    "reading",
    "windowed_list",
    "proof",
    "cost_limit",
    "dedup",
    "row_pipeline",
    "scope_filters",
    "single_pass",
    "plans",
    "paginator",
)
"""The modules that are loaded anew: those with checks, and whoever imports them; each behind those that it imports."""


@attrs.frozen
class Mutation:
    """One check, broken."""

    name: str
    file: str
    old: str
    new: str

    @property
    def path(self) -> Path:
        """The file that is changed."""
        return ROOT / "vismanet_async" / "_paging" / self.file


def broken_rules(mutations: Sequence[Mutation]) -> type[Paginator]:
    """Load the rules with these checks broken, beside the sound ones: nothing else sees them."""
    return _loaded(tuple(mutations))


@cache
def _loaded(mutations: tuple[Mutation, ...]) -> type[Paginator]:
    names = [f"{_PACKAGE}.{name}" for name in _RULES]
    sound = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    try:
        for name in names:
            spec = importlib.util.find_spec(name)
            assert spec is not None
            assert spec.origin is not None
            module = sys.modules[name] = importlib.util.module_from_spec(spec)
            exec(_code(spec.origin, *(one for one in mutations if str(one.path) == spec.origin)), module.__dict__)
        return sys.modules[f"{_PACKAGE}.paginator"].Paginator  # type: ignore[no-any-return]  # by its name
    finally:
        sys.modules.update(sound)


@cache
def _code(path: str, *mutations: Mutation) -> CodeType:
    text = Path(path).read_text()
    for mutation in mutations:
        assert text.count(mutation.old) == 1, f"{mutation.name}: not once in {mutation.file}"
        text = text.replace(mutation.old, mutation.new)
    return compile(text, path, "exec")


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
        "reading.py",
        "        if first.rows < first.size:\n            return True",
        "        if True:\n            return True",
    ),
    Mutation(
        "the end of a window is not looked for",
        "windowed_list.py",
        "if last is None or not rows or last.rows < self._size or last is self._end:",
        "if True:",
    ),
    Mutation("the end shows any last row", "protocol.py", "return _same_end(reply, last)", "return True"),
    Mutation("one blank behind a full page is enough", "protocol.py", "for _ in range(2):", "for _ in range(1):"),
    Mutation(
        "no last look after the blank pages",
        "protocol.py",
        "if behind.rows or not (yield from self._ends_with(last, rows, page=page, size=self.size)):",
        "if behind.rows:",
    ),
    Mutation(
        "a window need not hold as many rows as its total",
        "windowed_list.py",
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
    Mutation("one witness settles a link", "window_totals.py", "\nWITNESSES: Final = 2", "\nWITNESSES: Final = 0"),
    Mutation("no anchor is needed", "window_chain.py", "if page > 1 and known.isdisjoint(reply.names):", "if False:"),
    Mutation(
        "the rows of another page are taken for this one's",
        "window_chain.py",
        "if page != reply.ask.page and total == reply.total:",
        "if False:",
    ),
    Mutation("a row may stand at two places", "dedup.py", "if not 0 <= moved <= abs(then - total):", "if False:"),
    Mutation(
        "links need not be settled at the end",
        "windowed_list.py",
        "            if window.is_settled:\n                return",
        "            return",
    ),
    Mutation(
        "the first total is not compared",
        "windowed_list.py",
        "is_quiet = is_quiet and first.total == len(self._count) and (",
        "is_quiet = is_quiet and (",
    ),
    Mutation(
        "the second look need not agree",
        "windowed_list.py",
        "return _same((yield from self._reading.look(Scope.ALL)), self._first)",
        "return bool((yield from self._reading.look(Scope.ALL)))",
    ),
    Mutation(
        "page 1 read twice need not agree",
        "windowed_list.py",
        "if before is not None and after is not None and not _same(after, before):",
        "if False:",
    ),
    Mutation(
        "rows of page 1 need not be delivered",
        "windowed_list.py",
        "is_quiet = is_quiet and not self._count.missing(list(first.names))",
        "pass",
    ),
    Mutation("fresh rows need not be in the tail", "windowed_list.py", " and reading.fresh <= tail", ""),
    Mutation(
        "an end that nothing shows is plausible",
        "windowed_list.py",
        "if len(tail) < self._size or self._asker.other_size(len(tail)) is None:",
        "if False:",
    ),
    Mutation(
        "rounds do not count",
        "windowed_list.py",
        "if tail <= newer and (everything.total or 0) <= min(len(count), (below.total or 0) + len(newer)):",
        "if tail <= newer:",
    ),
    Mutation(
        "rounds do not count different rows",
        "windowed_list.py",
        "<= min(len(count), (below.total or 0) + len(newer))",
        "<= (below.total or 0) + len(newer)",
    ),
    Mutation(
        "totals need not be vouched for",
        "window_totals.py",
        "return all(reply.sent >= self._vouched_since for reply in replies)",
        "return True",
    ),
    Mutation(
        "after a fall one answer vouches",
        "window_totals.py",
        "self._vouched_since, self._witnesses = _NEVER, WITNESSES",
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
        "windowed_list.py",
        "if tail <= newer and (everything.total or 0)",
        "if (everything.total or 0)",
    ),
    Mutation(
        "old rows need not be in the window",
        "windowed_list.py",
        "self._expect_counted([name for name in everything.names if name not in fresh])",
        "pass",
    ),
    Mutation(
        "any tail is one answer",
        "windowed_list.py",
        "if reply.total == reply.rows and (yield from self._reading.is_all(reply)):",
        "if True:",
    ),
    Mutation("the passes need not agree on the total", "passes.py", "seen.totals != {rows} or ", ""),
    Mutation("the passes need not have as many rows as the total", "passes.py", "len(names) != rows", "False"),
    Mutation("the passes take one direction for all", "passes.py", "names &= seen.names", "names |= seen.names"),
    Mutation("one pass after the turn is enough", "passes.py", "LATER_PASSES: Final = 2", "LATER_PASSES: Final = 1"),
    Mutation("a copied page goes unnoticed in the passes", "passes.py", " or seen.is_repeated", ""),
    Mutation("the end of the passes is not looked for", "passes.py", "if turn.rows == asker.size and", "if False and"),
    Mutation(
        "overlap needs no anchor",
        "overlap.py",
        "elif page.start == 0 or self._anchors(reply):",
        "elif self._anchors(reply) or True:",
    ),
    Mutation(
        "an answer about a part is one about all",
        "reading.py",
        "return bool(reply.rows) and _fingerprint(reply, reply.total) in self._filtered",
        "return False",
    ),
    Mutation(
        "rows behind the end that no total tells are not there",
        "protocol.py",
        "behind = yield from self._once(scope, page + 1, self.size)",
        "behind = yield from self.ask(scope, page=page + 1, size=self.size, may_be_blank=True)",
    ),
    Mutation(
        "a contradiction at the end is asked again",
        "protocol.py",
        "reply = yield from self._not_blank(last.ask.scope, page, size)",
        "reply = yield from self.ask(last.ask.scope, page=page, size=size)",
    ),
    Mutation("a changed row is an anchor", "overlap.py", "if known.mark(offset) == reply.mark(place)", "if True"),
    Mutation("one short answer ends a chain", "overlap.py", "_ENDS: Final = 3", "_ENDS: Final = 1"),
    Mutation("two short answers without totals end a chain", "overlap.py", "_ENDS: Final = 3", "_ENDS: Final = 2"),
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
        "window_totals.py",
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
        "windowed_list.py",
        "_same(look, first) and _same(look, window.first_page)",
        "True",
    ),
    Mutation(
        "two tails are enough",
        "windowed_list.py",
        "                if newer:\n",
        "                if False:\n",
    ),
    Mutation(
        "rows of a later look need not be in the window",
        "windowed_list.py",
        "        self._expect_counted(look.names)\n",
        "",
    ),
    Mutation("a reading has no bound", "paginator.py", "if self._requests.count >= self.cost_limit:", "if False:"),
)
