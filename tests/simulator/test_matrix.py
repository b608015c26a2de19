"""Every method of the SDK, done against the simulator: sent, executed, answered and decoded."""

# mypy: disable-error-code="unused-awaitable"
# operations are values: they are awaited one line later

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from tests.api.test_walk import METHODS
from tests.simulator.test_surface import body_for, make_ready, path_values, required_query
from vismanet_async._api.files import File, Upload
from vismanet_async._api.results import Created, Done, Updated
from vismanet_async._client import VismaNet
from vismanet_async._codec.model import Record
from vismanet_async._http.auth.credentials import ClientCredentials, StaticToken
from vismanet_async._paging.listing import Listing
from vismanet_async._simulator.catalog import Operation, load
from vismanet_async._simulator.tables import SPECS
from vismanet_async.errors import ActionFailed, NotFound, VismaNetError
from vismanet_async.simulator import Simulator, VirtualClock

if TYPE_CHECKING:
    from pathlib import Path

SHARES = 4
ANSWERS = (Record, Created, Updated, Done, File, str, type(None))


@attrs.frozen
class Here:
    """What the helpers of the other tests take for a client."""

    sim: Simulator
    visma: VismaNet


# what Visma has ended is called here as well
@pytest.mark.filterwarnings("ignore:Visma ended this operation:DeprecationWarning")
@pytest.mark.parametrize("share", range(SHARES))
async def test_every_method_works_against_the_simulator(share: int) -> None:
    broken: dict[str, str] = {}
    async with Simulator(rows=dict.fromkeys(SPECS, 24), clock=VirtualClock(), quota=10**6) as sim:
        token = StaticToken(sim.issue_token(lifetime_seconds=1e9))
        async with VismaNet(token, base_url=sim.base_url, token_url=sim.token_url) as visma:
            here = Here(sim, visma)
            for key in [one for one in sorted(METHODS) if one in load().operations][share::SHARES]:
                try:
                    result = await done(here, load().operations[key])
                except VismaNetError as error:
                    broken[key] = f"{type(error).__name__}: {error}"
                else:
                    seen = sim.requests.matching(operation=key)[-1]
                    assert seen.status is not None
                    if seen.status >= 300 or not isinstance(result, ANSWERS):
                        broken[key] = f"{seen.status} {result!r}"
    assert not broken


async def test_a_byte_order_mark_before_every_json_changes_nothing(tmp_path: Path) -> None:
    """The token's answer has one, too; and `Failed` behind one is still a failure."""
    habits = {"utf8_bom": True, "action_failures": "failed_with_200"}
    async with Simulator(rows=dict.fromkeys(SPECS, 24), behaviours=habits) as sim:
        credentials = ClientCredentials(sim.client_id, sim.client_secret, tenant_id=sim.tenant_id)
        async with VismaNet(credentials, base_url=sim.base_url, token_url=sim.token_url) as visma:
            numbers = sim.truth("customer_invoice").keys
            assert (await visma.customer.get("10000")).number == "10000"
            assert len(await visma.customer_invoice.list()) == len(numbers)
            assert (await visma.request("GET", "/v1/customer/10000"))["number"] == "10000"
            sim.touch("customer_invoice", numbers[0], status="Closed")
            with pytest.raises(ActionFailed, match="already released"):
                await visma.customer_invoice.release(numbers[0])
            with pytest.raises(NotFound, match="cannot be found"):
                await visma.customer.get("none")
            sim.behaviours.attachment_download = "json"
            content = bytes(range(256)) * 400
            made = await visma.customer_invoice.add_attachment(numbers[0], Upload(content, "x.bin"))
            assert (await visma.attachment.download(str(made.id))).content == content
            assert (await visma.attachment.download(str(made.id)).save(tmp_path)).read_bytes() == content


async def done(here: Here, operation: Operation) -> Any:
    """Do an operation on a row in a state that allows it."""
    resource, name, facts = METHODS[operation.id]
    make_ready(here, operation)  # type: ignore[arg-type] # it looks at .sim alone
    prepare = PREPARED.get(operation.id)
    values = await prepare(here) if prepare else path_values(operation, here)  # type: ignore[arg-type] # as above
    kinds = [kind for _, kind in facts.get("ids", ())]
    sent: list[Any] = [int(value) if kind == "int" else value for value, kind in zip(values, kinds, strict=False)]
    if facts["call"] == "upload":
        sent.append(Upload(b"%PDF-1.4", "x.pdf"))
    elif operation.request_kind == "json" and operation.request_dto in load().schemas:
        body = unwrapped(body_for(operation))
        # several versions of an operation create in one company
        body = {name: f"N{sorted(METHODS).index(operation.id)}" if one == "NEW" else one for name, one in body.items()}
        sent.append(body | _named_rows(here, operation.id))
    needed = {name.lower(): value for name, value in required_query(operation).items()} | {"filterdate": "2025-05-25"}
    if operation.id == "Blob_GetPresignedUrl":
        needed["blobid"] = values[0]
    options = {
        one["name"]: int(needed[one["json"].lower()]) if one["kind"] == "integer" else needed[one["json"].lower()]
        for one in facts.get("parameters", ())
        if one["json"].lower() in needed
    }
    made = getattr(getattr(here.visma, resource), name)(*sent, **options)
    return await (made.first() if isinstance(made, Listing) else made)


def unwrapped(body: Any) -> Any:
    """What a caller writes: the SDK wraps by itself, and takes no float."""
    if isinstance(body, Mapping):
        if set(body) == {"value"}:
            return unwrapped(body["value"])
        return {name: unwrapped(one) for name, one in body.items()}
    return Decimal(str(body)) if isinstance(body, float) else body


# what has to be there before an operation can be done


async def _file(here: Here) -> list[str]:
    return [here.sim.company().store_file("x.pdf", b"%PDF-1.4").id]


async def _job(here: Here) -> list[str]:
    answer = await here.visma.sender.send(here.visma.customer.get("10000").request(background="none"))
    await here.sim.clock.sleep(60)
    return [answer.body.decode().partition('"id":"')[2].partition('"')[0]]


def _attached(line: str | None = None) -> Any:
    async def attach(here: Here) -> list[str]:
        orders = here.visma.sales_order
        number = here.sim.truth("sales_order").keys[0].rpartition("/")[2]
        upload = Upload(b"%PDF-1.4", "x.pdf")
        if line is None:
            made = await orders.add_attachment_by_order_type("SO", number, upload)
            return ["SO", number, str(made.id)]
        made = await orders.add_line_attachment_by_order_type("SO", number, int(line), upload)
        return ["SO", number, line, str(made.id)]

    return attach


async def _cross_reference(here: Here) -> list[str]:
    body = {"alternate_type": "Barcode", "alternate_id": "4711"}
    await here.visma.inventory.create_cross_reference("V000001", body)
    return ["V000001", "Barcode", "4711"]


async def _location(here: Here) -> list[str]:
    await here.visma.warehouse.create_location("1", {"location_id": "A1"})
    return ["1", "A1"]


async def _translation(here: Here) -> list[str]:
    number = here.sim.add("inventory")[0]
    here.sim.company().translations[number, "sv-se"] = "Skruv"
    return [number, "sv-SE"]


async def _project(here: Here) -> list[str]:
    table = here.sim.company().world.table("project")
    return [str(table.internal_of(next(iter(table.order))))]


def _named_rows(here: Here, operation_id: str) -> dict[str, str]:
    """What a body must say to name a row that is there."""
    if operation_id == "Budget_Put":
        return {"account": here.sim.truth("budget").keys[0]}
    if operation_id == "PurchaseOrder_CreatePurchaseReceiptFromPurchaseOrderBypurchaseorderNbr":
        return {"orderType": here.sim.truth("purchase_order").keys[0].partition("/")[0]}
    return {}


PREPARED: dict[str, Any] = {
    "Attachment_GetByattachmentId": _file,
    "Attachment_PutByattachmentId": _file,
    "Background_GetBackgroundApiOperationByrequestId": _job,
    "Background_GetBackgroundApiOperationContentByrequestId": _job,
    "Blob_GetByblobId": _file,
    "Blob_GetMetadataByblobId": _file,
    "Blob_GetPresignedUrl": _file,
    "Inventory_UpdateInventoryCrossReferencesByinventoryNumberalternateTypealternateId": _cross_reference,
    "Multilanguage_DeleteSpecificInventoryDescrTranslationByinventoryNumberlanguageISO": _translation,
    "Multilanguage_GetSpecificInventoryDescrTranslationByinventoryNumberlanguageISO": _translation,
    "ProjectTask_PostByinternalId": _project,
    "SalesOrderBasic_DeleteLineAttachmentByorderNumberorderTypelineNumberfileId": _attached("1"),
    "SalesOrderBasic_DeleteOrderAttachmentByorderNumberorderTypefileId": _attached(),
    "SalesOrder_DeleteLineAttachmentByorderNumberorderTypelineNumberfileId": _attached("1"),
    "SalesOrder_DeleteOrderAttachmentByorderNumberorderTypefileId": _attached(),
    "Warehouse_PutBywarehouseIDlocationID": _location,
}
