"""The edge between what can only shrink and what may grow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from vismanet_async._paging.guarantee import safe_boundary


def test_the_boundary_has_passed_in_every_zone() -> None:
    now = datetime(2025, 5, 25, 14, 0, tzinfo=UTC)
    boundary = datetime.fromisoformat(safe_boundary(now))
    for hours in range(-12, 15):
        assert boundary < now.astimezone(timezone(timedelta(hours=hours))).replace(tzinfo=None)
    assert safe_boundary(now.astimezone(timezone(timedelta(hours=2)))) == boundary.isoformat()
    with pytest.raises(ValueError, match="aware"):
        safe_boundary(datetime(2025, 5, 25))
