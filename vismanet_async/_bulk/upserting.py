"""An upsert: what each row asks for is compared with what is there, and becomes a create, an update or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio
import attrs

from vismanet_async._api.base import etag_of
from vismanet_async._arguments import text_of
from vismanet_async._bulk.earlier_runs import EarlierRuns
from vismanet_async._bulk.existing import Existing
from vismanet_async._bulk.intake import Read, closing, read_row
from vismanet_async._bulk.rows import Row, check_key
from vismanet_async._bulk.target import with_inserts, with_operations
from vismanet_async._bulk.transitions import Entry, RowState, Trouble
from vismanet_async._codec.differences import Comparison, Difference, changed_meanwhile, compare
from vismanet_async._codec.encode import encode_plain
from vismanet_async._codec.record_matches import unwrapped
from vismanet_async._codec.tolerant_decoder import loads_exact
from vismanet_async._deferred import mark_used
from vismanet_async._http.message import bare_etag
from vismanet_async.errors import NotFound, OutcomeUnknown, RequestRefused, VismaNetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable

    from vismanet_async._api.base import Caller
    from vismanet_async._bulk.target import Target
    from vismanet_async._codec.model import Record
    from vismanet_async._http.message import Sender
    from vismanet_async._operation import Operation

__all__ = ["Draft", "Effect", "Upsert", "UpsertRow"]

Effect = Literal["create", "update", "unchanged"]
_READ_AT_ONCE: Final = 16
"""Rows that are read together where each is read by its key; how many requests are in flight the client decides."""
_MANY: Final = "{} records have the {} {!r}: {}. Which of them is meant nobody can tell; nothing was sent."
_OTHER_CASE: Final = "the record is called {!r} and the row {!r}; nothing was sent. Write the key as the record has it."
_MOVED: Final = (
    "somebody changed the record after the list was read ({}); nothing was sent. The next run compares anew."
)
_APPEARED: Final = (
    "It may have been executed: the record is there now, and has other values. It was not sent again; the next run "
    "compares anew."
)
_PARTLY: Final = (
    "It may have been executed: a line that it inserts is there, and other values are not as they were sent. It was "
    "not sent again, which would insert the line twice; the next run compares anew."
)
_UNSEEN: Final = (
    "It may have been executed: the record does not show what was sent, and its version does not tell either. It was "
    "not sent again: look at the record."
)
_TWIN: Final = (
    "It may have been executed under another number: {} has all its values. It was not sent again: look at that record."
)


@attrs.frozen(kw_only=True)
class Draft:
    """One row of an upsert as it was given."""

    body: Any
    """A mapping or a model to send, or a function that makes one, or refuses."""
    data: Any = None
    fallback_key: str = ""
    """What the row is called where its key cannot be read."""


@attrs.frozen
class UpsertRow(Row):
    """A row with what an upsert makes of it."""

    effect: Effect | None = attrs.field(default=None, kw_only=True)
    """None: it is refused."""
    differences: tuple[Difference, ...] = attrs.field(default=(), kw_only=True)
    draft: Draft | None = attrs.field(default=None, kw_only=True, eq=False, repr=False)
    """What it was made from."""
    conflict: Trouble | None = attrs.field(default=None, kw_only=True)
    """Somebody changed the record while the run was reading, so that nothing is sent."""


class Upsert:
    """The rows of one upsert. It is iterated once; what exists is read when that begins."""

    def __init__(self, caller: Caller, target: Target, rows: Iterable[Any] | AsyncIterable[Any]) -> None:
        self.target = target
        self.existing = Existing(caller, target)
        self.earlier = EarlierRuns(target)
        self.sender: Sender = caller.sender
        self._resource: Any = getattr(caller, target.resource)
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)  # type: ignore[arg-type]  # a generator has none, and raises TypeError

    async def __aiter__(self) -> AsyncIterator[UpsertRow]:
        try:
            length = len(self)
        except TypeError:
            length = None
        await self.existing.load(length)
        async with closing(self._rows) as rows:
            together: list[Draft] = []
            async for row in rows:
                together.append(row if isinstance(row, Draft) else Draft(body=row))
                if len(together) == (_READ_AT_ONCE if self.existing.by_key else 1):
                    for decided in await self._decide_all(together):
                        yield decided
                    together = []
            for decided in await self._decide_all(together):
                yield decided

    async def _decide_all(self, drafts: list[Draft]) -> list[UpsertRow]:
        if len(drafts) == 1:
            return [attrs.evolve(await self._decide(drafts[0]), draft=drafts[0])]
        decided: dict[int, UpsertRow] = {}
        failed: list[Exception] = []

        async def decide(index: int, draft: Draft) -> None:
            try:
                decided[index] = attrs.evolve(await self._decide(draft), draft=draft)
            except VismaNetError as error:
                failed.append(error)

        async with anyio.create_task_group() as tasks:
            for index, draft in enumerate(drafts):
                tasks.start_soon(decide, index, draft)
        if failed:
            raise failed[0]
        return [decided[index] for index in range(len(drafts))]

    async def compare_again(self, row: Row) -> UpsertRow:
        """Return a row as it came out of the iteration, compared with the record as it is now.

        Raises:
            VismaNetError: the record cannot be read.
        """
        assert isinstance(row, UpsertRow)
        assert row.draft is not None
        return attrs.evolve(await self._decide(row.draft, read=self.existing.fresh), draft=row.draft)

    async def _decide(self, draft: Draft, *, read: Callable[[str], Awaitable[list[Record]]] | None = None) -> UpsertRow:
        """Return what a row becomes.

        Args:
            draft: the row.
            read: reads the records with a key; `Existing.at` if it is not given.

        Raises:
            VismaNetError: what exists cannot be read.
        """
        key, data = draft.fallback_key or "?", draft.data
        try:
            body = draft.body() if callable(draft.body) else draft.body
            key = self._key_of(body)
            wanted = self._create(body)  # also refuses names and values that no update would take
        except RequestRefused as error:
            return UpsertRow(key, partial(_raise, error), data=data)
        found = await (read or self.existing.at)(key)
        if not found:
            return UpsertRow(key, lambda: wanted, data=data, effect="create")
        mark_used(wanted)
        try:
            comparison, record, moved = await self._compared(self._only(key, found), body)
            if not comparison.differences:
                return UpsertRow(
                    key, partial(_raise, RequestRefused("nothing differs.")), data=data, effect="unchanged"
                )
            if moved is not None:
                told = _MOVED.format(moved)
                conflict = Trouble(kind="PreconditionFailed", text=told)
                return UpsertRow(key, partial(_raise, RequestRefused(told)), data=data, conflict=conflict)
            update = self._update(record, body, comparison)
        except RequestRefused as error:
            return UpsertRow(key, partial(_raise, error), data=data)
        return UpsertRow(key, lambda: update, data=data, effect="update", differences=comparison.differences)

    def _key_of(self, body: Any) -> str:
        target = self.target
        if not isinstance(body, Mapping | target.model):
            raise RequestRefused(f"a row is a mapping or {target.model.__name__}, not {text_of(body)}.")
        if isinstance(body, Mapping):
            names = {target.key, *(one.name for one in attrs.fields(target.model) if _json(one) == target.key)}
            value = next((body[name] for name in names if name in body), None)
        else:
            value = getattr(body, next(one.name for one in attrs.fields(target.model) if _json(one) == target.key))
        value = value["value"] if isinstance(value, Mapping) and value.keys() == {"value"} else value
        if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
            raise RequestRefused(f"the row has no {target.key}, which tells it from others; nothing was sent.")
        check_key(target.key, str(value))
        return str(value)

    def _only(self, key: str, found: list[Record]) -> Record:
        target = self.target
        if len(found) > 1:
            numbers = ", ".join(str(getattr(each, target.path_name)) for each in found[:5])
            raise RequestRefused(_MANY.format(len(found), target.key, key, numbers))
        shown = str(getattr(found[0], target.key_name))
        if shown != key:
            raise RequestRefused(_OTHER_CASE.format(shown, key))
        return found[0]

    async def _compared(self, record: Record, body: Any) -> tuple[Comparison, Record, str | None]:
        """Compare with the record whose version is sent; return it, and what changed in it since the list was read.

        A record of a list is read by itself where all that differs is what the list does not show, and where the list
        shows no version.
        """
        listed = self._compare(record, body)
        versionless = self.target.guarded and bool(listed.differences) and record.etag is None
        if self.existing.by_key or not (listed.hidden or versionless):
            return listed, record, None
        try:
            record = await self.existing.whole(record)
        except NotFound:
            return listed, record, "it is gone"
        whole = self._compare(record, body)
        return whole, record, changed_meanwhile(listed, whole)

    def _compare(self, record: Record, body: Any) -> Comparison:
        whole = self._whole_update(record, body)
        return compare(loads_exact(record.raw_json), loads_exact(whole), self.target.model)

    def _whole_update(self, record: Record, body: Any) -> bytes:
        operation = self._updating(record, with_operations(self.target.model.__name__, body))
        mark_used(operation)
        assert isinstance(operation.body, bytes)
        return operation.body

    def _updating(self, record: Record, body: Any, **options: Any) -> Operation[Any]:
        updating: Operation[Any] = self._resource.update(getattr(record, self.target.path_name), body, **options)
        return updating

    def _create(self, body: Any) -> Operation[Any]:
        creating: Operation[Any] = self._resource.create(with_inserts(self.target.model.__name__, body))
        return creating

    def _update(self, record: Record, body: Any, comparison: Comparison) -> Operation[Any]:
        """Return the update of what differs, for the version that it was compared with where the API looks at that."""
        options: dict[str, Any] = {"if_match": etag_of(record)} if self.target.guarded else {}
        whole = self._updating(record, with_operations(self.target.model.__name__, body), **options)
        mark_used(whole)
        return attrs.evolve(whole, body=encode_plain(comparison.body))

    # -- for the run ------------------------------------------------------------------------------------------------

    def read(self, row: UpsertRow, position: int) -> Read:
        """Return a row as the run registers it: one without a difference is done from the beginning."""
        read = read_row(row, position, self.sender)
        key = self.earlier.key_of(row.key)
        if row.effect == "unchanged":
            entry = Entry(key=key, position=position, fingerprint=b"", operation="", state=RowState.DONE)
            return attrs.evolve(read, entry=entry, trouble=None)
        return attrs.evolve(read, entry=attrs.evolve(read.entry, key=key), trouble=row.conflict or read.trouble)

    def outcome_of(self, operation: str) -> Literal["created", "updated"]:
        """Return what became of a row that is done, by the catalog id of its write."""
        return "created" if operation == self.target.create_id else "updated"

    async def find(self, row: Row, *, numbers_hold: bool) -> str | None:
        """Look a row up whose write may have been executed.

        Args:
            row: the row, decided before.
            numbers_hold: the company keeps the keys that are sent, so that a record which is not there was not made.

        Returns:
            The key; None: it was not executed, or a repetition does no harm.

        Raises:
            OutcomeUnknown: nobody can tell.
        """
        assert isinstance(row, UpsertRow)
        operation = row.operation() if callable(row.operation) else row.operation
        assert isinstance(operation.body, bytes)
        sent = loads_exact(operation.body)
        found = await self.existing.fresh(row.key)
        if not found:
            if row.effect == "create" and not numbers_hold and self.target.by_get:
                await self._refuse_twins(sent)
            return None
        record = self._only(row.key, found)
        compared = compare(loads_exact(record.raw_json), sent, self.target.model)
        if _is_shown(compared):
            if row.effect == "create":
                raise OutcomeUnknown(_APPEARED)
            if not self.target.guarded and _inserts(compared.body) < _inserts(sent):
                raise OutcomeUnknown(_PARTLY)
            return None
        if row.effect == "update" and not any(each.shown for each in row.differences):
            await self._refuse_unseen(record, operation)
            return None
        return row.key

    async def _refuse_unseen(self, record: Record, operation: Operation[Any]) -> None:
        """Raise unless an update of what no record shows was not executed, or does no harm a second time."""
        if self.target.guarded:
            now = (record if record.etag is not None else await self.existing.whole(record)).etag
            repeatable = now is not None and now == bare_etag(operation.headers.get("If-Match"))
        else:
            assert isinstance(operation.body, bytes)
            repeatable = not _inserts(loads_exact(operation.body))
        if not repeatable:
            raise OutcomeUnknown(_UNSEEN)

    async def _refuse_twins(self, sent: Mapping[str, Any]) -> None:
        """Raise where a record has all that was sent but for its key: the company may number records by itself."""
        but_key = {name: value for name, value in sent.items() if name != self.target.key}
        for record in await self.existing.all():
            if not _is_shown(compare(loads_exact(record.raw_json), but_key, self.target.model)):
                raise OutcomeUnknown(_TWIN.format(getattr(record, self.target.key_name)))


def _is_shown(comparison: Comparison) -> bool:
    """Return whether a record is seen to differ."""
    return any(each.shown for each in comparison.differences)


def _inserts(body: Mapping[str, Any]) -> int:
    """Return how many lines a body inserts: each is added as often as it is sent, where If-Match is ignored."""
    lists = [lines for value in body.values() if isinstance(lines := unwrapped(value), list)]
    return sum(isinstance(line, dict) and line.get("operation") == "Insert" for lines in lists for line in lines)


def _json(attribute: attrs.Attribute[Any]) -> str:
    from vismanet_async._codec.fields import json_key  # noqa: PLC0415 - beside its use

    return json_key(attribute)


def _raise(error: RequestRefused) -> Operation[Any]:
    raise error
