from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.hang import until
from vismanet_async._cli import progress
from vismanet_async._cli.progress import progress_shown
from vismanet_async._export.events import Progress
from vismanet_async._http.rate_limit import Quota
from vismanet_async.errors import ServerError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def export() -> Any:
    return SimpleNamespace(
        progress={
            "customer": Progress(rows=1_200, total=3_000, requests=3, in_flight=2, rows_per_second=456.0),
            "branch": Progress(rows=7, total=None, requests=1, in_flight=0, rows_per_second=7.0),
        }
    )


async def test_lines_tell_rows_rate_requests_and_quota() -> None:
    out = io.StringIO()
    async with progress_shown(export(), Quota(remaining=14_321), out):
        pass
    assert out.getvalue().splitlines() == [
        "customer: 1,200 of 3,000 rows, 456 rows/s, 3 requests, 2 in flight, quota left 14,321",
        "branch: 7 rows, 7 rows/s, 1 requests, 0 in flight, quota left 14,321",
    ]


async def test_a_line_is_printed_again_only_when_it_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    out, running = io.StringIO(), export()
    async with progress_shown(running, Quota(), out):
        await until(lambda: "branch" in out.getvalue())
        running.progress["branch"] = Progress(rows=9, total=None, requests=1, in_flight=0, rows_per_second=7.0)
    assert [line.split(":")[0] for line in out.getvalue().splitlines()] == ["customer", "branch", "branch"]


async def test_a_terminal_gets_a_bar_for_each_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(progress, "_BAR_SECONDS", 0.0)
    out = Terminal()
    async with progress_shown(export(), Quota(remaining=5), out):
        await until(lambda: "quota left" in out.getvalue())
    text = out.getvalue()
    assert "customer" in text
    assert "1,200 of 3,000 rows" in text
    assert "quota left 5" in text


@pytest.mark.parametrize("out", [io.StringIO(), Terminal()])
async def test_an_error_comes_through_as_it_is(out: io.StringIO) -> None:
    with pytest.raises(ServerError):
        async with progress_shown(export(), Quota(), out):
            raise ServerError("Customer_GetAll", status=503)
