"""Rehearsals name the mistakes of rows and send nothing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.bulk.company import keys, opened
from vismanet_async._bulk.rehearsal import estimated_seconds
from vismanet_async.bulk import Row

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("requests", "quota", "seconds"),
    [
        (100, (None, None, None), None),
        (100, (500, None, 60.0), None),
        (800, (15_000, 15_000, 60.0), 100.0),
        (0, (0, 15_000, 60.0), 0.0),
        (80, (0, 15_000, 600.0), 610.0),
        (80, (0, 15_000, None), 3_610.0),
        (30_080, (0, 15_000, 600.0), 600.0 + 7_200.0 + 10.0),
    ],
)
def test_how_long_it_takes(
    requests: int, quota: tuple[int | None, int | None, float | None], seconds: float | None
) -> None:
    remaining, limit, resets_in = quota
    assert estimated_seconds(requests, remaining=remaining, limit=limit, resets_in=resets_in) == seconds


async def test_every_mistake_is_named_and_nothing_is_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        visma = company.visma
        bodies: list[tuple[str, dict[str, Any]]] = [
            ("1", {"name": "a"}),
            ("2", {"name": "b", "status": "Actve"}),
            ("3", {"nam": "c"}),
            ("4", {"credit_limit": "1,5"}),
            ("1", {"name": "d"}),
        ]
        rows = [Row(key, partial(visma.customer.create, body)) for key, body in bodies]
        rehearsal = await visma.bulk.rehearse(rows, journal=company.journal)
        assert [(each.position, each.key) for each in rehearsal.mistakes] == [
            (2, "2"),
            (3, "3"),
            (4, "4"),
            (5, "1"),
        ]
        assert (rehearsal.rows, rehearsal.requests, rehearsal.mistakes_found) == (5, 1, 4)
        assert str(rehearsal) == (
            "5 rows, 4 mistakes. A run takes 1 request; the quota is not known before the first one is sent."
        )
        assert not company.simulator.ledger
        assert company.simulator.requests.total == 0
        assert not company.journal.exists()


async def test_it_knows_what_an_earlier_run_did(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        await company.run(company.rows(keys(300)))
        before = company.simulator.requests.total
        changed = [*company.rows(keys(299)), Row(keys(300)[-1], company.visma.customer.create({"name": "other"}))]
        rehearsal = await company.visma.bulk.rehearse(
            [*changed, *company.rows(keys(9, first=300))], journal=company.journal
        )
        assert (rehearsal.rows, rehearsal.earlier, rehearsal.requests) == (309, 299, 9)
        assert [each.position for each in rehearsal.mistakes] == [300]
        assert rehearsal.seconds == 9 / 8
        assert company.simulator.requests.total == before


async def test_it_counts_unknown_rows_only_for_a_run_that_would_send_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as company:
        company.simulator.faults.add("reset_before", method="POST", times=2)
        summary, _ = await company.run(company.rows(keys(5)))
        assert summary.unknown == 2
        for options, requests in (({}, 0), ({"retry_unknown": True}, 2), ({"find": company.find()}, 2)):
            rows = company.rows(keys(6))
            rehearsal = await company.visma.bulk.rehearse(rows, journal=company.journal, **options)
            assert (rehearsal.requests, rehearsal.earlier) == (requests + 1, 5 - requests)
