"""Names for `typing.get_type_hints`: what modules of resources import for type checkers alone, without loading it.

A model's name is bound to a text that imports the model, which `typing` evaluates as the forward reference that it is.
To import the models of a resource for real would take three times as long as the resource itself.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, ForwardRef, Self, Union

from vismanet_async._api.base import ModelRef
from vismanet_async._api.paths import Id
from vismanet_async._api.query import AttributeFilter, Moment, Other
from vismanet_async._api.results import Created, Done, Updated
from vismanet_async._codec.model import Record
from vismanet_async._conditions import DateTimeCondition, NumberCondition
from vismanet_async._operation import Operation

__all__ = ["name_types"]


class _Elsewhere(str):
    """What stands for a type in an annotation: the expression that gives it."""

    __slots__ = ()

    @classmethod
    def of(cls, module: str, name: str) -> Self:
        """Return what stands for a name of a module."""
        return cls(f"__import__('vismanet_async.{module}', fromlist=['{name}']).{name}")

    def __or__(self, other: Any) -> Any:
        return Union[ForwardRef(self), other]  # noqa: UP007 - a text knows no |

    def __ror__(self, other: Any) -> Any:
        return Union[other, ForwardRef(self)]  # noqa: UP007 - as above


class _Listing:
    """`Listing` in an annotation such as `Listing[Customer]`; paging is loaded with the first list."""

    def __getitem__(self, row: Any) -> _Elsewhere:
        listing = _Elsewhere.of("_paging.listing", "Listing")
        return _Elsewhere(f"{listing}[{row if isinstance(row, str) else row.__name__}]")


_SHARED: Final[Mapping[str, Any]] = {
    "AttributeFilter": AttributeFilter,
    # that of collections.abc loses its brackets when forward references in it are evaluated
    "Callable": typing.Callable,
    "Created": Created,
    "DateTimeCondition": DateTimeCondition,
    "Decimal": Decimal,
    "Done": Done,
    "Download": _Elsewhere.of("_api.files", "Download"),
    "Id": Id,
    "IfMatch": str | Record | Created | Updated | Done | Mapping[str, Any],
    "Listing": _Listing(),
    "Mapping": Mapping,
    "Moment": Moment,
    "NumberCondition": NumberCondition,
    "Operation": Operation,
    "Other": Other,
    "Sequence": Sequence,
    "Updated": Updated,
    "Upload": _Elsewhere.of("_api.files", "Upload"),
    "datetime": datetime,
}
"""What modules of resources import for type checkers, but for models and enums."""


def name_types(namespace: dict[str, Any], *enums: str) -> None:
    """Give a module the names that its annotations have, so that `typing.get_type_hints` of its methods works.

    Args:
        namespace: its `globals()`, with the `ModelRef` of each model.
        enums: those of `vismanet_async._api.models.enums` that it names.
    """
    models = [each for each in namespace.values() if isinstance(each, ModelRef)]
    named = {each.name: _Elsewhere.of(f"_api.models.{each.home}", each.name) for each in models}
    named |= {name: _Elsewhere.of("_api.models.enums", name) for name in enums}
    namespace.update({**_SHARED, **named, **namespace})
