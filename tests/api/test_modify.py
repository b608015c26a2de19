"""`modify`: no update lost, none made twice, honest where nobody can tell."""

# mypy: disable-error-code="unused-awaitable"
# operations are values here: most are looked at, not sent

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.api.support import Client, Recorder, reply
from vismanet_async._api.base import etag_of
from vismanet_async._api.models import Customer, CustomerUpdate
from vismanet_async._api.results import Created, Updated
from vismanet_async.errors import (
    Attempt,
    BadRequest,
    DeadlineExceeded,
    NotSent,
    OutcomeUnknown,
    PreconditionFailed,
    RateLimited,
    RequestRefused,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async._http.message import Request, Response


class Server(Recorder):
    """One customer with a credit limit and versions, on a line that can be cut."""

    def __init__(self, *, random: Random | None = None) -> None:
        super().__init__()
        self.limit = Decimal(0)
        self.version = 1
        self.writes = 0
        self.cuts: list[str] = []
        """What happens to the next writes: "before", "after", "busy" or "" (nothing)."""
        self.between: Callable[[], None] | None = None
        self._random = random

    @property
    def etag(self) -> str:
        return f"V{self.version}="

    def write(self, limit: Decimal) -> None:
        self.limit = limit
        self.version += 1

    async def send(self, request: Request, /) -> Response:
        self.requests.append(request)
        await checkpoint()
        if self._random and self._random.random() < 0.3:
            await checkpoint()
        if request.method == "GET":
            return reply(f'{{"number": "1", "creditLimit": {self.limit}}}'.encode(), ETag=f'"{self.etag}"')
        if self.between:
            between, self.between = self.between, None
            between()
        cut = self.cuts.pop(0) if self.cuts else ""
        if cut == "before":
            raise OutcomeUnknown("lost on the way there")
        if request.headers.get("If-Match") != f'"{self.etag}"':
            raise PreconditionFailed("Customer_PutBycustomerCd", status=412)
        assert isinstance(request.body, bytes)
        self.write(json.loads(request.body, parse_float=Decimal)["creditLimit"]["value"])
        self.writes += 1
        if cut == "after":
            raise OutcomeUnknown("lost on the way back")
        if cut == "repeated":
            error = PreconditionFailed("Customer_PutBycustomerCd", status=412)
            lost: Any = {"started_after_seconds": 0, "duration_seconds": 1}
            error.attempts = (
                Attempt(number=1, outcome="read timeout", **lost),
                Attempt(number=2, outcome="412", **lost),
            )
            raise error
        return reply(status=204, ETag=f'"{self.etag}"')


def client_of(server: Server) -> Client:
    client = Client()
    client.recorder = server
    return client


def plus_one(now: Customer) -> CustomerUpdate:
    return CustomerUpdate(credit_limit=(now.credit_limit or 0) + 1)


async def test_it_reads_changes_and_writes_under_the_version_read() -> None:
    server = Server()
    result = await client_of(server).customer.modify("1", plus_one)
    assert result == Updated(etag="V2=")
    assert [(one.method, one.headers.get("If-Match")) for one in server.requests] == [("GET", None), ("PUT", '"V1="')]
    assert server.limit == 1


async def test_no_update_of_200_tasks_is_lost() -> None:
    server = Server(random=Random(1))
    customer = client_of(server).customer
    async with anyio.create_task_group() as group:
        for _ in range(200):
            group.start_soon(customer.modify, "1", plus_one)
    assert server.limit == 200
    assert server.writes == 200


async def test_no_update_is_lost_on_a_line_that_cuts_off_in_both_directions() -> None:
    random = Random(7)
    server = Server(random=random)
    server.cuts = [random.choice(["", "", "before", "after", "repeated"]) for _ in range(400)]
    customer = client_of(server).customer
    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(partial(customer.modify, "1", plus_one, attempts=50))
    assert server.limit == 100
    assert server.writes == 100


async def test_no_update_is_lost_between_clients() -> None:
    """Several clients do not share turns: the versions alone keep them apart."""
    server = Server(random=Random(7))
    clients = [client_of(server) for _ in range(4)]
    async with anyio.create_task_group() as group:
        for turn in range(80):
            group.start_soon(partial(clients[turn % 4].customer.modify, "1", plus_one, attempts=500))
    assert server.limit == 80
    assert server.writes == 80


async def test_somebody_elses_write_in_between_is_kept() -> None:
    server = Server()
    server.between = lambda: server.write(Decimal(100))
    await client_of(server).customer.modify("1", plus_one)
    assert server.limit == 101


async def test_it_gives_up_after_so_many_attempts() -> None:
    server = Server()

    def interfere() -> None:
        server.write(server.limit + 10)
        server.between = interfere

    server.between = interfere
    with pytest.raises(PreconditionFailed):
        await client_of(server).customer.modify("1", plus_one, attempts=3)
    assert [one.method for one in server.requests].count("PUT") == 3
    assert server.writes == 0


@pytest.mark.parametrize("cut", ["after", "repeated"])
async def test_it_recognises_its_own_success(cut: str) -> None:
    server = Server()
    server.cuts = [cut]
    assert await client_of(server).customer.modify("1", plus_one) == Updated(etag="V2=")
    assert (int(server.limit), server.writes) == (1, 1)
    assert [one.method for one in server.requests] == ["GET", "PUT", "GET"]


async def test_it_writes_again_what_never_arrived() -> None:
    server = Server()
    server.cuts = ["before", "before"]
    await client_of(server).customer.modify("1", plus_one)
    assert (int(server.limit), server.writes) == (1, 1)


async def test_it_says_so_when_nobody_can_tell() -> None:
    server = Server()
    server.cuts = ["after"]

    class Meddler(Server):
        async def send(self, request: Request, /) -> Response:
            try:
                return await super().send(request)
            except OutcomeUnknown:
                self.write(Decimal(77))  # another client, right after ours
                raise

    meddler = Meddler()
    meddler.cuts = ["after"]
    with pytest.raises(OutcomeUnknown, match="cannot be told"):
        await client_of(meddler).customer.modify("1", plus_one)


@pytest.mark.parametrize(
    "later",
    [
        RateLimited("Customer_GetBycustomerCd", status=429, detail="later"),
        NotSent("no route"),
        DeadlineExceeded("too late"),
        RequestRefused("no"),
    ],
)
async def test_a_lost_answer_is_not_forgotten_when_the_record_cannot_be_looked_up(later: Exception) -> None:
    server = Server()
    server.cuts = ["after"]
    real = server.send

    async def send(request: Request, /) -> Response:
        if server.writes:
            raise later
        return await real(request)

    server.send = send  # type: ignore[method-assign] # fails from the write on
    with pytest.raises(OutcomeUnknown, match="Looking the record up failed"):
        await client_of(server).customer.modify("1", plus_one)
    assert (int(server.limit), server.writes) == (1, 1)


async def test_lost_answers_use_up_attempts() -> None:
    server = Server()
    server.cuts = ["before"] * 3
    with pytest.raises(OutcomeUnknown, match="lost on the way there"):
        await client_of(server).customer.modify("1", plus_one, attempts=3)
    assert server.writes == 0


@pytest.mark.parametrize("error", [NotSent("no connection"), DeadlineExceeded("late"), BadRequest("x", status=400)])
async def test_what_was_never_executed_is_raised(error: Exception) -> None:
    client = Client(reply(b'{"creditLimit": 1, "timeStamp": "A="}'), error)
    with pytest.raises(type(error)):
        await client.customer.modify("1", plus_one)


async def test_nothing_is_written_where_nothing_is_wanted() -> None:
    server = Server()
    assert await client_of(server).customer.modify("1", lambda _: None) == Updated(etag="V1=")
    assert server.writes == 0
    with pytest.raises(RequestRefused, match="attempts"):
        await client_of(server).customer.modify("1", plus_one, attempts=0)
    with pytest.raises(RequestRefused, match="no version"):
        await Client(reply(b'{"number": "1"}')).customer.modify("1", plus_one)


async def test_mappings_will_do() -> None:
    server = Server()
    await client_of(server).customer.modify("1", lambda now: {"credit_limit": (now.credit_limit or 0) + 5})
    assert server.limit == 5


def test_versions_come_from_anything_that_has_one() -> None:
    for version in (
        "A=",
        '"A="',
        'W/"A="',
        Customer(time_stamp="A="),
        Created(id="1", etag="A="),
        Updated(etag="A="),
        {"timeStamp": "A="},
        {"timestamp": "A="},
    ):
        assert etag_of(version) == "A="
    none: Any
    for none in ("", '""', Customer(), Updated(), {}, 'A"\r\nX: y'):
        with pytest.raises(RequestRefused, match="no version"):
            etag_of(none)
