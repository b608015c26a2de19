"""The made-up data: plausible, referring to what is there, the same for the same seed, and never held whole."""

from __future__ import annotations

import json
import tracemalloc
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from vismanet_async._simulator import shapes
from vismanet_async._simulator.shared_variants import SharedVariants
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulator.conftest import Start


_ROWS = {"customer": 40, "supplier": 40, "customer_invoice": 60, "supplier_invoice": 40, "inventory": 40}


def keys(sim: Simulator, resource: str) -> set[str]:
    return {key.rpartition("/")[2] for key in sim.truth(resource).keys}


def walked(value: Any, name: str = "") -> Any:
    """Every (name, value) in a row."""
    if isinstance(value, dict):
        for inner, one in value.items():
            yield inner, one
            yield from walked(one, inner)
    elif isinstance(value, list):
        for one in value:
            yield from walked(one, name)


def test_references_resolve() -> None:
    sim = Simulator(rows=_ROWS)
    known = {
        "customer": keys(sim, "customer"),
        "supplier": keys(sim, "supplier"),
        "inventoryNumber": keys(sim, "inventory"),
        "vatCode": keys(sim, "vat"),
        "currencyId": keys(sim, "currency"),
    }
    seen: dict[str, int] = dict.fromkeys(known, 0)
    for resource in ("customer_invoice", "supplier_invoice"):
        for row in sim.truth(resource).rows():
            for name, value in walked(row):
                if name not in known or value is None:
                    continue
                number = value.get("number", value.get("id")) if isinstance(value, dict) else value
                assert number in known[name], (resource, name, number)
                seen[name] += 1
    assert min(seen[name] for name in ("customer", "supplier", "inventoryNumber", "vatCode")) > 20, seen


def test_vat_codes_are_the_norwegian_ones() -> None:
    codes = keys(Simulator(), "vat")
    assert {"3", "31", "33", "1", "11", "13", "0", "5", "6", "52", "81", "86"} <= codes


def test_amounts_have_four_decimals_and_add_up() -> None:
    for row in Simulator(rows=_ROWS).truth("customer_invoice").rows():
        amounts = [value for _, value in walked(row) if isinstance(value, Decimal)]
        assert all(value.as_tuple().exponent <= -4 for value in amounts if value != value.to_integral_value())  # type: ignore[operator]
        assert row["amount"] == sum(line["amount"] for line in row["invoiceLines"]) + row["vatTotal"]


def test_the_seed_decides_everything() -> None:
    first, again, other = (Simulator(seed=seed, rows=_ROWS) for seed in (7, 7, 8))
    for resource in ("customer", "customer_invoice"):
        rows = [str(list(sim.truth(resource).rows())) for sim in (first, again, other)]
        assert rows[0] == rows[1] != rows[2]


def lines(sim: Simulator) -> str:
    """What refers to rows of other tables most."""
    return str([list(sim.truth(resource).rows()) for resource in ("supplier_invoice", "purchase_order")])


def test_rows_are_the_same_whatever_other_simulators_of_the_process_have_made(monkeypatch: pytest.MonkeyPatch) -> None:
    few = dict.fromkeys(("supplier", "inventory", "supplier_invoice", "purchase_order"), 8)
    sizes = [few, {**few, "inventory": 3}, {**few, "supplier": 2}, few]
    together = [lines(Simulator(rows=rows)) for rows in sizes]
    for rows, made in zip(sizes, together, strict=True):
        monkeypatch.setattr(shapes, "_SHARED", SharedVariants(2048))
        assert lines(Simulator(rows=rows)) == made
    assert len(set(together)) == 3


def test_rows_are_the_same_whenever_they_are_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "_SHARED", SharedVariants(2048))
    sim = Simulator(rows=_ROWS)
    sim.touch("inventory", count=40, description="renamed")
    late = lines(sim)
    monkeypatch.setattr(shapes, "_SHARED", SharedVariants(2048))
    assert late == lines(Simulator(rows=_ROWS))


def test_a_snapshot_is_the_same_company(tmp_path: Path) -> None:
    sim = Simulator(seed=5, rows=_ROWS, behaviours={"empty_list": "null"}, companies=["second"])
    sim.add("customer", 3, where="random")
    sim.remove("customer", count=4)
    sim.touch("customer_invoice", count=5, invoiceText="æøå")
    sim.restamp("supplier")
    sim.company("second").remove("customer", count=1)
    sim.save(tmp_path / "company.json")

    back = Simulator.load(tmp_path / "company.json")
    assert back.behaviours.empty_list == "null"
    for tenant in (sim.tenant_id, "second"):
        for resource in ("customer", "customer_invoice", "supplier"):
            was, now = sim.company(tenant).truth(resource), back.company(tenant).truth(resource)
            assert was.keys == now.keys
            assert list(was.rows()) == list(now.rows())
    assert sim.add("customer") == back.add("customer"), "the number series goes on where it was"
    with pytest.raises(ValueError, match="rows"):
        Simulator.load(tmp_path / "company.json", rows={"customer": 41})
    (tmp_path / "none.json").write_text(json.dumps({"a": 1}), "utf-8")
    with pytest.raises(ValueError, match="snapshot"):
        Simulator.load(tmp_path / "none.json")


async def test_two_million_rows_are_served_without_being_held(start: Start) -> None:
    rows = 2_000_000
    tracemalloc.start()
    try:
        async with start(rows={"customer": rows}) as client:
            first = (await client.get("/v1/customer", pageSize=100)).json()
            last = (await client.get("/v1/customer", pageSize=100, pageNumber=rows // 100)).json()
            assert {row["metadata"]["totalCount"] for row in (*first, *last)} == {rows}
            assert last[-1]["number"] == str(10_000 + rows - 1)
            one = (await client.get(f"/v1/customer/{10_000 + rows // 2}")).json()
            assert one["number"] == str(10_000 + rows // 2)
            client.sim.remove("customer", one["number"])
            client.sim.add("customer", 2)
            end = (await client.get("/v1/customer", pageSize=2, pageNumber=rows // 2)).json()
            assert end[0]["metadata"]["totalCount"] == rows + 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024 * 1024, f"{peak / 2**20:.0f} MiB"
