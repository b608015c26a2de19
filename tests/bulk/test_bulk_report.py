"""The page of a bulk run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vismanet_async.bulk import BulkReport, BulkSummary, RowResult
from vismanet_async.errors import TargetNotWritable

if TYPE_CHECKING:
    from pathlib import Path


def failing(number: int) -> RowResult:
    error, kind = "<script>alert(1)</script>", "BadRequest"
    return RowResult(
        key=f"<b>{number}",
        position=number,
        outcome="failed",
        error=error,
        error_type=kind,
        status=400,
        reference="ref-7",
    )


def test_it_names_what_is_not_done_and_escapes_all_of_it(tmp_path: Path) -> None:
    report = BulkReport(title="Load <1>")
    for number in range(5000):
        report.add(RowResult(key=str(number), position=number, outcome="created"))
    for number in range(250):
        report.add(failing(number))
    page = report.html(BulkSummary(rows=5250, created=5000, failed=250, seconds=12.5))
    assert "Load &lt;1&gt;" in page
    assert "5,250 rows: 5,000 created, 250 failed." in page
    assert "&lt;b&gt;199" in page
    assert "&lt;b&gt;200" not in page, "the journal has the others"
    assert "The first 200 of 250; the journal has them all." in page
    assert "<script" not in page
    assert page.count("ref-7") == 200
    assert len(page) < 200_000
    report.write(tmp_path / "new" / "report.html")
    assert "did not come to its end" in (tmp_path / "new" / "report.html").read_text("utf-8")
    with pytest.raises(TargetNotWritable):
        report.write(tmp_path)


def test_a_run_that_is_complete_says_so() -> None:
    report = BulkReport().add(RowResult(key="a", position=1, outcome="unchanged", earlier=True))
    page = report.html(BulkSummary(rows=1, unchanged=1))
    assert 'class="banner proven"' in page
    assert "1 known from before" in page
