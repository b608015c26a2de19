"""From the path of a request to the table and the row it means, and their versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vismanet_async._simulator.messages import RefusedError, Reply, refuse
from vismanet_async._simulator.tables import ALIASES, SPECS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vismanet_async._simulator.company import Call
    from vismanet_async._simulator.rows import Table

__all__ = ["check_version", "etag_of", "find_row", "needed_row", "needed_table", "not_found", "table_name"]


def table_name(collection: str) -> str | None:
    """Return the table that a collection of the API shows, or None if it is made up on the spot."""
    name = ALIASES.get(collection, collection)
    return name if name in SPECS else None


def needed_table(call: Call) -> Table:
    """Return the table of the operation's collection.

    Raises:
        RefusedError: No table holds it (404).
    """
    name = table_name(call.operation.collection)
    if name is None:
        raise RefusedError(not_found(call))
    return call.company.world.table(name)


def needed_row(call: Call, table: Table) -> int:
    """Return the row that the values in the path mean.

    Raises:
        RefusedError: There is none (404).
    """
    row = find_row(call, table)
    if row is None:
        raise RefusedError(not_found(call))
    return row


def find_row(call: Call, table: Table) -> int | None:
    """Return the row that the values in the path mean, or None."""
    spec, values = table.spec, call.values
    names = [name.lower() for name in call.operation.path_params]
    if not values:
        return None
    by_internal = "internal" in names[0] and not spec.key[-1].lower().startswith("internal")
    if by_internal or call.operation.collection.endswith("/internal"):
        return table.find_internal(int(values[0])) if values[0].isdecimal() else None
    typed = "type" in names[0] or names[0] == "module"
    if len(spec.key) == 1:
        return table.find((values[1] if typed and len(values) > 1 else values[0],))
    if typed or spec.parent or "series" in names[1:2]:
        return table.find(values[: len(spec.key)])
    return table.find(values[:1])


def not_found(call: Call) -> Reply:
    """Answer that the record in the path is not there."""
    what = f"{call.operation.resource} '{'/'.join(call.values)}'"
    return refuse(404, f"VismaId: {call.company.visma_id()}. {what} cannot be found in the system.")


def _version(row: Mapping[str, Any]) -> str | None:
    version = row.get("timeStamp") or row.get("timestamp")
    return str(version) if version else None


def etag_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the ETag header of a record, if it has a version."""
    version = _version(row)
    return {"ETag": f'"{version}"'} if version else {}


def check_version(call: Call, row: Mapping[str, Any]) -> None:
    """Check If-Match where it counts: where it is taken, on actions in the background only (facts 6.6).

    Raises:
        RefusedError: The row has another version (412).
    """
    wanted = call.request.headers.get("If-Match")
    if wanted is None or not call.operation.if_match:
        return
    action_like = call.operation.action or call.operation.attachment
    if action_like and not call.in_background and call.company.behaviours.action_if_match == "background_only":
        return
    if wanted.strip().removeprefix("W/").strip('"') not in {"*", _version(row)}:
        raise RefusedError(refuse(412, "The resource version does not match with If-Match header."))
