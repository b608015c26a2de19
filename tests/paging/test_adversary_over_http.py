"""The same over real HTTP: endpoints that page though nobody says so, farms of several servers, busy lists."""

from __future__ import annotations

from vismanet_async.transport.pool import SHARED_SECONDS  # noqa: F401
