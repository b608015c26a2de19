"""Exports while others write, broken off and gone on with: whole, once each, exact, or an honest no."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from tests.soak.company import CHURNED, Company
from vismanet_async._export.target.manifest import MANIFEST_NAME, validate
from vismanet_async.errors import IncompleteListing, VismaNetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from vismanet_async._client import VismaNet
    from vismanet_async._export.target.manifest import Manifest, ResourceEntry

__all__ = ["amounts_of", "compare", "export"]

_IDENTITY = {"customer": "number", "customer_invoice": "referenceNumber", "inventory": "inventoryNumber"}
_AMOUNTS = {"customer": "creditLimit", "customer_invoice": "amount", "inventory": "defaultPrice"}
_TRIES = 8


async def export(company: Company, visma: VismaNet, number: int) -> None:
    """Run one export to its end, through whatever happens, and compare it with the truth."""
    random = company.random
    names = random.sample(CHURNED, random.randint(1, 2))
    target = company.folder / f"export-{number}"
    options: dict[str, Any] = {
        "format": random.choice(("jsonl", "jsonl", "csv", "parquet")),
        "page_size": random.choice((None, 11, 25)),
        "part_bytes": random.choice((2_000, 1_000_000)),
    }
    before = {name: set(company.simulator.truth(name).keys) for name in names}
    amounts = {name: amounts_of(company, name) for name in names}
    manifest = await _persist(company, visma, names, target, options)
    if manifest is None:
        company.check(not (target / MANIFEST_NAME).exists(), "nothing lost", f"{target.name} failed and is published")
        return
    company.counts["exports published"] += 1
    validate(target)
    for name in names:
        compare(company, target, manifest.resources[name], name, before=before[name], amounts=amounts[name])
    left = [str(path) for path in target.rglob("*") if path.name.endswith(".part") or ".tmp" in path.name]
    company.check(not left, "nothing left", f"{target.name} holds {left}")


async def _persist(
    company: Company, visma: VismaNet, names: list[str], target: Path, options: dict[str, Any]
) -> Manifest | None:
    for _ in range(_TRIES):
        # killed now and then in the middle; the next try goes on where this one was
        broken_off = company.random.choice((None, None, None, 20.0, 60.0))
        with company.clock.move_on_after(broken_off if broken_off is not None else float("inf")):
            try:
                return await visma.export(names, to=target, **options)
            except IncompleteListing as error:
                company.failed(error, "export")
                return None
            except VismaNetError as error:
                company.failed(error, "export")
        company.counts["exports broken off"] += 1
    return None


def compare(
    company: Company, target: Path, entry: ResourceEntry, name: str, *, before: set[str], amounts: dict[str, Decimal]
) -> None:
    after = set(company.simulator.truth(name).keys)
    found = list(_rows(target, entry.parts, name))
    keys = [key for key, _ in found]
    known = set(keys)
    where = f"{target.name} {name} {entry.format} ({entry.verdict}: {entry.reason})"
    company.counts[f"exports {entry.verdict}"] += 1
    company.counts["rows exported"] += len(keys)
    lost = (before & after) - known
    company.check(not lost, "nothing lost", f"{where}: {sorted(lost)[:5]} of {len(before)}")
    company.check(len(keys) == len(known), "once each", f"{where}: {len(keys) - len(known)} twice")
    invented = known - before - after - company.added[name] - company.removed[name]
    company.check(not invented, "nothing invented", f"{where}: {sorted(invented)[:5]}")
    changed = company.touched[name] | set(company.protected)
    wrong = {
        key: (amounts[key], amount)
        for key, amount in found
        if key in amounts and key not in changed and amount is not None and amount != amounts[key]
    }
    company.check(not wrong, "exact", f"{where}: {dict(list(wrong.items())[:3])}")


def amounts_of(company: Company, name: str) -> dict[str, Decimal]:
    rows = company.simulator.truth(name).rows()
    return {str(row[_IDENTITY[name]]): row[_AMOUNTS[name]] for row in rows if row.get(_AMOUNTS[name]) is not None}


def _rows(target: Path, parts: Any, name: str) -> Iterator[tuple[str, Decimal | None]]:
    for part in parts:
        for row in _read(target / part.file):
            amount = row.get(_AMOUNTS[name])
            yield str(row[_IDENTITY[name]]), None if amount in {None, ""} else Decimal(str(amount))


def _read(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.suffix == ".jsonl":
        with path.open("rb") as file:
            yield from (json.loads(line, parse_float=Decimal) for line in file)
    elif path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as text:
            yield from csv.DictReader(text)
    else:
        yield from pq.read_table(path).to_pylist()
