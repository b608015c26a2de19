"""The values in the raw JSON of a record that its model has no field for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vismanet_async._codec.fields import fields_of
from vismanet_async._codec.tolerant_decoder import loads_exact

if TYPE_CHECKING:
    from vismanet_async._codec.model import Model

__all__ = ["unknown_keys"]


def unknown_keys(raw: bytes, cls: type[Model]) -> dict[str, Any]:
    """Return the values of `raw` that `cls` (and the models in it) has no field for, by path."""
    found: dict[str, Any] = {}
    _collect(loads_exact(raw), cls, "", found)
    return found


def _collect(value: Any, cls: type[Model], path: str, found: dict[str, Any]) -> None:
    fields = {field.json: field for field in fields_of(cls)}
    if isinstance(value, dict) and value.keys() == {"value"} and "value" not in fields:
        value = value["value"]  # wrapped where a bare object is specified; the tolerant decoder unwraps it too
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        field = fields.get(key)
        if field is None:
            found[path + key] = inner
        elif field.model is not None and isinstance(inner, list):
            for index, each in enumerate(inner):
                _collect(each, field.model, f"{path}{key}[{index}].", found)
        elif field.model is not None:
            _collect(inner, field.model, f"{path}{key}.", found)
