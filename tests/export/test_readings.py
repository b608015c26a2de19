"""The table of what tools read: it is what they read now, and the right lines read everything."""

from __future__ import annotations

import pytest

from tests.export.readings import AMOUNTS, BEGIN, END, KEYS, PAGE, table


def test_the_page_shows_what_the_tools_read() -> None:
    pytest.importorskip("pandas")
    shown = PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0].strip()
    assert shown == table().strip()
    rows = [line for line in shown.splitlines() if line.startswith(("| parquet", "| csv"))]
    all_exact = f"| {len(AMOUNTS)} of {len(AMOUNTS)} | {len(KEYS)} of {len(KEYS)} |"
    assert sum(row.endswith(all_exact) for row in rows) == 8


def test_the_amounts_have_up_to_17_digits() -> None:
    assert len(AMOUNTS) == 12
    assert max(sum(map(str.isdigit, amount)) for amount in AMOUNTS) == 17
