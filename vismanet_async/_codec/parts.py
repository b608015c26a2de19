"""Parts of what was read, as they are written: `CustomerUpdate(main_address=customer.main_address)`. Pure.

Answers say `country: {id, name}` where a write says `countryId`, and have numbers of their own that nobody can set. All
else must have its place in the written form: what has none is refused, not dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vismanet_async._codec.fields import fields_of
from vismanet_async._codec.values import UNSET

if TYPE_CHECKING:
    from vismanet_async._codec.fields import Field
    from vismanet_async._codec.model import Model

__all__ = ["READ_ONLY", "written_fields"]

READ_ONLY: Final = frozenset({"address_id", "contact_id", "error_info", "metadata"})
"""What the server sets and no write has."""


def written_fields(part: Model, cls: type[Model]) -> dict[Field, Any] | str:
    """Return the fields of a written class with the values of a part that was read.

    Args:
        part: such as an `Address`.
        cls: such as `AddressUpdate`; its name tells which part it is for.

    Returns:
        The values by field, those that are set; or text: the name of the field without a place there, empty where the
        class is not for such a part.
    """
    names = {field.name: field for field in fields_of(cls)}
    if cls.__name__ != f"{type(part).__name__}Update" or "operation" in names:
        return ""
    found = {}
    for field in fields_of(type(part)):
        value = getattr(part, field.name)
        if value is UNSET or field.name in READ_ONLY:
            continue
        there = names.get(field.name)
        if field.model is not None:
            there = names.get(f"{field.name}_id", there)
            value = None if value is None else getattr(value, "id", UNSET)
        if there is None or there.model is not None or there.many or field.many or value is UNSET:
            return field.name
        found[there] = value
    return found
