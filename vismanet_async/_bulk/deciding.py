"""What a run does with a row that has come, and what the outcome is called. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from vismanet_async._bulk.rows import OUTCOMES
from vismanet_async._bulk.sending import Find  # noqa: TC001 - attrs reads the annotations
from vismanet_async._bulk.transitions import UNSURE, Action, Entry, RowState, Trouble, decide, decide_anew
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Collection

    from vismanet_async._bulk.intake import Read
    from vismanet_async._bulk.rows import Outcome
    from vismanet_async._bulk.upserting import Upsert

__all__ = ["BY_STATE", "BulkOptions", "action_of", "outcome_of", "sends_again", "settled", "states_of"]

BY_STATE: Final[dict[RowState, Outcome]] = {
    RowState.DONE: "done",
    RowState.FAILED: "failed",
    RowState.SENDING: "unknown",
    RowState.UNKNOWN: "unknown",
    RowState.PLANNED: "not_sent",
}
_GONE: Final = (
    "an earlier run created it as {}, and no record has this key now: it was deleted, or has got another key. Nothing "
    "was sent; with a new journal it is created again."
)


@attrs.frozen(kw_only=True)
class BulkOptions:
    """How a run decides."""

    find: Find | None = None
    retry_failed: bool = False
    retry_unknown: bool = False
    max_failures: int | None = None
    max_failure_share: float | None = None
    settle_seconds: float


def action_of(read: Read, entry: Entry, options: BulkOptions, *, upserts: bool) -> Action:
    """Return what to do with a row for which something may have to be sent."""
    if upserts:
        return decide_anew(entry)
    return decide(
        entry,
        fingerprint=read.entry.fingerprint,
        can_look=options.find is not None,
        retry_failed=options.retry_failed or read.operation is None,
        retry_unknown=options.retry_unknown,
    )


def sends_again(entry: Entry, options: BulkOptions) -> bool:
    """Return whether a row whose job has told nothing is sent again, by a person's decision."""
    return entry.state is RowState.UNKNOWN and options.retry_unknown and options.find is None


def settled(read: Read, entry: Entry, upsert: Upsert) -> tuple[Outcome, Entry] | None:
    """Return how a row of an upsert ends for which nothing is to be sent; None for all others.

    Only once nothing that was sent for it may land any more: what the row was compared with could change yet.
    """
    effect, unsure = getattr(read.row, "effect", None), entry.state in UNSURE
    if effect == "unchanged":
        done = attrs.evolve(entry, state=RowState.DONE, unsure_since=None, trouble=None)
        if unsure:  # it was executed, or somebody else has done the same
            return upsert.outcome_of(entry.operation), done
        return "unchanged", done if entry.state is RowState.DONE else attrs.evolve(done, operation="")
    if entry.state is not RowState.DONE:
        return None
    if read.trouble is not None:  # what an earlier run did stands
        return _refused_as(read.trouble), attrs.evolve(entry, trouble=read.trouble)
    if effect == "create" and upsert.outcome_of(entry.operation) == "created":
        trouble = Trouble(kind="RequestRefused", text=_GONE.format(entry.id or "a record"))
        return "conflict", attrs.evolve(entry, trouble=trouble)
    return None


def outcome_of(entry: Entry, upsert: Upsert | None) -> Outcome:
    """Return the outcome of a row that was sent or looked up."""
    if upsert is not None and entry.state is RowState.DONE:
        return upsert.outcome_of(entry.operation)
    if upsert is not None and entry.state is RowState.FAILED and entry.trouble is not None:
        return _refused_as(entry.trouble)
    return BY_STATE[entry.state]


def states_of(outcomes: Collection[Outcome]) -> frozenset[RowState]:
    """Return the states in a journal that these outcomes are told of; refuse those that journals do not keep."""
    kept, wanted = dict.fromkeys(BY_STATE.values()), frozenset(outcomes)
    if wrong := sorted(wanted - kept.keys()):
        why = "is not kept in journals" if wanted <= set(OUTCOMES) else f"is none of {', '.join(kept)}"
        raise RequestRefused(f"the outcome {wrong[0]!r} {why}; nothing was read.")
    return frozenset(state for state, outcome in BY_STATE.items() if outcome in wanted)


def _refused_as(trouble: Trouble) -> Outcome:
    """Return what a row of an upsert is that was refused."""
    return "conflict" if trouble.kind == "PreconditionFailed" else "failed"
