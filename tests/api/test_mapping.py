"""One answer, what comes of it: status, headers and body to a result or an error. Answers are aioresponses'."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

import aiohttp
import msgspec
import pytest
from aioresponses import aioresponses

from vismanet_async import UNSET, Created, StaticToken, Updated, VismaNet, errors
from vismanet_async._http import wiring
from vismanet_async._http.wiring import ensure_watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

URL = "https://api.finance.visma.net/v1"


@pytest.fixture
async def client() -> AsyncIterator[VismaNet]:
    async with VismaNet(StaticToken("token-of-the-test", tenant_id="c"), max_attempts=1) as made:
        yield made


async def test_a_record(client: VismaNet, visma_responses: aioresponses) -> None:
    body = b'{"number":"10000","name":null,"creditLimit":1000.10,"status":"Later","newField":1}'
    visma_responses.get(f"{URL}/customer/10000", body=body, headers={"ETag": 'W/"v1"'})
    customer = await client.customer.get("10000")
    assert (customer.number, customer.name, customer.status) == ("10000", None, "Later")
    assert (customer.credit_limit, customer.corporate_id) == (Decimal("1000.10"), UNSET)
    assert (customer.etag, customer.extra, customer.raw_json) == ("v1", {"newField": 1}, body)


async def test_what_writes_answer(client: VismaNet, visma_responses: aioresponses) -> None:
    made = {"Location": f"{URL}/customer/10040", "ETag": '"v1"'}
    visma_responses.post(f"{URL}/customer", status=201, headers=made)
    visma_responses.put(f"{URL}/customer/10040", status=204, headers={"ETag": '"v2"'})
    created = await client.customer.create({"name": "A"})
    assert (type(created), created.id, created.etag) == (Created, "10040", "v1")
    updated = await client.customer.update("10040", {"credit_limit": Decimal("1.10")}, if_match=created)
    assert (type(updated), updated.etag) == (Updated, "v2")
    sent = [call for calls in visma_responses.requests.values() for call in calls]
    assert [call.kwargs["data"] for call in sent] == [b'{"name":{"value":"A"}}', b'{"creditLimit":{"value":1.10}}']
    assert sent[1].kwargs["headers"]["If-Match"] == '"v1"'
    assert {call.kwargs["headers"]["Authorization"] for call in sent} == {"Bearer token-of-the-test"}


async def test_a_list_by_a_pattern(client: VismaNet, visma_responses: aioresponses) -> None:
    """As the page on testing has it: a list asks with page numbers, and may ask again to see its end."""
    visma_responses.get(re.compile(rf"{URL}/branch\?"), payload=[{"number": "1"}], repeat=True)
    visma_responses.get(re.compile(rf"{URL}/customer\?"), payload=[{"number": "10000"}], repeat=True)
    assert [branch.number async for branch in client.branch.list()] == ["1"]
    assert [customer.number async for customer in client.customer.list(status="Active")] == ["10000"]


async def test_a_token_of_one_letter_is_not_looked_for_in_errors(visma_responses: aioresponses) -> None:
    visma_responses.get(f"{URL}/customer/1", status=404, payload={"message": "No such customer."})
    async with VismaNet(StaticToken("t", tenant_id="c")) as short:
        with pytest.raises(errors.NotFound, match=r"No such customer\."):
            await short.customer.get("1")


@pytest.mark.parametrize("body", ["[]", "", "null", '""'])
async def test_empty_lists(client: VismaNet, visma_responses: aioresponses, body: str) -> None:
    visma_responses.get(re.compile(f"{URL}/branch"), body=body, repeat=True)
    assert await client.branch.list() == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.BadRequest),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (412, errors.PreconditionFailed),
        (429, errors.RateLimited),
        (500, errors.ServerError),
    ],
)
async def test_errors(
    client: VismaNet, visma_responses: aioresponses, status: int, error: type[errors.ApiError]
) -> None:
    said = {"message": "No such thing", "VismaId": "abc"}
    headers = {"Ipp-Request-Id": "r-1"}
    visma_responses.get(f"{URL}/customer/1", status=status, payload=said, headers=headers, repeat=True)
    with pytest.raises(error) as failed:
        await client.customer.get("1", timeout_seconds=5)
    assert type(failed.value) is error
    assert (failed.value.status, failed.value.reference) == (status, "r-1")
    assert "No such thing" in str(failed.value)
    assert msgspec.json.decode(failed.value.body) == said


@pytest.mark.parametrize(
    ("body", "kind"),
    [("<html>busy</html>", "text/html"), ("{", "application/json"), ("[1]", "application/json"), ("", "text/plain")],
)
async def test_what_is_no_answer(client: VismaNet, visma_responses: aioresponses, body: str, kind: str) -> None:
    visma_responses.get(f"{URL}/customer/1", body=body, content_type=kind)
    with pytest.raises(errors.UnexpectedResponse):
        await client.customer.get("1")


async def test_what_is_raised_counts_as_never_sent(client: VismaNet, visma_responses: aioresponses) -> None:
    visma_responses.post(f"{URL}/customer", exception=aiohttp.ServerDisconnectedError())
    with pytest.raises(errors.NotSent):
        await client.customer.create({"name": "A"})


async def test_what_was_not_told_is_refused(client: VismaNet, visma_responses: aioresponses) -> None:
    with pytest.raises(errors.NotSent):
        await client.customer.get("1")


async def test_afterwards_all_is_as_before(visma: VismaNet) -> None:
    await ensure_watched()
    assert (await visma.customer.get("10000")).number == "10000"


async def test_answers_without_the_fixture_are_told_to_take_it(
    client: VismaNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "_proven", [])
    with aioresponses() as answers:
        answers.get(f"{URL}/customer/1", payload={"number": "1"})
        with pytest.raises(errors.RequestRefused, match="take the fixture visma_responses"):
            await client.customer.get("1")
