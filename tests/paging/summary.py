"""At the end of a run: how many small worlds and random schedules were read, how they ended, and what they cost.

`tests/conftest.py` has the hook: with workers, the process that writes the summary reads no `conftest.py` below it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

__all__ = ["pytest_terminal_summary"]


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    totals: dict[str, Counter[str]] = {name: Counter() for name in ("worlds", "schedules", "prices")}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name in totals and getattr(report, "when", "") == "call":
                    totals[name].update(value)
    if totals["worlds"]:
        terminalreporter.write_line(f"small worlds read: {ends(totals['worlds'])}; none with a false claim")
    if totals["schedules"]:
        terminalreporter.write_line(f"random schedules read: {ends(totals['schedules'])}; none with a false claim")
    if totals["prices"]:
        prices = totals["prices"]
        terminalreporter.write_line(
            f"requests of the proven ones against the pages of their rows: median {share(prices, 0.5):g}, "
            f"99th percentile {share(prices, 0.99):g}, most {max(map(float, prices)):g}"
        )


def ends(verdicts: Counter[str]) -> str:
    """Say how many there were, and how they ended."""
    return f"{verdicts.total():,} ({', '.join(f'{number:,} {name}' for name, number in sorted(verdicts.items()))})"


def share(prices: Counter[str], part: float) -> float:
    """Return the price that this part of all is not above."""
    left = part * prices.total()
    for price in sorted(prices, key=float):
        left -= prices[price]
        if left <= 0:
            return float(price)
    raise ValueError("no prices")
