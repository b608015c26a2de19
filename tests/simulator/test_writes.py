from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from vismanet_async.simulator import VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.simulator.conftest import Answer, Client, Start


@pytest.fixture
async def client(start: Start) -> AsyncIterator[Client]:
    rows = dict.fromkeys(
        ("customer", "supplier", "inventory", "customer_invoice", "supplier_invoice", "customer_payment"), 40
    )
    async with start(rows=rows, clock=VirtualClock()) as made:
        yield made


def value(inner: Any) -> dict[str, Any]:
    return {"value": inner}


async def new_invoice(client: Client, **more: Any) -> str:
    lines = [
        {
            "operation": "Insert",
            "inventoryNumber": value("V000002"),
            "quantity": value(3),
            "unitPriceInCurrency": value("100.25"),
        }
    ]
    answer = await client.send(
        "POST", "/v1/customerinvoice", json={"customerNumber": value("10003"), "invoiceLines": lines} | more
    )
    assert (answer.status, answer.body) == (201, b"")
    return str(answer.headers["Location"]).removeprefix(client.sim.base_url)


async def put(client: Client, path: str, body: Any, **headers: str) -> Answer:
    return await client.send("PUT", path, json=body, headers=headers)


async def test_a_create_takes_the_next_number_and_resolves_what_it_names(client: Client) -> None:
    first, second = await new_invoice(client), await new_invoice(client)
    assert int(second.rpartition("/")[2]) == int(first.rpartition("/")[2]) + 1
    invoice = (await client.get(first)).json()
    assert invoice["customer"] == {
        "number": "10003",
        "name": (await client.get("/v1/customer/10003")).json()["name"],
    }
    assert (invoice["status"], invoice["documentType"], invoice["documentDate"]) == (
        "Balanced",
        "Invoice",
        "2026-01-15T00:00:00",
    )
    assert (invoice["financialPeriod"], invoice["postPeriod"]) == ("202601", "012026")
    assert (invoice["detailTotal"], invoice["amount"]) == (Decimal("300.7500"), Decimal("375.9400"))


async def test_an_update_is_partial_and_gives_a_new_version(client: Client) -> None:
    before = (await client.get("/v1/customer/10004")).json()
    answer = await put(
        client,
        "/v1/customer/10004",
        {"name": value("Blå & Gul AS"), "gln": value(None), "mainAddress": value({"city": value("Bodø")})},
    )
    assert answer.status == 204
    after = (await client.get("/v1/customer/10004")).json()
    assert answer.headers["ETag"] == f'"{after["timeStamp"]}"'
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"name", "gln", "mainAddress", "lastModifiedDateTime", "timeStamp"}
    assert after["gln"] is None
    assert after["mainAddress"] == before["mainAddress"] | {"city": "Bodø"}


async def test_if_match_protects(client: Client) -> None:
    etag = (await client.get("/v1/customer/10004")).headers["ETag"]
    body = {"name": value("En AS")}
    for write in (str, lambda text: text.strip('"'), lambda text: f"W/{text}"):
        form = write(etag)
        answer = await put(client, "/v1/customer/10004", body, **{"If-Match": form})
        assert answer.status == 204
        refused = await put(client, "/v1/customer/10004", body, **{"If-Match": form})
        assert refused.status == 412
        etag = answer.headers["ETag"]
    assert (await put(client, "/v1/inventory/V000002", {}, **{"If-Match": '"x"'})).status == 204  # inventory ignores it


@pytest.mark.parametrize(("body", "text"), [
    ({"name": "bare"}, "value"), ({"creditLimit": value("many")}, "number"), ({"status": value("Sleeping")},
    "status"),
    ({"name": value("x"), "creditDaysPastDue": value(1.5)}, "integer"), ([1], "object"),
    ({"printInvoices": value("maybe")}, "boolean"),
])  # fmt: skip
async def test_bodies_of_the_wrong_form_are_refused_and_change_nothing(client: Client, body: Any, text: str) -> None:
    before = (await client.get("/v1/customer/10004")).json()
    answer = await put(client, "/v1/customer/10004", body)
    assert answer.status == 400
    assert text in answer.json()["message"]
    assert answer.json()["message"].startswith("VismaId: ")
    assert (await client.get("/v1/customer/10004")).json() == before


async def test_references_must_exist(client: Client) -> None:
    answer = await client.send("POST", "/v1/customerinvoice", json={"customerNumber": value("404")})
    assert answer.status == 400
    assert "'404' cannot be found" in answer.json()["message"]
    assert (await client.send("POST", "/v1/customerinvoice", json={})).status == 400
    assert len(client.sim.truth("customer_invoice")) == 40


async def test_lines_are_inserted_updated_and_deleted(client: Client) -> None:
    path = await new_invoice(client)
    await put(
        client,
        path,
        {"invoiceLines": [{"operation": "Insert", "quantity": value("2"), "unitPriceInCurrency": value(10)}]},
    )
    await put(
        client,
        path,
        {"invoiceLines": [{"operation": "Update", "lineNumber": value("1"), "quantity": value(1)}]},
    )
    invoice = (await client.get(path)).json()
    assert [(line["lineNumber"], line["quantity"]) for line in invoice["invoiceLines"]] == [(1, 1), (2, 2)]
    assert invoice["detailTotal"] == Decimal("120.25")
    assert (await put(client, path, {"invoiceLines": [{"operation": "Delete", "lineNumber": value(7)}]})).status == 400
    assert (await put(client, path, {"invoiceLines": [{"operation": "Delete", "lineNumber": value(1)}]})).status == 204
    assert [line["lineNumber"] for line in (await client.get(path)).json()["invoiceLines"]] == [2]


async def test_release_opens_a_document_once(client: Client) -> None:
    path = await new_invoice(client)
    done = await client.send("POST", f"{path}/action/release", json={})
    assert (done.status, done.json()["actionResult"]) == (200, "Done")
    assert (await client.get(path)).json()["status"] == "Open"
    again = await client.send("POST", f"{path}/action/release", json={})
    assert (again.status, again.json()["message"]) == (
        400,
        "Invoice can't be updated because it is already released.",
    )
    assert (await client.send("DELETE", path)).status == 400
    client.sim.behaviours.action_failures = "failed_with_200"
    failed = await client.send("POST", f"{path}/action/release", json={})
    assert (failed.status, failed.json()["actionResult"]) == (200, "Failed")
    assert "already released" in failed.json()["errorInfo"]
    held = await new_invoice(client, hold=value(True))
    assert (await client.get(held)).json()["status"] == "Hold"
    assert (await client.send("DELETE", held)).status == 204
    assert (await client.get(held)).status == 404


async def test_an_action_may_go_on_after_its_answer(client: Client) -> None:
    client.sim.behaviours.actions_go_on_seconds = 30.0
    path = await new_invoice(client)
    answer = await client.send("POST", f"{path}/action/release", json={})
    assert (answer.status, answer.json()["actionResult"]) == (202, "InProcess")
    assert (await client.get(path)).json()["status"] == "Balanced"
    client.sim.clock.advance(31)
    assert (await client.get(path)).json()["status"] == "Open"


async def test_payments_are_released_by_type_and_number(client: Client) -> None:
    number = client.sim.truth("customer_payment").keys[1].split("/")[1]
    client.sim.touch("customer_payment", f"Payment/{number}", status="Balanced", hold=False)
    path = f"/v1/customerPayment/{number}/action/release"
    assert (await client.send("POST", path, json={})).status == 400
    assert (await client.send("POST", path, json={"type": value("Refund")})).status == 404
    assert (await client.send("POST", path, json={"type": value("Payment")})).status == 200


async def test_reversing_makes_a_credit_note(client: Client) -> None:
    path = await new_invoice(client)
    answer = await client.send("POST", f"{path}/action/reverse", json={})
    note = (await client.get(f"/v1/customerCreditNote/{answer.json()['referenceNumber']}")).json()
    assert note["amount"] == Decimal("375.94")
    assert note["customer"]["number"] == "10003"
    assert "creditNoteDto" not in answer.json()


async def test_numbers_of_ones_own_need_the_override(client: Client) -> None:
    body = {"name": value("Egen AS"), "number": value("EGEN1")}
    ignored = await client.send("POST", "/v1/customer", json=body)
    assert not ignored.headers["Location"].endswith("EGEN1")
    wanted = await client.send("POST", "/v1/customer", json=body | {"overrideNumberSeries": value(True)})
    assert wanted.headers["Location"].endswith("EGEN1")
    twice = await client.send("POST", "/v1/customer", json=body | {"overrideNumberSeries": value(True)})
    assert (twice.status, "already exists" in twice.json()["message"]) == (400, True)


async def test_supplier_invoices_are_known_by_type_and_number(client: Client) -> None:
    made = await client.send(
        "POST",
        "/v1/supplierInvoice",
        json={"supplierNumber": value("50001"), "documentType": value("CreditAdj")},
    )
    path = made.headers["Location"].removeprefix(client.sim.base_url)
    assert path.startswith("/v1/supplierInvoice/CreditAdj/")
    assert (await client.get(path)).json()["documentType"] == "CreditAdj"
    assert (await client.send("POST", f"{path}/action/release", json={})).status == 200


async def test_a_key_may_be_changed(client: Client) -> None:
    internal = (await client.get("/v1/customer/10005")).json()["internalId"]
    assert (
        await client.send("POST", f"/v1/customer/action/changeCustomerCd/{internal}", json={"customerCd": "A/B:1"})
    ).status == 200
    assert (await client.get("/v1/customer/10005")).status == 404
    assert (await client.get("/v1/customer/b64(QS9COjE)")).json()["internalId"] == internal
    assert (await client.get("/v1/customer/A%2FB:1")).status == 404  # the gateway refuses an encoded slash


@pytest.mark.parametrize(("form", "decode"), [("bytes", "raw"), ("base64", "text"), ("json", "json")])
async def test_attachments_come_back_as_they_went(client: Client, form: str, decode: str) -> None:
    import base64

    client.sim.behaviours.set(attachment_download=form)
    content = bytes(range(256)) + b"\r\n--boundary\r\n" * 3
    upload = aiohttp.FormData()
    upload.add_field("", content, filename="blå fil.pdf")
    made = await client.send("POST", "/v1/customerinvoice/100002/attachment", data=upload)
    assert (made.status, made.body) == (201, b"")
    got = await client.send("GET", made.headers["Location"].removeprefix(client.sim.base_url))
    body = {
        "raw": lambda: got.body,
        "text": lambda: base64.b64decode(got.body),
        "json": lambda: base64.b64decode(got.json()),
    }[decode]()
    assert body == content
    listed = (await client.get("/v1/customerinvoice/100002")).json()["attachments"]
    assert listed[-1]["name"] == "blå fil.pdf"
    assert made.headers["Location"].endswith(listed[-1]["id"])
    generated = (await client.get(f"/v1/attachment/{listed[0]['id']}")).status if len(listed) > 1 else 200
    assert generated == 200
    nameless = aiohttp.FormData()
    nameless.add_field("file", b"x", filename="noending")
    assert (await client.send("POST", "/v1/customerinvoice/100002/attachment", data=nameless)).status == 400


async def test_a_line_takes_attachments_too(client: Client) -> None:
    path = await new_invoice(client)
    upload = aiohttp.FormData()
    upload.add_field("file", b"x", filename="x.txt")
    assert (await client.send("POST", f"{path}/1/attachment", data=upload)).status == 201
    assert (await client.get(path)).json()["invoiceLines"][0]["attachments"][0]["name"] == "x.txt"
    other = aiohttp.FormData()
    other.add_field("file", b"x", filename="x.txt")
    assert (await client.send("POST", f"{path}/9/attachment", data=other)).status == 404


async def test_prints_and_blobs_are_files(client: Client) -> None:
    printed = await client.get("/v1/customerinvoice/100002/print")
    assert printed.headers["Content-Type"] == "application/pdf"
    assert printed.body.startswith(b"%PDF")
    stored = client.sim.company().store_file("a.txt", b"hello")
    assert (await client.get(f"/v1/blob/download/{stored.id}")).body == b"hello"
    assert (await client.get(f"/v1/blob/metadata/{stored.id}")).json()["size"] == 5
    url = (await client.get("/v1/blob/presignedurl", blobId=stored.id)).json()["preSignedUrl"]
    assert url.endswith(f"/v1/blob/download/{stored.id}")


async def test_a_zone_moves_a_business_date(client: Client) -> None:
    path = await new_invoice(client, documentDate=value("2026-03-02T00:00:00+03:00"))
    assert (await client.get(path)).json()["documentDate"] == "2026-03-01T00:00:00"
    plain = await new_invoice(client, documentDate=value("2026-03-02"))
    assert (await client.get(plain)).json()["documentDate"] == "2026-03-02T00:00:00"


@pytest.mark.parametrize(
    ("host", "start_of_location"),
    [
        ("api_host", "https://api.finance.visma.net/v2/"),
        ("legacy_http", "http://integration.visma.net/API/controller/api/v2/"),
    ],
)
async def test_a_location_may_name_another_host(client: Client, host: str, start_of_location: str) -> None:
    client.sim.behaviours.set(location_host=host)
    made = await client.send("POST", "/v2/customerinvoice", json={"customerNumber": value("10003")})
    assert made.headers["Location"].startswith(start_of_location)
    number = made.headers["Location"].rpartition("/")[2]
    assert (await client.get(f"/v2/customerinvoice/{number}")).status in {404, 405}
    assert (await client.get(f"/v1/customerinvoice/{number}")).status == 200


async def test_large_amounts_stay_exact(client: Client) -> None:
    await client.send(
        "PUT",
        "/v1/customer/10006",
        data=b'{"creditLimit":{"value":1234567890123.4567}}',
        headers={"Content-Type": "application/json"},
    )
    assert b'"creditLimit":1234567890123.4567' in (await client.get("/v1/customer/10006")).body


async def test_translations_are_kept_per_language(client: Client) -> None:
    path = "/v1/multilanguage/inventory/V000002/sv-SE"
    assert (await client.get(path)).status == 404
    assert (await client.send("POST", path, json={"translation": "Skruv"})).status == 201
    assert (await client.send("POST", path, json={"translation": "Skruv"})).status == 400
    assert (await client.get(path)).json()["translation"] == "Skruv"
    assert (await client.send("DELETE", path)).status == 204
    assert (await client.get(path)).status == 404
