"""What an upsert writes to: how a resource is read, created and updated, and which field is the key. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import attrs

from vismanet_async._api.registry import find_resource, registry
from vismanet_async._decimals import whole_number_in
from vismanet_async.errors import RequestRefused, UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable

    from vismanet_async._codec.model import WriteModel

__all__ = ["Target", "read_target", "with_inserts", "with_operations"]

_PATH_FIELDS: Final[dict[str, str | None]] = {
    "account": "accountCD",
    "project": "projectID",
    "subaccount": "subaccountNumber",
    "expense_receipt": None,
}
"""The field whose value stands in the path of an update, where that is not the last of those that tell rows apart;
None: records do not show it."""
_PAGE_ROWS: Final = 500
"""What a page holds where the description does not say; a guess, to weigh one way of reading against the other."""


@attrs.frozen(kw_only=True)
class Target:
    """A resource whose records are told apart by one field."""

    resource: str
    key: str
    """The key's name in records and bodies alike, by the API."""
    key_name: str
    """The same by the SDK."""
    key_is_number: bool
    """It is a whole number in records and bodies alike, else text."""
    path_name: str
    """The field of a record that names it in the path of an update, by the SDK."""
    model: type[WriteModel]
    create_id: str
    update_id: str
    guarded: bool
    """The API honours If-Match for the update."""
    by_get: bool
    """One read finds a record by the key."""
    filter: str | None
    """The filter of the list that finds records by the key; None where there is none."""
    page_rows: int | None
    """The largest page of the list; None: it is not paged."""

    def folded(self, key: object) -> str:
        """Return a key as the ERP compares it: text in any case, without blanks around it; numbers by value."""
        text = str(key).strip().casefold()
        number = whole_number_in(text) if self.key_is_number else None
        return text if number is None else str(number)


def read_target(name: str, key: str) -> Target:
    """Return what an upsert needs to know of a resource.

    Raises:
        UnknownName: no such resource or field; with the nearest names.
        RequestRefused: its records cannot be created and updated by one key.
    """
    resource = find_resource(name)
    methods = registry()["resources"][resource]["methods"]
    path_field = _path_field(resource, methods)
    if path_field is None:
        known = [each for each, one in registry()["resources"].items() if _path_field(each, one["methods"])]
        raise RequestRefused(
            f"{resource} is not written by upsert: it takes a list, a create and an update of one number with the same "
            f"body. These have them: {', '.join(known)}. Nothing was sent."
        )
    body, facts = methods["create"]["body"], methods["list"]
    shown, written = _fields(facts["result"]), _fields(body)
    found = next((one for one in written if key in one[:2]), None)
    shown_as = {one[1]: one[2] for one in shown}
    if found is None or found[1] not in shown_as:
        both = [one[0] for one in written if one[1] in shown_as]
        raise UnknownName("key", key, nearest=get_close_matches(key, both), where=f"that {resource} has and is sent")
    if found[2] not in {"str", "int"}:
        raise RequestRefused(f"{key} is no key: it takes {found[2]}, and keys are text or whole numbers.")
    if shown_as[found[1]] != found[2]:  # no record would ever be found by it, and each run would create one more
        raise RequestRefused(
            f"{key} is no key: it takes {found[2]}, and records show {shown_as[found[1]]}. Nothing was sent."
        )
    by_path = {one[1]: one[0] for one in shown}
    filters = {each["json"]: each["name"] for each in facts.get("parameters", ()) if each["kind"] == "text"}
    return Target(
        resource=resource,
        key=found[1],
        key_name=by_path[found[1]],
        key_is_number=found[2] == "int",
        path_name=by_path[path_field],
        model=getattr(import_module(f"vismanet_async._api.models.{registry()['models'][body]['home']}"), body),
        create_id=methods["create"]["id"],
        update_id=methods["update"]["id"],
        guarded=methods["update"].get("if_match") == "always",
        by_get=found[1] == path_field and len(methods.get("get", {}).get("ids", ())) == 1,
        filter=filters.get(found[1]),
        page_rows=None if facts.get("style") == "unpaged" else facts.get("max_page_size", _PAGE_ROWS),
    )


def _fields(model: str) -> list[list[str]]:
    fields: list[list[str]] = registry()["models"].get(model, {}).get("fields", [])
    return fields


def _path_field(resource: str, methods: Mapping[str, Any]) -> str | None:
    create, update, listed = (methods.get(each, {}) for each in ("create", "update", "list"))
    identity: list[str] = listed.get("identity") or [""]
    if listed.get("call") != "list" or listed.get("ids") or create.get("ids") or not create.get("body"):
        return None
    if create["body"] != update.get("body") or len(update.get("ids", ())) != 1:
        return None
    return _PATH_FIELDS.get(resource, identity[-1]) or None


# --- lines ---------------------------------------------------------------------------------------------------------


def with_inserts(model: str, record: Any) -> Any:
    """Return a record to be created, whose lines all say that they are inserted unless they say something else."""
    return _with_lines(model, record, lambda _model, _line: "Insert")


def with_operations(model: str, record: Any) -> Any:
    """Return a record to be updated: lines that do not say what they are for are updated if they have a number."""
    return _with_lines(model, record, lambda kind, line: "Update" if _is_numbered(kind, line) else "Insert")


def _with_lines(model: str, record: Any, operation: Callable[[str, Mapping[str, Any]], str]) -> Any:
    if not isinstance(record, Mapping):
        return record
    fields = {name: one[2] for one in _fields(model) for name in one[:2]}
    filled: dict[str, Any] = {}
    for name, value in record.items():
        kind = fields.get(name, "")
        inner = kind[5:-1]
        if kind.startswith("list[") and isinstance(value, list):
            takes = any(one[0] == "operation" for one in _fields(inner))
            filled[name] = [
                {"operation": operation(inner, line), **_with_lines(inner, line, operation)}
                if takes and isinstance(line, Mapping)
                else _with_lines(inner, line, operation)
                for line in value
            ]
        else:
            filled[name] = _with_lines(kind, value, operation)
    return filled


def _is_numbered(model: str, line: Mapping[str, Any]) -> bool:
    home = import_module(f"vismanet_async._api.models.{registry()['models'][model]['home']}")
    key = getattr(getattr(home, model), "line_key", None)
    names = next((one[:2] for one in _fields(model) if one[0] == key), ())
    return any(line.get(name) not in {None, ""} for name in names)
