"""A company's changes written to a file and read back: what was made from the seed is made from it again."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from vismanet_async._simulator.files import StoredFile
from vismanet_async._simulator.json_text import decode, encode

if TYPE_CHECKING:
    from pathlib import Path

    from vismanet_async._simulator.company import Company

__all__ = ["read_snapshot", "restore", "write_snapshot"]

_FORMAT = 1


def write_snapshot(path: Path, settings: dict[str, Any], companies: dict[str, Company]) -> None:
    """Write all data of all companies; jobs, tokens, limits and the log are not part of it."""
    content = {
        "format": _FORMAT,
        "settings": settings,
        "companies": {tenant: _company(company) for tenant, company in companies.items()},
    }
    path.write_bytes(encode(content))


def _company(company: Company) -> dict[str, Any]:
    return {
        "tables": {name: table.export() for name, table in company.world.tables.items() if table.changes},
        "versions": company.world.last_version,
        "translations": [[item, language, text] for (item, language), text in company.translations.items()],
        "files": [
            {
                "id": one.id,
                "name": one.name,
                "revision": one.revision,
                "data": base64.b64encode(one.data).decode(),
            }
            for one in company.files.values()
        ],
    }


def read_snapshot(path: Path) -> dict[str, Any]:
    """Read a snapshot file.

    Raises:
        ValueError: It is none, or of another format.
    """
    content = decode(path.read_bytes())
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(f"{path.name} is no simulator snapshot of format {_FORMAT}")
    switches = content["settings"]["behaviours"]
    switches.update({name: float(value) for name, value in switches.items() if isinstance(value, Decimal)})
    return dict(content)


def restore(company: Company, content: dict[str, Any]) -> None:
    """Put a snapshot's changes into a fresh company of the same seed and sizes."""
    company.world.last_version = content["versions"]
    for name, table in content["tables"].items():
        company.world.table(name).restore(table)
    company.translations.update({(item, language): text for item, language, text in content["translations"]})
    for one in content["files"]:
        company.files[one["id"]] = StoredFile(one["id"], one["name"], base64.b64decode(one["data"]), one["revision"])
