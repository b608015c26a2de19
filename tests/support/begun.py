"""What clients send, counted where they begin it: requests of a run that was stopped may still reach the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vismanet_async._http.http_attempt import HttpAttempt

if TYPE_CHECKING:
    import pytest


def begun_from_now_on(monkeypatch: pytest.MonkeyPatch) -> list[HttpAttempt]:
    """Return a list that gets each request as a client begins it."""
    begun: list[HttpAttempt] = []
    begin = HttpAttempt.open

    async def noted(self: HttpAttempt) -> Any:
        begun.append(self)
        return await begin(self)

    monkeypatch.setattr(HttpAttempt, "open", noted)
    return begun


__all__ = ["begun_from_now_on"]
