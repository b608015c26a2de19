"""What was recorded is replayed: the same program gets the same, without network, and no secret is kept."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from vismanet_async import ClientCredentials, NotFound, RequestRefused, Upload, VismaNet
from vismanet_async.simulator import NotRecorded, Simulator, VirtualClock, record, replay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def live() -> AsyncIterator[tuple[Simulator, VismaNet]]:
    async with Simulator(rows={"customer": 40, "customer_invoice": 3}, clock=VirtualClock()) as sim:
        credentials = ClientCredentials(sim.client_id, sim.client_secret, tenant_id=sim.tenant_id)
        async with VismaNet(credentials, base_url=sim.base_url, token_url=sim.token_url) as visma:
            yield sim, visma


async def program(visma: VismaNet) -> list[Any]:
    """Read, be refused, write, read again, and move a file both ways."""
    customers = await visma.customer.list(page_size=1)
    seen: list[Any] = [customers, await visma.customer.get("10000")]
    try:
        await visma.customer.get("nobody")
    except NotFound as error:
        seen += [str(error), error.reference, error.body]
    first = await visma.customer.get("10000")
    seen.append(await visma.customer.update("10000", {"name": "Blåbær AS"}, if_match=first))
    seen.append((await visma.customer.get("10000")).name)
    seen += [await visma.customer.create({"name": "A"}), await visma.customer.create({"name": "A"})]
    added = await visma.customer_invoice.add_attachment("100001", Upload(b"\xff\xfe\x00", "r.pdf"))
    return [*seen, added, (await visma.attachment.download(added.id or "")).content]


async def test_the_same_program_gets_the_same(live: Any, tmp_path: Path) -> None:
    sim, visma = live
    with record(visma, to=tmp_path / "tape.jsonl"):
        recorded = await program(visma)
    sent = len(sim.requests)
    for _ in range(2):
        async with replay(tmp_path / "tape.jsonl") as replayed:
            assert await program(replayed) == recorded
    assert len(sim.requests) == sent
    await visma.customer.get("10000")  # goes on as before, and is not recorded any more
    assert len(sim.requests) == sent + 1


async def test_no_secret_is_kept(live: Any, tmp_path: Path) -> None:
    sim, visma = live
    with record(visma, to=tmp_path / "tape.jsonl"):
        await program(visma)
        sim.tokens.revoke()
        await visma.customer.get("10001")  # with a fresh token
    text = (tmp_path / "tape.jsonl").read_text("utf-8")
    shown = {
        entry.headers["Authorization"].removeprefix("Bearer ")
        for entry in sim.requests
        if entry.headers.get("Authorization")
    }
    assert len(shown) >= 2
    for secret in (*shown, sim.client_id, sim.client_secret, sim.tenant_id):
        assert secret not in text
    assert not re.search(r"authorization|bearer|cookie|client_secret", text, re.IGNORECASE)


async def test_what_is_not_recorded_is_named(live: Any, tmp_path: Path) -> None:
    _, visma = live
    path = tmp_path / "tape.jsonl"
    with record(visma, to=path):
        await visma.customer.get("10000")
        await visma.customer.create({"name": "A"})
    async with replay(path) as replayed:
        with pytest.raises(
            NotRecorded, match=r"GET /v1/customer/10001 is not in .*nearest there is GET /v1/customer/10000\."
        ):
            await replayed.customer.get("10001")
        with pytest.raises(NotRecorded, match=r'POST /v1/customer .*"B".*nearest there is POST /v1/customer .*"A"'):
            await replayed.customer.create({"name": "B"})
        await replayed.customer.get("10000")
        await replayed.customer.get("10000")  # reads may come again
        await replayed.customer.create({"name": "A"})
        with pytest.raises(NotRecorded, match="asked more often"):
            await replayed.customer.create({"name": "A"})


async def test_an_error_leaves_the_cassette_as_it_was(live: Any, tmp_path: Path) -> None:
    _, visma = live
    path = tmp_path / "tape.jsonl"
    path.write_text("as it was")
    with pytest.raises(NotFound), record(visma, to=path):
        await visma.customer.get("nobody")
    assert path.read_text() == "as it was"
    assert [entry.name for entry in os.scandir(tmp_path)] == ["tape.jsonl"]
    await visma.customer.get("10000")


@pytest.mark.parametrize("text", ["", "{}", "as it was", '{"vismanet_cassette":9,"utc_now":"2026-01-01T00:00:00Z"}'])
def test_what_is_no_cassette_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "tape.jsonl").write_text(text)
    with pytest.raises(RequestRefused, match="Record it anew"):
        replay(tmp_path / "tape.jsonl")


def test_only_a_client_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(RequestRefused, match="client takes a VismaNet"), record(object(), to=tmp_path):  # type: ignore[arg-type]
        pass
