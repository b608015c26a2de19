"""A success status alone is no confirmation: each kind of write, answered by what is no answer of the API."""

from __future__ import annotations

import codecs
from decimal import Decimal
from typing import Any, Final

import attrs
import pytest

from tests.api.support import Client, reply
from vismanet_async._api.decoders import decoder_of
from vismanet_async._api.files import Upload
from vismanet_async._api.results import Created, Done, Updated
from vismanet_async._client import VismaNet
from vismanet_async._http.auth.credentials import StaticToken
from vismanet_async.errors import ActionFailed, OutcomeUnknown, UnexpectedResponse

ETAG = {"if_match": "AAAAAA="}


def by_hand(client: Client, method: str = "POST", path: str = "/v1/customer") -> Any:
    import attrs

    operation = VismaNet(StaticToken("t")).request(method, path, json={"name": {"value": "x"}})
    operation.close()  # a copy of it is sent
    return attrs.evolve(operation, sender=client.sender)


WRITES: dict[str, Any] = {
    "create": lambda c: c.customer.create({"name": "x"}),
    "update": lambda c: c.customer.update("1", {"name": "x"}),
    "delete": lambda c: c.customer_invoice.delete("1"),
    "action": lambda c: c.supplier_invoice.release("300004"),
    "action without a described result": lambda c: c.supplier_invoice.write_off("Invoice", "300004"),
    "upload": lambda c: c.customer_invoice.add_attachment("1", Upload(b"x", "a.pdf")),
    "order create": lambda c: c.sales_order_service.create({"type": "SO", "customer": {"id": "1"}}),
    "order update": lambda c: c.sales_order_service.update("SO", "1", {}, **ETAG),
    "order delete": lambda c: c.sales_order_service.delete("SO", "1", **ETAG),
    "order lines": lambda c: c.sales_order_service.add_lines("SO", "1", [{"inventoryId": "1"}], **ETAG),
    "order lines changed": lambda c: c.sales_order_service.update_lines("SO", "1", [{"lineId": 1}], **ETAG),
    "order lines deleted": lambda c: c.sales_order_service.delete_lines("SO", "1", [1], **ETAG),
    "POST by hand": by_hand,
    "PUT by hand": lambda c: by_hand(c, "PUT", "/v1/customer/1"),
    "DELETE by hand": lambda c: by_hand(c, "DELETE", "/v1/customer/1"),
}
NO_ANSWERS: dict[str, Any] = {
    "a page": reply(b"<html><body>Scheduled maintenance</body></html>", Content_Type="text/html"),
    "a page that says it is JSON": reply(
        b"\r\n <!DOCTYPE html><title>Sign in</title>", Content_Type="application/json"
    ),
    "a page behind a mark": reply(codecs.BOM_UTF8 + b"<html>", Content_Type="text/html"),
    "a page in UTF-16": reply("<html>Wartung</html>".encode("utf-16"), Content_Type="text/html"),
    "XML": reply(b'<?xml version="1.0"?><error/>', Content_Type="application/xml"),
    "plain text": reply(b"OK", Content_Type="text/plain"),
    "an error": reply({"message": "Error creating document."}),
    "an error in Pascal case": reply({"Message": "An error has occurred.", "ExceptionType": "X"}),
    "an error in an object": reply({"error": {"code": "x", "message": "Nothing was made."}}),
    "an OAuth error": reply({"error": "invalid_token", "error_description": "Nothing was made."}),
    "errors by field": reply({"errors": {"name": ["is missing"]}}),
    "an error status in the body": reply({"statusCode": 503, "reason": "x"}),
    "an error status as text": reply({"status": "500"}),
    "a problem": reply({"type": "about:blank", "title": "Bad", "detail": "x"}, Content_Type="application/problem+json"),
    "a problem without its type": reply({"title": "Bad", "detail": "x"}),
    "no success": reply({"success": False}),
    "no success as text": reply({"success": "false"}),
    "no success as a number": reply({"Succeeded": 0}),
    "a problem with its trace alone": reply({"title": "One or more validation errors occurred.", "traceId": "00-1"}),
    "an exception": reply({"Exception": "System.NullReferenceException"}),
    "a list of errors": reply({"errorMessages": ["is missing"]}),
    "a fault": reply({"faultCode": "12027", "faultString": "No licence."}),
    "a flag": reply({"isError": True}),
    "an OData error": reply({"odata.error": {"code": "", "message": {"value": "x"}}}),
    "a failed state": reply({"status": "Failed"}),
    "a status with its words": reply({"status": "500 Internal Server Error"}),
    "an error's code": reply({"code": 401, "reason": "Unauthorized"}),
    "a job": reply({"jobId": "73ac0029"}),
    "a job that has started": reply({"id": "73ac0029", "status": "Started"}),
    "a job's state": reply({"id": "73ac0029", "status": "Pending", "statusCode": 0}),
    "a status that nobody knows": reply(b"", status=226),
    "cut-off JSON": reply(b'{"number": "1'),
    "two values": reply(b"{}{}"),
    "no number": reply(b'{"a": NaN}'),
    "binary": reply(b"\x89PNG\r\n"),
    "part of an answer": reply(b"{}", status=206),
    "a place in the queue": reply({"id": "7", "stateLocation": "https://h/v1/background/7"}, status=202),
}


WORDS: Final = {
    "a text": reply("Session expired, sign in again"),
    "a list of texts": reply(["Error"]),
    "an error's number": reply(401),
    "no": reply(b"false"),
    "a wrapped text": reply({"value": "Error"}),
}


@pytest.mark.parametrize("write", [write for write in WRITES if "by hand" not in write])
@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("answer", WORDS)
async def test_words_are_no_confirmation(write: str, answer: str, status: int) -> None:
    client = Client(attrs.evolve(WORDS[answer], status=status))
    with pytest.raises(OutcomeUnknown, match="Look the record up first"):
        await WRITES[write](client)


async def test_numbers_may_be_those_of_what_was_written() -> None:
    for body in ([401, 402], 1017, [1017]):
        assert await Client(reply(body)).customer.update("1", {"name": "x"}) == Updated()


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("answer", NO_ANSWERS)
async def test_what_is_no_answer_leaves_the_outcome_unknown(write: str, answer: str) -> None:
    client = Client(NO_ANSWERS[answer])
    with pytest.raises(OutcomeUnknown, match="Look the record up first") as caught:
        await WRITES[write](client)
    assert len(client.recorder.requests) == 1
    assert "may have been executed; it was not sent again" in str(caught.value)


DOCUMENTED_202: Final = {write for write in WRITES if write.startswith("order ")} - {"order create"}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    "answer",
    [
        reply(status=202),
        reply(status=202, Location="/v1/customer/7"),
        reply({"id": "73ac0029"}, status=202),
        reply({"jobId": "73ac0029"}, status=202),
        reply({"status": "Queued"}, status=202),
    ],
)
async def test_what_was_only_accepted_is_done_where_that_is_documented(write: str, answer: Any) -> None:
    client = Client(answer)
    if write in DOCUMENTED_202:
        await WRITES[write](client)
        return
    with pytest.raises(OutcomeUnknown, match=r"\(202\) is a promise to do it.*Look the record up first"):
        await WRITES[write](client)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_a_place_in_the_queue_is_no_record(write: str, status: int) -> None:
    client = Client(reply(status=status, Location="https://h/v1/Background/73ac0029"))
    with pytest.raises(OutcomeUnknown, match=r"queue.*names https://h/v1/Background/73ac0029"):
        await WRITES[write](client)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    "answer",
    [
        reply(status=204),
        reply(b"{}", status=204),
        reply(b"<html>", status=204, Content_Type="text/html"),
        reply(b"", status=201, Location="https://h/v1/customer/1"),
        reply(codecs.BOM_UTF8, status=201, Content_Type="text/html", Location="/v1/customer/1"),
        reply(b" null\r\n", status=201),
    ],
)
async def test_what_confirms_a_write_is_taken(write: str, answer: Any) -> None:
    if write == "action" and answer.status != 204:  # its body tells whether it was done
        with pytest.raises(OutcomeUnknown, match="is blank"):
            await WRITES[write](Client(answer))
        return
    await WRITES[write](Client(answer))


async def test_a_blank_200_confirms_no_create() -> None:
    for body in (b"", b"null", b'""', codecs.BOM_UTF8 + b" \r\n", b"[]", b"17"):
        with pytest.raises(OutcomeUnknown):
            await Client(reply(body)).customer.create({"name": "x"})
        assert await Client(reply(body)).customer.update("1", {"name": "x"}) == Updated()
    made = await Client(reply(b"", Location="/v1/customer/7")).customer.create({"name": "x"})
    assert made == Created(id="7", key=("7",), location_path="/v1/customer/7")
    assert await Client(reply({"number": "7"})).customer.create({"name": "x"}) == Created(id=None)


async def test_what_the_answer_names_is_not_lost_with_it() -> None:
    client = Client(reply({"message": "half done"}, status=201, Location="/v1/customer/7"))
    with pytest.raises(OutcomeUnknown, match=r"half done.*names /v1/customer/7"):
        await client.customer.create({"name": "x"})


@pytest.mark.parametrize("said", ["Failed", "failed", " FAILED "])
async def test_a_failed_action_is_told_by_hand_too(said: str) -> None:
    body = {"actionId": "1", "actionResult": said, "errorInfo": "No period."}
    for write in ("action", "action without a described result", "POST by hand"):
        with pytest.raises(ActionFailed, match="No period") as caught:
            await WRITES[write](Client(reply(body)))
        assert caught.value.result is not None


async def test_results_of_actions_are_given() -> None:
    body = {"actionId": "1", "actionResult": "InProcess", "errorInfo": None}
    assert (await WRITES["action"](Client(reply(body, status=202)))).action_result == "InProcess"
    done: Done = await WRITES["action without a described result"](Client(reply(body)))
    assert done.result.action_id == "1"
    assert await WRITES["POST by hand"](Client(reply(b'{"a": 0.10, "b": [1e2]}'))) == {
        "a": Decimal("0.10"),
        "b": [Decimal(100)],
    }
    assert await WRITES["POST by hand"](Client(reply(rb'{"a": "\ud83d"}'))) == {"a": "\ud83d"}


FAILED: Final = {"actionResult": "Failed", "errorInfo": "No period."}


@pytest.mark.parametrize(
    "body",
    [
        [FAILED],
        {"value": FAILED},
        {"ActionResult": {"value": "Failed"}, "errorInfo": {"value": "No period."}},
    ],
)
@pytest.mark.parametrize("write", ["action", "action without a described result", "POST by hand"])
async def test_a_failure_is_told_however_it_is_wrapped(write: str, body: Any) -> None:
    with pytest.raises(ActionFailed, match="No period"):
        await WRITES[write](Client(reply(body)))


@pytest.mark.parametrize(
    "body", [[{"message": "Not made."}], {"value": {"message": "Not made."}}, {"message": {"value": "Not made."}}]
)
async def test_an_error_document_is_told_however_it_is_wrapped(body: Any) -> None:
    for write, call in WRITES.items():
        with pytest.raises(OutcomeUnknown, match=r": Not made\."):
            await call(Client(reply(body)))
        assert write
    with pytest.raises(UnexpectedResponse, match=r"error document.*Not made"):
        await Client(reply(body)).customer.get("1")


async def test_an_error_with_a_word_that_nobody_knows_leaves_the_outcome_unknown() -> None:
    for write in ("action", "action without a described result", "POST by hand"):
        with pytest.raises(OutcomeUnknown, match=r"the action result 'Error'.*: No period"):
            await WRITES[write](Client(reply({"actionResult": "Error", "errorInfo": "No period."})))
        await WRITES[write](Client(reply({"actionResult": "InProcess", "errorInfo": "Nothing yet."})))


@pytest.mark.parametrize("body", [{"errorInfo": "No period."}, {"unknown": 1}, {}, b"", [], "text"])
async def test_what_is_no_result_of_an_action_leaves_the_outcome_unknown(body: Any) -> None:
    with pytest.raises(OutcomeUnknown):
        await WRITES["action"](Client(reply(body)))


async def test_a_lost_update_that_answered_with_a_page_is_looked_up() -> None:
    before = reply({"number": "1", "name": "old", "timeStamp": "A="}, ETag='"A="')
    after = reply({"number": "1", "name": "new", "timeStamp": "B="}, ETag='"B="')
    client = Client(before, reply(b"<html>", Content_Type="text/html"), after)
    assert (await client.customer.modify("1", lambda _: {"name": "new"})).etag == "B="
    assert [request.method for request in client.recorder.requests] == ["GET", "PUT", "GET"]


@pytest.mark.parametrize(
    ("operation", "write"),
    [("Customer_Post", "create"), ("Customer_PutBycustomerCd", "update")],
)
def test_results_of_jobs_are_read_alike(operation: str, write: str) -> None:
    decode = decoder_of(operation)
    assert decode is not None
    for answer in NO_ANSWERS.values():
        with pytest.raises(OutcomeUnknown, match=operation):
            decode(answer)


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        ({"message": "No licence."}, {}, "error document.*No licence"),
        ({"status": 404, "title": "Not Found"}, {}, "error document"),
        ({"status": 404, "title": "Not Found"}, {"Content_Type": "application/problem+json"}, "error document"),
        ({"Number": "1", "Name": "x"}, {}, "none of the fields of a Customer"),
        (b"<html>", {"Content_Type": "text/html"}, "HTML"),
        (b"", {}, "empty"),
        (b"null", {}, "empty"),
        (b"{}", {}, "none of the fields of a Customer"),
        (b'{"value": {}}', {}, "none of the fields of a Customer"),
        (b"[{}]", {}, "none of the fields of a Customer"),
    ],
)
async def test_reads_that_are_no_record_are_refused(body: Any, headers: Any, words: str) -> None:
    with pytest.raises(UnexpectedResponse, match=words):
        await Client(reply(body, **headers)).customer.get("1")


@pytest.mark.parametrize(
    "answer",
    [
        reply(codecs.BOM_UTF8 + b' \n{"name":"\xc3\x85s"}'),
        reply({"name": "Ås"}, Content_Type=""),
        reply({"name": "Ås"}, Content_Type="TEXT/JSON"),
        reply({"name": "Ås"}, Content_Type="application/JSON;charset=UTF8"),
        reply({"name": "Ås"}, Content_Type="application/vnd.visma+json"),
        reply({"name": "Ås"}, Content_Type="text/html; charset=nonsense"),
        reply('{"name":"Ås"}'.encode("latin-1"), Content_Type='application/json; charset="ISO-8859-1"'),
        reply('{"name":"Ås"}'.encode("cp1252"), Content_Type="application/json; charset=windows-1252"),
        reply('{"name":"Ås"}'.encode("utf-16"), Content_Type="application/json"),
        reply('{"name":"Ås"}'.encode("utf-16-le"), Content_Type="application/json; charset=utf-16le"),
        reply('{"name":"Ås"}'.encode(), Content_Type="application/json; charset=iso-8859-1"),
        reply([{"name": "Ås"}]),
        reply({"value": {"name": "Ås"}}),
        reply({"name": "Ås", "message": None, "status": "Active"}),
    ],
)
async def test_odd_and_harmless_answers_are_read(answer: Any) -> None:
    assert (await Client(answer).customer.get("1")).name == "Ås"


async def test_an_answer_in_no_known_shape_can_be_read_by_hand() -> None:
    client = Client(reply({"message": "as the caller asked"}), reply(b"<html>"))
    operation = by_hand(client, "GET")
    assert await operation == {"message": "as the caller asked"}
    with pytest.raises(UnexpectedResponse, match="not JSON but an HTML or XML page"):
        await operation
