"""Text that would become another header, path or host is refused before anything leaves, or arrives as that text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from vismanet_async import StaticToken, VismaNet, VismaNetError
from vismanet_async._api.files import Upload
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

BREAKS = ("a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rb", "a\0b")


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(rows={"customer": 3}) as simulator:
        yield simulator


@pytest.fixture
async def visma(sim: Simulator, tmp_path: Path) -> AsyncIterator[VismaNet]:
    token = StaticToken(sim.issue_token(), tenant_id=sim.tenant_id)
    async with VismaNet(token, base_url=sim.base_url, token_url=sim.token_url, job_store=tmp_path / "jobs") as client:
        yield client


WAYS: dict[str, Callable[[VismaNet, str], Any]] = {
    "header": lambda visma, text: visma.request("GET", "/v1/customer", headers={"X-Mine": text}),
    "header name": lambda visma, text: visma.request("GET", "/v1/customer", headers={text: "x"}),
    "header of one call": lambda visma, text: visma.customer.get("10000").with_options(headers={"X-Mine": text}),
    "If-Match": lambda visma, text: visma.customer.update("10000", {"name": "x"}, if_match=text),
    "file name": lambda visma, text: visma.customer_invoice.add_attachment("1", Upload(b"x", f"{text}.pdf")),
    "content type": lambda visma, text: visma.customer_invoice.add_attachment(
        "1", Upload(b"x", "x.pdf", content_type=text)
    ),
    "reference of a job": lambda visma, text: visma.jobs.submit(visma.customer.get("10000"), reference=text),
    "path": lambda visma, text: visma.request("GET", f"/v1/customer/{text}"),
}


@pytest.mark.parametrize("text", BREAKS, ids=repr)
@pytest.mark.parametrize("way", WAYS)
async def test_line_breaks_never_leave(sim: Simulator, visma: VismaNet, way: str, text: str) -> None:
    async def send() -> None:
        await WAYS[way](visma, text)

    with pytest.raises(VismaNetError, match=r"[Nn]othing"):
        await send()
    assert sim.requests.total == 0


@pytest.mark.parametrize("text", BREAKS, ids=repr)
def test_tokens_and_settings_with_line_breaks_build_no_client(text: str) -> None:
    with pytest.raises(VismaNetError):
        VismaNet(StaticToken(text))
    with pytest.raises(VismaNetError):
        VismaNet(StaticToken("x"), headers={"X-Mine": text})


@pytest.mark.parametrize(
    "number",
    ["../supplier/50000", "..", ".", "10000/../../v1/supplier", "//evil.example/x", "http://evil.example/", "10000?x=1",
     "10000#x", "%2e%2e", "10000%00", "a\\..\\b", "@evil.example", ":80@evil.example", "b64(Li4v)", "\r\nHost: evil"],
)  # fmt: skip
async def test_an_id_stays_an_id(sim: Simulator, visma: VismaNet, number: str) -> None:
    with pytest.raises(VismaNetError):  # refused here, or no such customer
        await visma.customer.get(number)
    for seen in sim.requests:
        assert seen.operation == "Customer_GetBycustomerCd", seen.path
        assert seen.headers["Host"] == sim.base_url.removeprefix("http://")
        assert not seen.query_pairs
