"""What the raw JSON of a record holds and its model does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vismanet_async._codec.model import fields_of
from vismanet_async._codec.tolerant_decoder import load

if TYPE_CHECKING:
    from vismanet_async._codec.model import Model

__all__ = ["unknown_keys"]


def unknown_keys(raw: bytes, cls: type[Model]) -> dict[str, Any]:
    """Collect the keys of `raw` that `cls` (and the models in it) has no field for, by path."""
    found: dict[str, Any] = {}
    _collect(load(raw), cls, "", found)
    return found


def _collect(value: Any, cls: type[Model], path: str, found: dict[str, Any]) -> None:
    fields = {field.json: field for field in fields_of(cls)}
    if isinstance(value, dict) and value.keys() == {"value"} and "value" not in fields:
        value = value["value"]  # wrapped where a bare object was promised; the reference unwraps it too
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
