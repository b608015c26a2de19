"""A whole working day with everything that goes wrong, and then a search for secrets in whatever it left behind."""

from __future__ import annotations

import asyncio
import copy
import io
import logging
import pickle
import sqlite3
import traceback
from typing import TYPE_CHECKING

import pytest

from vismanet_async import VismaNetError
from vismanet_async._api.files import Upload
from vismanet_async.simulator import Simulator, VirtualClock
from vismanet_async.simulator._client_fixture import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator
    from pathlib import Path

SECRET = "s3cr3t-Of-The-Application"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    rows = {"customer": 30, "customer_invoice": 20, "supplier": 5}
    async with Simulator(rows=rows, client_secret=SECRET, clock=VirtualClock()) as simulator:
        yield simulator


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that anybody logs, aiohttp and asyncio too."""
    text = io.StringIO()
    handler, root = logging.StreamHandler(text), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


async def fails(work: Awaitable[object]) -> VismaNetError:
    with pytest.raises(VismaNetError) as caught:
        await work
    return caught.value


def contents(folder: Path) -> list[str]:
    return [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]


def shown(error: BaseException) -> str:
    """All that a crash reporter could show of it."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(told.format()) + repr(error) + str(vars(error)) + repr(pickle.loads(pickle.dumps(error)).args)


async def test_nothing_that_is_left_behind_holds_a_secret(sim: Simulator, tmp_path: Path, log: io.StringIO) -> None:
    asyncio.get_running_loop().set_debug(True)
    left: list[str] = []
    async with connected(sim, job_store=tmp_path / "jobs.sqlite") as visma:
        await visma.export(["customer", "customer_invoice"], to=tmp_path / "out")
        job = await visma.jobs.submit(visma.supplier.update("50000", {"name": "Ny AS"}), reference="nightly")
        await job
        left += [repr(await job.status()), repr(await job.raw()), job.token, repr(visma), repr(visma.jobs)]
        for fault in (
            {"kind": "status", "status": 500, "message": "Bearer {token} was here"},
            {"kind": "reset_after"},
            {"kind": "html", "status": 502},
            {"kind": "status", "status": 401},
        ):
            sim.faults.add(str(fault["kind"]), **{name: value for name, value in fault.items() if name != "kind"})  # type: ignore[arg-type]
            left.append(shown(await fails(visma.supplier.create({"name": "Ny AS"}))))
            left.append(shown(await fails(visma.customer.get("10000"))))
            sim.faults.clear()
        sim.faults.add("status", path="/connect/token", status=400, message=SECRET)
        sim.tokens.revoke()
        left.append(shown(await fails(visma.customer.get("10000"))))
        left += [repr(task) for task in asyncio.all_tasks()]
    with sqlite3.connect(tmp_path / "jobs.sqlite") as store:
        left += list(store.iterdump())
    store.close()
    left += contents(tmp_path)
    left.append(log.getvalue())

    tokens = {seen.headers.get("Authorization", "").removeprefix("Bearer ") for seen in sim.requests} - {""}
    assert len(tokens) >= 1
    assert len(left) > 20
    for secret in (SECRET, *tokens):
        assert not [text[:200] for text in left if secret in text]


async def test_what_leads_to_the_secret_is_not_pickled(sim: Simulator, tmp_path: Path) -> None:
    async with connected(sim, job_store=tmp_path / "jobs.sqlite") as visma:
        for each in (visma, visma.customer.list(), visma.jobs):
            with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
                pickle.dumps(each)
        for copied in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match="make a client in the process that unpickles"):
                copied(visma.customer.list())


async def test_nothing_goes_to_a_host_that_an_answer_names(sim: Simulator, tmp_path: Path) -> None:
    sim.behaviours.set(state_host="foreign", background_accepted="older")
    async with connected(sim, job_store=tmp_path / "jobs.sqlite") as visma:
        await (await visma.jobs.submit(visma.supplier.update("50000", {"name": "Ny AS"})))
        sim.behaviours.set(location_host="legacy_http")
        created = await visma.supplier.create({"name": "Enda en AS"})
        assert (await visma.supplier.get(str(created.id))).name == "Enda en AS"
        made = await visma.customer_invoice.add_attachment(sim.truth("customer_invoice").keys[0], Upload(b"x", "x.pdf"))
        assert (await visma.attachment.download(str(made.id))).content == b"x"
    assert sim.foreign_requests.total == 0
    assert {seen.path.split("/")[1] for seen in sim.requests} == {"connect", "v1"}
