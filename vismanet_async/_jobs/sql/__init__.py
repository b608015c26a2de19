"""Job stores in SQLite (one file, no server) or PostgreSQL (several workers), over SQLAlchemy's async core."""

from __future__ import annotations

from vismanet_async.errors import SettingsError

try:
    import sqlalchemy.ext.asyncio  # noqa: F401 - before the modules beside this one need it
except ModuleNotFoundError as missing:  # pragma: no cover - depends on what is installed
    raise SettingsError(
        f"job stores need {missing.name}: pip install 'vismanet-async[sqlite]', or [postgres] for PostgreSQL."
    ) from missing
