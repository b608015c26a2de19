"""Every operation of the catalog, called with everything it takes, and its request compared with the catalog."""

# mypy: disable-error-code="unused-awaitable"
# operations are values here: most are looked at, not sent

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.support import Client, enums, operations, reply, sample, schemas
from vismanet_async._api.files import Download, Upload
from vismanet_async._api.registry import registry
from vismanet_async._api.results import Created, Done, Updated
from vismanet_async._codec.decode import decode_rows
from vismanet_async._codec.fields import fields_of
from vismanet_async._codec.model import Model, Record
from vismanet_async._codec.values import UNSET
from vismanet_async._conditions import on_or_after
from vismanet_async._paging.list_spec import ListSource
from vismanet_async.errors import ActionFailed, RequestRefused

if TYPE_CHECKING:
    from collections.abc import Callable

# what Visma has ended is called here as well
pytestmark = pytest.mark.filterwarnings("ignore:Visma ended this operation:DeprecationWarning")

METHODS = {
    facts["id"]: (resource, name, facts)
    for resource, known in registry()["resources"].items()
    for name, facts in known["methods"].items()
}
LEFT_OUT = {"pageNumber", "pageSize", "pageIndex", "numberToRead", "skipRecords", "greaterThanValue"}
ETAG = "AAAAAE0YIiI="


def test_every_operation_has_a_method_and_every_method_an_operation() -> None:
    assert set(METHODS) == set(operations())
    assert len(METHODS) == 509 + 19


def expected_query(operation: dict[str, Any]) -> dict[str, list[str]]:
    """What a call with every parameter must send, from the catalog alone."""
    names = {one["name"] for one in operation["query"]}
    expected: dict[str, list[str]] = {}
    for one in operation["query"]:
        name = one["name"]
        if name in LEFT_OUT or one.get("deprecated"):
            continue
        if name.endswith("Condition") and name.removesuffix("Condition") in names:
            expected[name] = [">="]
        elif f"{name}Condition" in names:
            expected[name] = ["7"] if one["type"] == "number" else ["2025-05-25"]
        elif one["type"] == "array":
            expected[name] = _expected_values(one)
        elif name == "attributes":
            expected[name] = ['{"COLOUR":"RED,BLUE"}']
        elif one.get("format") in {"date", "date-time"}:
            expected[name] = ["2025-05-24T22:00:00Z" if operation.get("service") == "sales_order" else "2025-05-25"]
        elif "enum" in one:
            expected[name] = [enums()[one["enum"]]["values"][0]]
        else:
            expected[name] = {"string": ["text"], "integer": ["7"], "number": ["7"], "boolean": ["false"]}[one["type"]]
    return expected


def _expected_values(one: dict[str, Any]) -> list[str]:
    if "separator" not in one:
        return ["A", "B"]
    return [one["separator"].join(enums()[one["enum"]]["values"][:2] if "enum" in one else ["7", "8"])]


VALUES: dict[str, Any] = {
    "text": "text",
    "integer": 7,
    "number": 7,
    "flag": False,
    "moment": "2025-05-25",
    "instant": "2025-05-25T00:00:00+02:00",
    "condition": on_or_after("2025-05-25"),
    "number_condition": on_or_after(7),
    "repeated": ["A", "B"],
    "attributes": {"COLOUR": ["RED", "BLUE"]},
}


def call(client: Client, key: str, *, body: Any = None, if_match: Any = None) -> Any:
    resource, name, facts = METHODS[key]
    kinds: dict[str, Callable[[int], Any]] = {
        "int": lambda place: 100 + place,
        "str": lambda place: f"id {place}",
        "list[int]": lambda _: [7, 8],
    }
    ids: list[Any] = [kinds[kind](place) for place, (_, kind) in enumerate(facts.get("ids", ()))]
    arguments = {one["name"]: _argument(one) for one in facts.get("parameters", ()) if not one.get("in_path")}
    if if_match is None and facts.get("if_match") == "needed":
        if_match = ETAG
    if if_match is not None:
        arguments["if_match"] = if_match
    if facts["call"] == "upload":
        ids.append(Upload(b"content", "file.pdf"))
    if body is not None:
        ids.append(body["lines"] if facts["body"].startswith("list[") else body)
    return getattr(getattr(client, resource), name)(*ids, **arguments)


def _argument(one: dict[str, Any]) -> Any:
    if not one.get("enum"):
        return VALUES[one["kind"]]
    values = registry()["enums"][one["enum"]]
    return values[:2] if one["kind"] == "choices" else values[0]


def _line(operation: dict[str, Any]) -> str:
    """What a line can say: in a new document there is nothing to update."""
    return "Insert" if operation["method"] == "POST" and "/action/" not in operation["path"] else "Update"


def _body(key: str) -> Any:
    operation = operations()[key]
    dto = (operation["request"] or {}).get("dto")
    return sample(dto, line=_line(operation)) if dto else None


def filled(operation: dict[str, Any]) -> str:
    path: str = operation["path"]
    for place, (name, kind, *_) in enumerate(operation["path_params"]):
        path = path.replace(f"{{{name}}}", str(100 + place) if kind == "integer" else f"id%20{place}")
    return path


def as_lists(pairs: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("key", sorted(operations()))
async def test_request(key: str) -> None:
    operation = operations()[key]
    client = Client(reply(), reply())
    dto = (operation["request"] or {}).get("dto")
    body = sample(dto, line=_line(operation)) if dto else None
    made = call(client, key, body=body)
    if isinstance(made, ListSource):
        assert (made.spec.method, made.spec.id, made.path) == ("GET", key, filled(operation))
        assert as_lists(made.query) == expected_query(operation)
        return
    request = made.request()
    assert (request.method, request.path, request.operation) == (operation["method"], filled(operation), key)
    assert as_lists(request.query) == expected_query(operation)
    assert ("If-Match" in request.headers) is (METHODS[key][2].get("if_match") == "needed")
    assert request.service == operation.get("service", "erp")
    if dto:
        assert json.loads(request.body) == sample(dto, wrap=True, line=_line(operation))
    elif (operation["request"] or {}).get("kind") == "multipart":
        assert request.body.upload.file_name == "file.pdf"
    else:
        assert request.body == (b"{}" if operation["method"] == "POST" else None)
    if operation["background"]:
        assert made.request(background="none").headers["erp-api-background"] == "none"
    else:
        with pytest.raises(RequestRefused):
            made.request(background="none")


@pytest.mark.parametrize("key", sorted(key for key, one in operations().items() if (one["request"] or {}).get("dto")))
def test_body_forms_are_the_same(key: str) -> None:
    """Bare values, wrapped values, snake case names and model objects give the same bytes."""
    operation = operations()[key]
    dto = operation["request"]["dto"]
    client = Client()
    line = _line(operation)
    wanted = sample(dto, wrap=True, line=line)
    bare = call(client, key, body=sample(dto, line=line)).body
    assert json.loads(bare) == wanted
    assert call(client, key, body=wanted).body == bare
    name = METHODS[key][2]["body"]
    built: Any = sample(dto, line=line)
    if name.startswith("list["):
        built = {"lines": [_built(_model(name[5:-1]), one) for one in built["lines"]]}
    else:
        built = _built(_model(name), built)
    assert call(client, key, body=built).body == bare
    assert call(client, key, body=_snake(built)).body == bare


def _model(name: str) -> type[Model]:
    from vismanet_async._api import models

    found: type[Model] = getattr(models, name)
    return found


def _built(model: type[Model], values: dict[str, Any]) -> Any:
    """Build a model object by its constructor."""
    made = {}
    for field in fields_of(model):
        value = values[field.json]
        if field.model is not None:
            inner = field.model
            value = [_built(inner, each) for each in value] if field.many else _built(inner, value)
        elif field.kind == "Decimal":
            value = _decimal(value)
        made[field.name] = value
    return model(**made)


def _decimal(value: Any) -> Any:
    from decimal import Decimal

    return Decimal(str(value))


def _snake(value: Any) -> Any:
    if isinstance(value, Model):
        return {field.name: _snake(getattr(value, field.name)) for field in fields_of(type(value))}
    if isinstance(value, dict) and any(isinstance(each, list) for each in value.values()):
        return {key: _snake(each) for key, each in value.items()}
    return [_snake(each) for each in value] if isinstance(value, list) else value


NEEDED = {key for key, one in operations().items() if one["if_match"] and one.get("service") == "sales_order"}
IF_MATCH = {
    key: one
    for key, one in operations().items()
    if one["if_match"] and one["method"] in {"PUT", "POST"} and key not in NEEDED
}


@pytest.mark.parametrize("key", sorted(IF_MATCH))
def test_if_match_goes_where_the_server_honours_it(key: str) -> None:
    operation = operations()[key]
    made = call(Client(), key, body=_body(key), if_match=f'W/"{ETAG}"')
    if operation["method"] == "PUT":
        assert made.request().headers["If-Match"] == f'"{ETAG}"'
    else:
        with pytest.raises(RequestRefused, match="only as a background job"):
            made.request()
    assert made.request(background="none").headers["If-Match"] == f'"{ETAG}"'


def test_if_match_is_offered_nowhere_else() -> None:
    offered = {key for key, (_, _, facts) in METHODS.items() if facts.get("if_match")}
    assert offered == set(IF_MATCH) | NEEDED


def test_the_sales_order_service_does_not_go_without_if_match() -> None:
    assert len(NEEDED) == 5
    for key in NEEDED:
        resource, name, facts = METHODS[key]
        assert facts["if_match"] == "needed"
        method = getattr(getattr(Client(), resource), name)
        assert inspect.signature(method).parameters["if_match"].default is inspect.Parameter.empty


TYPED = {
    key: one
    for key, one in operations().items()
    if one["response"].get("dto") not in {None, "BackgroundApiAcceptedDto"}
}


@pytest.mark.parametrize("key", sorted(TYPED))
async def test_answer_is_decoded_whole(key: str) -> None:
    """Every field of the answer's DTO lands in the declared model, exactly."""
    operation = operations()[key]
    answer = sample(operation["response"]["dto"])
    text = json.dumps(answer).encode()
    client = Client(reply(text, ETag=f'"{ETAG}"'))
    made = call(client, key, body=_body(key))
    if isinstance(made, ListSource):
        (record,) = decode_rows([text], made.model())
        assert set(made.identity) <= set(answer)
        if made.frozen_filter:
            assert made.frozen_filter.row_field in answer
    else:
        record = await made
        assert record.etag == ETAG
    assert isinstance(record, Record)
    assert type(record).__name__ == METHODS[key][2]["result"]
    assert record.raw_json == text
    assert record.extra == {}
    _all_set(record, answer)


def _all_set(record: Any, values: dict[str, Any]) -> None:
    names = {field.json: field for field in fields_of(type(record))}
    assert set(names) == set(values)
    for json_name, value in values.items():
        held = getattr(record, names[json_name].name)
        assert held is not UNSET
        assert held is not None
        parts, inner = (held, value) if isinstance(value, list) else ([held], [value])
        for one, raw in zip(parts, inner, strict=True):
            if isinstance(one, Model):
                _all_set(one, raw)
            elif names[json_name].kind == "datetime":
                assert one.isoformat() == raw
            elif not isinstance(raw, dict):
                assert one == _decimal(raw) if names[json_name].kind == "Decimal" else one == raw


@pytest.mark.parametrize(
    ("call_kind", "answer", "expected"),
    [
        ("create", reply(status=201, Location="http://h/v2/x/000123", ETag='"E"'), Created(
            id="000123", key=("000123",), etag="E", location_path="http://h/v2/x/000123")),
        ("update", reply(status=204, ETag='W/"E"'), Updated(etag="E")),
        ("delete", reply(status=204), None),
        ("upload", reply(status=201, Location="/v1/attachment/73ac0029"), Created(
            id="73ac0029", key=("73ac0029",), location_path="/v1/attachment/73ac0029")),
    ],
)  # fmt: skip
async def test_answers_of_writes(call_kind: str, answer: Any, expected: Any) -> None:
    keys = [key for key, (_, _, facts) in METHODS.items() if facts["call"] == call_kind]
    assert keys
    for key in keys:
        client = Client(answer)
        assert await call(client, key, body=_body(key)) == expected


async def test_actions_raise_when_they_failed() -> None:
    failed = {"actionId": "1", "actionResult": "Failed", "errorInfo": "no such period"}
    keys = [key for key, (_, _, facts) in METHODS.items() if facts["call"] == "act"]
    assert len(keys) > 70
    for key in keys:
        with pytest.raises(ActionFailed, match="no such period") as caught:
            await call(Client(reply(failed)), key, body=_body(key))
        assert caught.value.result.action_id == "1"
        client = Client(reply({**failed, "actionResult": "Done"}), reply(status=204))
        done = await call(client, key, body=_body(key))
        assert (done.result if isinstance(done, Done) else done).action_result == "Done"
        await call(client, key, body=_body(key))  # an empty answer is no failure


def test_downloads_are_downloads() -> None:
    keys = [key for key, (_, _, facts) in METHODS.items() if facts["call"] == "download"]
    assert len(keys) == 10
    assert all(isinstance(call(Client(), key), Download) for key in keys)


def test_paging_styles() -> None:
    """The envelopes, the journal's lines and the lists that ignore paging are told apart."""
    by_style: dict[str, set[str]] = {}
    for key, (_, _, facts) in METHODS.items():
        if facts["call"] == "list":
            by_style.setdefault(facts["style"], set()).add(key)
    assert by_style["envelope"] == {key for key, one in operations().items() if one["response"]["kind"] == "envelope"}
    assert by_style["page_index"] == {key for key, one in operations().items() if one["response"]["kind"] == "paged"}
    assert by_style["lines"] == {"JournalTransactionV2_GetAllJournalTransactions"}
    paged = {key for key, one in operations().items() if one["paginated"]}
    assert by_style["page_number"] | by_style["lines"] | by_style["envelope"] | by_style["page_index"] >= paged
    assert not by_style["unpaged"] & paged


def test_every_dto_that_an_operation_carries_has_a_class() -> None:
    homes = {dto: name for name, one in registry()["models"].items() for dto in one["dtos"]}
    for operation in operations().values():
        for dto in ((operation["request"] or {}).get("dto"), operation["response"].get("dto")):
            if dto:
                assert dto in homes
                fields = {row[1] for row in registry()["models"][homes[dto]]["fields"]}
                assert fields == set(schemas()[dto]["fields"])
