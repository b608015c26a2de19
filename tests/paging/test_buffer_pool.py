"""Memory of pages: used again only where nothing refers to it any more."""

from __future__ import annotations

import random
import weakref

import msgspec
import pytest
from hypothesis import given, strategies as st

from tests.paging.live import live
from vismanet_async._paging.buffer_pool import BufferPool
from vismanet_async._paging.row_scanner import Rows

LARGE = 300_000


def use(buffers: BufferPool, size: int = LARGE) -> int:
    """Take a buffer and let go of it; tell which it was."""
    return id(buffers.acquire(size))


@pytest.mark.parametrize(
    "hold",
    [
        lambda body: body,
        memoryview,
        lambda body: memoryview(body)[5:10],
        lambda body: Rows(body, [1], 2),
        lambda body: msgspec.json.decode(body, type=list[msgspec.Raw])[0],
    ],
    ids=["body", "view", "part of a view", "rows", "raw"],
)
def test_a_body_that_something_refers_to_is_left_alone(hold: object) -> None:
    assert callable(hold)
    buffers = BufferPool()
    body = buffers.acquire(LARGE)
    body[:] = b"[%b]" % (b'"' + b"x" * (LARGE - 4) + b'"')
    before, held = bytes(body), hold(body)
    first = id(body)
    again = buffers.acquire(LARGE)
    again[:] = b"y" * LARGE
    assert id(again) != first
    assert body == before
    del body, held
    assert use(buffers) == first


@given(st.lists(st.integers(1, 900_000), max_size=30), st.integers(0, 100))
def test_bodies_are_as_long_as_asked_for_and_each_its_own(sizes: list[int], seed: int) -> None:
    chosen = random.Random(seed)
    buffers = BufferPool()
    held: list[tuple[bytearray, int, int]] = []
    for number, size in enumerate(sizes):
        body = buffers.acquire(size)
        assert len(body) == size
        body[0] = body[-1] = number
        held.append((body, size, number))
        del body
        held = [one for one in held if chosen.random() < 0.6]
        assert len({id(body) for body, _, _ in held}) == len(held)
        assert all((len(body), body[0], body[-1]) == (size, number, number) for body, size, number in held)


def test_small_bodies_and_many_are_not_kept() -> None:
    buffers = BufferPool()
    small = buffers.acquire(1000)
    held = [buffers.acquire(LARGE) for _ in range(50)]
    assert len({id(body) for body in held}) == 50
    assert len(buffers._buffers) == 16
    assert all(kept is not small for kept in buffers._buffers)


async def test_a_listing_that_was_read_holds_no_memory() -> None:
    class Watched(bytearray):
        """Can be watched."""

    async with live(rows={"customer": 30}) as site:
        listing = site.visma.customer.list(page_size=10)
        async with listing.raw_pages() as pages:
            assert listing._fetcher is not None
            kept = Watched(LARGE)
            listing._fetcher._buffer_pool._buffers.append(kept)
            alive = weakref.ref(kept)
            del kept
            async for _ in pages:
                pass
            assert alive() is not None
        assert alive() is None
