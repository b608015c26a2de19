"""At the end of a run: how many small worlds were searched, and how they ended."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    totals: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "worlds" and getattr(report, "when", "") == "call":
                    totals.update(value)
    if totals:
        ends = ", ".join(f"{number:,} {verdict}" for verdict, number in sorted(totals.items()))
        terminalreporter.write_line(f"small worlds read: {totals.total():,} ({ends}); none with a false claim")
