"""`diff`: what was added, changed and removed, field by field, between exports and between runs."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pytest
from anyio import to_thread
from hypothesis import given, strategies as st

from vismanet_async._client import VismaNet
from vismanet_async._export.compact import compact
from vismanet_async._export.diff import Difference, FieldChange, _changes, _side_by_side, diff
from vismanet_async._export.diff_page import DiffSummary, diff_page, value_text
from vismanet_async._export.formats.csv import CsvOptions
from vismanet_async._export.plan import ExportPlan
from vismanet_async._export.run import Export
from vismanet_async._http.auth.credentials import StaticToken
from vismanet_async.errors import ExportError, RequestRefused
from vismanet_async.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(seed=9, rows={"customer": 230, "supplier": 30}) as running:
        yield running


async def export(simulator: Simulator, to: Path, **plan: Any) -> None:
    options = {"resources": ["customer", "supplier"], "incremental": True, "deletions": True, **plan}
    async with VismaNet(StaticToken(simulator.issue_token()), base_url=simulator.base_url, concurrency=2) as visma:
        await Export(visma, ExportPlan(to=to, **options), company=simulator.tenant_id, base_url=simulator.base_url)


async def found(*args: Any, **options: Any) -> list[Difference]:
    return await to_thread.run_sync(lambda: list(diff(*args, **options)))


@pytest.mark.parametrize("fmt", ["jsonl", "jsonl.gz", "csv", "parquet"])
async def test_between_two_exports(simulator: Simulator, tmp_path: Path, fmt: str) -> None:
    await export(simulator, tmp_path / "a", format=fmt)
    renamed, *_ = simulator.truth("customer").keys
    (gone,) = simulator.remove("customer", simulator.truth("customer").keys[5])
    simulator.touch("customer", renamed, name="Fjord & <Fjell>", creditLimit=Decimal("1234567890123.45"))
    (added,) = simulator.add("customer")
    await export(simulator, tmp_path / "b", format=fmt)
    differences = await found(tmp_path / "a", tmp_path / "b")
    assert {(one.resource, one.kind, one.key["number"]) for one in differences} == {
        ("customer", "changed", renamed),
        ("customer", "removed", gone),
        ("customer", "added", added),
    }
    (changed,) = (one for one in differences if one.kind == "changed")
    fields = {change.field: (change.before, change.after) for change in changed.changes}
    assert {"name", "creditLimit", "lastModifiedDateTime"} <= fields.keys() <= {
        "name", "creditLimit", "lastModifiedDateTime", "timeStamp"
    }  # fmt: skip
    assert fields["name"][1] == "Fjord & <Fjell>"
    assert Decimal(fields["creditLimit"][1]) == Decimal("1234567890123.45")
    # the other way round, and with itself
    reverse = await found(tmp_path / "b", tmp_path / "a")
    assert {one.kind for one in reverse if one.key["number"] == added} == {"removed"}
    assert await found(tmp_path / "a", tmp_path / "a") == []


async def test_between_runs_of_one(simulator: Simulator, tmp_path: Path) -> None:
    await export(simulator, tmp_path)
    first = simulator.touch("customer", count=3)
    await export(simulator, tmp_path)
    second = simulator.remove("customer", count=2)
    await export(simulator, tmp_path)

    async def keys(**runs: int) -> set[tuple[str, str]]:
        return {(one.kind, one.key["number"]) for one in await found(tmp_path, **runs)}

    assert await keys() == {("removed", key) for key in second}
    assert await keys(before_runs=1, after_runs=2) == {("changed", key) for key in first}
    both = {("changed", key) for key in first if key not in second} | {("removed", key) for key in second}
    assert await keys(before_runs=1) == both
    assert await keys(before_runs=3, after_runs=3) == set()
    for wrong in ({"before_runs": 4}, {"after_runs": 4}):
        with pytest.raises(RequestRefused, match="has 3 runs, so that there is no state after 4"):
            await found(tmp_path, **wrong)
    with pytest.raises(RequestRefused, match="before_runs"):
        await found(tmp_path, before_runs=0)


async def test_a_compacted_export_is_the_same(simulator: Simulator, tmp_path: Path) -> None:
    await export(simulator, tmp_path / "a")
    simulator.remove("customer", count=2)
    simulator.touch("supplier", count=2)
    await export(simulator, tmp_path / "a")
    await to_thread.run_sync(lambda: compact(tmp_path / "a", to=tmp_path / "b"))
    assert await found(tmp_path / "a", tmp_path / "b") == []


async def test_refused(simulator: Simulator, tmp_path: Path) -> None:
    await export(simulator, tmp_path / "a", resources="customer")
    await export(simulator, tmp_path / "b", resources="supplier")
    await export(simulator, tmp_path / "c", resources="customer", format="csv")
    options = CsvOptions(delimiter=";")
    await export(simulator, tmp_path / "d", resources="customer", format="csv", format_options=options)
    with pytest.raises(RequestRefused, match="no resource is in both exports"):
        diff(tmp_path / "a", tmp_path / "b")
    with pytest.raises(RequestRefused, match="customer is not in both exports"):
        diff(tmp_path / "a", tmp_path / "b", resources=["customer"])
    for other, before in (("c", "jsonl on one side and csv"), ("d", "jsonl on one side")):
        with pytest.raises(RequestRefused, match=before):
            diff(tmp_path / "a", tmp_path / other)
    with pytest.raises(RequestRefused, match="written with other options"):
        diff(tmp_path / "c", tmp_path / "d")
    with pytest.raises(RequestRefused, match="is what one run brought"):
        diff(tmp_path / "a")
    with pytest.raises(ExportError, match="nothing is published"):
        diff(tmp_path / "nothing", tmp_path / "a")


def test_values_are_compared_by_what_they_mean() -> None:
    value = msgspec.json.Decoder(float_hook=Decimal).decode
    pairs = [
        ("1.5", "1.50", True), ("1", "1.0", True), ("1", "true", False), ("0", "false", False), ("null", '""', False),
        ('"1"', "1", False), ("[1]", "[1.0]", True), ("[1]", "[true]", False), ("[]", "[null]", False),
        ('[{"a":1}]', '[{"a":1.0}]', True), ('[{"a":1}]', '[{"a":1,"b":null}]', False),
        ("12345678901234567.89", "12345678901234567.88", False),
    ]  # fmt: skip
    for one, other, same in pairs:
        assert (_changes({"x": value(one)}, {"x": value(other)}) == ()) is same, (one, other)
    assert _changes({"x": None}, {}) == (FieldChange("x", None, msgspec.UNSET),)


@given(
    st.dictionaries(st.binary(max_size=2), st.binary(max_size=1)),
    st.dictionaries(st.binary(max_size=2), st.binary(max_size=1)),
)
def test_side_by_side_is_what_dictionaries_say(one: dict[bytes, bytes], other: dict[bytes, bytes]) -> None:
    pairs = list(_side_by_side(iter(sorted(one.items())), iter(sorted(other.items()))))
    assert pairs == [(key, one.get(key), other.get(key)) for key in sorted({*one, *other})]


def test_a_line_of_json_keeps_every_digit() -> None:
    changes = (
        FieldChange("a.b", Decimal("0.10"), Decimal("12345678901234567.89")),
        FieldChange("c", msgspec.UNSET, None),
    )
    line = Difference(resource="customer", kind="changed", key={"number": "1"}, changes=changes).to_json()
    assert b'"before":0.10,"after":12345678901234567.89' in line
    assert json.loads(line)["changes"][1] == {"field": "c", "after": None}


def test_the_page_needs_nothing_and_escapes_everything() -> None:
    evil = "<script>alert(1)</script>"
    summary = DiffSummary(3)
    kinds: tuple[Literal["added", "changed", "removed"], ...] = ("added", "changed", "removed")
    for number, kind in product(range(2), kinds):
        changes = (FieldChange(evil, evil, number),) if kind == "changed" else ()
        summary.add(Difference(resource="customer", kind=kind, key={"number": evil}, changes=changes))
    page = diff_page(summary, title="What changed", before=evil, after="b", resources=["customer", "supplier"])
    assert evil not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page
    assert "3 more are not shown here" in page
    assert "supplier" in page
    assert "http://" not in page.replace("http-equiv", "")
    assert len(value_text("x" * 1000)) == 201


def test_a_value_cannot_write_on_the_terminal() -> None:
    assert value_text("a\x1b[2Jb\n") == '"a\\u001b[2Jb\\n"'
    assert (value_text("Ærlig"), value_text(Decimal("1.50")), value_text([1])) == ("Ærlig", "1.50", "[1]")
