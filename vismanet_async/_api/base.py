"""What every resource is made of: `Resource` turns a method call into an `Operation` or a `Listing`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar
from weakref import WeakValueDictionary

import anyio
import msgspec

from vismanet_async._api import results
from vismanet_async._api.paths import fill
from vismanet_async._api.query import pairs
from vismanet_async._arguments import expect, expect_seconds, named_keywords
from vismanet_async._codec.encode import encode_write
from vismanet_async._codec.model import Record
from vismanet_async._elsewhere import CALLS
from vismanet_async._http.message import bare_etag, header_fault
from vismanet_async._names import beside
from vismanet_async._operation import Operation
from vismanet_async._paging.list_spec import ListSource
from vismanet_async.errors import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo

    from vismanet_async._api.files import Download, Upload
    from vismanet_async._api.paths import Id
    from vismanet_async._api.query import Part
    from vismanet_async._api.results import Created, Done, Updated
    from vismanet_async._codec.model import WriteModel
    from vismanet_async._http.message import Body, Response, Sender
    from vismanet_async._operation import OperationSpec
    from vismanet_async._paging.list_spec import FrozenFilter, Style
    from vismanet_async._paging.listing import Listing

__all__ = ["Caller", "IfMatch", "ListCall", "ModelRef", "Resource", "etag_of"]

T = TypeVar("T")

IfMatch: TypeAlias = "str | Record | Created | Updated | Done | Mapping[str, Any]"
"""A version: an ETag, a record or list row with its time stamp, or what a write answered."""


class Caller(Protocol):
    """What a resource needs of the client."""

    @property
    def sender(self) -> Sender:
        """What sends the operations."""
        ...

    @property
    def time_zone(self) -> tzinfo | None:
        """The company's declared zone, for aware datetimes in conditions."""
        ...

    def listing(self, source: ListSource, /) -> Listing[Any]:
        """Return the listing of a list call."""
        ...


class ModelRef(msgspec.Struct, frozen=True):
    """A model class by its module and name; calling it loads it. Touching a resource loads no models."""

    home: str
    """The module below `vismanet_async._api.models`."""
    name: str

    def __call__(self) -> type[Any]:
        """Return the class."""
        return _model(self.home, self.name)


@cache
def _model(home: str, name: str) -> type[Any]:
    found: type[Any] = getattr(import_module(f"vismanet_async._api.models.{home}"), name)
    return found


class ListCall(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of one list operation."""

    spec: OperationSpec
    model: Callable[[], type[Any]]
    style: Style
    identity: tuple[str, ...] = ()
    max_page_size: int | None = None
    max_page_size_expanded: int | None = None
    """The largest page where the query has `expand`; None: the same."""
    frozen_filter: FrozenFilter | None = None
    one_of: tuple[str, ...] = ()
    """Parameters of which the API wants at least one."""


class Resource:
    """Base of the resources. Holds the client and nothing else; any number of tasks may share one."""

    def __init_subclass__(cls) -> None:
        """Have each method name the nearest keyword arguments; those with a mark on them are left as they are."""
        for name, method in list(vars(cls).items()):
            if isinstance(method, FunctionType) and not (name.startswith("_") or hasattr(method, "__wrapped__")):
                setattr(cls, name, named_keywords(elsewhere=CALLS)(method))

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._turns: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    def _list(
        self,
        call: ListCall,
        ids: Sequence[Id],
        *parts: Part,
        page_size: int | None = None,
        **options: float | None,
    ) -> Listing[Any]:
        query = pairs(parts, self._caller.time_zone)
        if call.one_of and not {name for name, _ in query} & set(call.one_of):
            raise RequestRefused(
                f"{call.spec.id} needs one of {', '.join(map(beside, call.one_of))}; nothing was sent. For all "
                "rows, ask for those that were changed since 1900-01-01 (vismanet export: --since 1900-01-01)."
            )
        is_expanded = any(name == "expand" for name, _ in query)
        listing = self._caller.listing(
            ListSource(
                spec=call.spec,
                path=fill(call.spec.path, ids),
                query=query,
                style=call.style,
                model=call.model,
                identity=call.identity,
                page_size=page_size,
                max_page_size=(call.max_page_size_expanded if is_expanded else None) or call.max_page_size,
                frozen_filter=call.frozen_filter,
            )
        )
        given = {name: value for name, value in options.items() if value is not None}
        return listing.with_options(**given) if given else listing

    def _read(
        self,
        spec: OperationSpec,
        ids: Sequence[Id],
        *parts: Part,
        model: Callable[[], type[T]],
        timeout_seconds: float | None = None,
    ) -> Operation[T]:
        def decode(response: Response) -> T:
            return results.read_record(response, model())

        return self._operation(spec, ids, parts, decode, timeout_seconds=timeout_seconds)

    def _create(
        self,
        spec: OperationSpec,
        ids: Sequence[Id],
        *parts: Part,
        body: Any,
        model: Callable[[], type[WriteModel]],
        timeout_seconds: float | None = None,
    ) -> Operation[Created]:
        content = encode_write(body, model(), creating=True)

        def decode(response: Response) -> Created:
            return results.created(response, spec.path, spec.id)

        return self._operation(spec, ids, parts, decode, body=content, timeout_seconds=timeout_seconds)

    def _update(
        self,
        spec: OperationSpec,
        ids: Sequence[Id],
        *parts: Part,
        body: Any = None,
        model: Callable[[], type[WriteModel]] | None = None,
        if_match: IfMatch | None = None,
        timeout_seconds: float | None = None,
    ) -> Operation[Updated]:
        content = None if model is None else encode_write(body, model())

        def decode(response: Response) -> Updated:
            return results.updated(response, spec.id, accepts_202=_accepts_202(spec))

        return self._operation(
            spec, ids, parts, decode, body=content, if_match=if_match, timeout_seconds=timeout_seconds
        )

    def _delete(
        self,
        spec: OperationSpec,
        ids: Sequence[Id],
        *parts: Part,
        if_match: IfMatch | None = None,
        timeout_seconds: float | None = None,
    ) -> Operation[None]:
        def decode(response: Response) -> None:
            results.deleted(response, spec.id, accepts_202=_accepts_202(spec))

        return self._operation(spec, ids, parts, decode, if_match=if_match, timeout_seconds=timeout_seconds)

    def _act(
        self,
        spec: OperationSpec,
        ids: Sequence[Id],
        *parts: Part,
        result: Callable[[], type[T]],
        body: Any = None,
        model: Callable[[], type[WriteModel]] | None = None,
        if_match: IfMatch | None = None,
        timeout_seconds: float | None = None,
    ) -> Operation[T]:
        def decode(response: Response) -> T:
            acted: T = results.acted(response, result, spec.id)
            return acted

        content = _action_body(body, model)
        return self._operation(
            spec, ids, parts, decode, body=content, if_match=if_match, timeout_seconds=timeout_seconds
        )

    def _do(
        self,
        spec: OperationSpec,
        ids: Sequence[Id],
        *parts: Part,
        body: Any = None,
        model: Callable[[], type[WriteModel]] | None = None,
        if_match: IfMatch | None = None,
        timeout_seconds: float | None = None,
    ) -> Operation[Done]:
        def decode(response: Response) -> Done:
            return results.done(response, _ACTION_RESULT, spec.path, spec.id)

        content = _action_body(body, model)
        return self._operation(
            spec, ids, parts, decode, body=content, if_match=if_match, timeout_seconds=timeout_seconds
        )

    def _upload(
        self,
        spec: OperationSpec,
        ids: Sequence[Id],
        *parts: Part,
        file: Upload,
        if_match: IfMatch | None = None,
        timeout_seconds: float | None = None,
    ) -> Operation[Created]:
        from vismanet_async._api.files import Upload  # noqa: PLC0415 - few resources have files

        expect("file", file, Upload, words='a file such as Upload(Path("receipt.pdf"))')

        def decode(response: Response) -> Created:
            return results.created(response, spec.path, spec.id)

        return self._operation(
            spec, ids, parts, decode, body=file.body(), if_match=if_match, timeout_seconds=timeout_seconds
        )

    def _download(
        self, spec: OperationSpec, ids: Sequence[Id], *parts: Part, timeout_seconds: float | None = None
    ) -> Download:
        from vismanet_async._api.files import Download, read_file  # noqa: PLC0415 - few resources have files

        expect_seconds("timeout_seconds", timeout_seconds)
        return Download(
            spec=spec,
            path=fill(spec.path, ids),
            query=pairs(parts, self._caller.time_zone),
            headers={"Accept": "*/*"},
            decode=read_file,
            sender=self._caller.sender,
            deadline_seconds=timeout_seconds,
        )

    def _operation(
        self,
        spec: OperationSpec,
        ids: Sequence[Id],
        parts: Sequence[Part],
        decode: Callable[[Response], T],
        *,
        body: bytes | Body | None = None,
        if_match: IfMatch | None = None,
        timeout_seconds: float | None = None,
    ) -> Operation[T]:
        if timeout_seconds is not None:
            expect_seconds("timeout_seconds", timeout_seconds)
        return Operation(
            spec=spec,
            path=fill(spec.path, ids),
            query=pairs(parts, self._caller.time_zone) if parts else (),
            headers={} if if_match is None else {"If-Match": f'"{etag_of(if_match)}"'},
            body=body,
            decode=decode,
            sender=self._caller.sender,
            deadline_seconds=timeout_seconds,
        )

    def _turn(self, path: str) -> anyio.Lock:
        """Return the lock that tasks of this client share to change one record, one at a time."""
        lock = self._turns.get(path)
        if lock is None:
            lock = self._turns[path] = anyio.Lock()
        return lock


_ACTION_RESULT = ModelRef("common.action_result", "ActionResult")


def _action_body(body: Any, model: Callable[[], type[WriteModel]] | None) -> bytes:
    """Encode an action's body; the actions without one take an empty object (docs/facts.md 10)."""
    return b"{}" if model is None else encode_write(body, model())


def _accepts_202(spec: OperationSpec) -> bool:
    """Return whether a 202 means that it is done: changes of sales orders are answered so (docs/facts.md 6.10)."""
    return spec.service == "sales_order"


def etag_of(version: IfMatch) -> str:
    """Return the bare ETag of whatever names a version.

    Raises:
        RequestRefused: there is none in it; nothing was sent.
    """
    expect(
        "if_match",
        version,
        str,
        Record,
        results.Created,
        results.Updated,
        results.Done,
        Mapping,
        words="an ETag, a record that was read, what a write answered, or a list row",
    )
    found: Any = version
    if isinstance(version, Record | results.Created | results.Updated | results.Done):
        found = version.etag
    elif not isinstance(version, str):
        found = next((version[name] for name in ("timeStamp", "timestamp", "version") if version.get(name)), None)
    etag = bare_etag(found) if isinstance(found, str) else None
    fault = None if etag is None else header_fault("If-Match", etag)
    if fault is not None:
        raise RequestRefused(f"if_match: {fault}, so it is no version; nothing was sent.")
    if etag is None or '"' in etag:
        raise RequestRefused(
            f"if_match: {type(version).__name__} holds no version. Give an ETag, a record that was just read (its etag "
            "or time stamp), or the answer to a create or update; nothing was sent."
        )
    return etag
