"""A client that sends nothing, and samples built from the catalog alone (not from the code under test)."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict, CIMultiDictProxy

from vismanet_async._api.resources import Resources
from vismanet_async._http.message import Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import tzinfo

    from vismanet_async._http.message import Request
    from vismanet_async._paging.list_spec import ListSource

CATALOG = Path(__file__).parents[2] / "vismanet_async" / "_api" / "catalog"


@cache
def operations() -> dict[str, dict[str, Any]]:
    """The catalog's operations by id."""
    found: dict[str, dict[str, Any]] = {
        each["id"]: each
        for name in ("operations", "additions")
        for each in json.loads((CATALOG / f"{name}.json").read_text("utf-8"))["operations"]
    }
    for each in sales_order()["operations"]:
        for part in (each["request"] or {}, each["response"]):
            if "dto" in part:
                part["dto"] = f"v3.{part['dto']}"
        found[each["id"]] = each
    return found


def sales_order() -> dict[str, Any]:
    """The catalog of the Sales Order service."""
    found: dict[str, Any] = json.loads((CATALOG / "sales_order.json").read_text("utf-8"))
    return found


@cache
def enums() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((CATALOG / "enums.json").read_text("utf-8"))["enums"]
    return {**found, **sales_order()["enums"]}


@cache
def schemas() -> dict[str, dict[str, Any]]:
    found: dict[str, Any] = {}
    for name in ("schemas", "additions"):
        found |= json.loads((CATALOG / f"{name}.json").read_text("utf-8"))["schemas"]
    for name, schema in sales_order()["schemas"].items():
        fields = {key: {**field, "utc": True} for key, field in schema["fields"].items()}
        for field in fields.values():
            field.update({key: f"v3.{field[key]}" for key in ("ref", "items") if key in field})
        found[f"v3.{name}"] = {"fields": fields}
    return found


def sample(dto: str, *, wrap: bool = False, line: str = "Insert", depth: int = 6) -> dict[str, Any]:
    """Build JSON with every field of a DTO.

    `wrap` puts `{"value": x}` where the catalog says wrapped; `line` is what lines say is to be done with them.
    """
    made: dict[str, Any] = {}
    for name, field in schemas()[dto]["fields"].items():
        inner = field.get("ref") or field.get("items")
        if inner and depth == 0:
            made[name] = []
            continue
        one: Any = sample(inner, wrap=wrap, line=line, depth=depth - 1) if inner else _scalar(name, field, line)
        if field["type"] == "array":
            one = [one]
        made[name] = {"value": one} if wrap and field.get("wrapped") else one
    return made


def _scalar(name: str, field: dict[str, Any], line: str) -> Any:
    if field.get("enum") == "AttributeDetailUpdateOperationEnum":
        return line
    if field.get("format") == "date-time":
        return "2025-05-25T13:30:00+00:00" if field.get("utc") else "2025-05-25T13:30:00"
    if "enum" in field:
        return enums()[field["enum"]]["values"][0]
    return {
        "string": f"text of {name}",
        "integer": 12345,
        "number": 1225,
        "boolean": True,
        "object": {"name": "x"},
        "array": "one",
    }[field["type"]]


def reply(body: bytes | Any = b"", *, status: int = 200, **headers: Any) -> Response:
    """Make an answer; header names with `_` for `-`."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=status, headers=CIMultiDictProxy(CIMultiDict(named)), body=content)


class _Streamed:
    def __init__(self, response: Response) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        return self._response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        body = self._response.body
        step = max(7, len(body) // 50)
        for start in range(0, len(body), step):
            yield body[start : start + step]


class Recorder:
    """A sender that keeps every request and answers from a script, or by a function."""

    def __init__(self, *answers: Response | Exception, by: Callable[[Request], Response] | None = None) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self._by = by

    async def send(self, request: Request, /) -> Response:
        self.requests.append(request)
        answer = self._by(request) if self._by else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @asynccontextmanager
    async def stream(self, request: Request, /) -> AsyncIterator[_Streamed]:
        yield _Streamed(await self.send(request))


class Client(Resources):
    """What the resources need of a client; a listing is the source it would read."""

    def __init__(self, *answers: Response | Exception, time_zone: tzinfo | None = None, **options: Any) -> None:
        self.recorder = Recorder(*answers, **options)
        self.time_zone = time_zone

    @property
    def sender(self) -> Recorder:
        return self.recorder

    def listing(self, source: ListSource, /) -> Any:
        return source
